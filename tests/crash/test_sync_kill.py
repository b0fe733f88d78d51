"""A sync that is killed again and again: run once more until it is done, it leaves what an undisturbed one leaves."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, TypeAlias, TypeVar

import msgspec
import pytest
from attrs import define, field

from crash.forks import SECONDS, Forks, forking
from crash.syncer import REPORT, Order, emsp_at
from ocpi_emsp._bridge import in_place, lift_store, run
from ocpi_emsp.flows.parties.party import Party, PartyState, put_party
from ocpi_emsp.models import Endpoint, ModuleID
from ocpi_emsp.ports import NAMES, RELAY, Key, Kind, Query, Record, Transaction
from ocpi_emsp.storage import SqlStore, metadata
from ocpi_emsp.testing.cpo import SimulatedCpo
from ocpi_emsp.testing.cpo.wire import timestamp
from our_emsp import token
from served.support import uvicorn_server

T = TypeVar("T")
Work: TypeAlias = Callable[[Transaction], Awaitable[T]]

_PROGRAM = Path(__file__).with_name("syncer.py")
NOW = datetime(2024, 9, 1, 12, tzinfo=UTC)
COUNTS = {"locations": 150, "tariffs": 60, "sessions": 150, "cdrs": 150}
PAGE = 25
TOKENS = 10
KILLS: Sequence[tuple[str, int]] = (
    ("asked", 1),
    ("statement", 3),
    ("answered", 2),
    ("statement", 5),
    ("asked", 4),
    ("statement", 5),
)
"""Where syncs of one database are killed, one after the other: before the n-th request for a list is answered, right
after it was, or at a statement somewhere in an n-th of all."""


# --- the CPO --------------------------------------------------------------------------------------------------------


@define
class Gate:
    """The CPO behind its server, which has whoever asks killed."""

    cpo: SimulatedCpo
    forks: Forks | None = None
    at: tuple[str, int] | None = None
    _asked: int = 0
    _started: threading.Event = field(factory=threading.Event)

    def start(self, forks: Forks, order: Order, at: tuple[str, int] | None) -> None:
        """Start a sync that is killed there."""
        self.forks, self.at, self._asked = forks, at, 0
        self._started.clear()
        forks.start(msgspec.json.encode(order))
        self._started.set()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        is_list = scope["method"] == "GET" and scope["path"].rpartition("/")[2] in COUNTS
        self._asked += is_list
        if is_list and self.at == ("asked", self._asked):
            await self._kill()
        await self.cpo.app(scope, receive, send)
        if is_list and self.at == ("answered", self._asked):
            await self._kill()

    async def _kill(self) -> None:
        assert await asyncio.to_thread(self._started.wait, SECONDS)
        assert self.forks is not None
        os.kill(self.forks.pid, signal.SIGKILL)


@pytest.fixture
def gate() -> Iterator[Gate]:
    """A CPO with hundreds of objects."""
    gate = Gate(registered(""))
    with uvicorn_server(gate) as gate.cpo.url:
        yield gate


def registered(url: str) -> SimulatedCpo:
    """A CPO that knows the eMSP."""
    counts: dict[str, Any] = {**COUNTS}
    cpo = SimulatedCpo(**counts, evses=2, page_limit=PAGE, url=url)
    emsp = {"country_code": "IT", "party_id": "BEC"}
    cpo.registration.complete(server_token="token-of-ours", client_token="token-of-theirs", emsp=emsp, endpoints={})
    return cpo


def change(cpo: SimulatedCpo) -> None:
    """Much is different, since a moment before the next sync."""
    moment = timestamp(NOW - timedelta(minutes=5))
    for module, changes in (("locations", {"name": "Moved"}), ("sessions", {"kwh": 99})):
        for number in range(1, COUNTS[module], 4):
            object_id = f"{module[:3].upper()}{number}"
            cpo.change(module, object_id, {**changes, "last_updated": moment})
    cpo.withdraw("locations", *(f"LOC{number}" for number in range(10, COUNTS["locations"], 10)))
    cpo.withdraw("tariffs", "TAR7", "TAR20")


# --- the eMSP -------------------------------------------------------------------------------------------------------


@define
class Database:
    """The eMSP's database."""

    url: str
    folder: Path
    store: SqlStore

    def prepare(self, cpo: SimulatedCpo) -> None:
        """Empty, but for the CPO and our tokens."""
        with self.store._engine.begin() as connection:
            for table in reversed(metadata.sorted_tables):
                connection.execute(table.delete())
        party = Party(
            country_code="NL",
            party_id="TNM",
            state=PartyState.REGISTERED,
            token="token-of-ours",
            endpoints=tuple(
                Endpoint(identifier=ModuleID(name), url=cpo.endpoint("2.1.1", name)) for name in (*COUNTS, "tokens")
            ),
        )
        self._work(lambda tx: put_party(tx, party, NOW))
        emsp = emsp_at(self.store, NOW - timedelta(days=2))
        for number in range(TOKENS):
            emsp.tokens.put(token(f"T{number}"))

    def content(self) -> tuple[dict[Key, Any], Counter[Any]]:
        """Every record but checkpoints, and how often each event is journalled."""
        kinds = [kind for kind in NAMES if kind != Kind.CHECKPOINT]
        records = {record.key: _said(record) for kind in kinds for record in self._all(kind)}
        events = self._work(lambda tx: tx.entries(RELAY, limit=100_000))
        return records, Counter((each.name, each.key, each.body) for each in events)

    def _all(self, kind: str) -> Sequence[Record]:
        return self._work(lambda tx: tx.page(Query(kind=kind, limit=100_000))).records

    def _work(self, work: Work[T]) -> T:
        async def working() -> T:
            async with lift_store(self.store, in_place).transaction() as tx:
                return await work(tx)

        return run(working())


def _said(record: Record) -> Any:
    """What a record says; of a pushed token, without which push it was and when."""
    document: Any = record.document
    if record.key.kind == Kind.PUSHED:
        document = json.loads(document)
        return {name: document[name] for name in ("content", "valid")}
    return document, record.last_updated, record.missing_since, record.missed


@pytest.fixture(params=["postgresql", "sqlite"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A database with our schema."""
    if request.param == "sqlite":
        url = f"sqlite:///{request.getfixturevalue('sqlite_with_schema')}"
    else:
        url = str(request.getfixturevalue("postgres_with_schema"))
    store = SqlStore(url)
    yield Database(url, tmp_path, store)
    store.close()


# --- the test -------------------------------------------------------------------------------------------------------


@define
class Scene:
    """Syncs of one database with one CPO, each in a process of its own."""

    gate: Gate
    database: Database
    forks: Forks
    full: bool
    runs: int = 0

    def prepare(self) -> None:
        """Nothing is pulled yet; before a full sync all is, and much changed since then."""
        self.runs = 0
        self.gate.cpo = registered(self.gate.cpo.url)
        self.database.prepare(self.gate.cpo)
        if self.full:
            self.gate.start(self.forks, Order(now=NOW - timedelta(days=1)), None)
            assert not self.forks.is_killed()
            change(self.gate.cpo)

    def is_killed(self, at: tuple[str, int] | None) -> bool:
        """Sync; False where it was done before it was to be killed.

        When an object is found missing is stored with it, so then it is always the same time; else time goes on.
        """
        what, number = at or ("", 0)
        now = NOW if self.full else NOW + timedelta(minutes=self.runs)
        self.runs += 1
        dies_at = number if what == "statement" else None
        self.gate.start(self.forks, Order(now=now, full=self.full, dies_at=dies_at), at)
        return self.forks.is_killed()

    def statements(self) -> int:
        """How many the last sync needed."""
        found: int = json.loads((self.database.folder / REPORT).read_bytes())["statements"]
        return found


@pytest.mark.parametrize("full", [False, True], ids=["plain", "full"])
def test_a_killed_sync_leaves_what_an_undisturbed_one_leaves(gate: Gate, database: Database, full: bool) -> None:
    random = Random(f"full: {full}")
    with forking(_PROGRAM, database.url, folder=database.folder) as forks:
        scene = Scene(gate, database, forks, full)
        scene.prepare()
        assert not scene.is_killed(None)
        records, events = database.content()
        statements = scene.statements()
        check(records, events, full=full)

        scene.prepare()
        for what, number in KILLS:
            at = (what, random.randint(1, statements // number)) if what == "statement" else (what, number)
            assert scene.is_killed(at), at
        assert not scene.is_killed(None)
        killed_records, killed_events = database.content()
        assert killed_records == records
        assert killed_events == events


def check(records: Mapping[Key, Any], events: Mapping[Any, int], *, full: bool) -> None:
    """What the undisturbed sync left is what it should: that it is the same twice would not show that."""
    counts = Counter(key.kind for key in records)
    assert [counts[kind] for kind in (Kind.LOCATION, Kind.TARIFF, Kind.SESSION, Kind.CDR)] == [*COUNTS.values()]
    locations = [json.loads(said[0]) for key, said in records.items() if key.kind == Kind.LOCATION]
    whole = sum(len(location.get("evses", ())) for location in locations)
    assert (whole + counts[Kind.EVSE], counts[Kind.PUSHED]) == (2 * COUNTS["locations"], TOKENS)
    gone = [key for key, said in records.items() if key.kind in (Kind.LOCATION, Kind.TARIFF) and said[2] is not None]
    assert len(gone) == (14 + 2 if full else 0)
    assert set(events.values()) == {1}
    changed = 38 if full else 0
    assert Counter(name for name, _, _ in events) == {
        "LocationReceived": COUNTS["locations"] + changed,
        "TariffReceived": COUNTS["tariffs"],
        "SessionReceived": COUNTS["sessions"] + changed,
        "CdrReceived": COUNTS["cdrs"],
    } | ({"EvseRemoved": 2 * 14} if full else {})
