"""A query reads no more of an owner's objects than it returns, by SQLite's own count of instructions.

tests/store/test_postgres_plans.py counts the rows that PostgreSQL reads.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from attrs import define, evolve, field
from sqlalchemy import create_engine, event

from ocpi_emsp.codec import decode
from ocpi_emsp.models import Cdr
from ocpi_emsp.ports import (
    AUTHORIZATION,
    DEAD,
    EVENT,
    PARKED,
    BlockingStore,
    BlockingTransaction,
    DueQuery,
    Key,
    Kind,
    Query,
    Record,
)
from ocpi_emsp.storage import SqlStore
from ocpi_emsp.testing.contract import BASE, LOCATION, entry, evse, record
from ocpi_emsp.testing.cpo import samples
from ocpi_emsp.testing.cpo.wire import encode
from store.sql import created

FEW, MANY = 20, 2000
"""Locations of an owner, with an EVSE each, that are not asked for."""
AFTER = BASE + timedelta(days=1)
Read: TypeAlias = Callable[[BlockingTransaction], Any]


@define
class Counter:
    """Instructions of SQLite's virtual machine, on every connection of a store, while something counts."""

    instructions: int = 0
    connections: list[sqlite3.Connection] = field(factory=list)

    def connect(self, connection: sqlite3.Connection, _: object) -> None:
        """A new connection."""
        self.connections.append(connection)

    @contextmanager
    def counting(self) -> Iterator[None]:
        """From 0 on; what fills a store takes many times as long with it."""
        self.instructions = 0
        for connection in self.connections:
            connection.set_progress_handler(self.count, 1)
        try:
            yield
        finally:
            for connection in self.connections:
                connection.set_progress_handler(None, 1)

    def count(self) -> int:
        """One more; 0 lets it go on."""
        self.instructions += 1
        return 0


@pytest.fixture(scope="module")
def counter() -> Counter:
    """What counts."""
    return Counter()


@contextmanager
def opened(file: Path, counter: Counter) -> Iterator[BlockingStore]:
    """A store on a new file."""
    engine = create_engine(f"sqlite:///{file}")
    event.listen(engine, "connect", counter.connect)
    store = SqlStore(engine, auto_upgrade=True)
    blocking = store.for_mode("sync")
    assert isinstance(blocking, BlockingStore)
    yield blocking
    engine.dispose()
    counter.connections.clear()


def version(tariff_id: str, until: datetime) -> Record:
    """A version of a tariff that held until a moment."""
    return evolve(record(Key(Kind.TARIFF_VERSION, "NL", "TNM", tariff_id, f"{until}")), valid_until=until)


def grow(store: BlockingStore, start: int, end: int) -> None:
    """EVSEs of other locations of the same owner, received long ago."""
    with store.blocking_transaction() as tx:
        for number in range(start, end):
            location = LOCATION._replace(id=f"other {number}")
            tx.put(record(location))
            tx.put(evse("E", location))
            tx.put(version("T" if number % 2 else f"T{number}", BASE + timedelta(seconds=number)))


READS: dict[str, tuple[Read, list[str]]] = {
    "children": (lambda tx: tx.children(LOCATION), ["E1", "E2"]),
    "received since": (lambda tx: page(tx, received_from=AFTER), ["LOC1", "LOC2"]),
    "received since, from the second on": (lambda tx: page(tx, received_from=AFTER, offset=1), ["LOC2"]),
    "held at a moment": (lambda tx: held(tx, at=AFTER), ["T"]),
    "one that held at a moment": (lambda tx: held(tx, at=AFTER, id="T"), ["T"]),
    "received between": (lambda tx: page(tx, received_from=AFTER, received_to=AFTER + timedelta(1)), ["LOC1", "LOC2"]),
}


def held(tx: BlockingTransaction, **selection: Any) -> Any:
    """Versions of the owner's tariffs that held at a moment."""
    query = Query(kind=Kind.TARIFF_VERSION, country_code="NL", party_id="TNM", limit=3, **selection)
    return tx.page(query).records


def page(tx: BlockingTransaction, **selection: Any) -> Any:
    """Locations of the owner, and how many there are."""
    found = tx.page(Query(kind=Kind.LOCATION, country_code="NL", party_id="TNM", limit=3, **selection))
    assert found.total == 2
    return found.records


Cost: TypeAlias = tuple[int, list[str]]
"""Instructions, and the ids of what was found."""


@pytest.fixture(scope="module")
def costs(tmp_path_factory: pytest.TempPathFactory, counter: Counter) -> dict[str, tuple[Cost, Cost]]:
    """What each read costs where the owner has few others, and where it has many."""
    with opened(tmp_path_factory.mktemp("plans") / "emsp.db", counter) as store:
        grow(store, 0, FEW)
        with store.blocking_transaction() as tx:
            for name in ("LOC1", "LOC2"):
                tx.put(evolve(record(LOCATION._replace(id=name)), received_at=AFTER))
            for uid in ("E1", "E2"):
                tx.put(evse(uid))
            tx.put(version("T", AFTER + timedelta(days=1)))
        few = {name: counted(store, counter, read) for name, (read, _) in READS.items()}
        grow(store, FEW, MANY)
        return {name: (few[name], counted(store, counter, read)) for name, (read, _) in READS.items()}


@pytest.mark.parametrize("name", READS)
def test_no_more_is_read_where_an_owner_has_more(name: str, costs: dict[str, tuple[Cost, Cost]]) -> None:
    (few, found), (many, found_among_many) = costs[name]
    assert found == found_among_many == READS[name][1]
    assert 0 < many < 2 * few < MANY


def counted(store: BlockingStore, counter: Counter, read: Read) -> Cost:
    """What a read costs, and what it finds.

    It is the second one: since 3.41 SQLite also counts what compiling a statement takes, which is more the first time.
    3.53 compiles one again whenever its LIMIT was set, so a read costs twice what it does on 3.40.
    """
    with store.blocking_transaction() as tx:
        assert tx.get(Key(Kind.SESSION, "NL", "TNM", "none")) is None  # the transaction has begun
        read(tx)
        with counter.counting():
            found = read(tx)
    return counter.instructions, [each.key.id for each in found]


def test_no_more_of_the_journal_is_read_than_is_due(tmp_path: Path, counter: Counter) -> None:
    query = DueQuery(topic=EVENT, at=BASE, beyond=AFTER, not_named=frozenset({"SessionReceived"}))
    costs = []
    with opened(tmp_path / "emsp.db", counter) as store:
        with store.blocking_transaction() as tx:
            for number, due in enumerate((None, BASE, AFTER + timedelta(days=1))):
                tx.append(entry(f"due {number}", due=due))
        for start, end in ((0, FEW), (FEW, MANY)):
            with store.blocking_transaction() as tx:
                for number in range(start, end):
                    tx.append(entry(f"waits {number}", due=AFTER))
                    tx.append(entry(f"parked {number}", due=PARKED))
                    tx.append(entry(f"dead {number}", DEAD[EVENT]))
            with store.blocking_transaction() as tx:
                assert tx.entry("none") is None  # the transaction has begun
                with counter.counting():
                    found = getattr(tx, "due")(query)  # noqa: B009 # a store need not have it
            assert [each.id for each in found] == ["due 0", "due 1", "due 2"]
            costs.append(counter.instructions)
    assert 0 < costs[1] < 2 * costs[0] < MANY


@pytest.mark.parametrize("owner", [None, ("NL", "TNM")], ids=["all", "one owner"])
def test_no_more_is_read_of_decisions_than_a_page_has(
    owner: tuple[str, str] | None, tmp_path: Path, counter: Counter
) -> None:
    costs = []
    details = {"country_code": "NL", "party_id": "TNM"}
    with opened(tmp_path / "emsp.db", counter) as store:
        for start, end in ((0, FEW), (FEW, MANY)):
            with store.blocking_transaction() as tx:
                for number in range(start, end):
                    tx.append(entry(f"{number}", AUTHORIZATION, None, details=details))
            with store.blocking_transaction(read_only=True) as tx, counter.counting():
                found = tx.entries(AUTHORIZATION, limit=2, owner=owner, after=end - 3)
            assert [each.id for each in found] == [f"{end - 3}", f"{end - 2}"]
            costs.append(counter.instructions)
    assert 0 < costs[1] < 2 * costs[0] < MANY


_IDENTIFIED = [
    *(Kind.CDR, Kind.EVSE, Kind.LOCATION, Kind.RESERVATION, Kind.SESSION, Kind.TARIFF),
    Kind.TARIFF_VERSION,
]


@pytest.mark.parametrize("kind", _IDENTIFIED)
def test_a_new_postgresql_finds_a_record_by_its_identity(postgres_url: str, kind: str) -> None:
    """Without statistics every index looks alike; by another one, a first sync is quadratic."""
    store = created(postgres_url)
    table = store.tables.objects[kind]
    parents = {Kind.EVSE: "location_id", Kind.RESERVATION: "location_id", Kind.TARIFF_VERSION: "version"}
    parent = f" AND {parents[kind]} = 'L'" if kind in parents else ""
    wanted = f"country_code = 'NL' AND party_id = 'TNM' AND id = 'X'{parent}"
    engine = create_engine(postgres_url)
    try:
        with engine.connect() as connection:
            plan = connection.exec_driver_sql(f"EXPLAIN SELECT * FROM {table.name} WHERE {wanted}").scalars().all()
        assert f"uq_{table.name}" in "\n".join(plan)
    finally:
        engine.dispose()
        store.close()


VIEW = decode(Cdr, encode(samples.cdr()))
CHARGES: dict[str, dict[str, Any]] = {
    "by driver": {"auth_id": "D1", "start_from": BASE, "start_to": AFTER},
    "by location": {"location_id": "L1", "start_from": BASE, "start_to": AFTER},
}


@pytest.mark.parametrize("name", CHARGES)
def test_no_more_is_read_of_what_is_charged_than_is_asked_for(name: str, tmp_path: Path, counter: Counter) -> None:
    def read(tx: BlockingTransaction) -> Any:
        return tx.page(Query(kind=Kind.CDR, count=False, limit=9, **CHARGES[name])).records

    cost = []
    with opened(tmp_path / "emsp.db", counter) as store:
        with store.blocking_transaction() as tx:
            tx.put(charge("MINE", "D1", "L1", BASE))
        for start, end in ((0, FEW), (FEW, 20 * FEW)):
            with store.blocking_transaction() as tx:
                for number in range(start, end):
                    tx.put(charge(f"OTHER {number}", "D2", "L2", BASE))
                    tx.put(charge(f"LATER {number}", "D1", "L1", AFTER))
            instructions, found = counted(store, counter, read)
            assert found == ["MINE"]
            cost.append(instructions)
    assert 0 < cost[1] < 2 * cost[0] < 20 * FEW


CROWDS: list[dict[str, Any]] = [
    {"by_start": by_start, **selection}
    for by_start in ("first", "last")
    for selection in (
        {"auth_id": "D1"},
        {"location_id": "L1"},
        {"location_id": "L1", "country_code": "NL", "party_id": "TNM"},
    )
]


def test_no_more_is_read_of_a_crowd_than_a_page(tmp_path: Path, counter: Counter) -> None:
    def reading(selection: dict[str, Any]) -> Read:
        query = Query(kind=Kind.CDR, count=False, limit=1, start_from=BASE, start_to=AFTER, **selection)
        return lambda tx: tx.page(query).records

    cost = list[list[int]]()
    with opened(tmp_path / "emsp.db", counter) as store:
        with store.blocking_transaction() as tx:
            tx.put(charge("FIRST", "D1", "L1", BASE))
            tx.put(charge("LAST", "D1", "L1", AFTER - timedelta(seconds=1)))
        for start, end in ((0, FEW), (FEW, 20 * FEW)):
            with store.blocking_transaction() as tx:
                for number in range(start, end):
                    tx.put(charge(f"CROWD {number}", "D1", "L1", BASE + timedelta(hours=1)))
                    tx.put(charge(f"OTHER {number}", "D2", "L2", BASE + timedelta(hours=1)))
            reads = [counted(store, counter, reading(each)) for each in CROWDS]
            assert [found for _, found in reads] == [["FIRST"]] * 3 + [["LAST"]] * 3
            cost.append([instructions for instructions, _ in reads])
    assert cost[0] == cost[1]


def charge(name: str, auth_id: str, location_id: str, start: datetime) -> Record:
    """A CDR; its view has what it is found by, so the document may have nothing."""
    location = evolve(VIEW.location, id=location_id)
    view = evolve(VIEW, auth_id=auth_id, start_date_time=start, location=location)
    return evolve(record(Key(Kind.CDR, "NL", "TNM", name)), view=view)
