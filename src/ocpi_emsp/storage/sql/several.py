"""Statements that find many rows by one column.

Rules of this module:
- a statement of SQLite takes a fixed number of values; the last one is repeated to fill it;
- PostgreSQL takes an array and looks up one value after the other, in order: without statistics it would rather read
  all rows of an owner than look up so many. (With ``= ANY``, PostgreSQL 16 and older read them in the order of the
  key, and a join begins with them. One by one costs 1.5 us per record more than the best plan of ``= ANY``.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ARRAY, Dialect, Select, Text, bindparam, func, literal_column, select, true

from ocpi_emsp.storage.sql.piped import Asked
from ocpi_emsp.storage.sql.prepared import Prepared

_AT_ONCE = 64
"""Values that a statement of SQLite takes: a prepared statement always has the same number."""


class Several:
    """A statement that finds, and may lock, the rows with any of the given values in one column, in their order."""

    def __init__(self, found: Select[Any], column: Any, dialect: Dialect, *, locked: bool = False) -> None:
        self._is_array = dialect.name == "postgresql"
        if self._is_array:
            statement = _one_by_one(found, column, locked=locked)
        else:
            statement = found.where(column.in_([bindparam(f"value_{each}", type_=Text) for each in range(_AT_ONCE)]))
        self._statement = Prepared(statement, dialect)

    def asked(self, values: Mapping[str, Any], wanted: Sequence[str]) -> list[Asked]:
        """Return the statements that find the ``wanted`` values; ``values`` are those of the other parameters."""
        if self._is_array:
            return [Asked.of(self._statement, {**values, "values": list(wanted)})]
        asked = list[Asked]()
        for start in range(0, len(wanted), _AT_ONCE):
            some = wanted[start : start + _AT_ONCE]
            filled = {f"value_{number}": some[min(number, len(some) - 1)] for number in range(_AT_ONCE)}
            asked.append(Asked.of(self._statement, {**values, **filled}))
        return asked


def _one_by_one(found: Select[Any], column: Any, *, locked: bool) -> Select[Any]:
    """Find one value's rows after the other: PostgreSQL keeps a subquery that locks, or has an offset, as it is."""
    wanted = func.unnest(bindparam("values", type_=ARRAY(Text))).table_valued("value").render_derived(name="wanted")
    each = found.where(column == wanted.c.value)
    each = each.with_for_update() if locked else each.offset(literal_column("0"))
    rows = each.lateral("found")
    return select(*rows.c).select_from(wanted).join(rows, true())
