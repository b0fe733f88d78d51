"""A database at any revision of the schema: what the tests of migrations share."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic.operations import Operations
from attrs import frozen

from ocpi_emsp.codec import encode
from ocpi_emsp.errors import SchemaMismatch
from ocpi_emsp.flows.parties.party import Party, PartyState
from ocpi_emsp.ports import (
    EVENT,
    REJECTION,
    BlockingStore,
    BlockingTransaction,
    Entry,
    Key,
    Kind,
    Query,
    Record,
)
from ocpi_emsp.storage import FernetBox, SqlStore, migrations

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "vectors" / "examples"
AT = "2024-01-31T12:00:00.250000Z"
WHEN = datetime(2024, 1, 31, 12, 0, 0, 250_000, tzinfo=UTC)
BOX = FernetBox(FernetBox.new_key())


@frozen
class Database:
    """A database, and where our tables are in it."""

    url: str
    names: migrations.Names

    @contextmanager
    def connection(self, **options: Any) -> Iterator[sa.Connection]:
        """A connection of its own, as a host has one: nothing of ours set it up."""
        engine = sa.create_engine(self.url, **options)
        try:
            with engine.connect() as connection:
                yield connection
        finally:
            engine.dispose()

    def at(self, revision: str) -> None:
        """Bring it to a revision."""
        with self.connection() as connection:
            migrations._upgrade(connection, self.names, revision)

    def upgrade(self) -> None:
        """Bring it up to date."""
        with self.connection() as connection:
            migrations.upgrade(connection, self.names)

    def revision(self) -> str | None:
        """Its revision."""
        with self.connection() as connection:
            return migrations.current(connection, self.names)

    def refusal(self, act: Callable[[sa.Connection, migrations.Names], None] = migrations.check) -> str:
        """Why it is refused; empty where it is not."""
        with self.connection() as connection:
            try:
                act(connection, self.names)
            except SchemaMismatch as mismatch:
                return mismatch.message.removeprefix(f"{connection.engine.url.render_as_string()}: ")
        return ""

    def run(self, statement: str, values: Mapping[str, Any] | None = None) -> None:
        """A statement of plain SQL; ``{}`` stands in front of a name of ours."""
        with self.connection() as connection:
            connection.execute(sa.text(statement.replace("{}", self.before)), dict(values or {}))
            connection.commit()

    def rows(self, table: str, columns: str = "*") -> list[dict[str, Any]]:
        """The rows of a table, oldest first."""
        with self.connection() as connection:
            found = connection.execute(sa.text(f"SELECT {columns} FROM {self.before}{table} ORDER BY sequence"))
            return [dict(row) for row in found.mappings()]

    def tables(self) -> list[str]:
        """The tables that are there."""
        with self.connection() as connection:
            return sorted(sa.inspect(connection).get_table_names(self.names.schema))

    @property
    def before(self) -> str:
        """What stands in front of the name of a table."""
        return f'"{self.names.schema}".{self.names.prefix}' if self.names.schema else self.names.prefix


@contextmanager
def opened(database: Database, **settings: Any) -> Iterator[SqlStore]:
    """The store on a database."""
    names = database.names
    store = SqlStore(database.url, schema=names.schema, prefix=names.prefix, secrets=BOX, **settings)
    try:
        yield store
    finally:
        store.close()


@contextmanager
def transaction(store: SqlStore) -> Iterator[BlockingTransaction]:
    """A transaction of a sync host."""
    blocking = store.for_mode("sync")
    assert isinstance(blocking, BlockingStore)
    with blocking.blocking_transaction() as tx:
        yield tx


def example(path: str) -> str:
    """An object of the specification, byte for byte."""
    return (EXAMPLES / f"{path}.json").read_text("utf-8")


PARTY = encode(Party(country_code="NL", party_id="TNM", state=PartyState.REGISTERED, token="the-token-that-we-present"))
TOKENS = [("IT", "A"), ("DE", "A"), ("IT", "B"), ("DE", "B"), ("IT", "C"), ("IT", "D")]
"""Owner and uid, oldest first."""
COMMANDS = [
    ("c-1", '{"uid":"c-1","command":"START_SESSION","country_code":"NL","party_id":"TNM","acknowledgement":"ACCEPTED",'
            '"result":"REJECTED"}', "ACCEPTED", "REJECTED", "ANSWERED"),
    ("c-2", '{"uid": "c-2", "acknowledgement": "ACCEPTED"}', "ACCEPTED", None, "ACKNOWLEDGED"),
    ("c-3", '{"uid":"c-3","acknowledgement":"NOT_SUPPORTED"}', "NOT_SUPPORTED", None, "REFUSED"),
    ("c-4", '{"uid":"c-4"}', None, None, "UNANSWERED"),
    ("c-5", '{"uid":"c-5","result":"ACCEPTED"}', None, "ACCEPTED", "ANSWERED"),
    ("c-6", '"a document of nobody"', None, None, "UNANSWERED"),
]  # fmt: skip
"""Commands of versions that did not know how far one is: uid, document, acknowledgement, result, and the state."""
OBJECTS: list[tuple[str, Key, str, dict[str, Any]]] = [
    ("locations", Key(Kind.LOCATION, "NL", "TNM", "LOC1"), example("locations/location-LOC1"),
     {"country": "BEL", "city": "Gent", "latitude": 51.047599, "longitude": 3.729944}),
    ("evses", Key(Kind.EVSE, "NL", "TNM", "3256", "LOC1"), example("locations/put-evse"),
     {"status": "AVAILABLE", "evse_id": "BE-BEC-E041503003"}),
    ("evses", Key(Kind.EVSE, "NL", "TNM", "3257", "LOC1"), '{"uid": "3257", "status": "PLANNED"}',
     {"status": "PLANNED", "evse_id": None}),
    ("sessions", Key(Kind.SESSION, "NL", "TNM", "101"), example("sessions/session-completed"),
     {"status": "COMPLETED", "auth_id": "DE8ACC12E46L89", "start_datetime": "2015-06-29T22:39:09.000000Z"}),
    ("tariffs", Key(Kind.TARIFF, "NL", "TNM", "12"), example("tariffs/tariff-simple"), {"currency": "EUR"}),
    ("cdrs", Key(Kind.CDR, "NL", "TNM", "12345"), example("cdrs/cdr"),
     {"auth_id": "DE8ACC12E46L89", "start_date_time": "2015-06-29T21:39:09.000000Z", "currency": "EUR",
      "stop_date_time": "2015-06-29T23:37:32.000000Z", "total_cost": "4.00"}),
    ("cdr_conflicts", Key(Kind.CDR_CONFLICT, "NL", "TNM", "12345", "f00d"), '{"id": "12345"}', {}),
    *(("commands", Key(Kind.COMMAND, "NL", "TNM", uid), document,
       {"command": "START_SESSION", "acknowledgement": acknowledgement, "result": result})
      for uid, document, acknowledgement, result, _ in COMMANDS),
    ("credentials", Key(Kind.CREDENTIAL, "", "", "ab" * 32), '["NL", "TNM"]', {}),
    ("checkpoints", Key(Kind.CHECKPOINT, "NL", "TNM", "locations"), '{"offset": 50}', {}),
    *(("tokens", Key(Kind.TOKEN, owner, "BEC", uid, "RFID"), example("tokens/token"),
       {"uid": uid, "auth_id": "DE8ACC12E46L89", "valid": True, "whitelist": "ALLOWED"}) for owner, uid in TOKENS),
]  # fmt: skip
"""Table, key, document and columns for queries."""
PARENTS = {"evses": "location_id", "tokens": "type", "cdr_conflicts": "conflict"}
LOCATION = OBJECTS[0][1]
ENTRIES = [("journal", "e-1", EVENT), ("journal", "e-2", EVENT), ("rejections", "r-1", REJECTION)]


def insert(database: Database, table: str, values: Mapping[str, Any]) -> None:
    """A row, by plain SQL."""
    columns, parameters = ", ".join(values), ", ".join(f":{name}" for name in values)
    database.run(f"INSERT INTO {{}}{table} ({columns}) VALUES ({parameters})", values)


def fill(database: Database) -> None:
    """Rows in every table, as the library of revision 0001 wrote them; two that were the newest are gone again."""
    common = {"last_updated": AT, "received_at": AT, "content_hash": "c0ffee", "revision": 3}
    for table, key, document, columns in OBJECTS:
        parent = {PARENTS[table]: key.parent} if table in PARENTS else {}
        identity = {"country_code": key.country_code, "party_id": key.party_id, "id": key.id, **parent}
        insert(database, table, {**identity, "received": document, **common, **columns})
    sealed = {"received": '{"country_code":"NL"}', "sealed": BOX.seal(PARTY), "state": "REGISTERED", "endpoints": "[]"}
    insert(database, "parties", {"country_code": "NL", "party_id": "TNM", "id": "", **common, **sealed})
    for table, entry_id, topic in ENTRIES:
        insert(database, table, old_entry(entry_id, topic))
    for table in ("tokens", "journal"):
        database.run(f"DELETE FROM {{}}{table} WHERE sequence = (SELECT max(sequence) FROM {{}}{table})")


def old_entry(entry_id: str, topic: str) -> dict[str, Any]:
    """The row of an entry."""
    owner = {"country_code": "NL", "party_id": "TNM"}
    values = {"id": entry_id, "topic": topic, "name": "LocationReceived", "key": json.dumps(LOCATION), "at": AT}
    return {**values, **owner, "details": json.dumps(owner), "body": b"\x00\xff{", "attempts": 2, "error": "timeout"}


def stated(document: str, state: str) -> bytes:
    """The document of a command with its state."""
    if not document.startswith("{"):
        return document.encode()
    return json.dumps({**json.loads(document), "state": state}, separators=(",", ":")).encode()


def assert_readable(store: SqlStore) -> None:
    with transaction(store) as tx:
        states = {uid: state for uid, *_, state in COMMANDS}
        for _, key, document, _ in [*OBJECTS[:-1], ("", Key(Kind.PARTY, "NL", "TNM", ""), PARTY.decode(), {})]:
            written = stated(document, states[key.id]) if key.kind == Kind.COMMAND else document.encode()
            found = tx.get(key)
            assert found == Record(key, written, WHEN, WHEN), key
            assert found.correlation_id == ""
        assert tx.get(OBJECTS[-1][1]) is None
        assert [each.key.id for each in tx.children(LOCATION)] == ["3256", "3257"]
        page = tx.page(Query(kind=Kind.TOKEN, country_code="IT", party_id="BEC", offset=1, limit=1))
        assert ([each.key.id for each in page.records], page.total) == (["B"], 3)
        values: dict[str, Any] = {
            "name": "LocationReceived",
            "key": LOCATION,
            "at": WHEN,
            "body": b"\x00\xff{",
            "attempts": 2,
        }
        owner = {"country_code": "NL", "party_id": "TNM"}
        expected = Entry(id="e-1", topic=EVENT, error="timeout", details=owner, due=None, **values)
        assert tx.entries(EVENT, LOCATION, owner=("NL", "TNM")) == [expected]
        assert [each.id for each in tx.entries(REJECTION)] == ["r-1"]


SQL_OF = "SELECT sql FROM sqlite_master WHERE name = :name"


class Broken(Exception):
    """What a migration fails with here."""


class Breaking(Operations):
    """Fails at the end of the last script."""

    def create_index(self, index_name: str | None, *args: Any, **options: Any) -> None:
        if str(index_name).endswith("reservations_owner_received"):
            raise Broken
        super().create_index(index_name, *args, **options)
