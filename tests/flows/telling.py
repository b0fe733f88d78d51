"""What the tests of ids and telemetries share: a CPO and a telemetry that remember, and a telemetry that fails."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import httpx
from attrs import define, field

from flows.support import NOW, cpo_server, credentials, envelope
from ocpi_emsp import Token
from ocpi_emsp._bridge import run
from ocpi_emsp.models import TokenType, WhitelistType
from ocpi_emsp.ports import Attributes, Measurement, Query, Record, Role
from ocpi_emsp.storage import MemoryStore
from ocpi_emsp.testing.cpo import samples
from ocpi_emsp.testing.cpo.wire import encode

IDS = {"x-correlation-id": "c-1", "x-request-id": "r-1"}
TOKEN = Token(
    uid="012345678",
    type=TokenType.RFID,
    auth_id="DE8ACC12E46L89",
    issuer="Be Charge",
    valid=True,
    whitelist=WhitelistType.ALLOWED,
    last_updated=NOW,
)


def records(store: MemoryStore, *kinds: str) -> list[Record]:
    """Everything of these kinds that is stored."""

    async def read() -> list[Record]:
        async with store.transaction(read_only=True) as tx:
            return [record for kind in kinds for record in (await tx.page(Query(kind=kind, limit=1000))).records]

    return run(read())


@define
class Seen:
    """A CPO that remembers the headers of every request; it fails where it shall."""

    headers: list[httpx.Headers] = field(factory=list)
    status: int = 200

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.headers.append(request.headers)
        if self.status != 200:
            return httpx.Response(self.status)
        path = request.url.path.removeprefix("/cpo/2.1.1/")
        if path == "credentials":
            return httpx.Response(200, json=envelope(credentials()))
        if path in ("sessions", "cdrs", "tariffs", "locations"):
            listed = [samples.location("PULLED")] if path == "locations" else []
            return httpx.Response(200, content=encode(envelope(listed)))
        if path.startswith("commands"):
            return httpx.Response(200, json=envelope({"result": "ACCEPTED"}))
        if path == "/cpo/versions":
            return cpo_server(request)
        if not path.startswith("/cpo"):
            return httpx.Response(200, json=envelope(None))
        modules = ("credentials", "locations", "sessions", "cdrs", "tariffs", "tokens", "commands")
        base = f"https://{request.url.host}/cpo/2.1.1"
        endpoints = [{"identifier": name, "url": f"{base}/{name}"} for name in modules]
        return httpx.Response(200, json=envelope({"version": "2.1.1", "endpoints": endpoints}))

    def ids(self) -> tuple[list[str], list[str]]:
        """The correlation and request ids since the last look."""
        seen = [(headers["x-correlation-id"], headers["x-request-id"]) for headers in self.headers]
        self.headers.clear()
        return [each for each, _ in seen], [each for _, each in seen]


@define
class Told:
    """A telemetry that remembers."""

    spans: list[tuple[str, Role, dict[str, Any]]] = field(factory=list)
    counts: list[tuple[str, int, Attributes]] = field(factory=list)
    durations: list[tuple[str, float, Attributes]] = field(factory=list)
    gauges: dict[str, Callable[[], Sequence[Measurement]]] = field(factory=dict)
    received: list[Mapping[str, str]] = field(factory=list)
    open: int = 0

    @contextmanager
    def span(
        self, name: str, role: Role, attributes: Attributes, headers: Mapping[str, str] | None = None
    ) -> Iterator["ToldSpan"]:
        about = dict(attributes)
        self.spans.append((name, role, about))
        self.received.append(headers or {})
        self.open += 1
        try:
            yield ToldSpan(about)
        finally:
            self.open -= 1

    def count(self, name: str, value: int, attributes: Attributes) -> None:
        self.counts.append((name, value, attributes))

    def duration(self, name: str, seconds: float, attributes: Attributes) -> None:
        self.durations.append((name, seconds, attributes))

    def gauge(self, name: str, read: Callable[[], Sequence[Measurement]]) -> None:
        self.gauges[name] = read

    def clear(self) -> None:
        for each in (self.spans, self.counts, self.durations, self.received):
            each.clear()


@define
class ToldSpan:
    about: dict[str, Any]

    def set(self, attributes: Attributes) -> None:
        self.about.update(attributes)

    def headers(self) -> Mapping[str, str]:
        return {"traceparent": "t-1", "authorization": "Token of-a-trace"}


class Broken:
    """A telemetry that raises wherever it is told to."""

    def __init__(self, *where: str) -> None:
        self.where = where

    def __getattr__(self, name: str) -> Any:
        def call(*_: object, **__: object) -> Any:
            if name in self.where:
                raise RuntimeError(f"{name} is broken")
            return self

        if name in ("span", "count", "duration", "gauge", "set", "headers"):
            return call if name != "headers" or name in self.where else dict
        raise AttributeError(name)

    def __enter__(self) -> "Broken":
        if "enter" in self.where:
            raise RuntimeError("enter is broken")
        return self

    def __exit__(self, *_: object) -> bool:
        if "exit" in self.where:
            raise RuntimeError("exit is broken")
        return True  # it swallows what is not its own


PARTS = ("span", "enter", "exit", "set", "headers", "count", "duration", "gauge")
