"""The eMSP as a WSGI application (PEP 3333).

Rules of this module: translate, nothing else. WSGI decodes the path; where the server also gives the raw one (gunicorn,
uWSGI, mod_wsgi), ids with a percent-encoded slash survive, elsewhere they cannot be told from two segments.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import quote

from ocpi_emsp.adapters import DRAIN
from ocpi_emsp.routes import below, is_below
from ocpi_emsp.wire import Request, Response

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

Handle: TypeAlias = Callable[[Request], Response]
WsgiApplication: TypeAlias = "WSGIApplication"

_CHUNK = 65536


class WsgiApp:
    """Application to mount at any prefix; ``base`` is the path of the public URL."""

    def __init__(self, handle: Handle, base: str, limit: int, fallback: WsgiApplication | None = None) -> None:
        self._handle = handle
        self._base = base
        self._limit = limit
        self._fallback = fallback

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if self._fallback is not None and not is_below(_raw_path(environ), self._base):
            return self._fallback(environ, start_response)
        response = self._handle(self._request(environ))
        headers = [*response.headers, ("content-length", str(len(response.body)))]
        start_response(f"{response.status} {HTTPStatus(response.status).phrase}", headers)
        # Not every server drops the body of an answer to HEAD, and one that is sent breaks the connection.
        return [b"" if environ["REQUEST_METHOD"] == "HEAD" else response.body]

    def _request(self, environ: WSGIEnvironment) -> Request:
        path = below(_raw_path(environ), self._base, quote(environ.get("SCRIPT_NAME", ""), encoding="latin-1"))
        headers = {
            name[5:].replace("_", "-").lower(): value for name, value in environ.items() if name.startswith("HTTP_")
        }
        if environ.get("CONTENT_TYPE"):
            headers["content-type"] = environ["CONTENT_TYPE"]
        query = environ.get("QUERY_STRING", "")
        return Request(environ["REQUEST_METHOD"], path, query, headers, self._body(environ))

    def _body(self, environ: WSGIEnvironment) -> bytes:
        """The body, cut behind the limit; the rest is read to a bound and dropped."""
        stream: Any = environ["wsgi.input"]
        if environ.get("wsgi.input_terminated") and not environ.get("CONTENT_LENGTH"):
            left = self._limit * DRAIN
        else:
            left = min(_content_length(environ), self._limit * DRAIN)
        body: bytes = stream.read(min(left, self._limit + 1))
        left -= len(body)
        while left > 0 and len(body) > self._limit and (dropped := stream.read(min(left, _CHUNK))):
            left -= len(dropped)
        return body


def _content_length(environ: WSGIEnvironment) -> int:
    """The announced length; 0 where it is none, which some servers let through."""
    length: str = environ.get("CONTENT_LENGTH") or ""
    return int(length[:18]) if length.isascii() and length.isdigit() else 0


def _raw_path(environ: WSGIEnvironment) -> str:
    raw: str = environ.get("RAW_URI") or environ.get("REQUEST_URI") or ""
    if raw.startswith("/"):
        return raw.partition("?")[0]
    return quote(environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", ""), encoding="latin-1")
