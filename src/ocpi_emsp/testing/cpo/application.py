"""The ASGI application of the simulated CPO: below /control the control interface, everywhere else the CPO interface.

A plain coroutine function, because servers tell ASGI 3 by that.
"""

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from ocpi_emsp.testing.cpo.control import Control
from ocpi_emsp.testing.cpo.interface import Interface
from ocpi_emsp.testing.cpo.settings import Settings
from ocpi_emsp.testing.cpo.streams import Streams
from ocpi_emsp.testing.cpo.wire import Receive, Scope, Send, read_request

Application: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]


def application(
    settings: Settings, interface: Interface, control: Control, streams: Streams, aclose: Callable[[], Awaitable[None]]
) -> Application:
    """An ASGI application; `aclose` is called when the server shuts down."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send, aclose)
        elif scope["type"] == "http":
            request = await read_request(scope, receive)
            controlled = settings.control and request.segments[0] == "control"
            handle = control.handle if controlled else interface.handle
            await streams.write(await handle(request), receive, send)
        else:
            raise NotImplementedError(f"OCPI has no use for the ASGI scope {scope['type']!r}")

    return app


async def _lifespan(receive: Receive, send: Send, aclose: Callable[[], Awaitable[None]]) -> None:
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            await aclose()
            await send({"type": "lifespan.shutdown.complete"})
            return
