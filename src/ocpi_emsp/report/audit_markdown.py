"""Audits as Markdown (GitHub's, which has tables), for a ticket or a mail.

Rules of this module: external text stands in a code span that it cannot leave, or is escaped.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ocpi_emsp.findings import counted
from ocpi_emsp.pricing import Audit, Line, Quote, Verdict
from ocpi_emsp.pricing.currencies import minor_digits
from ocpi_emsp.report import audit_words as words
from ocpi_emsp.report.audit_clauses import clause_of, url_of
from ocpi_emsp.report.audits import MAX_LINES, AuditTally, ListedAudit
from ocpi_emsp.report.escapes import as_code, in_markdown
from ocpi_emsp.report.samples import cut

_MAX_TEXT = 400


def audits_to_markdown(tally: AuditTally, *, title: str = words.TITLE) -> str:
    """Return counts, sums and the listed audits as one Markdown document."""
    return "\n".join([*_document(tally, title), ""])


def quote_to_markdown(quote: Quote) -> str:
    """Return what a plan would cost, line by line, as one Markdown document."""
    lines = [f"# {in_markdown(f'Tariff {cut(quote.tariff_id, _MAX_TEXT)}: {words.quoted(quote)}')}", ""]
    lines += _bill(quote.lines, minor_digits(quote.currency), len(quote.lines) - MAX_LINES)
    lines += [f"* {_reason(each.code, words.reason(each))}" for each in quote.reasons]
    lines += [f"* assumed: {_text(each)}" for each in quote.assumptions]
    return "\n".join([*lines, f"* {_text(words.readings(quote.readings))}", ""])


def _document(tally: AuditTally, title: str) -> Iterator[str]:
    yield f"# {in_markdown(title)}"
    yield ""
    yield f"{in_markdown(words.summary(tally)[0])}."
    yield ""
    yield words.INTRODUCTION
    if tally.currencies:
        yield ""
        yield from _table(words.SUM_COLUMNS, [words.sum_cells(each) for each in tally.currencies], right=1)
    listed = tally.worst
    if listed:
        yield ""
        yield from _table(
            ("verdict", "claimed", "expected", "difference", "currency", "CDR", "found in"), [*map(_row, listed)]
        )
    if tally.not_listed:
        yield ""
        yield f"{counted(tally.not_listed, 'more CDR')} not listed."
    if tally.failed:
        yield ""
        yield "## Not audited"
        yield ""
        yield from (f"* {as_code(cut(each.source, 200))}: {_text(each.message)}" for each in tally.listed_failures)
        if more := tally.failed - len(tally.listed_failures):
            yield f"* and {counted(more, 'more document')}"
    for each in listed:
        if each.audit.verdict is not Verdict.RIGHT or len(listed) == 1:
            yield from _details(each)


def _row(listed: ListedAudit) -> Sequence[str]:
    audit = listed.audit
    amount = words.amount(audit.claimed, words.digits_of(audit))
    known = words.expected(audit) or "not known"
    return (
        audit.verdict.upper(),
        amount,
        known,
        words.difference(audit),
        audit.currency,
        cut(audit.cdr, 200),
        cut(listed.source, 200),
    )


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]], right: int = 0) -> Iterator[str]:
    yield f"| {' | '.join(columns)} |"
    yield f"|{'|'.join('---:' if right and index >= right else '---' for index in range(len(columns)))}|"
    for row in rows:
        yield f"| {' | '.join(as_code(cell) if cell else '' for cell in row)} |"


def _details(listed: ListedAudit) -> Iterator[str]:
    audit = listed.audit
    yield ""
    yield f"## {in_markdown(f'{audit.verdict.upper()}: CDR {cut(audit.cdr, _MAX_TEXT)}')}"
    yield ""
    yield f"{in_markdown(words.headline(audit))}."
    yield ""
    yield from _bill(audit.lines, words.digits_of(audit), listed.more_lines)
    yield from _notes(audit)


def _bill(lines: Sequence[Line], digits: int, more: int) -> Iterator[str]:
    if lines:
        rows = [_bill_row(each, digits) for each in lines[:MAX_LINES]]
        yield from _table(("dimension", "from", "to", "volume", "price", "cost", "why"), rows)
        yield ""
    if more > 0:
        yield f"{counted(more, 'more line')} not listed."
        yield ""


def _bill_row(line: Line, digits: int) -> Sequence[str]:
    return (
        cut(line.dimension, 40),
        words.moment(line.start),
        words.moment(line.end),
        words.billed(line),
        words.price(line),
        words.cost(line, digits),
        cut(f"{words.place(line)}: {line.why}", _MAX_TEXT),
    )


def _notes(audit: Audit) -> Iterator[str]:
    yield from (f"* {_reason(each.code, words.reason(each))}" for each in audit.reasons)
    yield from (f"* explained by: {_text(each.message)}" for each in audit.explanations)
    yield from (f"* assumed: {_text(each)}" for each in audit.assumptions)
    yield f"* {_text(words.readings(audit.readings))}"


def _reason(code: str, sentence: str) -> str:
    clause = clause_of(code)
    return f"{_text(sentence)} ([{clause}]({url_of(clause)}))" if clause else _text(sentence)


def _text(sentence: str) -> str:
    return in_markdown(cut(sentence, _MAX_TEXT))
