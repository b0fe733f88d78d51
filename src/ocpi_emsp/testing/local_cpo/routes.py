"""How an eMSP and simulated CPOs of one process call each other: by HTTP requests, without a socket.

Rules of this module:
- each CPO answers in its own event loop; a client of the eMSP in another loop or thread passes its request there;
- an eMSP in a test only calls simulated CPOs: a request to another host fails like a failed connection.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import anyio.to_thread
from attrs import define, field, frozen

from ocpi_emsp import Emsp
from ocpi_emsp._wake_ups import ThreadWaiter
from ocpi_emsp.testing.applications import is_asgi
from ocpi_emsp.testing.local_cpo.threads import CallerThread
from ocpi_emsp.transports.library import AsyncTransport, http


@frozen
class Route:
    """Where a CPO answers."""

    app: Any
    """Its ASGI application."""
    loop: asyncio.AbstractEventLoop
    thread: CallerThread | None

    async def answer(self, request: http.Request) -> http.Response:
        """Return the response to a request, in the loop of the CPO."""
        answer = await http.ASGITransport(self.app).handle_async_request(request)
        return _whole(answer, b"".join([chunk async for chunk in answer.aiter_raw()]))


@define(eq=False)
class Routes:
    """The simulated CPOs that an Emsp calls, by host; its clients only reach these."""

    emsp: Emsp
    _routes: dict[str, Route] = field(factory=dict, init=False)
    _own: tuple[Any, Any] = field(init=False)

    def __attrs_post_init__(self) -> None:
        setup = self.emsp._contexts.setup
        self._own = setup.http_client, setup.aio_http_client
        setup.http_client, setup.aio_http_client = self.client, self.aio_client

    @classmethod
    def of(cls, emsp: Emsp) -> Routes:
        """Return the routes of an Emsp, created if it has none."""
        known = getattr(emsp._contexts.setup.http_client, "__self__", None)
        return known if isinstance(known, cls) else cls(emsp)

    def add(self, host: str, route: Route) -> None:
        """Route requests for a host to a CPO."""
        self._routes[host] = route
        if route.thread is not None:
            self.emsp._contexts.setup.wake_ups.thread_waiter = route.thread.waiter

    def remove(self, host: str) -> None:
        """Remove a route; without any, the Emsp gets its own clients back."""
        if self._routes.pop(host, None) and not self._routes:
            setup = self.emsp._contexts.setup
            setup.http_client, setup.aio_http_client = self._own
            setup.wake_ups.thread_waiter = ThreadWaiter

    def client(self) -> http.Client:
        """Return a blocking client."""
        return http.Client(transport=http.MockTransport(self._call))

    def aio_client(self) -> http.AsyncClient:
        """Return a client for an event loop."""
        return http.AsyncClient(transport=http.MockTransport(self._answer))

    def _call(self, request: http.Request) -> http.Response:
        route = self._route(request)
        if _running_loop() is route.loop:
            raise RuntimeError("a blocking call in the event loop of the simulated CPO: await its twin below emsp.aio")
        future = asyncio.run_coroutine_threadsafe(route.answer(request), route.loop)
        return future.result() if route.thread is None else route.thread.wait(future)

    async def _answer(self, request: http.Request) -> http.Response:
        route = self._route(request)
        if _running_loop() is route.loop:
            return await route.answer(request)
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(route.answer(request), route.loop))

    def _route(self, request: http.Request) -> Route:
        host = request.url.host
        if host not in self._routes:
            expected = " or ".join(sorted(self._routes))
            raise http.ConnectError(f"unknown host '{host}': expected a simulated CPO, {expected}")
        return self._routes[host]


def transport_to(app: Any, thread: CallerThread | None) -> AsyncTransport:
    """Return a transport from a CPO to an application, ASGI or WSGI; a WSGI application is called in a thread."""
    if is_asgi(app):
        return http.ASGITransport(app)
    blocking = http.WSGITransport(app)

    async def answer(request: http.Request) -> http.Response:
        def call() -> http.Response:
            with _as_test_client():
                given = blocking.handle_request(request)
                return _whole(given, b"".join(given.iter_raw()))

        return await (anyio.to_thread.run_sync(call) if thread is None else thread.run(call))

    return http.MockTransport(answer)


def _as_test_client() -> AbstractContextManager[None]:
    """Return a context for a request: Django ends the transaction of a TestCase at any request but its own client's."""
    if "django.db" not in sys.modules:
        return nullcontext()
    from ocpi_emsp.testing.local_cpo.django import keeping_connections

    return keeping_connections()


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _whole(answer: http.Response, body: bytes) -> http.Response:
    """Return a response that can be read in another loop or thread than the one that created it."""
    return http.Response(answer.status_code, headers=answer.headers, stream=http.ByteStream(body))
