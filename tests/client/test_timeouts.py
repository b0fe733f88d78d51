"""Answers that do not come, or do not end: a real server on this machine, by hand, and both modes of client."""

import datetime as dt
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import anyio
import pytest
from attrs import frozen
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from client.places import closed_port
from client.support import MODES, Mode
from ocpi_emsp import Limits
from ocpi_emsp._bridge import run
from ocpi_emsp.errors import CannotUseApi, TransportFailed
from ocpi_emsp.settings import HttpLimits
from ocpi_emsp.transports.httpx import AsyncHttpxSend, HttpxSend, default_async_client, default_client
from ocpi_emsp.url_policy import UrlPolicy
from ocpi_emsp.wire import Request, Response
from our_emsp import make_emsp

pytestmark = [pytest.mark.parametrize("mode", MODES), pytest.mark.usefixtures("library")]

LONG = 20.0
"""Seconds that no test waits for, unless it fails."""
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"


@frozen
class Connection:
    """One connection that a client opened, on the server's side."""

    socket: socket.socket
    is_over: threading.Event

    def read_request(self) -> None:
        received = b""
        while b"\r\n\r\n" not in received:
            received += self.socket.recv(65536)

    def drip(self, chunk: bytes) -> None:
        """Send the chunk again and again, until the client has gone or the test has failed."""
        for _ in range(2000):
            if self.is_over.wait(0.01):
                return
            self.socket.sendall(chunk)
        raise AssertionError("the client did not leave")

    def reset(self) -> None:
        """End it with a RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


Behaviour = Callable[[Connection], None]


@contextmanager
def served(behaviour: Behaviour, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """The URL of a server that behaves so on every connection."""
    is_over = threading.Event()
    with ExitStack() as stack:
        listening = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        listening.settimeout(0.05)

        def serve() -> None:
            while not is_over.is_set():
                with suppress(TimeoutError):
                    plain, _ = listening.accept()
                    plain.settimeout(LONG)
                    with suppress(OSError), plain:
                        behaviour(Connection(tls.wrap_socket(plain, server_side=True) if tls else plain, is_over))

        thread = threading.Thread(target=serve)
        thread.start()
        stack.callback(thread.join, LONG)
        stack.callback(is_over.set)
        yield f"{'https' if tls else 'http'}://127.0.0.1:{listening.getsockname()[1]}/x"


def send(mode: Mode, url: str, *, timeout: float = LONG, connect: float = LONG, total: float = LONG) -> Response:
    """One GET with the client that the library makes by itself."""
    request = Request("GET", url, headers={"authorization": "Token secret"})
    if mode == "sync":
        with default_client(UrlPolicy.loopback(), timeout, connect) as http:
            return run(HttpxSend(http, 10**6, total)(request))

    async def exchange() -> Response:
        async with default_async_client(UrlPolicy.loopback(), timeout, connect) as http:
            return await AsyncHttpxSend(http, 10**6, total)(request)

    return anyio.run(exchange)


def failure(mode: Mode, url: str, **limits: float) -> TransportFailed:
    with pytest.raises(TransportFailed) as caught:
        send(mode, url, **limits)
    assert (caught.value.method, caught.value.url) == ("GET", url)
    assert "secret" not in str(caught.value)
    return caught.value


def answer_nothing(connection: Connection) -> None:
    connection.read_request()
    connection.is_over.wait(LONG)


def drip_a_body(connection: Connection) -> None:
    connection.read_request()
    connection.socket.sendall(HEAD + b"content-length: 1000000000\r\n\r\n")
    connection.drip(b" ")


def drip_a_head(connection: Connection) -> None:
    connection.read_request()
    connection.socket.sendall(HEAD)
    connection.drip(b"x-drip: 1\r\n")


def drip_an_interim_answer(connection: Connection) -> None:
    connection.read_request()
    connection.drip(b"HTTP/1.1 103 Early Hints\r\n\r\n")


def drip_chunks(connection: Connection) -> None:
    connection.read_request()
    connection.socket.sendall(HEAD + b"transfer-encoding: chunked\r\n\r\n")
    connection.drip(b"1\r\n \r\n")


def stop_in_the_body(connection: Connection) -> None:
    connection.read_request()
    connection.socket.sendall(HEAD + b"content-length: 100\r\n\r\n{")
    connection.is_over.wait(LONG)


def reset_in_the_body(connection: Connection) -> None:
    connection.read_request()
    connection.socket.sendall(HEAD + b"content-length: 100\r\n\r\n{")
    connection.reset()


def close_in_the_body(connection: Connection) -> None:
    connection.read_request()
    connection.socket.sendall(HEAD + b"content-length: 100\r\n\r\n{")


def close_at_once(connection: Connection) -> None:
    connection.read_request()


def answer(connection: Connection) -> None:
    connection.read_request()
    connection.socket.sendall(HEAD + b"content-length: 2\r\n\r\n{}")


def test_an_answer_in_time_is_given(mode: Mode) -> None:
    with served(answer) as url:
        assert send(mode, url).body == b"{}"


@pytest.mark.parametrize("behaviour", [answer_nothing, stop_in_the_body])
def test_a_server_that_falls_silent_is_left_and_may_be_asked_again(mode: Mode, behaviour: Behaviour) -> None:
    with served(behaviour) as url:
        error = failure(mode, url, timeout=0.1)
    assert str(error).startswith(f"GET {url}: waiting for the response timed out")
    assert error.retryable


@pytest.mark.parametrize("behaviour", [drip_a_body, drip_chunks, drip_a_head, drip_an_interim_answer])
def test_an_answer_that_never_ends_slowly_is_left_for_good(mode: Mode, behaviour: Behaviour) -> None:
    """Without a deadline on the sockets, a head that drips holds a blocking client as long as the server likes."""
    with served(behaviour) as url:
        error = failure(mode, url, total=0.2)
    assert str(error) == f"GET {url}: the response took longer than the limit of 0.2 s"
    assert not error.retryable


@pytest.mark.parametrize("behaviour", [close_at_once, close_in_the_body, reset_in_the_body])
def test_a_connection_that_ends_before_the_answer_may_be_made_again(mode: Mode, behaviour: Behaviour) -> None:
    with served(behaviour) as url:
        assert failure(mode, url).retryable


def test_a_refused_connection_may_be_tried_again(mode: Mode) -> None:
    with closed_port() as port:
        assert failure(mode, f"http://127.0.0.1:{port}/x").retryable


def test_a_server_that_does_not_accept_is_left(mode: Mode) -> None:
    with ExitStack() as stack:
        full = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):  # its queue has room for one
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        error = failure(mode, f"http://127.0.0.1:{full.getsockname()[1]}/x", connect=0.1)
    assert "connecting timed out" in str(error)
    assert error.retryable


@pytest.mark.parametrize("url", ["gopher://127.0.0.1/x", "http://"])
def test_a_url_that_cannot_be_called_is_not_tried_again(mode: Mode, url: str) -> None:
    assert not failure(mode, url).retryable


def test_an_answer_over_the_limit_is_not_asked_for_again(mode: Mode) -> None:
    def flood(connection: Connection) -> None:
        connection.read_request()
        connection.socket.sendall(HEAD + b"\r\n")
        connection.drip(b" " * 10**6)

    with served(flood) as url:
        error = failure(mode, url)
    assert "exceeds the limit of 1000000 bytes" in str(error)
    assert not error.retryable


@pytest.fixture(scope="module")
def self_signed(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    """A server's TLS context with a certificate that nobody trusts."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "cpo.test")])
    day = dt.timedelta(days=1)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(dt.datetime.now(dt.UTC) - day)
        .not_valid_after(dt.datetime.now(dt.UTC) + day)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ) + certificate.public_bytes(serialization.Encoding.PEM)
    path: Path = tmp_path_factory.mktemp("tls") / "server.pem"
    path.write_bytes(pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


def test_a_certificate_that_is_refused_is_not_asked_for_again(mode: Mode, self_signed: ssl.SSLContext) -> None:
    with served(answer, self_signed) as url:
        error = failure(mode, url)
    assert "CERTIFICATE_VERIFY_FAILED" in str(error)
    assert not error.retryable


# --- through an eMSP, with its settings -----------------------------------------------------------------------------


def registering(mode: Mode, url: str, limits: Limits) -> str:
    """What an eMSP says that cannot register."""
    emsp = make_emsp(url_policy="loopback", limits=limits)

    def register() -> None:
        if mode == "sync":
            emsp.parties.register(url, token_a="A")
        else:
            anyio.run(lambda: emsp.aio.parties.register(url, token_a="A"))

    with pytest.raises(CannotUseApi) as caught:
        register()
    return str(caught.value)


@pytest.mark.parametrize(
    ("behaviour", "limits", "said"),
    [
        (answer_nothing, Limits(http=HttpLimits(read_timeout=0.1)), "waiting for the response timed out"),
        (drip_a_body, Limits(http=HttpLimits(total_timeout=0.2)), "longer than the limit of 0.2 s"),
        (drip_a_head, Limits(http=HttpLimits(total_timeout=0.2)), "longer than the limit of 0.2 s"),
    ],
)
def test_an_emsp_sets_the_times(mode: Mode, behaviour: Behaviour, limits: Limits, said: str) -> None:
    with served(behaviour) as url:
        assert said in registering(mode, url, limits)
