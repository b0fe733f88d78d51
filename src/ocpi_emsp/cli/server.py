"""An ASGI application under uvicorn, on a socket that is bound first: the port is known before anything is served.

Needs the extra ``server``: commands import this module when they run. uvloop and httptools are part of it where they
exist, and are used if installed: a small request then takes four sevenths of the processor time.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib.util
import socket
from collections.abc import AsyncIterator, Coroutine, Generator
from typing import Any, Final

import uvicorn

from ocpi_emsp.cli.connections import Bounded, Config, ConnectionLimits
from ocpi_emsp.cli.errors import cannot_listen

SHUTDOWN_SECONDS: Final = 5
"""Seconds that a shutdown waits for requests in progress."""


LIBRARIES: Final = tuple(
    name if importlib.util.find_spec(name) else instead
    for name, instead in (("uvloop", "asyncio"), ("httptools", "h11"))
)
"""The event loop and the parser in use."""


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run to the end in an event loop of uvloop, or otherwise of asyncio."""
    factory = None
    if "uvloop" in LIBRARIES:
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main)


def keep_started() -> None:
    """Exclude existing objects from each garbage collection, which stops requests (docs/how-to/serving.md, "Fast")."""
    gc.collect()
    gc.freeze()


def protocol() -> type[Bounded]:
    """Return the class of a bounded connection for the parser in use."""
    if "httptools" in LIBRARIES:
        from ocpi_emsp.cli.connections_httptools import HttpToolsBounded

        return HttpToolsBounded
    from ocpi_emsp.cli.connections_h11 import H11Bounded

    return H11Bounded


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket. Raises Outside if it cannot listen there."""
    try:
        listening = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise cannot_listen(host, port, error) from None
    # asyncio only does this for sockets with a named protocol; without it every response waits 40 ms for an ACK.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


def base_url(listening: socket.socket) -> str:
    """Return the base URL of the socket on this machine: ``http://127.0.0.1:8000``."""
    host, port = listening.getsockname()[:2]
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"


class _Server(uvicorn.Server):
    """Reports when it has started, and does not handle the process's signals."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


@contextlib.asynccontextmanager
async def serving(app: Any, listening: socket.socket, limits: ConnectionLimits | None = None) -> AsyncIterator[None]:
    """Serve ``app`` in the running event loop; requests are answered from the start of the block until its end."""
    bounds = limits or ConnectionLimits()
    server = _Server(Config(app, bounds, protocol(), lifespan="on", timeout_graceful_shutdown=SHUTDOWN_SECONDS))
    stopped = asyncio.ensure_future(server.serve(sockets=[listening]))
    ready = asyncio.ensure_future(server.ready.wait())
    try:
        await asyncio.wait({stopped, ready}, return_when=asyncio.FIRST_COMPLETED)
        yield
    finally:
        ready.cancel()
        server.should_exit = True
        await stopped
