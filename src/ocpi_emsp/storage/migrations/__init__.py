"""The schema and its versions."""

from __future__ import annotations

from attrs import frozen
from sqlalchemy import Connection, inspect

from ocpi_emsp.storage.sql.tables import PREFIX, make_tables


@frozen
class Names:
    """Where the tables are: the schema of the database, and how their names begin."""

    schema: str | None = None
    prefix: str = PREFIX


def upgrade(connection: Connection, names: Names) -> None:
    """Create the schema, or bring it up to date."""
    make_tables(schema=names.schema, prefix=names.prefix).metadata.create_all(connection)
    connection.commit()


def check(connection: Connection, names: Names) -> None:
    """Raises SchemaMismatch where the schema is not the one of this version."""


def current(connection: Connection, names: Names) -> str | None:
    """The revision of the schema, or None where there is none."""
    return None


def is_empty(connection: Connection, names: Names) -> bool:
    """True where the database has no table at all."""
    return not inspect(connection).get_table_names()
