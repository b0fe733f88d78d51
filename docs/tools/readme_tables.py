"""README.md, between its marks: ``python docs/tools/readme_tables.py`` writes the tables anew.

Rules of this module: the support matrix has a row for each module, and names what is switched off, so that the table
says all of it but its paths and notes; the numbers are those of bench/results.md, cell by cell.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ocpi_emsp.support import FROM_CPO, TO_CPO, SupportMatrix, SupportRow

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = ROOT / "README.md"
RESULTS: Final = ROOT / "bench" / "results.md"
MATRIX: Final = "<!-- drawn from SupportMatrix.default(): python docs/tools/readme_tables.py -->"
NUMBERS: Final = "<!-- drawn from bench/results.md: python docs/tools/readme_tables.py -->"
END: Final = "<!-- end of what is drawn -->"


def with_tables(page: str, results: str) -> str:
    """The page, its tables drawn anew; ``results`` is the text of bench/results.md."""
    drawn = {MATRIX: _table(SupportMatrix.default()), NUMBERS: _numbers(results)}
    for begin, rows in drawn.items():
        before, rest = page.split(begin)
        after = rest.partition(END)[2]
        page = "\n".join((before + begin, "", *rows, "", END + after))
    return page


def _numbers(results: str) -> Iterator[str]:
    """The table of other libraries."""
    section = re.split(r"^## ", results, flags=re.MULTILINE)
    (found,) = (each for each in section if each.startswith("Other libraries\n"))
    yield from (line for line in found.splitlines() if line.startswith("|"))


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
    PAGE.write_text(with_tables(PAGE.read_text("utf-8"), RESULTS.read_text("utf-8")), "utf-8")
