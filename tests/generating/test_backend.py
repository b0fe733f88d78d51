"""The contract of a backend: our own eMSP keeps it behind every kind of mount, and a broken one does not."""

import json
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from generating.support import BASE, backend, emsp_and_token
from ocpi_emsp import Location, Policy
from ocpi_emsp.testing.backend import Backend, BackendContract, connected
from ocpi_emsp.testing.backend.calls import calling
from ocpi_emsp.testing.payloads import Sort
from served.support import uvicorn_server


class TestAsgi(BackendContract):
    """Our ASGI application."""

    @pytest.fixture
    def ocpi_backend(self) -> Backend:
        emsp, token = emsp_and_token()
        return backend(emsp.asgi(), token)


class TestWsgi(BackendContract):
    """Our WSGI application."""

    @pytest.fixture
    def ocpi_backend(self) -> Backend:
        emsp, token = emsp_and_token()
        return backend(emsp.wsgi(), token)


class TestUrl(BackendContract):
    """Our application behind a server."""

    @pytest.fixture
    def ocpi_backend(self) -> Iterator[Backend]:
        emsp, token = emsp_and_token()
        with uvicorn_server(emsp.asgi()) as origin:
            yield backend(origin + BASE, token, examples=3)


# --- applications that break the contract ---------------------------------------------------------------------------

_NOW = "2024-01-01T00:00:00Z"


def _answering(status: int, body: Any) -> Callable[[Any, Any], list[bytes]]:
    """A WSGI application with one answer."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()

    def app(_environ: Any, start_response: Any) -> list[bytes]:
        start_response(f"{status} Whatever", [("content-type", "application/json")])
        return [content]

    return app


BROKEN = {
    "crashes": (_answering(500, {"status_code": 3000, "timestamp": _NOW}), "HTTP 500"),
    "no envelope": (_answering(200, b"<html>"), "without an OCPI envelope"),
    "a list": (_answering(200, []), "without an OCPI envelope"),
    "no status_code": (_answering(200, {"timestamp": _NOW}), "no status_code"),
    "no timestamp": (_answering(200, {"status_code": 1000}), "no timestamp"),
    "both": (_answering(400, {"status_code": 1000, "timestamp": _NOW}), "HTTP 400 with"),
    "takes everything": (_answering(200, {"status_code": 1000, "timestamp": _NOW}), "expected to be rejected"),
    "names nothing": (_answering(200, {"status_code": 2001, "timestamp": _NOW}), "is not named"),
    "refuses everything": (
        _answering(200, {"status_code": 2001, "timestamp": _NOW}),
        '(?s)expected to be accepted.*"id": .*HTTP 200: .*2001',
    ),
    "unknown token": (_answering(401, {"status_code": 2000, "timestamp": _NOW}), "rejects the token"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_backend_fails(name: str) -> None:
    app, message = BROKEN[name]
    contract = BackendContract()
    broken = Backend(app=app, token="t", country_code="NL", party_id="TNM", policy=Policy.tolerant(), examples=10)
    sort: Sort = "valid" if name == "refuses everything" else "invalid"
    with pytest.raises((AssertionError, pytest.fail.Exception), match=message), connected(broken) as connection:
        contract.test_payloads(connection, Location, sort)


def test_what_is_not_served_is_skipped() -> None:
    app = _answering(405, {"status_code": 2000, "timestamp": _NOW})
    unserved = Backend(app=app, token="t", country_code="NL", party_id="TNM")
    with pytest.raises(pytest.skip.Exception), connected(unserved) as connection:
        BackendContract().test_payloads(connection, Location, "valid")


def test_an_application_that_cannot_start_says_so() -> None:
    async def app(_scope: Any, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    with pytest.raises(RuntimeError, match="no database"), calling(app):
        pass
