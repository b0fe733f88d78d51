"""The eMSP as an ASGI 3 application (https://asgi.readthedocs.io/en/latest/specs/www.html).

Rules of this module: translate, nothing else. A body over the limit is read to a bound and dropped, so that the
partner gets 413 instead of a reset connection.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import nullcontext
from typing import TypeAlias
from urllib.parse import quote

from ocpi_emsp.adapters import DRAIN
from ocpi_emsp.adapters.lifespan import AsgiApplication, Receive, Running, Scope, Send, lifespan
from ocpi_emsp.routes import below, is_below
from ocpi_emsp.wire import Request, Response

Handle: TypeAlias = Callable[[Request], Awaitable[Response]]


class AsgiApp:
    """Application to mount at any prefix; ``base`` is the path of the public URL."""

    def __init__(
        self,
        handle: Handle,
        base: str,
        limit: int,
        running: Running | None = None,
        fallback: AsgiApplication | None = None,
    ) -> None:
        self._handle = handle
        self._base = base
        self._limit = limit
        self._running: Running = running or nullcontext
        self._fallback = fallback

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await lifespan(self._running, self._fallback, scope, receive, send)
        elif self._fallback is not None and not is_below(_raw_path(scope), self._base):
            await self._fallback(scope, receive, send)
        elif scope["type"] == "http":
            body = await self._body(receive)
            if body is not None:
                await _answer(send, await self._handle(self._request(scope, body)))
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})

    def _request(self, scope: Scope, body: bytes) -> Request:
        given = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
        headers = dict(given)
        if len(headers) < len(given):
            headers = _joined(given)
        below_base = below(_raw_path(scope), self._base, scope.get("root_path", ""))
        return Request(scope["method"], below_base, scope["query_string"].decode("latin-1"), headers, body)

    async def _body(self, receive: Receive) -> bytes | None:
        """The body, cut behind the limit; None if the partner is gone."""
        message = await receive()
        if message["type"] == "http.request" and not message.get("more_body"):
            whole: bytes = message.get("body", b"")
            return whole[: self._limit + 1]
        body, read = bytearray(), 0
        while message["type"] == "http.request":
            chunk = message.get("body", b"")
            read += len(chunk)
            body += chunk[: self._limit + 1 - len(body)]
            if not message.get("more_body") or read > self._limit * DRAIN:
                return bytes(body)
            message = await receive()
        return None


def _joined(given: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Headers of which some are given twice, as one with a comma (RFC 9110 5.2), as WSGI servers have them."""
    headers = dict[str, str]()
    for name, value in given:
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


async def _answer(send: Send, response: Response) -> None:
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in response.headers]
    headers.append((b"content-length", str(len(response.body)).encode()))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body})


def _raw_path(scope: Scope) -> str:
    path: bytes = scope.get("raw_path") or quote(scope["path"]).encode()
    return path.decode("latin-1")
