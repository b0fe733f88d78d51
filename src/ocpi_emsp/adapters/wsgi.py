"""The eMSP as a WSGI application (PEP 3333).

Rules of this module:
- it only translates; the body is read once the caller is known, unless the server has read it before;
- a read blocks, so a body's time limit is checked between two reads: the server in front must end a body that drips;
- WSGI decodes the path. If the server also provides the raw one (gunicorn, uWSGI, mod_wsgi), ids with a percent-encoded
  slash are preserved; elsewhere they cannot be distinguished from two segments.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import quote

from ocpi_emsp.adapters import CHUNK, DRAIN, BodyTime
from ocpi_emsp.ports import ReadBody
from ocpi_emsp.routes import below, is_below
from ocpi_emsp.settings import HttpLimits
from ocpi_emsp.wire import Request, Response

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

Handle: TypeAlias = Callable[[Request, ReadBody], Response]
WsgiApplication: TypeAlias = "WSGIApplication"


class WsgiApp:
    """Application to mount at any prefix; ``base`` is the path of the public URL."""

    def __init__(self, handle: Handle, base: str, limits: HttpLimits, fallback: WsgiApplication | None = None) -> None:
        self._handle = handle
        self._base = base
        self._limits = limits
        self._fallback = fallback

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if self._fallback is not None and not is_below(_raw_path(environ), self._base):
            return self._fallback(environ, start_response)
        response = self._handle(self._head(environ), _WsgiBody(environ, self._limits).read)
        headers = [*response.headers, ("content-length", str(len(response.body)))]
        start_response(f"{response.status} {HTTPStatus(response.status).phrase}", headers)
        # Not every server drops the body of a response to HEAD, and sending one breaks the connection.
        return [b"" if environ["REQUEST_METHOD"] == "HEAD" else response.body]

    def _head(self, environ: WSGIEnvironment) -> Request:
        path = below(_raw_path(environ), self._base, quote(environ.get("SCRIPT_NAME", ""), encoding="latin-1"))
        headers = {
            name[5:].replace("_", "-").lower(): value for name, value in environ.items() if name.startswith("HTTP_")
        }
        if environ.get("CONTENT_TYPE"):
            headers["content-type"] = environ["CONTENT_TYPE"]
        query, peer = environ.get("QUERY_STRING", ""), environ.get("REMOTE_ADDR", "")
        return Request(environ["REQUEST_METHOD"], path, query, headers, peer=peer)


class _WsgiBody:
    """Reads what a server received, or is still receiving."""

    def __init__(self, environ: WSGIEnvironment, limits: HttpLimits) -> None:
        self._stream: Any = environ["wsgi.input"]
        self._time = BodyTime(limits)
        self._limit = limits.request_body
        self._read = self._received = 0
        ends_by_itself = environ.get("wsgi.input_terminated") and not environ.get("CONTENT_LENGTH")
        self._left = self._limit * DRAIN if ends_by_itself else min(_content_length(environ), self._limit * DRAIN)

    async def read(self, most: int) -> bytes:
        """See :class:`ocpi_emsp.ports.ReadBody`; it never suspends. Beyond the limit, the rest is read and dropped."""
        body = bytearray()
        while len(body) < most and (part := self._next(most - len(body))):
            body += part
        self._read += len(body)
        while self._read > self._limit and self._next(CHUNK):
            pass
        return bytes(body)

    def _next(self, most: int) -> bytes:
        if self._left <= 0:
            return b""
        self._time.begin(self._received)
        part: bytes = self._stream.read(min(most, self._left, CHUNK))
        self._time.end()
        self._received += len(part)
        self._left -= len(part)
        return part


def _content_length(environ: WSGIEnvironment) -> int:
    """Return the announced length; 0 if it is invalid, which some servers let through."""
    length: str = environ.get("CONTENT_LENGTH") or ""
    return int(length[:18]) if length.isascii() and length.isdigit() else 0


def _raw_path(environ: WSGIEnvironment) -> str:
    raw: str = environ.get("RAW_URI") or environ.get("REQUEST_URI") or ""
    if raw.startswith("/"):
        return raw.partition("?")[0]
    return quote(environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", ""), encoding="latin-1")
