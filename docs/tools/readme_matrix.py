"""README.md, between its marks, drawn from the support matrix: ``python docs/tools/readme_matrix.py`` rewrites it.

Rules of this module: a row for each module; what is switched off is named, so that the table says all of the matrix but
its paths and notes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ocpi_emsp.support import FROM_CPO, TO_CPO, SupportMatrix, SupportRow

PAGE: Final = Path(__file__).parents[2] / "README.md"
BEGIN: Final = "<!-- drawn from SupportMatrix.default(): python docs/tools/readme_matrix.py -->"
END: Final = "<!-- end of what is drawn -->"


def with_matrix(page: str) -> str:
    """The page with the table of now between its marks."""
    before, rest = page.split(BEGIN)
    after = rest.split(END)[1]
    return "\n".join((before + BEGIN, "", *_table(SupportMatrix.default()), "", END + after))


def _table(matrix: SupportMatrix) -> Iterator[str]:
    yield "| module | a CPO calls you | you call a CPO |"
    yield "|---|---|---|"
    for module in dict.fromkeys(row.module for row in matrix.rows):
        rows = [row for row in matrix.rows if row.module == module]
        cells = (_cell([row for row in rows if row.direction == direction]) for direction in (FROM_CPO, TO_CPO))
        yield f"| {module} | {' | '.join(cells)} |"


def _cell(rows: list[SupportRow]) -> str:
    """The methods, or the commands, in the order of the matrix; then those that are off."""
    on = ", ".join(_names(row) for row in rows if row.supported)
    off = ", ".join(_names(row) for row in rows if not row.supported)
    return "; ".join(filter(None, (on, off and f"off: {off}"))) or "results of commands"


def _names(row: SupportRow) -> str:
    last = row.path.rpartition("/")[2]
    if row.module == "commands":
        return last
    return "POST authorize" if last == "authorize" else row.methods.replace("|", ", ")


if __name__ == "__main__":
    PAGE.write_text(with_matrix(PAGE.read_text("utf-8")), "utf-8")
