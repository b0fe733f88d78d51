"""The report as one HTML page that needs nothing else: no script, no link, no image, no font.

Rules of this module:
- every style stands at its element, so that the page survives being pasted into a mail;
- what came from outside is escaped; a policy in the head forbids a browser to load or run anything all the same.
"""

from __future__ import annotations

from collections.abc import Iterator

from ocpi_emsp.findings import Severity
from ocpi_emsp.report import words
from ocpi_emsp.report.aggregate import PartnerReport, RuleCount
from ocpi_emsp.report.escapes import in_html

_HEAD = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{title}</title>
</head>
<body style="font-family: sans-serif; font-size: 14px; color: #222; background: #fff; margin: 16px">
"""
_TAIL = "</body>\n</html>\n"
_TABLE = '<table border="1" cellpadding="4" cellspacing="0" style="border-collapse: collapse; border-color: #ccc">'
_CELL = "text-align: left; vertical-align: top; border: 1px solid #ccc; padding: 4px 8px"
_CODE = "font-family: monospace; overflow-wrap: anywhere"
_COLOURS = {Severity.ERROR: "#b00020", Severity.WARNING: "#8a5a00", Severity.NOTE: "#345"}
_COLUMNS = ("severity", "count", "rule", "first at", "sample", "clause")


def to_html(report: PartnerReport, *, title: str = words.TITLE) -> str:
    """Return the report as an HTML page, to be written in UTF-8."""
    return "".join(_page(report, title))


def _page(report: PartnerReport, title: str) -> Iterator[str]:
    yield _HEAD.format(title=in_html(title))
    yield f"<h1>{in_html(title)}</h1>\n"
    yield from (f"<p>{in_html(line)}</p>\n" for line in words.summary(report))
    if report.rules:
        yield f"{_TABLE}\n<thead><tr>"
        yield from (f'<th scope="col" style="{_CELL}; background: #f2f2f2">{name}</th>' for name in _COLUMNS)
        yield "</tr></thead>\n<tbody>\n"
        yield from map(_row, report.rules)
        yield "</tbody>\n</table>\n"
        for each in report.rules:
            yield from _details(each)
    else:
        yield f"<p>{words.NOTHING}</p>\n"
    yield _TAIL


def _row(each: RuleCount) -> str:
    severity = f'<b style="color: {_COLOURS[each.severity]}">{each.severity}</b>'
    cells = (
        severity,
        str(each.count),
        _code(each.rule),
        _code(words.pointer(each.pointer)),
        "(none)" if each.sample is None else _code(each.sample),
        _code(each.clause),
    )
    return "<tr>" + "".join(f'<td style="{_CELL}">{cell}</td>' for cell in cells) + "</tr>\n"


def _details(each: RuleCount) -> Iterator[str]:
    yield f"<h2>{_code(each.rule)}</h2>\n"
    yield f"<p>{in_html(each.sentence)} ({each.severity}, {_code(each.clause)})</p>\n<ul>\n"
    yield f"<li>first in {_code(each.source)}</li>\n"
    if words.seen(each):
        yield f"<li>seen {in_html(words.seen(each))}</li>\n"
    for place in each.places:
        clause = "" if place.clause == each.clause else f" ({_code(place.clause)})"
        yield f"<li>{place.count} &times; {in_html(place.kind)} {_code(words.pointer(place.pointer))}{clause}</li>\n"
    if each.elsewhere:
        yield f"<li>{each.elsewhere} &times; elsewhere</li>\n"
    yield "</ul>\n"


def _code(text: str) -> str:
    return f'<code style="{_CODE}">{in_html(text)}</code>'
