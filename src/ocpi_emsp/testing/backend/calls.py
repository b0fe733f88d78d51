"""Calls to a mounted application: an ASGI callable, a WSGI callable, or what listens at a URL.

Rules of this module: an ASGI application gets its lifespan, in one event loop for all calls; what it raises is raised
here; nothing is followed and nothing retried.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from typing import Any, TypeAlias

import anyio
from anyio.from_thread import start_blocking_portal

from ocpi_emsp.transports.library import http

Call: TypeAlias = Callable[[http.Request], http.Response]

_SECONDS = 30.0
_NO_HOST = "http://backend.test"


def base_of(app: Any) -> str:
    """The origin that requests are made for."""
    return app.rstrip("/") if isinstance(app, str) else _NO_HOST


@contextmanager
def calling(app: Any) -> Iterator[Call]:
    """A function that sends a request to the application and returns its answer, read to the end."""
    if isinstance(app, str):
        with http.Client(timeout=_SECONDS) as remote:
            yield remote.send
    elif _is_asgi(app):
        with start_blocking_portal() as portal, portal.wrap_async_context_manager(_lifespan(app)):
            client = http.AsyncClient(transport=http.ASGITransport(app))
            with portal.wrap_async_context_manager(client):
                yield lambda request: portal.call(partial(client.send, request))
    else:
        with http.Client(transport=http.WSGITransport(app)) as wsgi:
            yield wsgi.send


def _is_asgi(app: Any) -> bool:
    return inspect.iscoroutinefunction(app) or inspect.iscoroutinefunction(getattr(app, "__call__", None))  # noqa: B004 # it is called


@asynccontextmanager
async def _lifespan(app: Any) -> AsyncIterator[None]:
    """Starts an ASGI application and stops it. Raises RuntimeError if it says that it cannot start."""
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
        with suppress(Exception):  # the specification of ASGI: such an application has no lifespan
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
