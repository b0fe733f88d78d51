"""Data of every earlier version can be used after an upgrade."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import sqlalchemy as sa

from ocpi_emsp.codec.content import content_hash
from ocpi_emsp.errors import InvalidObject
from ocpi_emsp.flows.commands.states import CommandState, read_command
from ocpi_emsp.ports import (
    AUTHORIZATION,
    EVENT,
    Entry,
    Key,
    Kind,
    Record,
)
from ocpi_emsp.storage import SqlStore, migrations
from store.migrating import (
    COMMANDS,
    LOCATION,
    OBJECTS,
    SQL_OF,
    WHEN,
    Database,
    assert_readable,
    fill,
    opened,
    stated,
    transaction,
)


@pytest.mark.parametrize("revision", ["0001", "0002", "0003", "0004"])
def test_an_old_database_with_data_is_upgraded(database: Database, revision: str) -> None:
    database.at("0001")
    fill(database)
    tables = sorted({table for table, *_ in OBJECTS} | {"parties", "journal", "rejections"})
    before = {table: database.rows(table) for table in tables}
    database.at(revision)
    assert database.refusal().startswith(f"the schema has revision {revision}; expected revision {migrations.latest()}")
    with opened(database, auto_upgrade=True) as store:
        assert_readable(store)
        assert store.schema_revision() == migrations.latest()
        assert {table: without_new(table, database.rows(table)) for table in tables} == {
            table: without_new(table, rows) for table, rows in before.items()
        }
        assert all(before.values())
        assert_states(database)
        assert_listed(database, tables)
        assert_places(database, [("IT", "A", 0), ("DE", "A", 0), ("IT", "B", 1), ("DE", "B", 1), ("IT", "C", 2)])
        assert [row["location_id"] for row in database.rows("cdrs", "location_id")] == ["LOC1"]
        assert_goes_on(store, database)


NEW = {
    "due",
    "place",
    "missing_since",
    "missed",
    "correlation_id",
    "state",
    "deadline",
    "session_id",
    "uid_in_lower_case",
    "valid_from",
    "first_received_at",
}
STATED = {"received", "document", "content_hash"}
"""What the state of a command changed."""


def without_new(table: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows without the columns that are new, or changed."""
    if table == "cdrs":
        rows = [{name: value for name, value in row.items() if name != "location_id"} for row in rows]
    left_out = NEW - {"state"} if table == "parties" else NEW | STATED if table == "commands" else NEW
    return [{name: value for name, value in row.items() if name not in left_out} for row in rows]


def assert_states(database: Database) -> None:
    """Each command says how far it is, in its columns and in its document."""
    columns = "id, received, content_hash, revision, state, deadline, session_id"
    for row, (uid, document, _, _, state) in zip(database.rows("commands", columns), COMMANDS, strict=True):
        written = stated(document, state)
        assert row == {
            "id": uid,
            "received": written.decode(),
            "content_hash": content_hash(written),
            "revision": 3,
            "state": state,
            "deadline": None,
            "session_id": None,
        }
    assert read_command(stated(*COMMANDS[0][1::3])).state == CommandState.ANSWERED


def assert_listed(database: Database, tables: Sequence[str]) -> None:
    """Nothing that was there before is missing."""
    for table in tables:
        if table not in ("journal", "rejections"):
            for row in database.rows(table):
                assert (row["missing_since"], row["missed"]) == (None, 0), table


def assert_places(database: Database, places: list[tuple[str, str, int]]) -> None:
    rows = database.rows("tokens", "country_code, id, place")
    assert [(row["country_code"], row["id"], row["place"]) for row in rows] == places


def assert_goes_on(store: SqlStore, database: Database) -> None:
    """What is written now stands beside the old rows: with new numbers, places, and EVSEs that need a location."""
    new = Key(Kind.TOKEN, "IT", "BEC", "E", "RFID")
    pushed = new._replace(kind=Kind.PUSHED)
    missing = Record(OBJECTS[3][1], b"{}", WHEN, WHEN, missing_since=WHEN, missed=2, correlation_id="c-0")
    reservation = Key(Kind.RESERVATION, "NL", "TNM", "7", "LOC1")
    with transaction(store) as tx:
        for each in (new, pushed, reservation):
            tx.put(Record(each, b"{}", WHEN, WHEN))
        tx.put(missing)
        tx.put(Record(LOCATION, b'{"id": "LOC1"}', WHEN, WHEN))
        tx.append(Entry(id="e-3", topic=EVENT, name="LocationReceived", key=LOCATION, at=WHEN, due=WHEN))
        tx.append(Entry(id="a-1", topic=AUTHORIZATION, name="Allowed", key=LOCATION, at=WHEN))
    with transaction(store) as tx:
        assert [each.due for each in tx.entries(EVENT)] == [None, WHEN]
        assert [each.id for each in tx.entries(AUTHORIZATION)] == ["a-1"]
        for each in (pushed, reservation):
            assert tx.get(each) == Record(each, b"{}", WHEN, WHEN)
        found = tx.get(missing.key)
        assert found is not None
        assert (found.missing_since, found.missed, found.correlation_id) == (WHEN, 2, "c-0")
    numbers = {table: [row["sequence"] for row in database.rows(table)] for table in ("tokens", "journal")}
    assert numbers == {"tokens": [1, 2, 3, 4, 5, 7], "journal": [1, 3]}, "a number is used once"
    assert database.rows("tokens", "place")[-1] == {"place": 3}
    lost = Key(Kind.EVSE, "NL", "TNM", "1", "LOST")
    with pytest.raises(InvalidObject), transaction(store) as tx:
        tx.put(Record(lost, b"{}", WHEN, WHEN))
    with transaction(store) as tx:
        tx.delete(LOCATION)
    assert database.rows("evses") == []


def test_replacing_a_table_leaves_what_a_host_has_on_it(sqlite: Database) -> None:
    sqlite.at("0001")
    fill(sqlite)
    sqlite.run("CREATE VIEW valid AS SELECT id FROM {}tokens WHERE valid")
    sqlite.run("CREATE TABLE cards (token BIGINT REFERENCES {}tokens (sequence) ON DELETE CASCADE)")
    sqlite.run("INSERT INTO cards VALUES (2)")
    with opened(sqlite) as store:  # its connections enforce foreign keys
        store.upgrade()
        with transaction(store) as tx:
            tx.append(Entry(id="e", topic=EVENT, name="x", key=None, at=WHEN))
        assert foreign_keys(store) == 1
    with sqlite.connection() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM valid")).scalar() == 5
        assert connection.execute(sa.text("SELECT * FROM cards")).all() == [(2,)]
        assert "REFERENCES ocpi_tokens (" in str(connection.execute(sa.text(SQL_OF), {"name": "cards"}).scalar())


def foreign_keys(store: SqlStore) -> Any:
    """Whether a connection of the store enforces foreign keys."""
    with store._connected() as connection:
        return connection.exec_driver_sql("PRAGMA foreign_keys").scalar()
