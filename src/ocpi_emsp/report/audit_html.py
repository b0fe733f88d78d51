"""Audits as one HTML page that can be mailed to a CPO: no script, no image, no font.

Rules of this module:
- the styles that matter stand at their element, so that the page survives being pasted into a mail; the sheet in the
  head only breaks pages in print;
- no table has more than four columns, and a word that is too long for one is broken, so that a screen of 400 px shows
  the page whole;
- what came from outside is escaped; a policy in the head forbids a browser to load or run anything all the same; links
  lead to the specification alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from ocpi_emsp.findings import counted
from ocpi_emsp.pricing import CHOICES, Audit, Line, Quote, Readings, Verdict
from ocpi_emsp.pricing.currencies import minor_digits
from ocpi_emsp.report import audit_words as words
from ocpi_emsp.report.audit_clauses import LINE_CLAUSE, clause_of, url_of
from ocpi_emsp.report.audits import MAX_LINES, AuditTally, ListedAudit
from ocpi_emsp.report.escapes import in_html
from ocpi_emsp.report.samples import cut

_MAX_TEXT = 400
_HEAD = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{title}</title>
<style>@media print {{ section, tr {{ break-inside: avoid }} h2 {{ break-after: avoid }} }}</style>
</head>
<body style="font-family: sans-serif; font-size: 14px; line-height: 1.4; color: #222; background: #fff; \
margin: 12px; max-width: 60em; overflow-wrap: anywhere">
"""
_TAIL = "</body>\n</html>\n"
_TABLE = '<table style="border-collapse: collapse; width: 100%; font-size: 13px; overflow-wrap: break-word">'
_TAG = re.compile("<[^>]*>")
_LONG = re.compile(r"[^\s<>]{19}")
"""A word that a column of a telephone does not hold: its cell may break it, and no other word is broken."""
_CELL = "text-align: left; vertical-align: top; border: 1px solid #ccc; padding: 3px 5px"
_NUMBER = _CELL.replace("left", "right", 1)
_COLOURS = {Verdict.WRONG: "#b00020", Verdict.UNDECIDABLE: "#8a5a00", Verdict.RIGHT: "#1b6e2d"}
_SMALL = "color: #555; font-size: 12px"


def audits_to_html(tally: AuditTally, *, title: str = words.TITLE) -> str:
    """Return counts, sums and the listed audits as an HTML page, to be written in UTF-8."""
    return "".join(_page(tally, title))


def quote_to_html(quote: Quote) -> str:
    """Return what a plan would cost, line by line, as an HTML page, to be written in UTF-8."""
    return "".join(_quote_page(quote))


def _page(tally: AuditTally, title: str) -> Iterator[str]:
    listed = tally.worst
    yield _HEAD.format(title=_text(title))
    yield f"<h1>{_text(title)}</h1>\n<p>{_text(words.summary(tally)[0])}.</p>\n<p>{words.INTRODUCTION}</p>\n"
    if tally.currencies:
        yield from _sums(tally)
    if listed:
        yield "<h2>CDRs, the worst first</h2>\n"
        yield from _table(("verdict", "CDR", "claimed, expected", "difference"), map(_row, listed))
    if tally.not_listed:
        yield f"<p>{counted(tally.not_listed, 'more CDR')} not listed.</p>\n"
    if tally.failed:
        yield from _failures(tally)
    detailed = [each for each in listed if each.audit.verdict is not Verdict.RIGHT or len(listed) == 1]
    for each in detailed:
        yield from _details(each)
    if detailed:
        yield from _read(detailed[0].audit.readings)
    yield _TAIL


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
    source = f'<br><span style="{_SMALL}">{_text(listed.source)}</span>' if listed.source else ""
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


def _table(columns: Sequence[str], rows: Iterator[Sequence[str]], last: str = _NUMBER) -> Iterator[str]:
    """A table of cells that are HTML; ``last`` is the style of the last column, which has numbers."""
    yield f"{_TABLE}\n<thead><tr>"
    yield from (f'<th scope="col" style="{_CELL}; background: #f2f2f2">{name}</th>' for name in columns)
    yield "</tr></thead>\n<tbody>\n"
    for *cells, number in rows:
        yield f"<tr>{''.join(_cell(cell, _CELL) for cell in cells)}{_cell(number, last)}</tr>\n"
    yield "</tbody>\n</table>\n"


def _cell(content: str, style: str) -> str:
    breaks = "; overflow-wrap: anywhere" if _LONG.search(_TAG.sub(" ", content)) else ""
    return f'<td style="{style}{breaks}">{content}</td>'


def _details(listed: ListedAudit) -> Iterator[str]:
    audit = listed.audit
    yield f"<section>\n<h2>{_verdict(audit.verdict)}: CDR {_text(audit.cdr)}</h2>\n"
    yield f"<p>{_text(words.headline(audit))}.</p>\n"
    yield from _bill(audit.lines, words.digits_of(audit), listed.more_lines)
    yield from _notes(audit)
    yield "</section>\n"


def _bill(lines: Sequence[Line], digits: int, more: int) -> Iterator[str]:
    if lines:
        yield from _table(("what", "volume, price", "cost"), (_line(each, digits) for each in lines[:MAX_LINES]))
    if more > 0:
        yield f"<p>{counted(more, 'more line')} not listed.</p>\n"


def _line(line: Line, digits: int) -> Sequence[str]:
    about = f"{words.moment(line.start)} to {words.moment(line.end)}, {words.place(line)}: {line.why}"
    return (
        f'{_text(line.dimension)}<br><span style="{_SMALL}">{_text(about)}</span>',
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
    """A link to a clause, in brackets."""
    if not clause:
        return ""
    return f' (<a href="{in_html(url_of(clause))}" style="overflow-wrap: anywhere">{in_html(clause)}</a>)'


def _read(readings: Readings) -> Iterator[str]:
    """The readings of OCPI 2.1.1, since a CPO may have others."""
    yield "<section>\n<h2>How the tariffs were read</h2>\n"
    yield "<p>Where OCPI 2.1.1 leaves a question open, the amounts above follow these readings.</p>\n"
    values = readings.as_json()
    rows = ((_text(words.READING_QUESTIONS.get(name, "")), name, _text(_value(name, values[name]))) for name in values)
    yield from _table(("question", "reading", "value"), rows, last=_CELL)
    yield "</section>\n"


def _value(name: str, value: str | None) -> str:
    """The value of a reading, and whether it is the default one."""
    default = CHOICES[name][0] if name in CHOICES else Readings().as_json()[name]
    return f"{value or 'none'}{' (default)' if value == default else ''}"


def _quote_page(quote: Quote) -> Iterator[str]:
    title = _text(f"Tariff {quote.tariff_id}: {words.quoted(quote)}")
    yield _HEAD.format(title=title)
    yield f"<h1>{title}</h1>\n"
    yield from _bill(quote.lines, minor_digits(quote.currency), len(quote.lines) - MAX_LINES)
    yield "<ul>\n"
    yield from (f"<li>{_text(words.reason(each))}{_link(clause_of(each.code))}</li>\n" for each in quote.reasons)
    yield from (f"<li>Assumed: {_text(each)}</li>\n" for each in quote.assumptions)
    yield "</ul>\n"
    yield from _read(quote.readings)
    yield _TAIL


def _text(text: str) -> str:
    """Text from outside, or ours: escaped, and at most :data:`_MAX_TEXT` characters of it."""
    return in_html(cut(text, _MAX_TEXT))
