"""The eMSP as an ASGI 3 application (https://asgi.readthedocs.io/en/latest/specs/www.html).

Rules of this module: translate, nothing else. A body over the limit is read to a bound and dropped, so that the
partner hears 413 instead of a reset connection.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias
from urllib.parse import quote

from ocpi_emsp.adapters import DRAIN
from ocpi_emsp.routes import below
from ocpi_emsp.wire import Request, Response

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Handle: TypeAlias = Callable[[Request], Awaitable[Response]]


class AsgiApp:
    """Application to mount at any prefix; ``base`` is the path of the public URL."""

    def __init__(self, handle: Handle, base: str, limit: int) -> None:
        self._handle = handle
        self._base = base
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
        elif scope["type"] == "http":
            body = await self._body(receive)
            if body is not None:
                await _answer(send, await self._handle(self._request(scope, body)))
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})

    def _request(self, scope: Scope, body: bytes) -> Request:
        path = (scope.get("raw_path") or quote(scope["path"]).encode()).decode("latin-1")
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        below_base = below(path, self._base, scope.get("root_path", ""))
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


async def _answer(send: Send, response: Response) -> None:
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in response.headers]
    headers.append((b"content-length", str(len(response.body)).encode()))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body})


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
