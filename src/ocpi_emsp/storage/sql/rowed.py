"""Statements for many rows, each a tuple in the order of the statement's names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from sqlalchemy import Dialect, Executable

from ocpi_emsp.storage.sql.piped import Asked
from ocpi_emsp.storage.sql.prepared import Prepared, Rows


class Rowed:
    """A statement for many rows, each with the values of ``names``."""

    __slots__ = ("_arranged", "names", "prepared")

    def __init__(self, statement: Executable, dialect: Dialect, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self.prepared = Prepared(statement, dialect)
        self._arranged: Callable[[Rows], Iterable[Any]] | None = None

    def asked(self, rows: Rows) -> Asked:
        """Return the statement with the values of these rows."""
        if self._arranged is None:
            self._arranged = self.prepared.arranger(self.names)
        values = self._arranged(rows)
        if len(rows) == 1:
            return Asked(self.prepared.text, next(iter(values)), self.prepared)
        return Asked(self.prepared.text, values, self.prepared, many=True)
