"""The schema and its versions, over Alembic.

Rules of this package:
- a script in ``versions`` is frozen once it is released, as is parts.py, which they share: together they spell the
  tables out, whatever tables.py becomes later;
- a change of the schema is one transaction, which one process at a time has: it is done as a whole, or not at all;
  inside a transaction of the host it is a savepoint, and the host commits;
- scripts get ``op`` and ``names`` as arguments: the ``op`` that ``alembic`` exports is one for the whole process, and
  may be the one of the host's migration that calls ours;
- the revision stands in a table of our own, beside the host's ``alembic_version``;
- nothing leads back to an older revision: that is what a backup is for.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from attrs import frozen
from sqlalchemy import Connection, Table, func, inspect, select
from sqlalchemy.schema import CreateSchema

from ocpi_emsp.errors import SchemaMismatch
from ocpi_emsp.storage.sql.engine import begin, begin_joined, describe
from ocpi_emsp.storage.sql.tables import PREFIX, make_tables

_LOCK = 0x6F637069_656D7370
"""The advisory lock of PostgreSQL that an upgrade holds: "ocpiemsp"."""
_RECREATING = (("foreign_keys", "OFF"), ("legacy_alter_table", "ON"))
"""How SQLite lets a table be replaced: no row goes with the old one, and no view of the host forbids the new name."""


@frozen
class Names:
    """Where the tables are: the schema of the database, and how their names begin."""

    schema: str | None = None
    prefix: str = PREFIX


def upgrade(connection: Connection, names: Names) -> None:
    """Create or upgrade the schema; concurrent calls wait for the first one.

    It commits, unless the connection is in a transaction already. Raises SchemaMismatch if the database is newer
    than this version, or if tables exist without a revision.
    """
    if current(connection, names) != latest():
        _upgrade(connection, names, "head")


def stamp(connection: Connection, names: Names) -> None:
    """Record that the tables are those of this version, after the host's own migrations made or changed them.

    It commits, unless the connection is in a transaction already. Raises SchemaMismatch if the database is newer
    than this version, or if a table or a column is missing.
    """
    with _alone(connection):
        _require_known(connection, _revision(connection, names))
        if missing := _missing(connection, names):
            raise _mismatch(connection, f"{missing[0]} is missing", "create it in a migration of the host first")
        _context(connection, names).stamp(_scripts(), "head")


def check(connection: Connection, names: Names) -> None:
    """Check the schema. Raises SchemaMismatch if it is of another version."""
    with _reading(connection):
        revision = _revision(connection, names)
        if revision is None:
            _require_new(connection, names)
    if revision == latest():
        return
    _require_known(connection, revision)
    there = "the schema does not exist" if revision is None else f"the schema has revision {revision}"
    raise _mismatch(connection, there, f"run {_command(names)}")


def current(connection: Connection, names: Names) -> str | None:
    """Return the revision of the schema, or None if it does not exist."""
    with _reading(connection):
        return _revision(connection, names)


def latest() -> str:
    """Return the revision that this version of the library requires."""
    head = _scripts().get_current_head()
    if head is None:
        raise RuntimeError("the migration scripts are not installed")
    return head


def is_empty(connection: Connection, names: Names) -> bool:
    """True if none of our tables is there; in SQLite, where a file may be the host's, no table at all."""
    with _reading(connection):
        if _is_sqlite(connection):
            return not inspect(connection).get_table_names(names.schema)
        return not _ours(connection, names)


# --- transactions ---------------------------------------------------------------------------------------------------


@contextmanager
def _reading(connection: Connection) -> Iterator[None]:
    """SQLAlchemy begins a transaction at a read; it ends here, or a later change would count as part of the host's."""
    joined = connection.in_transaction()
    try:
        yield
    finally:
        if not joined:
            connection.rollback()


@contextmanager
def _alone(connection: Connection) -> Iterator[None]:
    """A transaction that changes the schema, while no other one does."""
    joined = connection.in_transaction()
    if joined:
        begin_joined(connection)
    with _set(connection, _RECREATING), connection.begin_nested() if joined else connection.begin():
        if not joined:
            begin(connection, read_only=False)
        if not _is_sqlite(connection):  # SQLite has one writer anyway
            if not joined:  # with one snapshot, a process that waited would not see the upgrade of another
                connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
            connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))
        yield


@contextmanager
def _set(connection: Connection, pragmas: tuple[tuple[str, str], ...]) -> Iterator[None]:
    """Settings of SQLite for a while; inside a transaction of the host, foreign keys stay as they are."""
    if not _is_sqlite(connection):
        yield
        return
    before = [(name, _pragma(connection, name)) for name, _ in pragmas]
    try:
        for name, value in pragmas:
            _pragma(connection, f"{name} = {value}")
        yield
    finally:
        for name, value in before:
            _pragma(connection, f"{name} = {value}")


def _pragma(connection: Connection, pragma: str) -> Any:
    """Past SQLAlchemy, which would begin a transaction."""
    cursor = connection.connection.cursor()
    try:
        cursor.execute(f"PRAGMA {pragma}")
        row = cursor.fetchone()
    finally:
        cursor.close()
    return row and row[0]


def _is_sqlite(connection: Connection) -> bool:
    return connection.dialect.name == "sqlite"


# --- revisions ------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def _scripts() -> ScriptDirectory:
    return ScriptDirectory(Path(__file__).parent)


def _context(connection: Connection, names: Names, **options: Any) -> MigrationContext:
    table = {"version_table": f"{names.prefix}version", "version_table_schema": names.schema}
    return MigrationContext.configure(connection, opts={**table, **options})


def _revision(connection: Connection, names: Names) -> str | None:
    return _context(connection, names).get_current_revision()


def _upgrade(connection: Connection, names: Names, to: str) -> None:
    with _alone(connection):
        revision = _revision(connection, names)
        _require_known(connection, revision)
        if revision is None:
            _require_new(connection, names)
            _create_schema(connection, names)
        scripts = _scripts()
        context = _context(connection, names, fn=lambda heads, _: scripts._upgrade_revs(to, heads))
        context.run_migrations(op=Operations(context), names=names)


def _create_schema(connection: Connection, names: Names) -> None:
    """Asked for first: IF NOT EXISTS needs the right to create one even where it exists."""
    if names.schema and not _is_sqlite(connection) and not inspect(connection).has_schema(names.schema):
        connection.execute(CreateSchema(names.schema))


def _require_known(connection: Connection, revision: str | None) -> None:
    known = {script.revision for script in _scripts().walk_revisions()}
    if revision is not None and revision not in known:
        raise _mismatch(
            connection,
            f"the schema has revision {revision}, which this version does not know",
            "install the newer ocpi-emsp that created it (a schema cannot be downgraded)",
        )


def _require_new(connection: Connection, names: Names) -> None:
    if ours := _ours(connection, names):
        raise _mismatch(
            connection,
            f"the table {min(ours)} exists, but no revision is recorded",
            "if the host's own migrations create the tables, call ocpi_emsp.storage.migrations.stamp",
        )


def _mismatch(connection: Connection, there: str, then: str) -> SchemaMismatch:
    return SchemaMismatch(f"{describe(connection.engine)}: {there}; expected revision {latest()}: {then}")


def _command(names: Names) -> str:
    """The command knows no other names than the default ones."""
    return "`ocpi-emsp db upgrade`" if names == Names() else "upgrade() of the store"


@lru_cache(maxsize=8)
def _tables(names: Names) -> tuple[Table, ...]:
    """Our tables, to read their names: making them takes longer than looking for them in a database."""
    return tuple(make_tables(schema=names.schema, prefix=names.prefix).metadata.sorted_tables)


def _ours(connection: Connection, names: Names) -> set[str]:
    """The names of our tables that are there."""
    return {table.name for table in _tables(names)}.intersection(inspect(connection).get_table_names(names.schema))


def _missing(connection: Connection, names: Names) -> list[str]:
    """The columns of this version that are not there."""
    there = inspect(connection)
    found = []
    for table in _tables(names):
        exists = there.has_table(table.name, names.schema)
        columns = {each["name"] for each in there.get_columns(table.name, names.schema)} if exists else set()
        found += [f"{table.name}.{column.name}" for column in table.c if column.name not in columns]
    return found
