"""Many new records are copied into PostgreSQL: the same rows as by INSERT, and only for keys without a record."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import anyio
import psycopg
import pytest
from attrs import evolve
from sqlalchemy import make_url, select
from sqlalchemy.ext.asyncio import create_async_engine

from ocpi_emsp._bridge import in_thread, lift_store
from ocpi_emsp.codec import decode
from ocpi_emsp.errors import InvalidObject
from ocpi_emsp.models import Cdr
from ocpi_emsp.ports import Key, Kind, Record
from ocpi_emsp.storage import SqlStore
from ocpi_emsp.storage.sql.bulk import Copy
from ocpi_emsp.testing.contract import BASE, LOCATION, evse, record
from ocpi_emsp.testing.cpo import samples
from ocpi_emsp.testing.cpo.wire import encode

_NUMBERS = range(20)
_TEXTS = ("plain", "tab\tline\nreturn\rback\\slash", r"\.", r"\N", "", "ü 漢 🚗", "'\"")
_CDR = decode(Cdr, encode(samples.cdr()))
_NEW = [LOCATION._replace(id=f"L{number}") for number in _NUMBERS]


@pytest.fixture
def store(postgres_with_schema: str) -> Iterator[SqlStore]:
    opened = SqlStore(postgres_with_schema)
    yield opened
    opened.close()


@pytest.fixture
def copied(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows each COPY had."""
    found = list[int]()
    copy = Copy.execute_many

    def counting(self: Copy, connection: Any, values: Sequence[Any]) -> None:
        copy(self, connection, values)
        found.append(len(values))

    monkeypatch.setattr(Copy, "execute_many", counting)
    return found


def put(store: SqlStore, records: Sequence[Record], *, looks: bool = True) -> None:
    with store._blocking_transaction(read_only=False) as tx:
        if looks:
            tx.prefetch([each.key for each in records])
        for each in records:
            tx.put(each)


def rows(store: SqlStore, kind: str) -> list[tuple[Any, ...]]:
    """All columns of a table but the sequence, oldest first."""
    table = store.tables.objects[kind]
    wanted = [column for column in table.c if column.name != "sequence"]
    with store._connected() as connection:
        return [tuple(row) for row in connection.execute(select(*wanted).order_by(table.c.sequence))]


def charge(number: int) -> Record:
    """A CDR with every type of column, and texts that a COPY has to escape."""
    text = _TEXTS[number % len(_TEXTS)]
    cost = [Decimal("4.00"), Decimal("-1E+5"), Decimal("123456789012345678901234567890.123456789")][number % 3]
    start = datetime(1, 1, 1, tzinfo=UTC) if number == 0 else BASE + timedelta(microseconds=number)
    view = evolve(_CDR, auth_id=text, total_cost=cost, start_date_time=start)
    written = record(Key(Kind.CDR, "NL", "TNM", f"{number} {text}"), encode({"id": text, "n": number}))
    missing = BASE if number % 2 else None
    return evolve(written, view=view, missing_since=missing, missed=number, correlation_id=text)


def test_what_is_copied_stands_as_what_is_inserted(store: SqlStore, copied: list[int]) -> None:
    charges = [charge(number) for number in _NUMBERS]
    put(store, charges, looks=False)
    assert copied == []
    inserted = rows(store, Kind.CDR)
    with store._connected() as connection:
        connection.execute(store.tables.objects[Kind.CDR].delete())
        connection.commit()
    put(store, charges)
    assert copied == [len(charges)]
    assert rows(store, Kind.CDR) == inserted
    with store._blocking_transaction(read_only=True) as tx:
        assert [tx.get(each.key) for each in charges] == charges


def test_locations_and_their_evses_are_copied_in_their_order(
    store: SqlStore, copied: list[int], postgres_with_schema: str
) -> None:
    async def work() -> None:
        engine = create_async_engine(postgres_with_schema)
        async with lift_store(SqlStore(engine), in_thread).transaction() as tx:
            for location in _NEW:
                assert await tx.get(location) is None
                await tx.put(record(location))
                await tx.put(evse("E2", location))
                await tx.put(evse("E1", location))
        await engine.dispose()

    anyio.run(work)
    assert copied == [len(_NEW), 2 * len(_NEW)]
    with store._blocking_transaction(read_only=False) as tx:
        tx.prefetch(_NEW, children=True)
        assert [[each.key.id for each in tx.children(location)] for location in _NEW] == [["E2", "E1"]] * len(_NEW)
        for number in _NUMBERS:
            tx.put(evse(f"new {number}", _NEW[0]))
    assert copied[2:] == [len(_NUMBERS)], "its EVSEs are known"


def test_what_was_not_looked_for_is_replaced(store: SqlStore, copied: list[int]) -> None:
    put(store, [record(location) for location in _NEW])
    put(store, [record(location, b'"anew"') for location in _NEW], looks=False)
    for document in (b'"first"', b'"second"'):
        put(store, [record(evse("E1", location).key, document) for location in _NEW], looks=False)
    assert copied == [len(_NEW)]
    with store._blocking_transaction(read_only=True) as tx:
        found = [each for location in _NEW for each in (tx.get(location), *tx.children(location))]
    stands = [(each.document, each.revision) for each in found if each is not None]
    assert stands == [(b'"anew"', 2), (b'"second"', 2)] * len(_NEW)


@pytest.mark.parametrize("bad", [b'"\\u0000"', b'"\0"', b"no JSON", b'"\xed\xa0\x80"'])
def test_what_the_database_refuses_is_refused(store: SqlStore, copied: list[int], bad: bytes) -> None:
    records = [record(location) for location in _NEW[:-1]]
    with pytest.raises(InvalidObject):
        put(store, [*records, record(_NEW[-1], bad)])
    assert rows(store, Kind.LOCATION) == []
    put(store, records)
    assert copied == [len(records)]


def test_an_evse_needs_its_location(store: SqlStore, copied: list[int]) -> None:
    def lost() -> None:
        with store._blocking_transaction(read_only=False) as tx:
            assert tx.get(LOCATION) is None
            for number in _NUMBERS:
                tx.put(evse(f"E{number}"))

    with pytest.raises(InvalidObject):
        lost()
    assert copied == [len(_NUMBERS)]
    assert rows(store, Kind.EVSE) == []


def test_a_host_in_pipeline_mode_is_joined(store: SqlStore, copied: list[int], postgres_with_schema: str) -> None:
    url = make_url(postgres_with_schema).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url) as connection, connection.pipeline(), store.joined(connection):
        put(store, [record(location) for location in _NEW])
    assert copied == []
    assert len(rows(store, Kind.LOCATION)) == len(_NEW)
