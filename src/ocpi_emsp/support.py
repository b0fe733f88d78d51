"""The support matrix: what is served and called, as data.

Rules of this module:
- a row lists the methods of a path for one module and direction, and whether they are supported;
- the default is the published matrix;
- calls that the specification requires of every eMSP have no row and are always on: versions, version details, GET
  credentials, the commands callback.
"""

from __future__ import annotations

import csv
import io
import json
import pkgutil

from attrs import asdict, evolve, field, frozen

FROM_CPO = "CPO -> MSP"
TO_CPO = "MSP -> CPO"
_COLUMNS = ("module", "direction", "methods", "path", "supported", "notes")
_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})


@frozen
class SupportRow:
    """One row: ``methods`` is one method, or several separated by ``|``."""

    module: str
    direction: str
    methods: str
    path: str
    supported: bool
    notes: str = ""


@frozen
class SupportMatrix:
    """The rows in their published order."""

    rows: tuple[SupportRow, ...]
    _switched_on: frozenset[tuple[str, str, str, str]] = field(init=False, repr=False, eq=False)

    @_switched_on.default
    def _index(self) -> frozenset[tuple[str, str, str, str]]:
        return frozenset(
            (row.module, row.direction, method, row.path)
            for row in self.rows
            if row.supported
            for method in row.methods.split("|")
        )

    @classmethod
    def default(cls) -> SupportMatrix:
        """Return the published default matrix."""
        published = pkgutil.get_data("ocpi_emsp", "support-matrix.csv")  # importlib.resources takes 4 ms to import
        assert published is not None  # a file's loader can read files beside it
        return cls.from_csv(published.decode())

    @classmethod
    def full(cls) -> SupportMatrix:
        """Return a matrix with all calls that the specification defines for an eMSP, and PATCH credentials."""
        return cls(tuple(evolve(row, supported=True) for row in cls.default().rows))

    @classmethod
    def from_csv(cls, text: str) -> SupportMatrix:
        """Return the matrix of a CSV with the columns module, direction, methods, path, supported (yes/no), notes."""
        reader = csv.DictReader(io.StringIO(text))
        if tuple(reader.fieldnames or ()) != _COLUMNS:
            raise ValueError(f"invalid support matrix: expected the columns {', '.join(_COLUMNS)}")
        return cls(tuple(_row(values, reader.line_num) for values in reader))

    def to_csv(self) -> str:
        """Return the matrix as CSV."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(_COLUMNS)
        writer.writerows([*asdict(row).values()] for row in self._texts())
        return text.getvalue()

    def to_json(self) -> str:
        """Return the matrix as a JSON list of rows; ``supported`` is a boolean."""
        return json.dumps([asdict(row) for row in self.rows], indent=2)

    def to_markdown(self) -> str:
        """Return the matrix as a Markdown table."""
        lines = ["| " + " | ".join(_COLUMNS) + " |", "|" + "---|" * len(_COLUMNS)]
        for row in self._texts():
            cells = (str(cell).replace("|", "\\|") for cell in asdict(row).values())
            lines.append("| " + " | ".join(cells).replace("  ", " ").rstrip() + " |")
        return "\n".join(lines) + "\n"

    def _texts(self) -> list[SupportRow]:
        return [evolve(row, supported="yes" if row.supported else "no") for row in self.rows]  # type: ignore[arg-type] # a cell

    def supports(self, module: str, direction: str, method: str, path: str) -> bool:
        """Return True if the row of this call is enabled; calls without a row are not."""
        return (module, direction, method, path) in self._switched_on

    def switch(self, supported: bool, *, module: str, direction: str, method: str, path: str) -> SupportMatrix:
        """Return this matrix with one row changed. Raises ValueError if the row is unknown."""
        place = module, direction, path
        covered = [
            row
            for row in self.rows
            if (row.module, row.direction, row.path) == place and method in row.methods.split("|")
        ]
        if not covered:
            raise ValueError(f"unknown support matrix row {direction} {method} {path}")
        return SupportMatrix(tuple(evolve(row, supported=supported) if row in covered else row for row in self.rows))


def _row(values: dict[str, str], line: int) -> SupportRow:
    rules = {
        f"expected {len(_COLUMNS)} cells": len(values) == len(_COLUMNS),
        "expected yes or no in supported": values["supported"] in ("yes", "no"),
        f"expected {FROM_CPO} or {TO_CPO} in direction": values["direction"] in (FROM_CPO, TO_CPO),
        f"expected {', '.join(sorted(_METHODS))}, separated by |, in methods": _METHODS.issuperset(
            (values["methods"] or "").split("|")
        ),
    }
    broken = [rule for rule, holds in rules.items() if not holds]
    if broken:
        raise ValueError(f"invalid support matrix in line {line}: {'; '.join(broken)}")
    return SupportRow(
        values["module"],
        values["direction"],
        values["methods"],
        values["path"],
        values["supported"] == "yes",
        values["notes"] or "",
    )
