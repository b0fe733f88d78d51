"""What a server sends beside the body of an answer: real sockets, both modes of client, both libraries."""

import gzip
from collections.abc import Callable
from contextlib import suppress

import anyio
import pytest

from client.support import MODES, Mode
from client.test_timeouts import HEAD, Connection, served
from ocpi_emsp._bridge import run
from ocpi_emsp.errors import TransportFailed
from ocpi_emsp.transports.httpx import AsyncHttpxSend, HttpxSend, default_async_client, default_client
from ocpi_emsp.transports.wire_bytes import FRAMING_BYTES, READ_BYTES
from ocpi_emsp.url_policy import UrlPolicy
from ocpi_emsp.wire import Request, Response

pytestmark = [pytest.mark.parametrize("mode", MODES), pytest.mark.usefixtures("library")]

LIMIT = 262_144
CHUNKED = HEAD + b"transfer-encoding: chunked\r\n\r\n"


def sending(first: bytes, piece: bytes, most: int) -> Callable[[Connection], None]:
    """Answer so, and send the piece up to so many bytes; the client leaves, or it gets the end of a body."""

    def behave(connection: Connection) -> None:
        connection.read_request()
        with suppress(ConnectionError):
            connection.socket.sendall(first)
            for _ in range(most // (len(piece) * 100)):
                connection.socket.sendall(piece * 100)
            connection.socket.sendall(b"0\r\n\r\n")

    return behave


def send(mode: Mode, url: str, limit: int = LIMIT) -> Response:
    """A GET of a handshake, with the clients that the library makes by itself."""
    request = Request("GET", url, most_bytes=limit)
    if mode == "sync":
        with default_client(UrlPolicy.loopback(), 20) as http:
            return run(HttpxSend(http, 10**9)(request))

    async def exchange() -> Response:
        async with default_async_client(UrlPolicy.loopback(), 20) as http:
            return await AsyncHttpxSend(http, 10**9)(request)

    return anyio.run(exchange)


@pytest.mark.parametrize(
    ("first", "piece"),
    [
        pytest.param(b"", b"HTTP/1.1 103 E\r\n\r\n", id="interim answers"),
        pytest.param(b"", b"HTTP/1.1 103 E\r\nlink: " + b"a" * 9_000 + b"\r\n\r\n", id="large interim answers"),
        pytest.param(CHUNKED, b"1\r\n \r\n", id="chunks of one byte"),
        pytest.param(CHUNKED, b"1;" + b"x" * 10_000 + b"\r\n \r\n", id="chunk extensions"),
    ],
)
def test_what_is_beside_a_body_ends(mode: Mode, first: bytes, piece: bytes) -> None:
    """Without the count: all of it is read, 48 MB of interim answers and 8.5 GB of extensions in 30 s."""
    with served(sending(first, piece, 4_000_000)) as url, pytest.raises(TransportFailed) as caught:
        send(mode, url)
    assert "bytes were sent for" in str(caught.value)
    assert not caught.value.retryable


def test_an_answer_may_have_little_chunks_and_interim_answers(mode: Mode) -> None:
    """As of a server that writes each member of its JSON by itself."""
    first = b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n" * 20 + CHUNKED
    with served(sending(first, b"10\r\n" + b" " * 16 + b"\r\n", 200_000)) as url:
        answer = send(mode, url)
    assert (answer.status, len(answer.body)) == (200, 200_000 // 2200 * 1600)


def test_a_compressed_answer_counts_as_it_is_sent(mode: Mode) -> None:
    body = gzip.compress(b" " * LIMIT)

    def behave(connection: Connection) -> None:
        connection.read_request()
        length = f"content-encoding: gzip\r\ncontent-length: {len(body)}\r\n\r\n".encode()
        connection.socket.sendall(HEAD + length + body)

    with served(behave) as url:
        assert len(send(mode, url).body) == LIMIT


def test_the_count_begins_anew_with_each_answer(mode: Mode) -> None:
    """Several answers on one connection are several."""
    answers = 12
    body = b" " * (FRAMING_BYTES // 4)

    def behave(connection: Connection) -> None:
        for _ in range(answers):
            connection.read_request()
            connection.socket.sendall(HEAD + f"content-length: {len(body)}\r\n\r\n".encode() + body)

    with served(behave) as url:
        request = Request("GET", url, most_bytes=len(body))
        if mode == "sync":
            with default_client(UrlPolicy.loopback(), 20) as http:
                found = [len(run(HttpxSend(http, 10**9)(request)).body) for _ in range(answers)]
        else:

            async def exchanges() -> list[int]:
                async with default_async_client(UrlPolicy.loopback(), 20) as http:
                    return [len((await AsyncHttpxSend(http, 10**9)(request)).body) for _ in range(answers)]

            found = anyio.run(exchanges)
    assert found == [len(body)] * answers


def test_a_read_is_small(mode: Mode, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it: 64 KiB, 10,900 chunks of one byte, are parsed before anything else of the event loop has a turn."""
    reads: list[int] = []

    def counted(read: bytes) -> bytes:
        reads.append(len(read))
        return read

    monkeypatch.setattr("ocpi_emsp.transports.deadline.counted", counted)
    monkeypatch.setattr("ocpi_emsp.transports.wire_bytes.counted", counted)
    with served(sending(CHUNKED, b"3e8\r\n" + b" " * 1000 + b"\r\n", 200_000)) as url:
        send(mode, url)
    assert sum(reads) > 100_000
    assert max(reads) <= READ_BYTES
