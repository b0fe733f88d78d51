"""Serves a simulated CPO over HTTP with uvicorn, which only this module imports.

The socket is bound and listening before uvicorn gets it, so with port 0 the actual port is known.
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
"""Seconds that a shutdown waits for requests in progress."""


@frozen
class Ready:
    """The address of a served CPO, and the token of its invitation."""

    versions_url: str
    token_a: str
    control_url: str


def print_ready(ready: Ready) -> None:
    """Print one JSON line on stdout."""
    sys.stdout.write(encode(asdict(ready)).decode() + "\n")
    sys.stdout.flush()


def run(
    host: str = "127.0.0.1",
    port: int = 0,
    cpo: SimulatedCpo | None = None,
    on_ready: Callable[[Ready], None] = print_ready,
) -> None:
    """Serve `cpo` until SIGTERM or SIGINT.

    Port 0 is a free port. `cpo.url` is set to the address; `on_ready` is called once when requests are answered, and
    prints the JSON line {"versions_url", "token_a", "control_url"} unless another function is given.
    """
    served = cpo or SimulatedCpo()

    async def serve() -> None:
        stopping, loop = asyncio.Event(), asyncio.get_running_loop()
        async with serving(served, host=host, port=port):
            # Python delivers signals in the main thread only; elsewhere none stops the server.
            with contextlib.suppress(ValueError, RuntimeError, NotImplementedError):
                for each in (signal.SIGTERM, signal.SIGINT):
                    loop.add_signal_handler(each, stopping.set)
            on_ready(_ready(served))
            await stopping.wait()

    asyncio.run(serve())


class _Server(uvicorn.Server):
    """A uvicorn server that does not handle the process's signals."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


@contextlib.asynccontextmanager
async def serving(cpo: SimulatedCpo, *, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
    """Serve `cpo` in the running event loop; yield its base URL, which `cpo.url` is also set to."""
    with contextlib.closing(_listen(host, port)) as listening:
        cpo.url = _base_url(listening)
        server = _Server(_config(cpo))
        logging.getLogger("uvicorn.error").addFilter(_is_not_on_purpose)
        ended = asyncio.ensure_future(server.serve(sockets=[listening]))
        while not server.started:
            if ended.done():
                raise RuntimeError("The server did not start") from ended.exception()
            await asyncio.sleep(0.002)
        try:
            yield cpo.url
        finally:
            cpo.stop_streams()
            server.should_exit = True
            await ended


def _is_not_on_purpose(record: logging.LogRecord) -> bool:
    """Return False for uvicorn's error about a response that was cut off: this CPO does that on purpose."""
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
    # asyncio only does this for sockets with a named protocol; without it every response waits 40 ms for an ACK.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


def _base_url(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"


def _ready(cpo: SimulatedCpo) -> Ready:
    invitation = cpo.invite()
    return Ready(invitation.versions_url, invitation.token_a, f"{cpo.url}/control")
