"""PostgreSQL reads only the requested rows for a record found by its identity, whatever its statistics say.

Rules of this module:
- rows are counted by the connection that reads them, including those that a plan discards;
- a plan depends on the statistics: a new table has none, nor has an owner that was added after the last ones.
"""

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import pytest
from sqlalchemy import Connection, create_engine, text

from ocpi_emsp.ports import BlockingTransaction, Key, Kind, Query
from ocpi_emsp.storage import SqlStore
from ocpi_emsp.storage.sql.statements import BESIDE_THE_DOCUMENT
from ocpi_emsp.storage.sql.tables import tables
from ocpi_emsp.storage.sql.transaction import SqlTransaction
from ocpi_emsp.testing.contract import evse, record
from postgres import Postgres
from store.sql import created

THERE = 600
"""The locations of an owner, with two EVSEs each, and its tokens."""
SOME = 20
"""How many of them are asked for at once."""
MOST = 5 * SOME
"""Rows that may be read: each location of these is looked for and read, and has two EVSEs."""
LOCATIONS = [Key(Kind.LOCATION, "NL", "TNM", f"L{number}") for number in range(SOME)]
EVSE = evse("E1", LOCATIONS[0]).key
NEW = Key(Kind.LOCATION, "NL", "TNM", "new")
TOKEN = Key(Kind.TOKEN, "NL", "TNM", "T7", "RFID")
FILL = """
INSERT INTO ocpi_locations (country_code, party_id, id, {common}) SELECT 'NL', :owner, 'L' || n, {values}
FROM generate_series(0, :last) AS n;
INSERT INTO ocpi_evses (country_code, party_id, location_id, id, {common}) SELECT 'NL', :owner, 'L' || n,
'E' || e, {values} FROM generate_series(0, :last) AS n, generate_series(1, 2) AS e;
INSERT INTO ocpi_tokens (country_code, party_id, type, id, place, uid_in_lower_case, {common})
SELECT 'NL', :owner, 'RFID', 'T' || n, n, 't' || n, {values} FROM generate_series(0, :last) AS n
""".format(
    common="received, last_updated, received_at, content_hash, revision",
    values="""'{"name":"' || repeat('x', 300) || '"}', now(), now(), '', 1""",
)
READ = "SELECT sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0)) FROM pg_stat_xact_user_tables"
Read: TypeAlias = Callable[[BlockingTransaction], Any]


def prefetched(tx: Any) -> int:
    """Locations, one of which is not there, and their EVSEs."""
    tx.prefetch([*LOCATIONS, NEW], children=True)
    return sum(len(tx.children(key)) for key in LOCATIONS if tx.get(key) is not None)


def patched(tx: Any) -> int:
    """An EVSE and its location."""
    tx.prefetch([LOCATIONS[0], EVSE])
    found = tx.get(EVSE)
    tx.put(record(EVSE, b'{"status":"CHARGING"}'))
    tx.flush()
    return int(found is not None)


def extended(tx: Any) -> int:
    """A location that gets an EVSE, which refers to it."""
    key = evse("E3", LOCATIONS[0]).key
    tx.put(record(key))
    tx.flush()
    tx._connection.execute(text("SET CONSTRAINTS ALL IMMEDIATE"))
    tx.delete(key)
    return 1


def listed(tx: Any) -> int:
    """A page of tokens, with their number."""
    page = tx.page(Query(kind=Kind.TOKEN, country_code="NL", party_id="TNM", offset=SOME, limit=SOME))
    assert page.total == THERE
    return len(page.records)


def issued(tx: Any) -> int:
    """A token that gets the place behind all others."""
    key = TOKEN._replace(id="new")
    tx.put(record(key))
    tx.flush()
    tx.delete(key)
    return 1


READS: dict[str, tuple[Read, bool, int]] = {
    "many locations": (prefetched, False, 2 * SOME),
    "many locations, not locked": (prefetched, True, 2 * SOME),
    "a location": (lambda tx: int(tx.get(LOCATIONS[1]) is not None), False, 1),
    "its EVSEs": (lambda tx: len(tx.children(LOCATIONS[1])), False, 2),
    "a location that is not there": (lambda tx: int(tx.get(NEW) is not None), False, 0),
    "an EVSE that is patched": (patched, False, 1),
    "an EVSE that is new": (extended, False, 1),
    "a page of tokens": (listed, True, SOME),
    "a token that is new": (issued, False, 1),
    "a token": (lambda tx: int(tx.get(TOKEN) is not None), True, 1),
}
"""What reads it, whether it is in a transaction that only reads, and what it finds."""
KNOWN = ("nothing", "another owner", "everything")
"""What the statistics are of."""


@pytest.fixture(scope="module")
def costs(postgres_server: Postgres) -> Iterator[dict[tuple[str, str], tuple[int, int]]]:
    """What each read finds, and how many rows are read for it, by what the statistics are of."""
    with postgres_server.database() as url:
        store, engine = created(url), create_engine(url, isolation_level="AUTOCOMMIT")
        try:
            with engine.connect() as connection:
                yield dict(counted(connection, url))
        finally:
            engine.dispose()
            store.close()


def counted(connection: Connection, url: str) -> Iterator[tuple[tuple[str, str], tuple[int, int]]]:
    for known in KNOWN:
        if known == "another owner":
            fill(connection, "OTH")
            connection.execute(text("DELETE FROM ocpi_locations WHERE party_id = 'TNM'"))
            connection.execute(text("DELETE FROM ocpi_tokens WHERE party_id = 'TNM'"))
            connection.execute(text("ANALYZE ocpi_locations, ocpi_evses, ocpi_tokens"))
        if known == "everything":
            connection.execute(text("ANALYZE ocpi_locations, ocpi_evses, ocpi_tokens"))
        else:
            fill(connection, "TNM")
        reader = SqlStore(url, snapshots=True)  # whose reads are one transaction, as all that is counted
        for name, (read, read_only, _) in READS.items():
            with reader._blocking_transaction(read_only=read_only) as tx:
                before, found, after = rows(tx), read(tx), rows(tx)
                yield (known, name), (found, after - before)
        reader.close()


def rows(tx: SqlTransaction) -> int:
    """How many the connection has read."""
    tx.begin()
    return int(tx._connection.execute(text(READ)).scalar_one())


def fill(connection: Connection, owner: str) -> None:
    for statement in FILL.split(";"):
        connection.execute(text(statement), {"owner": owner, "last": THERE - 1})


def test_a_new_status_of_an_evse_changes_no_index() -> None:
    """So PostgreSQL leaves them alone (HOT)."""
    indexed = {column.name for index in tables.objects[Kind.EVSE].indexes for column in index.columns}
    assert indexed.isdisjoint({"received", "document", "status", "revision", *BESIDE_THE_DOCUMENT})
    assert "evse_id" in indexed


@pytest.mark.parametrize("known", KNOWN)
@pytest.mark.parametrize("name", READS)
def test_a_record_is_found_by_its_identity(
    known: str, name: str, costs: dict[tuple[str, str], tuple[int, int]]
) -> None:
    found, read = costs[known, name]
    assert found == READS[name][2]
    assert 0 < read <= MOST or (read == 0 and name == "a location that is not there")
