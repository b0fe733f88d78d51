"""Audits and quotes as plain text for a terminal of 80 columns.

Rules of this module: every line can be printed on any terminal, and none is wider than asked for; amounts are never
cut.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence

from ocpi_emsp.findings import counted
from ocpi_emsp.pricing import Audit, Line, Quote
from ocpi_emsp.pricing.currencies import minor_digits
from ocpi_emsp.report import audit_words as words
from ocpi_emsp.report.audits import MAX_LINES, AuditTally, FailedAudit, ListedAudit
from ocpi_emsp.report.escapes import printable
from ocpi_emsp.report.samples import cut

WIDTH = 80
MAX_TEXT = 400
"""Characters of an external text that are shown; a person reads no more."""

_HEAD = ("verdict", "claimed", "expected", "difference", "CDR")
_INDENT = "    "
_COLUMN = 14
"""Longest amount, in characters; a row with a longer one is wrapped on its own."""


def audits_to_text(tally: AuditTally, *, width: int = WIDTH) -> str:
    """Return counts, sums and the listed audits; a single CDR as a bill."""
    listed = tally.worst
    if tally.total == 1 and len(listed) == 1 and not tally.failed:
        return bill_to_text(listed[0], width=width)
    return "".join(f"{line}\n" for line in _lines(tally, listed, width))


def bill_to_text(listed: ListedAudit, *, width: int = WIDTH) -> str:
    """Return one audit with its lines, reasons, explanations and readings."""
    audit = listed.audit
    head = [f"{_named(audit)}: {audit.verdict.upper()}", words.headline(audit), ""]
    return "".join(f"{line}\n" for line in _bill(head, audit, listed.more_lines, width))


def quote_to_text(quote: Quote, *, width: int = WIDTH) -> str:
    """Return what a plan would cost, line by line."""
    head = [f"tariff {cut(quote.tariff_id, MAX_TEXT)}: {words.quoted(quote)}", ""]
    more = max(len(quote.lines) - MAX_LINES, 0)
    return "".join(f"{line}\n" for line in _bill(head, quote, more, width))


def _lines(tally: AuditTally, listed: Sequence[ListedAudit], width: int) -> Iterator[str]:
    for line in words.summary(tally):
        yield from _wrapped(line, width)
    if listed:
        yield ""
        yield from _table(listed, width)
    if tally.not_listed:
        yield f"{counted(tally.not_listed, 'more CDR')} not listed"
    yield from _failures(tally, width)


def _failures(tally: AuditTally, width: int) -> Iterator[str]:
    if tally.failed:
        yield ""
        yield "not audited:"
        for each in tally.listed_failures:
            yield from _wrapped(_failure(each), width, _INDENT)
        more = tally.failed - len(tally.listed_failures)
        if more:
            yield f"{_INDENT}and {counted(more, 'more document')}"


def _failure(each: FailedAudit) -> str:
    return cut(f"{each.source}: {each.message}", MAX_TEXT)


def _table(listed: Sequence[ListedAudit], width: int) -> Iterator[str]:
    """Yield a row for each audit, with details below it."""
    rows = [_row(each) for each in listed]
    cells = [[cell for cell in column if len(cell) <= _COLUMN] for column in zip(_HEAD, *rows, strict=True)]
    widths = [max(map(len, column)) for column in cells[:-1]]
    yield from _fitted(_HEAD, widths, width)
    for row, each in zip(rows, listed, strict=True):
        yield from _placed(list(_fitted(row, widths, width)), each.source, width)
        for note in words.notes(each.audit):
            yield from _wrapped(cut(note, MAX_TEXT), width, _INDENT)


def _row(listed: ListedAudit) -> Sequence[str]:
    audit = listed.audit
    return (
        audit.verdict.upper(),
        words.amount(audit.claimed, words.digits_of(audit)),
        words.expected(audit) or "not known",
        words.difference(audit),
        f"{audit.currency}  {cut(audit.cdr, MAX_TEXT)}",
    )


def _placed(row: list[str], source: str, width: int) -> Iterator[str]:
    """Yield a row, with the place of its CDR on the same line if it fits."""
    *lines, last = row
    place = printable(f"({cut(source, MAX_TEXT)})") if source else ""
    fits = len(last) + 1 + len(place) <= width
    yield from (*lines, f"{last} {place}".rstrip() if fits else last)
    if not fits:
        yield from _wrapped(place, width, _INDENT)


def _fitted(cells: Sequence[str], widths: Sequence[int], width: int) -> Iterator[str]:
    """Yield a row of the table: the verdict left-aligned, amounts right-aligned; wrapped if it is too wide."""
    verdict, *amounts, last = cells
    numbers = [cell.rjust(size) for cell, size in zip(amounts, widths[1:], strict=True)]
    line = printable("  ".join([verdict.ljust(widths[0]), *numbers, last])).rstrip()
    if len(line) <= width:
        yield line
    else:
        yield from _wrapped(" ".join(cells), width)


def _named(audit: Audit) -> str:
    return f"CDR {cut(audit.cdr, MAX_TEXT)}"


def _bill(head: Iterable[str], found: Audit | Quote, more: int, width: int) -> Iterator[str]:
    for line in head:
        yield from _wrapped(line, width) if line else [""]
    digits = words.digits_of(found) if isinstance(found, Audit) else minor_digits(found.currency)
    for each in found.lines[:MAX_LINES]:
        yield from _bill_line(each, digits, width)
    if more:
        yield f"{counted(more, 'more line')} not listed"
    notes = list(words.notes(found)) if isinstance(found, Audit) else list(_quote_notes(found))
    yield from [""] if found.lines else []
    for note in (*notes, words.readings(found.readings)):
        yield from _wrapped(cut(note, MAX_TEXT), width)


def _quote_notes(quote: Quote) -> Iterator[str]:
    yield from map(words.reason, quote.reasons)
    yield from (f"assumed: {each}" for each in quote.assumptions)


def _bill_line(line: Line, digits: int, width: int) -> Iterator[str]:
    """Yield a line of the bill: volume and price to the left, cost to the right, time and reason below."""
    left = printable(f"{cut(line.dimension, 40)}  {words.billed_at(line)}")
    right = words.cost(line, digits)
    if len(left) + 2 + len(right) <= width:
        yield f"{left}{right.rjust(width - len(left))}"
    else:
        yield from _wrapped(left, width)
        yield from _wrapped(right, width, _INDENT)
    about = f"{words.moment(line.start)} to {words.moment(line.end)}, {words.place(line)}: {line.why}"
    yield from _wrapped(cut(about, MAX_TEXT), width, _INDENT)


def _wrapped(sentence: str, width: int, indent: str = "") -> list[str]:
    """Return an external text as lines; a word longer than a line is broken."""
    shown = printable(sentence)
    lines = textwrap.wrap(shown, width, initial_indent=indent, subsequent_indent=indent or "  ", break_on_hyphens=False)
    return lines or [""]
