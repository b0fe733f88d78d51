"""What a connection to ``ocpi-emsp serve`` may cost: real sockets, times of tenths of a second."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import anyio
import pytest

from ocpi_emsp.cli.connections import ConnectionLimits
from ocpi_emsp.cli.server import base_url, listen, serving
from our_emsp import make_emsp
from served.sockets import connected, head
from served.support import SECONDS, Logs


@contextmanager
def bounded(app: Any = None, **limits: Any) -> Iterator[str]:
    """An eMSP as the command serves it; yields the origin."""
    ready, stop = threading.Event(), threading.Event()
    application = app or make_emsp().asgi(background=False)

    async def serve() -> None:
        async with serving(application, listening, ConnectionLimits(**limits)):
            ready.set()
            await anyio.to_thread.run_sync(stop.wait)

    with listen("127.0.0.1", 0) as listening:
        thread = threading.Thread(target=anyio.run, args=(serve,), daemon=True)
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
