"""The schema and its versions: old data goes on, one process upgrades, a failure leaves no trace, hosts may join."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from attrs import frozen

from ocpi_emsp.codec import encode
from ocpi_emsp.codec.content import content_hash
from ocpi_emsp.errors import InvalidObject, SchemaMismatch
from ocpi_emsp.flows.commands.states import CommandState, read_command
from ocpi_emsp.flows.parties.party import Party, PartyState
from ocpi_emsp.ports import (
    AUTHORIZATION,
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
from ocpi_emsp.storage import FernetBox, SqlStore, make_tables, migrations

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "vectors" / "examples"
DOCS = (ROOT.parent / "docs" / "storage.md").read_text("utf-8")
SCRIPTS = sorted(Path(migrations.__file__).parent.joinpath("versions").glob("0*.py"))
SECONDS = 30.0
"""What anything here may take before it counts as hanging."""

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


@pytest.fixture(params=["sqlite", "postgresql", "schema"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    """An empty database; "schema" is PostgreSQL with other names."""
    if request.param == "sqlite":
        return Database(f"sqlite:///{tmp_path / 'emsp.db'}", migrations.Names())
    names = migrations.Names() if request.param == "postgresql" else migrations.Names("charging", "emsp_")
    return Database(request.getfixturevalue("postgres_url"), names)


@pytest.fixture
def sqlite(tmp_path: Path) -> Database:
    """An empty SQLite file."""
    return Database(f"sqlite:///{tmp_path / 'emsp.db'}", migrations.Names())


@contextmanager
def opened(database: Database, **settings: Any) -> Iterator[SqlStore]:
    """The store on a database."""
    names = database.names
    store = SqlStore(database.url, schema=names.schema, prefix=names.prefix, secrets=BOX, **settings)
    try:
        yield store
    finally:
        store.dispose()


@contextmanager
def transaction(store: SqlStore) -> Iterator[BlockingTransaction]:
    """A transaction of a sync host."""
    blocking = store.for_mode("sync")
    assert isinstance(blocking, BlockingStore)
    with blocking.blocking_transaction() as tx:
        yield tx


# --- an old database ------------------------------------------------------------------------------------------------


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


@pytest.mark.parametrize("revision", ["0001", "0002", "0003"])
def test_an_old_database_with_data_is_upgraded(database: Database, revision: str) -> None:
    database.at("0001")
    fill(database)
    tables = sorted({table for table, *_ in OBJECTS} | {"parties", "journal", "rejections"})
    before = {table: database.rows(table) for table in tables}
    database.at(revision)
    assert database.refusal().startswith(f"the schema has revision {revision}; expected revision 0004")
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
        assert_goes_on(store, database)


NEW = {"due", "place", "missing_since", "missed", "correlation_id", "state", "deadline", "session_id"}
STATED = {"received", "document", "content_hash"}
"""What the state of a command changed."""


def without_new(table: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows without the columns that are new, or changed."""
    left_out = NEW - {"state"} if table == "parties" else NEW | STATED if table == "commands" else NEW
    return [{name: value for name, value in row.items() if name not in left_out} for row in rows]


def stated(document: str, state: str) -> bytes:
    """The document of a command with its state."""
    if not document.startswith("{"):
        return document.encode()
    return json.dumps({**json.loads(document), "state": state}, separators=(",", ":")).encode()


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


SQL_OF = "SELECT sql FROM sqlite_master WHERE name = :name"


def foreign_keys(store: SqlStore) -> Any:
    """Whether a connection of the store enforces foreign keys."""
    with store._connected() as connection:
        return connection.exec_driver_sql("PRAGMA foreign_keys").scalar()


# --- the scripts end at the tables ----------------------------------------------------------------------------------


def shape(connection: sa.Connection, names: migrations.Names) -> dict[str, Any]:
    """Everything that SQLAlchemy sees of our tables."""
    found = sa.inspect(connection)
    shapes: dict[str, Any] = {}
    for table in make_tables(schema=names.schema, prefix=names.prefix).metadata.sorted_tables:
        at = (table.name, names.schema)
        constraints = [*found.get_foreign_keys(*at), *found.get_unique_constraints(*at), *found.get_indexes(*at)]
        shapes[table.name] = {
            "columns": [{**column, "type": str(column["type"])} for column in found.get_columns(*at)],
            "key": found.get_pk_constraint(*at),
            "constraints": sorted(map(str, constraints)),
        }
        if connection.dialect.name == "sqlite":  # AUTOINCREMENT stands only there
            created = str(connection.execute(sa.text(SQL_OF), {"name": table.name}).scalar())
            shapes[table.name]["words"] = sorted(re.findall(r"\w+", created))
    return shapes


def test_the_scripts_end_at_the_tables(database: Database) -> None:
    names = database.names
    database.at("0001")
    database.upgrade()
    with database.connection() as connection:
        upgraded = shape(connection, names)
        metadata = make_tables(schema=names.schema, prefix=names.prefix).metadata
        metadata.drop_all(connection)
        metadata.create_all(connection)
        assert upgraded == shape(connection, names)


def test_autogenerate_finds_no_difference(database: Database) -> None:
    names = database.names
    database.upgrade()
    metadata = make_tables(schema=names.schema, prefix=names.prefix).metadata
    with database.connection() as connection:
        ours = {"version": f"{names.prefix}version"}
        options = {"include_schemas": True, "include_name": lambda name, *_: name != ours["version"]}
        context = MigrationContext.configure(connection, opts={**options, "version_table": "of_the_host"})
        assert compare_metadata(context, metadata) == []
        connection.execute(sa.text(f"DROP INDEX {index_of(names)}"))
        assert [change[0] for change in compare_metadata(context, metadata)] == ["add_index"]


def index_of(names: migrations.Names) -> str:
    schema = f'"{names.schema}".' if names.schema else ""
    return f"{schema}ix_{names.prefix}tokens_auth_id"


def test_the_scripts_are_one_chain_and_know_nothing_of_the_tables_of_today() -> None:
    revisions = ScriptDirectory(Path(migrations.__file__).parent).walk_revisions()
    assert [script.revision for script in revisions] == [path.name[:4] for path in reversed(SCRIPTS)]
    assert migrations.latest() == SCRIPTS[-1].name[:4]
    for path in SCRIPTS:
        assert "sql.tables" not in path.read_text("utf-8"), path


# --- check, current, stamp ------------------------------------------------------------------------------------------


def test_a_database_without_a_schema_is_refused(database: Database) -> None:
    assert database.revision() is None
    needed = f"the schema does not exist; expected revision {migrations.latest()}: "
    assert database.refusal() == f"{needed}run {how(database)}"
    with opened(database) as store, pytest.raises(SchemaMismatch, match="the schema does not exist"):
        store.check_schema()


def how(database: Database) -> str:
    return "`ocpi-emsp db upgrade`" if database.names == migrations.Names() else "upgrade() of the store"


def test_an_older_schema_is_refused(database: Database) -> None:
    database.at("0001")
    assert database.revision() == "0001"
    needed = f"the schema has revision 0001; expected revision {migrations.latest()}: "
    assert database.refusal() == f"{needed}run {how(database)}"
    with opened(database) as store, pytest.raises(SchemaMismatch, match="revision 0001"), transaction(store):
        """The first transaction looks."""


def test_a_newer_schema_is_refused_by_everything(database: Database) -> None:
    database.upgrade()
    assert database.refusal() == ""
    database.run("UPDATE {}version SET version_num = '9999'")
    for act in (migrations.check, migrations.upgrade, migrations.stamp):
        assert database.refusal(act) == (
            "the schema has revision 9999, which this version does not know; expected revision "
            f"{migrations.latest()}: install the newer ocpi-emsp that created it (a schema cannot be downgraded)"
        )
    assert database.revision() == "9999"


def test_tables_without_a_revision_are_refused_until_they_are_stamped(database: Database) -> None:
    database.upgrade()
    database.run("DROP TABLE {}version")
    for act in (migrations.check, migrations.upgrade):
        assert database.refusal(act) == (
            f"the table {database.names.prefix}authorizations exists, but no revision is recorded; expected revision "
            f"{migrations.latest()}: if the host's own migrations create the tables, "
            "call ocpi_emsp.storage.migrations.stamp"
        )
    assert database.refusal(migrations.stamp) == ""
    assert database.refusal() == ""
    assert database.revision() == migrations.latest()


def test_tables_that_lack_something_are_not_stamped(database: Database) -> None:
    database.at("0001")
    refusal = database.refusal(migrations.stamp)
    assert refusal.startswith(f"{database.names.prefix}authorizations.sequence is missing; expected revision ")
    assert database.revision() == "0001"
    database.upgrade()
    database.run("ALTER TABLE {}cdr_conflicts DROP COLUMN missed")
    assert f"{database.names.prefix}cdr_conflicts.missed is missing" in database.refusal(migrations.stamp)


def test_an_empty_database_is_known(database: Database) -> None:
    def empty() -> bool:
        with database.connection() as connection:
            return migrations.is_empty(connection, database.names)

    assert empty()
    database.run("CREATE TABLE orders (id INTEGER)")
    assert empty() == (not database.url.startswith("sqlite")), "a SQLite file with tables is the host's"
    database.upgrade()
    assert not empty()


def test_looking_leaves_no_transaction_behind(database: Database) -> None:
    with database.connection() as connection:
        for act in (migrations.current, migrations.is_empty, migrations.upgrade, migrations.check, migrations.stamp):
            act(connection, database.names)
            assert not connection.in_transaction(), act


# --- one at a time, and as a whole ----------------------------------------------------------------------------------


@pytest.mark.parametrize("isolation", ["READ COMMITTED", "SERIALIZABLE"])
def test_of_two_that_upgrade_at_once_one_does_it(
    database: Database, isolation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if database.url.startswith("sqlite") and isolation != "SERIALIZABLE":
        isolation = "READ UNCOMMITTED"
    database.at("0001")
    fill(database)
    begun, waits, ran = threading.Event(), threading.Event(), list[str]()

    class Slow(Operations):
        def add_column(self, table_name: str, column: sa.Column[Any], **options: Any) -> None:
            ran.append(f"{table_name}.{column.name}")
            begun.set()
            assert waits.wait(SECONDS)
            super().add_column(table_name, column, **options)

    def upgrade() -> None:
        with database.connection(isolation_level=isolation) as connection:
            migrations.upgrade(connection, database.names)

    monkeypatch.setattr(migrations, "Operations", Slow)
    with ThreadPoolExecutor() as pool:
        first = pool.submit(upgrade)
        assert begun.wait(SECONDS)
        second = pool.submit(upgrade)
        wait_for_the_lock(database)
        assert not second.done()
        waits.set()
        first.result(SECONDS)
        second.result(SECONDS)
    assert len(set(ran)) == len(ran), "each column was added once"
    assert database.refusal() == ""


def wait_for_the_lock(database: Database) -> None:
    """Until PostgreSQL says that somebody waits; SQLite does not say, so there it is given a moment."""
    moment = threading.Event()
    for _ in range(int(SECONDS * 20)):
        moment.wait(0.05)
        if database.url.startswith("sqlite"):
            moment.wait(0.2)
            return
        with database.connection() as connection:
            waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            if connection.execute(sa.text(waiting)).scalar():
                return
    raise AssertionError("nobody waits")


class Broken(Exception):
    """What a migration fails with here."""


class Breaking(Operations):
    """Fails at the end of the last script."""

    def create_index(self, index_name: str | None, *args: Any, **options: Any) -> None:
        if str(index_name).endswith("reservations_owner_received"):
            raise Broken
        super().create_index(index_name, *args, **options)


def test_a_migration_that_fails_leaves_everything_as_it_was(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.at("0001")
    fill(database)
    before = contents(database)
    with database.connection() as connection, monkeypatch.context() as patch:
        patch.setattr(migrations, "Operations", Breaking)
        with pytest.raises(Broken):
            migrations.upgrade(connection, database.names)
        assert not connection.in_transaction()
    assert contents(database) == before
    assert database.revision() == "0001"
    with opened(database, auto_upgrade=True) as store:
        assert_readable(store)


def contents(database: Database) -> Any:
    """All tables with their columns, and rows of those that the scripts change."""
    with database.connection() as connection:
        found = sa.inspect(connection)
        schema = database.names.schema
        columns = {name: str(found.get_columns(name, schema)) for name in found.get_table_names(schema)}
        indexes = {name: sorted(map(str, found.get_indexes(name, schema))) for name in columns}
    changed = ("commands", "evses", "tokens", "journal", "rejections")
    return columns, indexes, [database.rows(table) for table in changed]


def test_a_first_migration_that_fails_leaves_an_empty_database(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrations, "Operations", Breaking)
    with pytest.raises(Broken):
        database.upgrade()
    assert database.tables() == []
    assert database.revision() is None


# --- hosts with an Alembic of their own -----------------------------------------------------------------------------

HOST_ENV = """
from alembic import context
from sqlalchemy import Column, Integer, MetaData, Table

metadata = MetaData()
orders = Table("orders", metadata, Column("id", Integer, primary_key=True))
{documented}
connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=target_metadata, include_name=include_name)
with context.begin_transaction():
    context.run_migrations()
"""
REVISION = """
from alembic import op
import sqlalchemy as sa
from sqlalchemy import Text
import ocpi_emsp.storage.sql.types
from ocpi_emsp.storage import migrations
${imports if imports else ""}
revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}


def upgrade():
    ${upgrades if upgrades else "pass"}


def downgrade():
    pass
"""


def documented(number: int) -> str:
    """A block of Python of the documentation."""
    section = DOCS.partition("\n## Migrations\n")[2].partition("\n## ")[0]
    found: list[str] = re.findall(r"^```python\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    return found[number]


@frozen
class Host:
    """An application with an Alembic environment of its own, which follows the documentation."""

    folder: Path
    database: Database

    def set_up(self) -> None:
        """Its environment, without any revision."""
        (self.folder / "versions").mkdir(parents=True)
        (self.folder / "env.py").write_text(HOST_ENV.replace("{documented}", documented(0)))
        (self.folder / "script.py.mako").write_text(REVISION)

    def act(self, action: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """A command of Alembic."""
        with self.database.connection() as connection:
            config = Config(stdout=StringIO())
            config.set_main_option("script_location", str(self.folder))
            config.attributes["connection"] = connection
            found = action(config, *args, **options)
            connection.commit()
        return found

    def revision(self, last: str = "") -> str:
        """What autogenerate writes; ``last`` becomes the last statement."""
        path = Path(self.act(command.revision, autogenerate=True).path)
        text = path.read_text()
        path.write_text(text.replace("    # ### end Alembic commands ###", last, 1))
        return text

    def write(self, revision: str, after: str | None, body: str) -> None:
        """A revision written by hand."""
        heads = f"import sqlalchemy as sa\nrevision = {revision!r}\ndown_revision = {after!r}\n"
        (self.folder / "versions" / f"{revision}.py").write_text(heads + body)

    def upgrade(self) -> None:
        """Run its revisions."""
        self.act(command.upgrade, "head")


@pytest.fixture(params=["sqlite", "postgresql"])
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Host:
    """A host on an empty database."""
    url = f"sqlite:///{tmp_path / 'emsp.db'}"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_url")
    made = Host(tmp_path / "alembic", Database(url, migrations.Names()))
    made.set_up()
    return made


def test_autogenerate_of_a_host_makes_the_tables(host: Host) -> None:
    written = host.revision(last=documented(2))
    assert "op.create_table('ocpi_locations'" in written
    assert "op.create_table('orders'" in written
    host.upgrade()
    assert host.database.refusal() == ""
    with opened(host.database) as store:
        fill_today(store)
    documents = [row["document"] for row in host.database.rows("locations", "CAST(document AS TEXT) AS document")]
    assert [json.loads(document) for document in documents] == [{"id": "LOC1"}]
    assert "op." not in host.revision().partition("def upgrade")[2], "nothing is left to be changed"


def fill_today(store: SqlStore) -> None:
    """A location, by the library of today."""
    with transaction(store) as tx:
        tx.put(Record(LOCATION, b'{"id": "LOC1"}', WHEN, WHEN))
    with transaction(store) as tx:
        assert tx.get(LOCATION) == Record(LOCATION, b'{"id": "LOC1"}', WHEN, WHEN)


def test_without_the_stamp_the_tables_of_a_host_are_refused(host: Host) -> None:
    host.revision()
    host.upgrade()
    assert "but no revision is recorded" in host.database.refusal()


def test_a_revision_of_a_host_calls_ours(host: Host) -> None:
    host.write("a1", None, documented(1) + "    op.create_table('orders', sa.Column('id', sa.Integer))\n")
    host.upgrade()
    assert host.database.refusal() == ""
    assert {"orders", "alembic_version", "ocpi_version", "ocpi_tokens"} <= set(host.database.tables())
    with opened(host.database) as store:
        fill_today(store)


def test_a_revision_of_a_host_brings_old_data_up_to_date(host: Host) -> None:
    host.database.at("0001")
    fill(host.database)
    host.write("a1", None, documented(1))
    host.upgrade()
    with opened(host.database) as store:
        assert_readable(store)


def test_a_revision_of_a_host_that_fails_takes_ours_with_it(host: Host) -> None:
    host.write("a1", None, documented(1) + "    raise RuntimeError('of the host')\n")
    with pytest.raises(RuntimeError, match="of the host"):
        host.upgrade()
    assert not [name for name in host.database.tables() if name.startswith("ocpi_")]


def test_what_fails_within_a_transaction_of_the_host_leaves_the_hosts_own_work(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrations, "Operations", Breaking)
    with database.connection() as connection:
        connection.execute(sa.text("CREATE TABLE orders (id INTEGER)"))
        with pytest.raises(Broken):
            migrations.upgrade(connection, database.names)
        connection.commit()
        assert sa.inspect(connection).get_table_names() == ["orders"]
    assert database.tables() == (["orders"] if database.names.schema is None else [])
