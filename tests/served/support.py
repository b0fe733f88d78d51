"""What the tests over HTTP share: servers in threads, and a client that judges every answer.

Rules of these tests: real sockets on loopback, one server of each kind for the whole run (the application behind it
changes per test), no sleeps, every request through `Ocpi`, which fails on an answer that is no OCPI envelope and on a
token in a log.
"""

from __future__ import annotations

import base64
import json
import logging
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, TypeAlias, cast

import httpx
import pytest
import uvicorn
from attrs import define, field
from waitress.server import create_server  # type: ignore[import-untyped] # waitress ships no types

from ocpi_emsp import Emsp
from ocpi_emsp._bridge import run
from ocpi_emsp.ports import Entry, Key, Kind, Query, Record
from ocpi_emsp.storage import MemoryStore
from ocpi_emsp.testing.cpo.wire import encode
from our_emsp import make_emsp

BASE = "/ocpi/emsp"
SECONDS = 30.0
"""What anything here may take before it counts as hanging."""
TLS = ssl.create_default_context()

Json: TypeAlias = Any
Document: TypeAlias = dict[str, Any]


# --- servers --------------------------------------------------------------------------------------------------------


@define
class Host:
    """A running server; `mount` says which eMSP answers from now on."""

    kind: str
    origin: str
    application: Any = None

    @property
    def url(self) -> str:
        """The public base that an eMSP behind this server has."""
        return self.origin + BASE

    def mount(self, emsp: Emsp) -> None:
        """Let `emsp` answer."""
        self.application = emsp.asgi() if self.kind == "uvicorn" else emsp.wsgi()


class _Uvicorn(uvicorn.Server):
    """Tells when it answers."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()


def _listen() -> socket.socket:
    """A free port. The protocol is named, since asyncio switches Nagle's delays off only where it is."""
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.bind(("127.0.0.1", 0))
    listening.listen()
    return listening


@contextmanager
def uvicorn_server(application: Any, listener: socket.socket | None = None, **options: Any) -> Iterator[str]:
    """Serve an ASGI application in a thread, at a free port unless there is a listener; yields the origin."""
    with listener or _listen() as listening:
        options = {"log_config": None, "ws": "none", "lifespan": "off", "timeout_graceful_shutdown": 2, **options}
        server = _Uvicorn(uvicorn.Config(application, **options))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        try:
            assert server.ready.wait(SECONDS), "uvicorn did not start"
            yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(SECONDS)
    assert not thread.is_alive(), "uvicorn did not stop"


def _close_in_loop(server: Any, channels: list[Any]) -> None:
    """Close in the server's own thread, whose loop ends once nothing is left to watch."""
    trigger = server.trigger
    with trigger.lock:  # its loop may be awake already, and would close the trigger before it is pulled
        trigger.thunks.append(lambda: [channel.close() for channel in channels])
        trigger.pull_trigger()


@contextmanager
def waitress_server(application: Any, **options: Any) -> Iterator[str]:
    """Serve a WSGI application in threads; yields the origin."""
    channels: dict[int, Any] = {}
    with _listen() as listening:
        port = listening.getsockname()[1]
        server = create_server(application, map=channels, sockets=[listening], **({"threads": 2} | options))
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            watching = (server, server.trigger)
            _close_in_loop(server, [channel for channel in channels.values() if channel not in watching])
            server.task_dispatcher.shutdown()
            _close_in_loop(server, [server])  # last: its threads pull the trigger when they have answered
            thread.join(SECONDS)
    assert not thread.is_alive(), "waitress did not stop"


@contextmanager
def uvicorn_host() -> Iterator[Host]:
    """uvicorn, for any eMSP."""
    host = Host("uvicorn", "")

    async def switch(scope: Any, receive: Any, send: Any) -> None:
        await host.application(scope, receive, send)

    with uvicorn_server(switch) as host.origin:
        yield host


@contextmanager
def waitress_host(**options: Any) -> Iterator[Host]:
    """waitress, for any eMSP."""
    host = Host("waitress", "")
    with waitress_server(lambda environ, start: host.application(environ, start), **options) as host.origin:
        yield host


def quick_client() -> httpx.Client:
    """What an eMSP under test calls with: bounded, and without building a TLS context each time."""
    return httpx.Client(timeout=SECONDS, verify=TLS, trust_env=False)


def quick_async_client() -> httpx.AsyncClient:
    """The same, async."""
    return httpx.AsyncClient(timeout=SECONDS, verify=TLS, trust_env=False)


# --- the store, from outside ----------------------------------------------------------------------------------------

Stored: TypeAlias = dict[Key, bytes]
_OBJECTS = (Kind.LOCATION, Kind.EVSE, Kind.SESSION, Kind.TARIFF, Kind.CDR, Kind.CDR_CONFLICT, Kind.TOKEN, Kind.COMMAND)


def emsp_at(host: Host, **settings: Any) -> Emsp:
    """An eMSP of the published matrix whose URL is the host's; it is not mounted yet."""
    clients = {"http_client": quick_client, "aio_http_client": quick_async_client}
    return make_emsp(**({"url": host.url, "url_policy": "loopback", "matrix": None} | clients | settings))


def objects(store: MemoryStore) -> Stored:
    """Every stored object's document, by key; neither parties nor credentials."""
    return _documents(store, _OBJECTS)


def parties(store: MemoryStore) -> Stored:
    """Every party and every working token's hash."""
    return _documents(store, (Kind.PARTY, Kind.CREDENTIAL))


def _documents(store: MemoryStore, kinds: tuple[str, ...]) -> Stored:
    async def read() -> list[Record]:
        async with store.transaction() as tx:
            return [record for kind in kinds for record in (await tx.page(Query(kind=kind, limit=10_000))).records]

    return {record.key: record.document for record in run(read())}


def journal(store: MemoryStore, topic: str) -> list[Entry]:
    """The journal's entries."""

    async def read() -> list[Entry]:
        async with store.transaction() as tx:
            return list(await tx.entries(topic))

    return run(read())


# --- what every answer and every log line must be -------------------------------------------------------------------


@define
class Logs:
    """Everything logged during a test, and the tokens that must not be in it."""

    caplog: pytest.LogCaptureFixture
    tokens: set[str] = field(factory=set)
    _seen: dict[str, int] = field(factory=dict)

    def secret(self, token: str) -> str:
        """Remember a token; returns it. What was logged before is looked through again."""
        self.tokens |= {token, encoded(token)}
        self._seen.clear()
        return token

    def check(self) -> None:
        """Fails where a token was logged since the last check."""
        phases: tuple[Literal["setup", "call", "teardown"], ...] = ("setup", "call", "teardown")
        for phase in phases:
            records = self.caplog.get_records(phase)
            for record in records[self._seen.get(phase, 0) :]:
                text = f"{record.getMessage()} {record.args!r} {record.exc_text or ''} {_trace(record)}"
                for token in self.tokens:
                    assert token not in text, f"a token was logged by {record.name}: {text}"
            self._seen[phase] = len(records)


def _trace(record: logging.LogRecord) -> str:
    return logging.Formatter().formatException(record.exc_info) if record.exc_info else ""


def encoded(token: str) -> str:
    """The token in base64."""
    return base64.b64encode(token.encode()).decode()


@define
class Answer:
    """An answer that was found to be an OCPI envelope."""

    status: int
    headers: httpx.Headers
    envelope: Document
    text: str

    @property
    def code(self) -> int:
        """The OCPI status_code."""
        return cast(int, self.envelope["status_code"])

    @property
    def message(self) -> str:
        """The status_message."""
        return cast(str, self.envelope["status_message"])

    @property
    def data(self) -> Json:
        """The data, or None."""
        return self.envelope.get("data")

    @property
    def both(self) -> tuple[int, int]:
        """HTTP status and OCPI status_code."""
        return self.status, self.code

    @property
    def allow(self) -> set[str]:
        """The methods of the Allow header, which must be there."""
        return {method for method in self.headers["allow"].split(", ") if method}

    @property
    def pointers(self) -> set[str]:
        """Where the findings in data point to."""
        return {finding["pointer"] for finding in self.data}


def read_answer(response: httpx.Response) -> Answer:
    """The answer, where it is an OCPI envelope (transport_and_format.md, response format)."""
    assert response.headers["content-type"] == "application/json", response.headers
    assert response.headers["x-correlation-id"]
    assert response.headers["content-length"] == str(len(response.content))
    envelope = json.loads(response.content, parse_float=Decimal)
    assert isinstance(envelope, dict), envelope
    assert envelope.keys() <= {"data", "status_code", "status_message", "timestamp"}
    assert type(envelope["status_code"]) is int
    assert isinstance(envelope["status_message"], str)
    assert datetime.strptime(envelope["timestamp"], "%Y-%m-%dT%H:%M:%SZ").year > 2020
    assert "Traceback" not in response.text
    # What HTTP calls an error, OCPI must too.
    assert response.is_success or envelope["status_code"] >= 2000
    return Answer(response.status_code, response.headers, envelope, response.text)


@define
class Ocpi:
    """Sends requests with a token and returns judged answers."""

    http: httpx.Client
    base: str
    logs: Logs
    token: str = field(default="", repr=False)

    def __call__(
        self,
        method: str,
        path: str,
        body: Json = None,
        *,
        content: bytes | Iterator[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """`path` is below the base, or an absolute URL; `body` is JSON; a header overrides the token."""
        sent = {"authorization": f"Token {self.token}"} if self.token else {}
        if body is not None:
            content = encode(body)
        url = path if path.startswith("http") else self.base + path
        sent |= {name.lower(): value for name, value in (headers or {}).items() if value}
        raw = [(name.encode(), value.encode("latin-1")) for name, value in sent.items()]
        response = self.http.request(method, url, content=content, headers=raw)
        self.logs.check()
        return read_answer(response)

    def using(self, token: str) -> Ocpi:
        """The same with another token; an empty one sends no header."""
        if token:
            self.logs.secret(token)
        return Ocpi(self.http, self.base, self.logs, token)
