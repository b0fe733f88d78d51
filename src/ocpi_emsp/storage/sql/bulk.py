"""Many new rows at once: PostgreSQL's COPY, whose text is written here.

Rules of this module:
- for a page of a hundred new locations with two EVSEs each, in us per location: an INSERT for each row takes the client
  108 and the server 185, a COPY 34 and 95, one INSERT of many rows 215 and 125, one from arrays 252 and 95. On SQLite
  an INSERT for each row costs no more than one of many;
- a COPY cannot replace a row, and fails if it exists: it is used for locked keys without a record;
- it is not used for a table whose INSERT computes a value (the place of a token), or that has JSON beside the document;
- only connections of psycopg copy: blocking ones and, inside SQLAlchemy's bridge, async ones; not in pipeline mode,
  which does not allow COPY.
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
"""The backslash comes first: the other escapes contain it."""


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
    """Return the COPY of new rows with the columns ``names``; None if the table or the driver does not allow it."""
    holds_json = any(isinstance(column.type, JSON) and column.computed is None for column in table.c)
    if dialect.name != "postgresql" or dialect.driver not in PSYCOPG or holds_json or "place" in table.c:
        return None
    return Copy(table, dialect, names)


def may_copy(connection: Connection) -> bool:
    """Return False if the joined connection of a host is in pipeline mode."""
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
"""How a value of each type is written in a COPY; any other one as its text."""
