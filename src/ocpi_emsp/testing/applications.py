"""Host applications that are called in process: ASGI or WSGI, and the lifespan of the former.

Rules of this module: it imports neither pytest nor Hypothesis.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio

__all__ = ["is_asgi", "lifespan"]


def is_asgi(app: Any) -> bool:
    """Return True for an ASGI application; otherwise it is a WSGI application."""
    return inspect.iscoroutinefunction(app) or inspect.iscoroutinefunction(getattr(app, "__call__", None))  # noqa: B004 # it is called


@asynccontextmanager
async def lifespan(app: Any) -> AsyncIterator[None]:
    """Start an ASGI application and stop it. Raises RuntimeError if it answers that it cannot start."""
    answered, stop = anyio.Event(), anyio.Event()
    messages = iter(("lifespan.startup",))
    failures: list[str] = []

    async def receive() -> dict[str, str]:
        message = next(messages, "lifespan.shutdown")
        if message == "lifespan.shutdown":
            await stop.wait()
        return {"type": message}

    async def send(message: Any) -> None:
        if message["type"] == "lifespan.startup.failed":
            failures.append(str(message.get("message", "")))
        answered.set()

    async def run() -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
        with suppress(Exception):  # by the specification of ASGI, such an application has no lifespan
            await app(scope, receive, send)
        answered.set()

    async with anyio.create_task_group() as group:
        group.start_soon(run)
        await answered.wait()
        if not failures:
            yield
        stop.set()
    if failures:
        raise RuntimeError(f"the application did not start: {failures[0]}")
