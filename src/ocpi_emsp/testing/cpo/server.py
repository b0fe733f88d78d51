"""Serves a simulated CPO over HTTP with uvicorn, which only this module imports.

The socket is bound and listening before uvicorn gets it, so port 0 yields the port that was really bound.
"""

import asyncio
import contextlib
import logging
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Generator
from typing import Final

import uvicorn
from attrs import asdict, frozen

from ocpi_emsp.testing.cpo.simulated import SimulatedCpo
from ocpi_emsp.testing.cpo.wire import encode

SHUTDOWN_SECONDS: Final = 2
"""How long a shutdown waits for requests that are being answered."""


@frozen
class Ready:
    """Where a served CPO can be reached, and the token of its invitation."""

    versions_url: str
    token_a: str
    control_url: str


def print_ready(ready: Ready) -> None:
    """Prints one JSON line on stdout."""
    sys.stdout.write(encode(asdict(ready)).decode() + "\n")
    sys.stdout.flush()


def run(
    host: str = "127.0.0.1",
    port: int = 0,
    cpo: SimulatedCpo | None = None,
    on_ready: Callable[[Ready], None] = print_ready,
) -> None:
    """Serves `cpo` until SIGTERM or SIGINT, and then returns.

    Port 0 is a free port. `cpo.url` is set to the address; `on_ready` is called once when requests are answered,
    and prints the JSON line {"versions_url", "token_a", "control_url"} unless another function is given.
    """
    served = cpo or SimulatedCpo()

    async def serve() -> None:
        async with _served(served, host, port) as server:
            with _stopping_on_signals(server):
                on_ready(_ready(served))
                await server.stopped

    asyncio.run(serve())


@contextlib.asynccontextmanager
async def serving(cpo: SimulatedCpo, *, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
    """Serves `cpo` in the running event loop; yields its base URL, which `cpo.url` is set to as well."""
    async with _served(cpo, host, port):
        yield cpo.url


class _Server(uvicorn.Server):
    """A uvicorn server that tells when it has started and leaves the process's signals alone."""

    def __init__(self, config: uvicorn.Config, cpo: SimulatedCpo) -> None:
        super().__init__(config)
        self._cpo = cpo
        self.ready = asyncio.Event()
        self.stopped: asyncio.Future[None]

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield

    def stop(self) -> None:
        """Lets the server finish what it answers, except what has no end, and end."""
        self._cpo.stop_streams()
        self.should_exit = True


@contextlib.asynccontextmanager
async def _served(cpo: SimulatedCpo, host: str, port: int) -> AsyncIterator[_Server]:
    with contextlib.closing(_listen(host, port)) as listening:
        cpo.url = _base_url(listening)
        server = _Server(_config(cpo), cpo)
        logging.getLogger("uvicorn.error").addFilter(_is_not_on_purpose)
        server.stopped = asyncio.ensure_future(server.serve(sockets=[listening]))
        ready = asyncio.ensure_future(server.ready.wait())
        await asyncio.wait({server.stopped, ready}, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        if server.stopped.done():
            raise RuntimeError("The server did not start") from server.stopped.exception()
        try:
            yield server
        finally:
            server.stop()
            await server.stopped


def _is_not_on_purpose(record: logging.LogRecord) -> bool:
    """Drops what uvicorn logs, as an error, when an answer is cut off: that is what was asked of this CPO."""
    return record.getMessage() != "ASGI callable returned without completing response."


def _config(cpo: SimulatedCpo) -> uvicorn.Config:
    return uvicorn.Config(
        cpo.app,
        lifespan="on",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.create_server((host, port), family=family)
    # asyncio does so only for sockets that name their protocol; without it every answer waits 40 ms for an ACK.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


def _base_url(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"


def _ready(cpo: SimulatedCpo) -> Ready:
    invitation = cpo.invite()
    return Ready(invitation.versions_url, invitation.token_a, f"{cpo.url}/control")


@contextlib.contextmanager
def _stopping_on_signals(server: _Server) -> Generator[None, None, None]:
    """SIGTERM and SIGINT stop the server; only in the main thread, as Python delivers them only there."""
    loop = asyncio.get_running_loop()
    handled: list[signal.Signals] = []
    with contextlib.suppress(ValueError, RuntimeError, NotImplementedError):
        for each in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(each, server.stop)
            handled.append(each)
    try:
        yield
    finally:
        for each in handled:
            loop.remove_signal_handler(each)
