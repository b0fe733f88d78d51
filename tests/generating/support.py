"""What the tests of the generators share: an eMSP that serves everything, with a CPO that is registered."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import uvicorn

from ocpi_emsp import Emsp, Policy, SupportMatrix
from ocpi_emsp.codec import dump, parse
from ocpi_emsp.storage import MemoryStore
from ocpi_emsp.testing.backend import Backend
from ocpi_emsp.wire import Request

BASE = "/ocpi/emsp"
_CPO = "https://cpo.test/versions"


def _cpo(request: httpx.Request) -> httpx.Response:
    """What a CPO answers during its registration."""
    data: Any = {"version": "2.1.1", "endpoints": [{"identifier": "credentials", "url": f"{_CPO}/credentials"}]}
    if str(request.url) == _CPO:
        data = [{"version": "2.1.1", "url": f"{_CPO}/2.1.1"}]
    return httpx.Response(200, json={"data": data, "status_code": 1000, "timestamp": "2024-01-01T00:00:00Z"})


def emsp_and_token() -> tuple[Emsp, str]:
    """An eMSP, and the token of the CPO NL-TNM."""
    emsp = Emsp(
        country_code="IT",
        party_id="BEC",
        name="Be Charge",
        url=f"https://emsp.test{BASE}",
        store=MemoryStore(),
        matrix=SupportMatrix.full(),
        http_client=lambda: httpx.Client(transport=httpx.MockTransport(_cpo)),
    )
    invitation = emsp.parties.invite("NL-TNM")
    credentials = {
        "token": "token-of-the-cpo",
        "url": _CPO,
        "business_details": {"name": "The New Motion"},
        "party_id": "TNM",
        "country_code": "NL",
    }
    headers = {"authorization": f"Token {invitation.token_a}"}
    answer = emsp.handle(Request("POST", "/2.1.1/credentials", headers=headers, body=dump(credentials)))
    assert answer.status == 201, answer.body
    return emsp, str(parse(answer.body)["data"]["token"])


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
