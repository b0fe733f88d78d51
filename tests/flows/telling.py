"""What the tests of ids and telemetries share: a CPO and a telemetry that remember, and a telemetry that fails."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import httpx
from attrs import define, field

from ocpi_emsp._bridge import run
from ocpi_emsp.models import WhitelistType
from ocpi_emsp.ports import Attributes, Measurement, Query, Record, Role
from ocpi_emsp.storage import MemoryStore
from ocpi_emsp.testing.cpo import samples
from our_emsp import NOW, credentials, token
from scripted_cpo import Reply, ScriptedCpo, reply

IDS = {"x-correlation-id": "c-1", "x-request-id": "r-1"}
TOKEN = token("012345678", auth_id="DE8ACC12E46L89", whitelist=WhitelistType.ALLOWED, last_updated=NOW)


def records(store: MemoryStore, *kinds: str) -> list[Record]:
    """Everything of these kinds that is stored."""

    async def read() -> list[Record]:
        async with store.transaction(read_only=True) as tx:
            return [record for kind in kinds for record in (await tx.page(Query(kind=kind, limit=1000))).records]

    return run(read())


def _own_answers(request: httpx.Request) -> httpx.Response | None:
    """Of credentials, commands and tokens; lists are answered as the specification has it."""
    data = {"credentials": credentials(), "commands": {"result": "ACCEPTED"}, "tokens": None}
    module = request.url.path.removeprefix("/cpo/2.1.1/").partition("/")[0]
    return reply(data[module]) if module in data else None


def _one_location() -> dict[str, list[Any]]:
    return {"locations": [samples.location("PULLED")], "sessions": [], "cdrs": [], "tariffs": []}


@define
class Seen(ScriptedCpo):
    """A CPO whose requests are looked at; a `status` other than 200 is all that it answers."""

    answer: Reply = _own_answers
    lists: dict[str, list[Any]] = field(factory=_one_location)
    status: int = 200

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if self.status != 200:
            self.requests.append(request)
            return httpx.Response(self.status)
        return super().__call__(request)

    @property
    def headers(self) -> list[httpx.Headers]:
        """Those of every request since the last look."""
        return [each.headers for each in self.requests]

    def ids(self) -> tuple[list[str], list[str]]:
        """The correlation and request ids since the last look."""
        seen = [(headers["x-correlation-id"], headers["x-request-id"]) for headers in self.headers]
        self.requests.clear()
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
