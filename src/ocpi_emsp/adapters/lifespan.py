"""The lifespan of the ASGI application (https://asgi.readthedocs.io/en/latest/specs/lifespan.html).

Rules of this module: the background work runs around the lifespan of the fallback; by the specification, an application
that raises before it receives anything has no lifespan.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeAlias

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Running: TypeAlias = Callable[[], AbstractAsyncContextManager[None]]
AsgiApplication: TypeAlias = Callable[[Any, Any, Any], Awaitable[None]]
"""Any ASGI application; frameworks type the three arguments in their own ways."""


async def lifespan(
    running: Running, fallback: AsgiApplication | None, scope: Scope, receive: Receive, send: Send
) -> None:
    """Run the background work from startup to shutdown."""
    received = 0

    async def receiving() -> Message:
        nonlocal received
        received += 1
        return await receive()

    async with running():
        if fallback is not None:
            try:
                await fallback(scope, receiving, send)
                return
            except Exception:
                if received:
                    raise
        await _complete(receive, send)


async def _complete(receive: Receive, send: Send) -> None:
    """Report startup and shutdown as complete."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
