"""Counts of the round trips of an operation to its database, made in the driver; our statements stay as they are.

Rules of this module:
- PostgreSQL: from libpq's own trace of the protocol; each ReadyForQuery ends a round trip, so a pipeline is one. SQLite
  has no round trips: each call of a cursor and each commit counts;
- the connection that listens for notifications is not counted;
- neither are the look-ups of known partners in SQLite, which the store makes on separate connections without a
  transaction;
- a call is counted once the driver has prepared its statements: from the sixth call on.
"""

from __future__ import annotations

import ctypes
import os
import re
import sqlite3
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias

import psycopg
from attrs import define, field
from sqlalchemy import Dialect, Engine, event

from client.support import Mode
from ocpi_emsp import Emsp
from ocpi_emsp.testing.cpo import samples
from ocpi_emsp.testing.cpo.wire import decode, encode, timestamp
from ocpi_emsp.wire import Request, Response
from our_emsp import token
from store.support import until_watched
from sync.support import OLD, OWNER, Synced, cdr, location, session, synced, tariff

Document: TypeAlias = dict[str, Any]
Trips: TypeAlias = list[str]
"""What was said in each round trip."""

WARM_UP = 7
MEASURED = 3
PAGE = 200
"""Locations of two EVSEs on the page of a sync."""
_PATH = "locations/NL/TNM"


# --- at the driver ----------------------------------------------------------------------------------------------------


@define
class Recorder:
    """The round trips of all connections that were opened meanwhile."""

    folder: Path
    sqlite: Trips = field(factory=list)
    traces: list[_Trace] = field(factory=list)

    def take(self) -> Trips:
        """Those since the last call."""
        taken = self.sqlite[:]
        self.sqlite.clear()
        return taken + [each for trace in self.traces for each in trace.take()]


@contextmanager
def recorded(folder: Path) -> Iterator[Recorder]:
    """Record what is sent over connections that are opened from now on."""
    recorder = Recorder(folder)

    def with_cursors(dialect: Dialect, _: object, __: object, options: Document) -> None:
        if dialect.name == "sqlite":
            options["factory"] = type("Recorded", (_Connection,), {"said": recorder.sqlite})

    def connected(connection: Any, _: object) -> None:
        driver = getattr(connection, "driver_connection", connection)
        if hasattr(driver, "pgconn"):
            recorder.traces.append(_Trace(driver.pgconn, folder / f"{len(recorder.traces)}.trace"))

    event.listen(Engine, "do_connect", with_cursors)
    event.listen(Engine, "connect", connected)
    try:
        yield recorder
    finally:
        event.remove(Engine, "do_connect", with_cursors)
        event.remove(Engine, "connect", connected)


class _Trace:
    """What libpq writes down of one connection: a line for each message, a statement as it is."""

    def __init__(self, connection: Any, path: Path) -> None:
        with path.open("wb") as file:  # libpq needs one of its own, which stays open
            connection.trace(os.dup(file.fileno()))
        connection.set_trace_flags(psycopg.pq.Trace.SUPPRESS_TIMESTAMPS)
        self._path, self._read = path, 0
        self._prepared: dict[str, str] = {}
        self._waits = False

    def take(self) -> Trips:
        """The round trips since the last call."""
        ctypes.CDLL(None).fflush(None)  # libpq itself does so when it sends, not when it receives
        with self._path.open("rb") as file:
            file.seek(self._read)
            text = file.read()
        self._read += len(text)
        trips: Trips = []
        said: list[str] = []
        for line in re.split(r"\n(?=[FB]\t)", text.decode()):
            if statement := self._sent(line):
                said.append(statement)
            elif "\tReadyForQuery\t" in line:
                trips.append(
                    "; ".join(f"{many} x {each}" if many > 1 else each for each, many in Counter(said).items())
                )
                said = []
        self._waits |= any("LISTEN" in each for each in trips)
        return [] if self._waits else trips

    def _sent(self, line: str) -> str:
        """The statement that a message sends or executes."""
        if sent := re.match(r'F\t\d+\tQuery\t "(.*)"$', line, re.DOTALL):
            return sent[1]
        if parsed := re.match(r'F\t\d+\tParse\t "([^"]*)" "(.*)" \d', line, re.DOTALL):
            self._prepared[parsed[1]] = parsed[2]
        if bound := re.match(r'F\t\d+\tBind\t "[^"]*" "([^"]*)"', line):
            return self._prepared[bound[1]]
        return ""


class _Cursor(sqlite3.Cursor):
    connection: _Connection

    def execute(self, sql: str, *values: Any) -> _Cursor:
        if not sql.startswith("PRAGMA synchronous"):  # which reads and writes nothing
            self.connection.said.append(sql)
        return super().execute(sql, *values)

    def executemany(self, sql: str, *values: Any) -> _Cursor:
        self.connection.said.append(sql)
        return super().executemany(sql, *values)


class _Connection(sqlite3.Connection):
    said: Trips

    def cursor(self, factory: Any = _Cursor) -> Any:
        return super().cursor(factory)

    def commit(self) -> None:
        if self.in_transaction:
            self.said.append("COMMIT")
        super().commit()

    def rollback(self) -> None:
        if self.in_transaction:
            self.said.append("ROLLBACK")
        super().rollback()


# --- operations -------------------------------------------------------------------------------------------------------


def _later(turn: int) -> datetime:
    return OLD + timedelta(hours=turn)


def _put(path: str, body: Document, method: str = "PUT") -> tuple[str, str, str, bytes]:
    return method, path, "", encode(body)


def _evse_patched(turn: int) -> tuple[str, str, str, bytes]:
    changes = {"status": ("CHARGING", "AVAILABLE")[turn % 2], "last_updated": timestamp(_later(turn))}
    return _put(f"{_PATH}/A/A-E1", changes, "PATCH")


def _pulled_evse_patched(turn: int) -> tuple[str, str, str, bytes]:
    changes = {"status": "CHARGING", "last_updated": timestamp(_later(turn))}
    return _put(f"{_PATH}/LOC{turn}/LOC{turn}-E1", changes, "PATCH")


def _location_new(turn: int) -> tuple[str, str, str, bytes]:
    return _put(f"{_PATH}/N{turn}", samples.location(f"N{turn}", evses=10))


def _location_changed(turn: int) -> tuple[str, str, str, bytes]:
    changed = samples.location("B", evses=10)
    moment = timestamp(_later(turn))
    changed["evses"][0] |= {"status": ("CHARGING", "AVAILABLE")[turn % 2], "last_updated": moment}
    return _put(f"{_PATH}/B", changed | {"last_updated": moment})


def _session_new(turn: int) -> tuple[str, str, str, bytes]:
    return _put(f"sessions/NL/TNM/S{turn}", samples.session(f"S{turn}"))


def _cdr_new(turn: int) -> tuple[str, str, str, bytes]:
    cdr = samples.cdr(f"C{turn}", of=samples.session(f"OTHER{turn}"))
    return _put("cdrs", cdr, "POST")


def _authorized(turn: int) -> tuple[str, str, str, bytes]:
    return _put(f"tokens/T{turn % 100}/authorize", {"location_id": "A", "evse_uids": ["A-E1"]}, "POST")


def _tokens(_: int) -> tuple[str, str, str, bytes]:
    return "GET", "tokens", "offset=0&limit=100", b""


REQUESTS: Mapping[str, Callable[[int], tuple[str, str, str, bytes]]] = {
    "PATCH EVSE": _evse_patched,
    "PUT location, 10 EVSEs, new": _location_new,
    "PUT location, 10 EVSEs, one changed": _location_changed,
    "PUT session, new": _session_new,
    "POST CDR, new": _cdr_new,
    "authorize, with a location": _authorized,
    "GET tokens, a page of 100": _tokens,
}
SYNCS: Mapping[str, Document] = {
    f"sync of {PAGE} locations, first": {},
    f"sync of {PAGE} locations, again": {"since": datetime(2000, 1, 1, tzinfo=UTC)},
}
OTHERS: Mapping[str, Callable[[int], Document]] = {"tariffs": tariff, "sessions": session, "cdrs": cdr}
PATCH_OF_PULLED = "PATCH EVSE, the first of a pulled location"
OPERATIONS = (*REQUESTS, *SYNCS, PATCH_OF_PULLED, *[f"sync of {PAGE} {module}, first" for module in OTHERS])


async def count(store: Any, mode: Mode, recorder: Recorder) -> dict[str, Trips]:
    """The round trips of each operation on an empty store with a schema.

    Of requests the median of three, since some of them look after something that the others leave.
    """
    until_watched(store)
    with synced(mode, store) as pair:
        emsp, handle = pair.emsp, _handled(pair)
        emsp.tokens.put_many([token(f"T{number}") for number in range(200)])
        for name, evses in (("A", 2), ("B", 10)):
            await handle(_put(f"{_PATH}/{name}", samples.location(name, evses=evses)))
        counted = {name: await _median(make, handle, recorder) for name, make in REQUESTS.items()}
        pair.cpo.lists["locations"] = [location(number) for number in range(PAGE)]
        pair.cpo.page_size = PAGE
        for name, parameters in SYNCS.items():
            recorder.take()
            await _sync(emsp, mode, parameters)
            counted[name] = recorder.take()
        counted[PATCH_OF_PULLED] = await _median(_pulled_evse_patched, handle, recorder)
        for module, make in OTHERS.items():
            pair.cpo.lists[module] = [make(number) for number in range(PAGE)]
            recorder.take()
            await _sync(emsp, mode, {}, module)
            counted[f"sync of {PAGE} {module}, first"] = recorder.take()
    return counted


def _handled(pair: Synced) -> Callable[[tuple[str, str, str, bytes]], Awaitable[None]]:
    async def handle(request: tuple[str, str, str, bytes]) -> None:
        method, path, query, body = request
        headers = {"authorization": f"Token {pair.token}"}
        asked = Request(method, f"/2.1.1/{path}", query, headers, body)
        answer: Response = pair.emsp.handle(asked) if pair.mode == "sync" else await pair.emsp.aio.handle(asked)
        assert decode(answer.body)["status_code"] == 1000, answer.body

    return handle


async def _median(make: Callable[[int], Any], handle: Callable[[Any], Awaitable[None]], recorder: Recorder) -> Trips:
    seen = []
    for turn in range(1, WARM_UP + MEASURED + 1):
        recorder.take()
        await handle(make(turn))
        seen.append(recorder.take())
    return sorted(seen[WARM_UP:], key=len)[MEASURED // 2]


async def _sync(emsp: Emsp, mode: Mode, parameters: Document, module: str = "locations") -> None:
    party, modules = "-".join(OWNER), [module]
    if mode == "sync":
        report = emsp.partner(party).sync(modules=modules, **parameters)
    else:
        report = await emsp.aio.partner(party).sync(modules=modules, **parameters)
    found = report.module(module)
    assert (found.created or found.unchanged, found.rejected) == (PAGE, 0)
