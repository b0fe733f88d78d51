"""The report as text: a table of the rules, then the meaning of each rule and the places where it was broken.

Rules of this module: every line can be printed on any terminal; the caller decides how the table is drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

from ocpi_emsp.report import words
from ocpi_emsp.report.aggregate import PartnerReport, RuleCount
from ocpi_emsp.report.escapes import printable

Table: TypeAlias = Callable[[Sequence[str], Sequence[Sequence[str]]], str]
"""Draws a table: takes the column names and rows of cells, returns a text that ends with a newline."""

_COLUMNS = ("severity", "count", "rule", "first at", "sample")
_GAP = "  "


def to_text(report: PartnerReport, *, title: str | None = None, table: Table | None = None) -> str:
    """Return the report as plain text; ``table`` draws the table (default: aligned columns)."""
    title = title or words.title(report)
    lines = [*map(printable, (title, *words.summary(report))), ""]
    if not report.rules:
        return "\n".join([*lines, words.NOTHING, ""])
    drawn = (table or aligned)(_COLUMNS, [_row(each) for each in report.rules])
    details = "\n".join(line for each in report.rules for line in map(printable, _details(each)))
    return "\n".join(lines) + "\n" + drawn + "\n" + details + "\n"


def aligned(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table as aligned columns."""
    cells = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
    return "".join(
        _GAP.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() + "\n"
        for row in (columns, *cells)
    )


def _row(each: RuleCount) -> Sequence[str]:
    return each.severity.value, str(each.count), each.rule, words.pointer(each.pointer), each.sample or "(none)"


def _details(each: RuleCount) -> Iterator[str]:
    yield f"{each.severity} {each.rule} [{each.clause}]"
    yield from (f"  {line}" for line in (each.sentence, words.seen(each)) if line)
    yield f"  first in {each.source}"
    for place in each.places:
        clause = "" if place.clause == each.clause else f" [{place.clause}]"
        yield f"  {place.count} x {place.kind} {words.pointer(place.pointer)}{clause}"
    if each.elsewhere:
        yield f"  {each.elsewhere} x elsewhere"
