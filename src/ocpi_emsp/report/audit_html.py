"""Audits as one HTML page that can be mailed to a CPO: no script, no image, no font.

Rules of this module: those of html_parts.py; external text is escaped.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from ocpi_emsp.findings import counted
from ocpi_emsp.pricing import CHOICES, Audit, Line, Quote, Readings, Verdict
from ocpi_emsp.pricing.currencies import minor_digits
from ocpi_emsp.report import audit_words as words
from ocpi_emsp.report.audit_clauses import LINE_CLAUSE, clause_of
from ocpi_emsp.report.audits import MAX_LINES, AuditTally, ListedAudit
from ocpi_emsp.report.escapes import in_html
from ocpi_emsp.report.html_parts import CELL, SMALL, TAIL, head, link, made, table
from ocpi_emsp.report.samples import cut

_MAX_TEXT = 400
_COLOURS = {Verdict.WRONG: "#b00020", Verdict.UNDECIDABLE: "#8a5a00", Verdict.RIGHT: "#1b6e2d"}


def audits_to_html(tally: AuditTally, *, title: str = words.TITLE, at: datetime | None = None) -> str:
    """Return counts, sums and the listed audits as an HTML page in UTF-8; ``at`` is its date (default: now)."""
    return "".join(_page(tally, title, at))


def quote_to_html(quote: Quote, *, at: datetime | None = None) -> str:
    """Return what a plan would cost, line by line, as an HTML page in UTF-8; ``at`` is its date (default: now)."""
    return "".join(_quote_page(quote, at))


def _page(tally: AuditTally, title: str, at: datetime | None) -> Iterator[str]:
    listed = tally.worst
    yield head(_text(title))
    yield f"<h1>{_text(title)}</h1>\n{made(at)}"
    yield f"<p>{_text(words.summary(tally)[0])}.</p>\n<p>{words.INTRODUCTION}</p>\n"
    if tally.currencies:
        yield from _sums(tally)
    if listed:
        yield "<h2>CDRs, the worst first</h2>\n"
        yield from table(("verdict", "CDR", "claimed, expected", "difference"), map(_row, listed))
    if tally.not_listed:
        yield f"<p>{counted(tally.not_listed, 'more CDR')} not listed.</p>\n"
    if tally.failed:
        yield from _failures(tally)
    detailed = [each for each in listed if each.audit.verdict is not Verdict.RIGHT or len(listed) == 1]
    for each in detailed:
        yield from _details(each)
    if detailed:
        yield from _read(detailed[0].audit.readings)
    yield TAIL


def _sums(tally: AuditTally) -> Iterator[str]:
    yield "<h2>By currency</h2>\n"
    for each in tally.currencies:
        yield f"<p>{_text(words.currency(each))}.</p>\n"
    if tally.other_currencies:
        yield f"<p>{counted(tally.other_currencies, 'CDR')} in further currencies: not added up here.</p>\n"


def _failures(tally: AuditTally) -> Iterator[str]:
    yield "<h2>Not audited</h2>\n<ul>\n"
    yield from (f"<li>{_text(each.source)}: {_text(each.message)}</li>\n" for each in tally.listed_failures)
    if more := tally.failed - len(tally.listed_failures):
        yield f"<li>and {counted(more, 'more document')}</li>\n"
    yield "</ul>\n"


def _row(listed: ListedAudit) -> Sequence[str]:
    audit = listed.audit
    source = f'<br><span style="{SMALL}">{_text(listed.source)}</span>' if listed.source else ""
    claimed = words.amount(audit.claimed, words.digits_of(audit))
    known = words.expected(audit) or "not known"
    return (
        _verdict(audit.verdict),
        f"{_text(audit.cdr)}{source}",
        f"{_text(claimed)} {_text(audit.currency)}<br>{_text(known)}",
        _text(words.difference(audit)),
    )


def _verdict(verdict: Verdict) -> str:
    return f'<b style="color: {_COLOURS[verdict]}">{verdict}</b>'


def _details(listed: ListedAudit) -> Iterator[str]:
    audit = listed.audit
    yield f"<section>\n<h2>{_verdict(audit.verdict)}: CDR {_text(audit.cdr)}</h2>\n"
    yield f"<p>{_text(words.headline(audit))}.</p>\n"
    yield from _bill(audit.lines, words.digits_of(audit), listed.more_lines)
    yield from _notes(audit)
    yield "</section>\n"


def _bill(lines: Sequence[Line], digits: int, more: int) -> Iterator[str]:
    if lines:
        yield from table(("what", "volume, price", "cost"), (_line(each, digits) for each in lines[:MAX_LINES]))
    if more > 0:
        yield f"<p>{counted(more, 'more line')} not listed.</p>\n"


def _line(line: Line, digits: int) -> Sequence[str]:
    about = f"{words.moment(line.start)} to {words.moment(line.end)}, {words.place(line)}: {line.why}"
    return (
        f'{_text(line.dimension)}<br><span style="{SMALL}">{_text(about)}</span>',
        f"{_text(words.billed(line))}<br>{_text(words.price(line))}",
        _text(words.cost(line, digits)),
    )


def _notes(audit: Audit) -> Iterator[str]:
    yield "<ul>\n"
    yield from (f"<li>{_text(words.reason(each))}{_link(clause_of(each.code))}</li>\n" for each in audit.reasons)
    yield from (f"<li>Explained by: {_text(each.message)}</li>\n" for each in audit.explanations)
    yield from (f"<li>Assumed: {_text(each)}</li>\n" for each in audit.assumptions)
    price = f"; prices{_link(LINE_CLAUSE)}" if audit.lines else ""
    yield f"<li>{_text(words.readings(audit.readings).capitalize())}{price}</li>\n</ul>\n"


def _link(clause: str) -> str:
    """Return a link to a clause, in brackets."""
    return f" ({link(clause)})" if clause else ""


def _read(readings: Readings) -> Iterator[str]:
    """Yield the readings of OCPI 2.1.1, since a CPO may have others."""
    yield "<section>\n<h2>How the tariffs were read</h2>\n"
    yield "<p>Where OCPI 2.1.1 leaves a question open, the amounts above follow these readings.</p>\n"
    values = readings.as_json()
    rows = ((_text(words.READING_QUESTIONS.get(name, "")), name, _text(_value(name, values[name]))) for name in values)
    yield from table(("question", "reading", "value"), rows, last=CELL)
    yield "</section>\n"


def _value(name: str, value: str | None) -> str:
    """Return the value of a reading, marked if it is the default."""
    default = CHOICES[name][0] if name in CHOICES else Readings().as_json()[name]
    return f"{value or 'none'}{' (default)' if value == default else ''}"


def _quote_page(quote: Quote, at: datetime | None) -> Iterator[str]:
    title = _text(f"Tariff {quote.tariff_id}: {words.quoted(quote)}")
    yield head(title)
    yield f"<h1>{title}</h1>\n{made(at)}"
    yield from _bill(quote.lines, minor_digits(quote.currency), len(quote.lines) - MAX_LINES)
    yield "<ul>\n"
    yield from (f"<li>{_text(words.reason(each))}{_link(clause_of(each.code))}</li>\n" for each in quote.reasons)
    yield from (f"<li>Assumed: {_text(each)}</li>\n" for each in quote.assumptions)
    yield "</ul>\n"
    yield from _read(quote.readings)
    yield TAIL


def _text(text: str) -> str:
    """Return text, external or ours: escaped, and at most :data:`_MAX_TEXT` characters of it."""
    return in_html(cut(text, _MAX_TEXT))
