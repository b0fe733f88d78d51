"""Records of several kinds, found by one statement: a round trip for each would cost more than the search.

Rules of this module: nothing is locked, so it is for reads, and for SQLite, whose writers lock the whole file. An outer
join that locks would return a record as it was before the wait; so the read of a PATCH is an inner join.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Dialect, FromClause, and_, bindparam, literal, select

from ocpi_emsp.ports import Key
from ocpi_emsp.storage.sql.piped import Asked
from ocpi_emsp.storage.sql.prepared import Prepared
from ocpi_emsp.storage.sql.statements import ObjectStatements, record_columns
from ocpi_emsp.storage.sql.tables import key_columns
from ocpi_emsp.storage.sql.values import identity

_MOST = 4
"""Most tables in one statement: few, so that planning the join takes little time."""


def may_be_together(kinds: Sequence[str]) -> bool:
    """Return True if one statement finds records of these kinds: all different, and few."""
    return 1 < len(kinds) <= _MOST and len(set(kinds)) == len(kinds)


class Together:
    """The statement for one record of each of these kinds."""

    def __init__(self, kinds: Sequence[ObjectStatements], dialect: Dialect) -> None:
        self._kinds = kinds
        found: FromClause = select(literal(1).label("one")).subquery("one")
        columns, self._ends = list[Any](), list[int]()
        for place, each in enumerate(kinds):
            table = each.table
            same = (table.c[name] == bindparam(f"k{place}_{name}") for name in key_columns(each.kind))
            found = found.outerjoin(table, and_(*same))
            columns += [column.label(f"r{place}_{column.key}") for column in record_columns(table)]
            self._ends.append(len(columns))
        self._statement = Prepared(select(*columns).select_from(found), dialect)

    def asked(self, keys: Sequence[Key]) -> Asked:
        """Return the statement with these keys."""
        values: dict[str, Any] = {}
        for place, (each, key) in enumerate(zip(self._kinds, keys, strict=True)):
            values |= identity(each, key, f"k{place}_")
        return Asked.of(self._statement, values)

    def rows(self, found: Sequence[Any]) -> list[Any]:
        """Return the row of each key, or None, from the statement's result."""
        cells, start, rows = found[0], 0, list[Any]()
        for each, end in zip(self._kinds, self._ends, strict=True):
            row = each.get.named(cells[start:end])
            rows.append(None if row.sequence is None else row)
            start = end
        return rows
