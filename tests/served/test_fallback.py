"""Hosts without a mount: what is not below our base goes to the host's own application."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import anyio
import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from ocpi_emsp import Emsp
from ocpi_emsp.adapters.asgi import AsgiApp

PATHS = [
    ("https://e.test/ocpi/emsp", "/ocpi/emsp/versions", True),
    ("https://e.test/ocpi/emsp", "/ocpi/emsp", True),
    ("https://e.test/ocpi/emsp", "/ocpi/emsp/nothing", True),
    ("https://e.test/ocpi/emsp", "/ocpi/emspire", False),
    ("https://e.test/ocpi/emsp", "/versions", False),
    ("https://e.test/ocpi/emsp", "/", False),
    ("https://e.test", "/versions", True),
    ("https://e.test", "/2.1.1/locations/NL/TNM/LOC1", True),
    ("https://e.test", "/drivers", False),
]


def make(url: str) -> Emsp:
    return Emsp(country_code="IT", party_id="BEC", name="Be", url=url, store="memory")


def host(lived: list[str]) -> Starlette:
    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        lived.append("begun")
        yield
        lived.append("ended")

    return Starlette(routes=[Route("/{path:path}", lambda _: PlainTextResponse("the host"))], lifespan=lifespan)


@pytest.mark.parametrize(("url", "path", "is_ours"), PATHS)
def test_an_asgi_host_answers_what_is_not_ours(url: str, path: str, is_ours: bool) -> None:
    app = make(url).asgi(fallback=host([]))

    async def get() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="https://e.test") as http:
            return await http.get(path)

    answer = anyio.run(get)
    assert (answer.text == "the host") is not is_ours
    assert not is_ours or answer.json()["status_code"] == 2000


@pytest.mark.parametrize(("url", "path", "is_ours"), PATHS)
def test_a_wsgi_host_answers_what_is_not_ours(url: str, path: str, is_ours: bool) -> None:
    def answered(_: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("content-type", "text/plain")])
        return [b"the host"]

    transport = httpx.WSGITransport(app=make(url).wsgi(fallback=answered))
    with httpx.Client(transport=transport, base_url="https://e.test") as http:
        answer = http.get(path)
    assert (answer.text == "the host") is not is_ours
    assert not is_ours or answer.json()["status_code"] == 2000


def lifespan(app: AsgiApp) -> list[str]:
    """What the application says of a startup and a shutdown."""
    coming, sent = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}], list[str]()

    async def receive() -> Any:
        return coming.pop(0)

    async def send(message: Any) -> None:
        sent.append(message["type"])

    anyio.run(app, {"type": "lifespan", "state": {}}, receive, send)
    return sent


COMPLETE = ["lifespan.startup.complete", "lifespan.shutdown.complete"]


def test_the_hosts_lifespan_runs_inside_ours() -> None:
    lived = list[str]()
    assert lifespan(make("https://e.test/ocpi").asgi(fallback=host(lived))) == COMPLETE
    assert lived == ["begun", "ended"]


def test_a_host_without_a_lifespan_has_ours() -> None:
    async def django(scope: Any, _receive: Any, _send: Any) -> None:
        raise ValueError(f"Django can only handle ASGI/HTTP connections, not {scope['type']}.")

    assert lifespan(make("https://e.test/ocpi").asgi(fallback=django)) == COMPLETE


def test_a_host_whose_startup_fails_fails() -> None:
    async def broken(_scope: Any, receive: Any, _send: Any) -> None:
        await receive()
        raise RuntimeError("no database")

    with pytest.raises(BaseExceptionGroup) as caught:
        lifespan(make("https://e.test/ocpi").asgi(fallback=broken))
    assert caught.group_contains(RuntimeError, match="no database")
