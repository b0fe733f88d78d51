"""What a connection to ``ocpi-emsp serve`` may cost: real sockets, times of tenths of a second."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import anyio
import pytest

from ocpi_emsp.cli import server
from ocpi_emsp.cli.connections import Bounded, Config, ConnectionLimits
from ocpi_emsp.cli.server import base_url, listen, protocol, serving
from our_emsp import make_emsp
from served.sockets import connected, head
from served.support import SECONDS, Logs


@pytest.fixture(autouse=True, params=["uvloop and httptools", "asyncio and h11"])
def _libraries(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what the extra brings along, and without."""
    monkeypatch.setattr(server, "LIBRARIES", tuple(request.param.split(" and ")))


@contextmanager
def bounded(app: Any = None, *, send_buffer: int | None = None, **limits: Any) -> Iterator[str]:
    """An eMSP as the command serves it; yields the origin."""
    ready, stop = threading.Event(), threading.Event()
    application = app or make_emsp().asgi(background=False)

    async def serve() -> None:
        async with serving(application, listening, ConnectionLimits(**limits)):
            ready.set()
            await anyio.to_thread.run_sync(stop.wait)

    with listen("127.0.0.1", 0) as listening:
        if send_buffer is not None:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
        thread = threading.Thread(target=lambda: server.run(serve()), daemon=True)
        thread.start()
        try:
            assert ready.wait(SECONDS)
            yield base_url(listening)
        finally:
            stop.set()
            thread.join(SECONDS)


def test_a_head_that_drips_ends() -> None:
    """Without the time: uvicorn waits for the end of a head for ever."""
    with bounded(head_seconds=0.2) as origin:
        with connected(origin) as silent, connected(origin) as dripping:
            dripping.send(b"GET /versions HTTP/1.1\r\nX: ")
            assert dripping.drip(b"a", 200) > 1
            assert dripping.has_ended()
            assert silent.has_ended()
        with connected(origin) as again:
            for _ in range(2):  # the head of a second request has a time of its own
                again.send(head("GET", "/versions", "unknown"))
                assert again.answer()[0] == 401
            again.send(b"GET /versions")
            assert again.has_ended()


def test_an_idle_connection_ends() -> None:
    with bounded(idle_seconds=0.1) as origin, connected(origin) as idle:
        idle.send(head("GET", "/versions", "unknown"))
        assert idle.answer()[0] == 401
        assert idle.has_ended()


def test_a_head_over_its_size_is_refused() -> None:
    with bounded(head_bytes=2000) as origin, connected(origin) as caller:
        caller.send(b"GET /versions HTTP/1.1\r\nX: " + b"a" * 3000)
        assert caller.head()[0] == "http/1.1 400 bad request"


@pytest.mark.parametrize("header", [b"X: " + b"a" * 120_000, b"\r\n".join([b"A: 1"] * 10_000)])
def test_a_head_over_its_size_in_one_piece_is_refused(header: bytes) -> None:
    """With h11's bound alone, which is for a head that is not complete: a head of 120,000 bytes is answered."""
    with bounded(read_bytes=262_144) as origin, connected(origin) as caller:
        caller.send(head("GET", "/versions", "unknown")[:-2] + header + b"\r\n\r\n")
        assert caller.head()[0] == "http/1.1 400 bad request"


def test_the_head_of_each_request_is_bounded_by_itself() -> None:
    """Bytes of pipelined requests count once, and never for another one."""
    request = head("GET", "/versions", "unknown")
    with bounded(head_bytes=len(request)) as origin, connected(origin) as caller:
        caller.send(request * 5)
        assert [caller.answer()[0] for _ in range(5)] == [401] * 5
        caller.send(request[:-2] + b"X: 1\r\n\r\n")
        assert caller.head()[0] == "http/1.1 400 bad request"


def test_blank_lines_before_a_head_are_bounded() -> None:
    """Some skip them: they begin no head."""
    with bounded(head_bytes=2000) as origin, connected(origin) as caller:
        with contextlib.suppress(ConnectionError):
            caller.send(b"\r\n" * 20_000)
        assert caller.head()[0] == "http/1.1 400 bad request"


def test_a_request_is_answered_before_what_follows_is_refused() -> None:
    """uvicorn's own protocol for httptools answers it 400."""
    with bounded() as origin, connected(origin) as caller:
        caller.send(head("GET", "/versions", "unknown") + b"no HTTP\r\n\r\n")
        assert caller.answer()[0] == 401
        assert caller.rest()[:12] in (b"", b"HTTP/1.1 400")


def test_a_body_that_is_no_chunk_is_refused() -> None:
    with bounded(Endless()) as origin, connected(origin) as caller:
        caller.send(head("PUT", "/x", "unknown", "Transfer-Encoding: chunked") + b"no number\r\n")
        assert caller.rest().startswith(b"HTTP/1.1 400 ")


def test_what_follows_the_chunks_is_no_header() -> None:
    """uvicorn's own protocol for httptools adds it to the headers that the application has."""
    seen = list[tuple[bytes, bytes]]()

    class Headers(Endless):
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            await super().__call__(scope, receive, send)
            seen.extend(scope.get("headers", ()))

    with bounded(Headers()) as origin, connected(origin) as caller:
        caller.send(head("PUT", "/x", "unknown", "Transfer-Encoding: chunked"))
        caller.send(b"1\r\na\r\n0\r\nX-Late: 1\r\n\r\n")
        assert caller.answer()[0] == 200
    assert b"transfer-encoding" in dict(seen)
    assert b"x-late" not in dict(seen)


def test_an_upgrade_that_is_offered_is_declined() -> None:
    """Java's client offers HTTP/2 with its first request."""
    offer = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABk")
    app = Endless()
    with bounded(app) as origin, connected(origin) as caller:
        for more in (offer, ()):
            caller.send(head("PUT", "/x", "unknown", "Content-Length: 3", *more) + b"abc")
            assert caller.answer()[0] == 200
    assert app.bodies == [3, 3]


def test_requests_before_the_answers_to_those_before_them() -> None:
    """Without the number: uvicorn's protocol for httptools reads on, and makes an object of each that waits."""
    answered = 0
    with bounded() as origin, connected(origin) as caller:
        with contextlib.suppress(ConnectionError):
            caller.send(head("GET", "/versions", "unknown") * 1000)
        with contextlib.suppress(ConnectionError, AssertionError):
            while answered < 1000:
                assert caller.answer()[0] in (401, 429)
                answered += 1
    assert answered == 1000 if "h11" in server.LIBRARIES else 100 <= answered < 1000


class Endless:
    """An application that reads every body to its end; counts what it is given."""

    def __init__(self, answer: bytes = b"{}") -> None:
        self.answer = answer
        self.bodies: list[int] = []
        self.ended = threading.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            while (message := await receive())["type"] != "lifespan.shutdown":
                await send({"type": f"{message['type']}.complete"})
            await send({"type": "lifespan.shutdown.complete"})
            return
        more, size = True, 0
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.ended.set()
                return
            more = message.get("more_body", False)
            size += len(message["body"])
        self.bodies.append(size)
        length = [(b"content-length", str(len(self.answer)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": length})
        await send({"type": "http.response.body", "body": self.answer})


@pytest.mark.parametrize("chunk", [b"1\r\na\r\n", b"1;" + b"x" * 8_000 + b"\r\na\r\n"])
def test_chunks_that_are_mostly_framing_end(chunk: bytes) -> None:
    """Without the bound: all 2 MB are taken, and 350,000 events are made of chunks of one byte."""
    app = Endless()
    with bounded(app) as origin, connected(origin) as caller:
        caller.send(head("PUT", "/x", "unknown", "Transfer-Encoding: chunked"))
        with contextlib.suppress(ConnectionError):
            caller.send(chunk * (2_000_000 // len(chunk)))
        assert app.ended.wait(SECONDS)
    assert app.bodies == []


@pytest.mark.parametrize("size", [16, 1000, 100_000])
def test_chunks_of_a_body_are_taken(size: int) -> None:
    """A writer that flushes often sends small ones; an event loop is given a little of them at a time."""
    app = Endless()
    with bounded(app) as origin, connected(origin) as caller:
        for _ in range(2):
            caller.send(head("PUT", "/x", "unknown", "Transfer-Encoding: chunked"))
            caller.send((f"{size:x}\r\n".encode() + b"a" * size + b"\r\n") * (600_000 // size) + b"0\r\n\r\n")
            assert caller.answer()[0] == 200
    assert app.bodies == [600_000 // size * size] * 2


def test_a_step_of_the_event_loop_reads_little() -> None:
    """Without it: 256 KiB, 43,000 chunks of one byte, before anything else has a turn."""
    read: list[int] = []

    class Counting(protocol()):  # type: ignore[misc] # the one for the parser
        def data_received(self, data: bytes) -> None:
            read.append(len(data))
            super().data_received(data)

    app = Endless()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(server, "protocol", lambda: Counting)
        with bounded(app) as origin, connected(origin) as caller:
            caller.send(head("PUT", "/x", "unknown", "Content-Length: 1000000") + b"a" * 1_000_000)
            assert caller.answer()[0] == 200
    assert app.bodies == [1_000_000]
    assert max(read) <= ConnectionLimits().read_bytes


def test_a_chunked_body_of_a_stranger_is_not_read() -> None:
    """With what arrives dropped: the server makes an event of each of its chunks, 32 MiB of them."""
    with bounded() as origin, connected(origin) as stranger:
        stranger.send(head("PUT", "/2.1.1/tariffs/NL/TNM/TAR1", "unknown", "Transfer-Encoding: chunked"))
        assert stranger.answer()[0] == 401
        assert stranger.has_ended()


def test_connections_over_the_number_are_closed(logs: Logs) -> None:
    """Without the number: each costs a file of the process, which has 1024; said once."""
    with bounded(connections=3) as origin:
        with connected(origin) as one, connected(origin) as two, connected(origin) as three:
            for caller in (one, two, three):
                caller.send(head("GET", "/versions", "unknown"))
                assert caller.answer()[0] == 401
            for _ in range(3):
                with connected(origin) as fourth:
                    assert fourth.has_ended()
        said = [record.getMessage() for record in logs.caplog.records if "server.full" in record.getMessage()]
        assert said == ["server.full connections=3"]


def test_uvicorn_has_no_limit_of_its_own() -> None:
    """With its own: partners on open connections are answered 503 in plain text while others try to connect."""
    assert Config(make_emsp().asgi(), ConnectionLimits(connections=1), protocol()).limit_concurrency is None


def test_an_answer_that_is_not_read_ends_with_its_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the time: it is too little for pause_writing, and a close waits for ever until it is sent."""
    lost = threading.Event()

    def connection_lost(self: Bounded, error: Exception | None) -> None:
        lost.set()
        ended(self, error)

    ended = Bounded.connection_lost
    monkeypatch.setattr(Bounded, "connection_lost", connection_lost)
    with bounded(Endless(answer=b"a" * 40_000), idle_seconds=0.1, write_seconds=0.2, send_buffer=4096) as origin:
        address = urlsplit(origin)
        with socket.socket() as caller:
            caller.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            caller.connect((address.hostname, address.port))
            caller.sendall(head("GET", "/x", "unknown"))
            assert lost.wait(SECONDS)


def test_an_answer_that_is_not_read_ends() -> None:
    """Without the time: what does not fit into the socket waits for ever, and so does the application."""
    ended = threading.Event()

    async def endless(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            while (message := await receive())["type"] != "lifespan.shutdown":
                await send({"type": f"{message['type']}.complete"})
            await send({"type": "lifespan.shutdown.complete"})
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(2000):
            await send({"type": "http.response.body", "body": b"a" * 65536, "more_body": True})
            if ended.is_set():
                return
        with anyio.fail_after(SECONDS):
            assert (await receive())["type"] == "http.disconnect"
        ended.set()

    with bounded(endless, write_seconds=0.2) as origin, connected(origin) as caller:
        caller.send(head("GET", "/versions", "unknown"))
        assert ended.wait(SECONDS)


@pytest.mark.parametrize("spoofed", ["203.0.113.9"])
def test_the_server_believes_no_header_about_the_peer(spoofed: str) -> None:
    """uvicorn itself takes X-Forwarded-For from this machine."""
    peers: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            peers.append(scope["client"][0])
        await emsp.asgi(background=False)(scope, receive, send)

    emsp = make_emsp()
    with bounded(app) as origin, connected(origin) as caller:
        caller.send(head("GET", "/versions", "unknown", f"X-Forwarded-For: {spoofed}"))
        assert caller.answer()[0] == 401
    assert peers == ["127.0.0.1"]
