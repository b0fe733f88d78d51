"""The schema and its versions: the scripts end at the tables, one process upgrades, a failure leaves no trace."""

from __future__ import annotations

import re
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory

from ocpi_emsp.errors import SchemaMismatch
from ocpi_emsp.storage import make_tables, migrations
from store.migrating import SQL_OF, Breaking, Broken, Database, assert_readable, fill, opened, transaction

SCRIPTS = sorted(Path(migrations.__file__).parent.joinpath("versions").glob("0*.py"))
SECONDS = 30.0
"""What anything here may take before it counts as hanging."""


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
            f"the table {database.names.prefix}audits exists, but no revision is recorded; expected revision "
            f"{migrations.latest()}: if the host's own migrations create the tables, "
            "call ocpi_emsp.storage.migrations.stamp"
        )
    assert database.refusal(migrations.stamp) == ""
    assert database.refusal() == ""
    assert database.revision() == migrations.latest()


def test_tables_that_lack_something_are_not_stamped(database: Database) -> None:
    database.at("0001")
    refusal = database.refusal(migrations.stamp)
    assert refusal.startswith(f"{database.names.prefix}audits.sequence is missing; expected revision ")
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
