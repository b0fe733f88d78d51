"""The report as one HTML page that can be mailed to a partner: no script, no image, no font (html_parts.py).

Rules of this module: external text is escaped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime

from ocpi_emsp.findings import Severity, counted
from ocpi_emsp.report import words
from ocpi_emsp.report.aggregate import PartnerReport, RuleCount, RuleSample
from ocpi_emsp.report.escapes import in_html
from ocpi_emsp.report.html_parts import CELL, SMALL, TAIL, code, head, link, made, table

_ID = re.compile(r"[a-z0-9_.]+")
"""The id of a rule of this library, which is the anchor of its section."""
_COLOURS = {Severity.ERROR: "#b00020", Severity.WARNING: "#8a5a00", Severity.NOTE: "#345"}


def to_html(report: PartnerReport, *, title: str | None = None, at: datetime | None = None) -> str:
    """Return the report as an HTML page, to be written in UTF-8; ``at`` is its date (default: the current time)."""
    return "".join(_page(report, title or words.title(report), at))


def _page(report: PartnerReport, title: str, at: datetime | None) -> Iterator[str]:
    yield head(in_html(title))
    yield f"<h1>{in_html(title)}</h1>\n"
    yield made(at)
    yield from (f"<p>{in_html(line)}</p>\n" for line in words.summary(report))
    if report.rules:
        yield from table(("severity", "rule", "count"), map(_row, report.rules))
        for each in report.rules:
            yield from _details(each)
    else:
        yield f"<p>{words.NOTHING}</p>\n"
    yield from _files(report)
    yield TAIL


def _files(report: PartnerReport) -> Iterator[str]:
    if not report.files:
        return
    yield "<section>\n<h2>Files</h2>\n<ul>\n"
    yield from (f"<li>{code(each)}</li>\n" for each in report.files)
    if report.more_files:
        yield f"<li>and {counted(report.more_files, 'more file')}</li>\n"
    yield "</ul>\n</section>\n"


def _row(each: RuleCount) -> Sequence[str]:
    rule = code(each.rule)
    linked = f'<a href="#{each.rule}">{rule}</a>' if _ID.fullmatch(each.rule) else rule
    sentence = f'<br><span style="{SMALL}">{in_html(each.sentence)}</span>' if each.sentence else ""
    return _severity(each.severity), f"{linked}{sentence}", str(each.count)


def _severity(severity: Severity) -> str:
    return f'<b style="color: {_COLOURS[severity]}">{severity}</b>'


def _details(each: RuleCount) -> Iterator[str]:
    anchor = f' id="{each.rule}"' if _ID.fullmatch(each.rule) else ""
    yield f"<section{anchor}>\n<h2>{code(each.rule)}</h2>\n"
    seen = f" Seen {in_html(words.seen(each))}." if words.seen(each) else ""
    yield f"<p>{_severity(each.severity)}: {in_html(each.sentence)} ({link(each.clause)}){seen}</p>\n<ul>\n"
    for place in each.places:
        clause = "" if place.clause == each.clause else f" ({link(place.clause)})"
        yield f"<li>{place.count} &times; {in_html(place.kind)} {code(words.pointer(place.pointer))}{clause}</li>\n"
    if each.elsewhere:
        yield f"<li>{each.elsewhere} &times; elsewhere</li>\n"
    yield "</ul>\n"
    yield from table(("found in", "value"), map(_sample, each.samples), last=CELL)
    yield "</section>\n"


def _sample(each: RuleSample) -> Sequence[str]:
    value = "(none)" if each.sample is None else code(each.sample)
    return f'{code(words.pointer(each.pointer))}<br><span style="{SMALL}">{in_html(each.source)}</span>', value
