"""What the tests of the generators share: an eMSP that serves everything, with a CPO that is registered."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Any

import uvicorn

from ocpi_emsp import Emsp, Policy
from ocpi_emsp.testing.backend import Backend
from our_emsp import make_emsp, register
from scripted_cpo import ScriptedCpo, clients

BASE = "/ocpi/emsp"


def emsp_and_token() -> tuple[Emsp, str]:
    """An eMSP, and the token of the CPO NL-TNM."""
    emsp = make_emsp(**clients(ScriptedCpo(modules=("credentials",))))
    return emsp, register(emsp)


def backend(app: Any, token: str, *, examples: int = 6) -> Backend:
    """The eMSP's application as a backend under test."""
    url = isinstance(app, str)
    return Backend(
        app=app,
        token=token,
        country_code="NL",
        party_id="TNM",
        base="" if url else BASE,
        policy=Policy.tolerant(),
        examples=examples,
    )


@contextlib.contextmanager
def served(app: Any) -> Iterator[str]:
    """The origin at which uvicorn serves an ASGI application."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=2))
        ready = threading.Event()
        startup = server.startup

        async def started(sockets: list[socket.socket] | None = None) -> None:
            await startup(sockets)
            ready.set()

        server.startup = started  # type: ignore[method-assign] # uvicorn has no callback for it
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            assert ready.wait(10)
            yield "http://{}:{}".format(*listener.getsockname())
        finally:
            server.should_exit = True
            thread.join(10)
        assert not thread.is_alive(), "uvicorn did not stop"
