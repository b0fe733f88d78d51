"""The eMSP as an ASGI 3 application (https://asgi.readthedocs.io/en/latest/specs/www.html).

Rules of this module: it only translates. The body is read once the caller is known. A response that is ready before the
body is complete is sent at once; the rest of the body is read up to a bound and dropped, since closing a connection
with unread bytes may lose the response.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from contextlib import nullcontext
from typing import TypeAlias
from urllib.parse import quote

from ocpi_emsp.adapters import DRAIN
from ocpi_emsp.adapters.asgi_body import AsgiBody
from ocpi_emsp.adapters.lifespan import AsgiApplication, Message, Receive, Running, Scope, Send, lifespan
from ocpi_emsp.ports import ReadBody
from ocpi_emsp.routes import below, is_below
from ocpi_emsp.settings import HttpLimits
from ocpi_emsp.wire import Request, Response

Handle: TypeAlias = Callable[[Request, ReadBody], Awaitable[Response]]

_WITHOUT_BODY = frozenset({"GET", "HEAD", "DELETE", "OPTIONS"})
"""Methods whose requests seldom have a body; only HTTP/1 announces one in the head."""
_LEFT = frozenset({"expect", "transfer-encoding"})
"""Headers of a body that is not dropped: it is not sent yet, or in chunks that each cost the server an event."""


class AsgiApp:
    """Application to mount at any prefix; ``base`` is the path of the public URL."""

    def __init__(
        self,
        handle: Handle,
        base: str,
        limits: HttpLimits,
        running: Running | None = None,
        fallback: AsgiApplication | None = None,
    ) -> None:
        self._handle = handle
        self._base = base
        self._limits = limits
        self._running: Running = running or nullcontext
        self._fallback = fallback

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await lifespan(self._running, self._fallback, scope, receive, send)
        elif self._fallback is not None and not is_below(_raw_path(scope), self._base):
            await self._fallback(scope, receive, send)
        elif scope["type"] == "http":
            body = AsgiBody(receive, self._limits)
            request = self._request(scope)
            response = await self._handle(request, body.read)
            if body.is_gone:
                return
            if body.is_complete or not _has_body(scope, request):
                for message in _messages(response):
                    await send(message)
            else:
                await self._answer_early(scope, request, send, response, body)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})

    def _request(self, scope: Scope) -> Request:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        if len(headers) < len(scope["headers"]):
            headers = _joined(scope["headers"])
        below_base = below(_raw_path(scope), self._base, scope.get("root_path", ""))
        client = scope.get("client")
        peer = client[0] if client else ""
        return Request(scope["method"], below_base, scope["query_string"].decode("latin-1"), headers, peer=peer)

    async def _answer_early(
        self, scope: Scope, request: Request, send: Send, response: Response, body: AsgiBody
    ) -> None:
        """Answer while the body arrives: send the whole response, and end it once the body is dropped.

        The connection is not reused, unless it carries other requests as well.
        """
        start, whole = _messages(response)
        if _is_http_1(scope):
            start["headers"].append((b"connection", b"close"))
        await send(start)
        await send({**whole, "more_body": True})
        if not body.is_late and _LEFT.isdisjoint(request.headers):
            await body.drop(self._limits.request_body * DRAIN, self._limits.body_grace)
        await send({"type": "http.response.body", "body": b""})


def _is_http_1(scope: Scope) -> bool:
    return str(scope.get("http_version", "1.1")).startswith("1")


def _has_body(scope: Scope, request: Request) -> bool:
    """Return True if a body follows the head."""
    if not _is_http_1(scope):
        return request.method not in _WITHOUT_BODY
    length = request.headers.get("content-length", "0")
    return length.strip("0") != "" or "transfer-encoding" in request.headers


def _messages(response: Response) -> tuple[Message, Message]:
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in response.headers]
    headers.append((b"content-length", str(len(response.body)).encode()))
    start = {"type": "http.response.start", "status": response.status, "headers": headers}
    return start, {"type": "http.response.body", "body": response.body}


def _joined(given: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return the headers, repeated ones joined with a comma (RFC 9110 5.2), as in WSGI servers."""
    headers = dict[str, str]()
    for name, value in ((name.decode("latin-1"), value.decode("latin-1")) for name, value in given):
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def _raw_path(scope: Scope) -> str:
    path: bytes = scope.get("raw_path") or quote(scope["path"]).encode()
    return path.decode("latin-1")
