"""The lifespan of the ASGI application (https://asgi.readthedocs.io/en/latest/specs/lifespan.html).

Rules of this module:
- the background work runs around the lifespan of the fallback; by the specification, an application that raises before
  it receives anything has no lifespan;
- a process that serves this application alone freezes the objects that exist at its startup (gc.freeze).
"""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import AbstractAsyncContextManager, contextmanager
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
        if fallback is None:
            with _started_objects_kept():
                await _complete(receive, send)
        else:
            try:
                await fallback(scope, receiving, send)
                return
            except Exception:
                if received:
                    raise
            await _complete(receive, send)


@contextmanager
def _started_objects_kept() -> Iterator[None]:
    """Exempt all current objects from garbage collection, unless the host has done so (docs/how-to/serving.md, "Fast").

    A collection of them stops requests for 85 ms, once a second if each answer has many objects.
    """
    if gc.get_freeze_count():
        yield
        return
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


async def _complete(receive: Receive, send: Send) -> None:
    """Report startup and shutdown as complete."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
