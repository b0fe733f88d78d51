"""The output of the demo: a story that fits a narrow terminal, a table on a wide one.

Rules of this module: no line of the story is wider than the terminal, no path is cut, and a failed row is printed
completely.
"""

from __future__ import annotations

from collections.abc import Iterator

from ocpi_emsp.cli import output
from ocpi_emsp.cli.demo.rows import COLUMNS, Result, Row
from ocpi_emsp.support import FROM_CPO


def text(result: Result, width: int) -> str:
    """Return the participants, the events, and the sum."""
    names = max((len(name) for name, _ in result.parties), default=0)
    parties = [f"{name.ljust(names)}  {url}" for name, url in result.parties]
    total = len(result.rows)
    summary = f"{total} rows, {total - result.failed} as the matrix says, {result.failed} not; {result.seconds} s"
    if width >= output.WIDE:
        rows = output.table(COLUMNS, list(result.cells()), width).splitlines()
        lines = [*parties, "", *rows, "", *_audits(result, width), ""]
    else:
        lines = [*parties, *_story(result, width), *_audits(result, width)]
    return "\n".join([*lines, summary, ""])


def _story(result: Result, width: int) -> Iterator[str]:
    for module in dict.fromkeys(row.module for row in result.rows):
        yield f"{module}:"
        for row in result.rows:
            if row.module == module:
                yield from _lines(row, width)


def _audits(result: Result, width: int) -> Iterator[str]:
    """Yield the results of the audits."""
    if result.audits:
        yield "audits:"
    for each in result.audits:
        yield from output.beside(f"{output.mark(each.ok)} {each.cdr}", output.printable(each.what_happened), width)


def _lines(row: Row, width: int) -> Iterator[str]:
    """Yield a row on one line; what does not fit beside its path follows below."""
    start = f"{output.mark(row.ok)} {row.method} {row.path} {row.http_status or '-'}/{row.status_code or '-'}"
    sentence = output.printable(_in_short(row) if row.ok else row.what_happened)
    yield from output.beside(start, sentence, width)


def _in_short(row: Row) -> str:
    """Return what happened, without details."""
    sentence = row.what_happened.partition(";")[0].partition(":")[0]
    if row.supported:
        return sentence
    return f"{sentence}: {'refused' if row.direction == FROM_CPO else 'not sent'}"
