"""Many new rows at once: PostgreSQL's COPY, whose text is made here.

Rules of this module:
- of a page of a hundred new locations with two EVSEs each, an INSERT for each row takes the client 108 and the server
  185 us a location, a COPY 34 and 95; one INSERT of many rows takes 215 and 125, from arrays 252 and 95. On SQLite
  an INSERT for each row costs no more than one of many;
- a COPY replaces nothing and fails where a row is there: it is for keys that are locked and have no record;
- a table is not copied into where the statement works values out (the place of a token), or that holds JSON beside
  the document;
- only psycopg's own connections copy, the blocking one and, inside SQLAlchemy's bridge, the async one; not in pipeline
  mode, in which PostgreSQL knows no COPY.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from types import NoneType
from typing import Any

from sqlalchemy import JSON, Connection, Dialect, Table
from sqlalchemy.util import await_only

from ocpi_emsp.storage.sql.prepared import PSYCOPG, forget_if_lost

_ESCAPES = (("\\", "\\\\"), ("\n", "\\n"), ("\r", "\\r"), ("\t", "\\t"))
"""The backslash comes first: it is in the others."""


class Copy:
    """Copies new rows of one table, each with the values of ``names``."""

    def __init__(self, table: Table, dialect: Dialect, names: Iterable[str]) -> None:
        quote = dialect.identifier_preparer
        columns = ", ".join(quote.quote(name) for name in (*names, "revision"))
        self._text = f"COPY {quote.format_table(table)} ({columns}) FROM STDIN"

    def execute_many(self, connection: Connection, values: Iterable[Sequence[Any]]) -> None:
        """Copy the rows, each with the revision of a first put."""
        driver = connection.connection.driver_connection
        rows = "".join(map(_line, values))
        try:
            if connection.dialect.is_async:
                await_only(_copied_async(driver, self._text, rows))
            else:
                _copied(driver, self._text, rows)
        except Exception as error:
            forget_if_lost(connection, error)
            raise


def copy_into(table: Table, dialect: Dialect, names: Iterable[str]) -> Copy | None:
    """What copies the columns ``names`` of new rows; None for a table, or a driver, that cannot."""
    holds_json = any(isinstance(column.type, JSON) and column.computed is None for column in table.c)
    if dialect.name != "postgresql" or dialect.driver not in PSYCOPG or holds_json or "place" in table.c:
        return None
    return Copy(table, dialect, names)


def may_copy(connection: Connection) -> bool:
    """False while a host that joined us has its connection in pipeline mode."""
    driver: Any = connection.connection.driver_connection
    return not driver.pgconn.pipeline_status


def _copied(driver: Any, text: str, rows: str) -> None:
    with driver.cursor() as cursor, cursor.copy(text) as copy:
        copy.write(rows)


async def _copied_async(driver: Any, text: str, rows: str) -> None:
    async with driver.cursor() as cursor, cursor.copy(text) as copy:
        await copy.write(rows)


def _line(values: Sequence[Any]) -> str:
    return "\t".join([_CELLS.get(type(cell), _escaped)(cell) for cell in values]) + "\t1\n"


def _escaped(value: Any) -> str:
    text = str(value)
    for character, escaped in _ESCAPES:
        if character in text:
            text = text.replace(character, escaped)
    return text


_CELLS: Mapping[type[Any], Callable[[Any], str]] = {
    NoneType: lambda _: "\\N",
    bool: lambda value: "t" if value else "f",
    int: str,
    float: repr,
    Decimal: str,
    datetime: datetime.isoformat,
}
"""How a value stands in a COPY; any other one is its text."""
