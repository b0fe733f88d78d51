"""The ASGI application of the simulated CPO: below /control the control interface, everywhere else the CPO interface.

Rules of this module: a response that is sent piece by piece ends when the client disconnects, when the CPO is closed,
or when the server is stopped (`Streams.stop`); then no task is left. A response that is cut, or ended so, is not
completed: an ASGI server closes the connection, so the client sees it end before Content-Length or the last chunk.
"""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeAlias
from urllib.parse import quote

import anyio
from attrs import frozen
from starlette.requests import ClientDisconnect
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from ocpi_emsp.testing.cpo.wire import Answer, Handler, Request

Application: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]


class Streams:
    """Sends responses, and can end those that are sent piece by piece."""

    def __init__(self) -> None:
        self._running: set[anyio.CancelScope] = set()

    def stop(self) -> None:
        """End the responses that are sent piece by piece. Call it in the event loop that sends them."""
        for running in self._running:
            running.cancel()

    async def send(self, answer: Answer, scope: Scope, receive: Receive, send: Send) -> None:
        """Send a response as ASGI messages."""
        if answer.rest is None and not answer.cut:
            await Response(answer.body, answer.status, answer.headers)(scope, receive, send)
            return
        headers = answer.headers | ({"content-length": str(len(answer.body))} if answer.cut else {})
        with anyio.CancelScope() as running:
            pieces = StreamingResponse(_pieces(answer, running), answer.status, headers)
            self._running.add(running)
            try:
                await pieces(scope, receive, send)
            finally:
                self._running.discard(running)


async def _pieces(answer: Answer, running: anyio.CancelScope) -> AsyncIterator[bytes]:
    if answer.cut:
        yield answer.body[: len(answer.body) // 2]
        running.cancel()
        await anyio.lowlevel.checkpoint()  # Ends here, so that the response is never completed.
    yield answer.body
    for piece in answer.rest or ():
        # Even without a pause: other tasks must run while a fast client reads.
        await anyio.sleep(answer.pause)
        yield piece


@frozen
class Resource:
    """An ASGI application that answers with a handler."""

    handler: Handler
    streams: Streams

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        # A client that disconnected before its request was complete gets no response.
        with contextlib.suppress(ClientDisconnect):
            await request.body()
            await self.streams.send(await self.handler(request), scope, receive, send)


def application(
    routes: dict[str, Handler], unknown: Handler, streams: Streams, aclose: Callable[[], Awaitable[None]]
) -> Application:
    """Return an ASGI application of handlers by path; `unknown` answers every other path.

    A trailing slash makes no difference. `aclose` is called when the server shuts down.
    """

    @contextlib.asynccontextmanager
    async def lifespan(_: ASGIApp) -> AsyncIterator[None]:
        yield
        await aclose()

    router = Router(
        [Route(path, Resource(handler, streams)) for path, handler in routes.items()],
        redirect_slashes=False,
        default=Resource(unknown, streams),
        lifespan=lifespan,
    )

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            # Routes match the path as sent, so that a %2F in an id splits nothing; a server may leave `raw_path` out.
            raw: bytes = (scope.get("raw_path") or quote(scope["path"]).encode()).split(b"?")[0]
            scope = {**scope, "raw_path": raw, "path": raw.decode("ascii", "replace").removesuffix("/")}
        elif scope["type"] != "lifespan":
            raise NotImplementedError(f"unsupported ASGI scope '{scope['type']}': expected http or lifespan")
        await router(scope, receive, send)

    return app
