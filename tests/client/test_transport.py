"""The Send port over both HTTP libraries: what is sent and read, and what an error says."""

import socket
from typing import Any

import anyio
import httpx
import httpx2
import pytest

from client.places import closed_port
from client.support import BASE, MODES, Mode
from ocpi_emsp import Emsp
from ocpi_emsp._bridge import run
from ocpi_emsp.errors import CannotUseApi, TransportFailed
from ocpi_emsp.resources import Party
from ocpi_emsp.transports import library as libraries
from ocpi_emsp.transports.httpx import AsyncHttpxSend, HttpxSend, default_async_client, default_client
from ocpi_emsp.url_policy import UrlPolicy
from ocpi_emsp.wire import Request, Response
from our_emsp import make_emsp

pytestmark = pytest.mark.parametrize("mode", MODES)

HERE = UrlPolicy.loopback()


def exchange(
    mode: Mode, library: Any, server: Any, request: Request, *, limit: int = 1000, **settings: Any
) -> Response:
    """One request through a client of the library, answered by ``server``."""
    transport = library.MockTransport(server)
    if mode == "sync":
        with library.Client(transport=transport, **settings) as http:
            return run(HttpxSend(http, limit)(request))

    async def sending() -> Response:
        async with library.AsyncClient(transport=transport, **settings) as http:
            return await AsyncHttpxSend(http, limit)(request)

    return anyio.run(sending)


def send(mode: Mode, request: Request, limit: int = 1000) -> Response:
    """One request with the client that the library makes by itself."""
    if mode == "sync":
        with default_client(HERE, 5.0) as http:
            return run(HttpxSend(http, limit)(request))

    async def sending() -> Response:
        async with default_async_client(HERE, 5.0) as http:
            return await AsyncHttpxSend(http, limit)(request)

    return anyio.run(sending)


def register(mode: Mode, emsp: Emsp) -> Party:
    """The CPO behind the eMSP's clients becomes a partner."""
    url = f"{BASE.removesuffix('/2.1.1')}/versions"
    if mode == "sync":
        return emsp.parties.register(url, token_a="A")
    return anyio.run(lambda: emsp.aio.parties.register(url, token_a="A"))


# --- either library -------------------------------------------------------------------------------------------------


def test_a_call_goes_through_either(mode: Mode, library: Any) -> None:
    def answer(request: Any) -> Any:
        seen.append((request.method, str(request.url), request.headers["x-a"], request.content))
        return library.Response(201, content=b"{}", headers={"Link": "<x>", "X-B": "1"})

    seen = list[tuple[str, str, str, bytes]]()
    response = exchange(mode, library, answer, Request("PUT", BASE, headers={"x-a": "1"}, body=b"[]"))
    assert seen == [("PUT", BASE, "1", b"[]")]
    assert (response.status, response.body, response.header("link"), response.header("x-b")) == (201, b"{}", "<x>", "1")


def test_the_clients_that_are_made_are_of_the_one_that_is_installed(mode: Mode, library: Any) -> None:
    """Each fails where the other one is taken, or a name of its API is missing."""
    made = default_client(HERE, 30, 10) if mode == "sync" else default_async_client(HERE, 30, 10)
    assert isinstance(made, library.Client | library.AsyncClient)
    assert made.timeout == library.Timeout(30, connect=10)


def test_httpx2_comes_first(mode: Mode) -> None:
    made = default_client(HERE, 30) if mode == "sync" else default_async_client(HERE, 30)
    assert isinstance(made, httpx2.Client | httpx2.AsyncClient)


def test_a_client_belongs_to_its_library_also_as_a_subclass(mode: Mode) -> None:
    class Ours(httpx.Client):
        pass

    class Theirs(httpx2.AsyncHTTPTransport):
        pass

    with Ours() as ours:
        assert libraries.library_of(ours if mode == "sync" else Theirs()) is (httpx if mode == "sync" else httpx2)
    assert libraries.library_of(object()) is httpx2


def test_a_broken_installation_is_named(mode: Mode, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not as a missing extra: the library is there, and something that it needs is not."""
    monkeypatch.setattr(libraries, "LIBRARIES", ("client.needs_nothing_that_exists",))
    with pytest.raises(ModuleNotFoundError, match="no_such_module_anywhere"):
        default_client(HERE, 1) if mode == "sync" else default_async_client(HERE, 1)


def test_an_emsp_takes_clients_of_both(mode: Mode, library: Any) -> None:
    def gone(_: Any) -> Any:
        raise library.ConnectError("gone")

    emsp = make_emsp(
        http_client=lambda: library.Client(transport=library.MockTransport(gone)),
        aio_http_client=lambda: library.AsyncClient(transport=library.MockTransport(gone)),
    )
    with pytest.raises(CannotUseApi, match="cannot connect: gone"):
        register(mode, emsp)


def test_a_redirect_is_not_followed_where_the_hosts_own_client_would(mode: Mode, library: Any) -> None:
    """The url policy has not seen where it leads."""
    asked = list[str]()

    def server(request: Any) -> Any:
        asked.append(str(request.url))
        return library.Response(307, headers={"location": "http://169.254.169.254/latest"})

    assert exchange(mode, library, server, Request("GET", BASE), follow_redirects=True).status == 307
    assert asked == [BASE]


def test_a_body_that_a_hook_of_the_client_has_read_is_measured(mode: Mode, library: Any) -> None:
    def read(response: Any) -> Any:
        return response.read()

    async def read_async(response: Any) -> Any:
        return await response.aread()

    hooks = {"response": [read if mode == "sync" else read_async]}

    def sent(body: bytes) -> Response:
        stream = parts(mode, [body])
        answer = lambda _: library.Response(200, content=stream)  # noqa: E731
        return exchange(mode, library, answer, Request("GET", BASE), event_hooks=hooks)

    assert sent(b"{}").body == b"{}"
    with pytest.raises(TransportFailed, match="exceeds the limit of 1000 bytes"):
        sent(b" " * 1001)


def parts(mode: Mode, chunks: Any) -> Any:
    """A body that is sent part by part."""

    async def awaited() -> Any:
        for chunk in chunks:
            yield chunk

    return iter(chunks) if mode == "sync" else awaited()


# --- no answer ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("ConnectError", "refused", "cannot connect: refused"),
        ("ReadTimeout", "", "waiting for the response timed out"),
        ("ReadError", "reset", "the connection broke: reset"),
        ("RemoteProtocolError", "peer closed connection", "the response is not valid HTTP: peer closed connection"),
        ("DecodingError", "not gzip", "cannot decode the response: not gzip"),
        ("InvalidURL", "no host", "invalid URL: no host"),
        ("StreamError", "odd", "the request failed: odd"),
    ],
)
def test_no_answer_names_method_url_and_reason(mode: Mode, library: Any, name: str, text: str, reason: str) -> None:
    def fail(_: Any) -> Any:
        raise raised

    raised = getattr(library, name)(text)
    with pytest.raises(TransportFailed) as caught:
        exchange(mode, library, fail, Request("GET", BASE))
    assert str(caught.value) == f"GET {BASE}: {reason}"
    assert (caught.value.method, caught.value.url) == ("GET", BASE)
    assert caught.value.retryable is (name in ("ConnectError", "ReadTimeout", "ReadError", "RemoteProtocolError"))
    assert caught.value.__cause__ is raised


@pytest.mark.usefixtures("library")
def test_a_refused_connection_fails_without_the_token(mode: Mode) -> None:
    with closed_port() as port, pytest.raises(TransportFailed) as caught:
        send(mode, Request("GET", f"http://127.0.0.1:{port}/x", headers={"authorization": "Token secret"}))
    assert str(caught.value).startswith(f"GET http://127.0.0.1:{port}/x: cannot connect: ")
    assert "secret" not in str(caught.value)


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize("bad", ["secret\nx: y", "secret\r", "secret-é", "secret\x00"])
def test_a_token_that_no_header_can_carry_fails_without_showing(mode: Mode, bad: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/x"
        with pytest.raises(TransportFailed) as caught:
            send(mode, Request("GET", url, headers={"authorization": f"Token {bad}"}))
    assert str(caught.value) == f"GET {url}: the token or URL cannot be sent in a header"


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize("url", ["http://", "nonsense", "gopher://x/", "http://a\x00b/"])
def test_a_url_that_cannot_be_called_fails(mode: Mode, url: str) -> None:
    with pytest.raises(TransportFailed):
        send(mode, Request("GET", url))
