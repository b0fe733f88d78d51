"""Parts of HTML reports: the head, tables, links to the specification.

Rules of this module:
- a page has no script, image or font and loads nothing; a policy in the head also forbids it to the browser;
- styles that matter are inline, so a page survives being pasted into a mail; the sheet in the head only controls page
  breaks in print;
- tables have at most four columns, and long words are broken, so a screen of 400 px shows the whole page;
- links lead to the specification, or within the page.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

from ocpi_emsp._version import __version__
from ocpi_emsp.report.aggregate import moment
from ocpi_emsp.report.audit_clauses import url_of
from ocpi_emsp.report.escapes import in_html

_HEAD: Final = """<!DOCTYPE html>
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
TAIL: Final = "</body>\n</html>\n"
_TABLE: Final = '<table style="border-collapse: collapse; width: 100%; font-size: 13px; overflow-wrap: break-word">'
_TAG: Final = re.compile("<[^>]*>")
_LONG: Final = re.compile(r"[^\s<>]{19}")
"""A word too long for a column on a phone: its cell may break it; shorter words are never broken."""
CELL: Final = "text-align: left; vertical-align: top; border: 1px solid #ccc; padding: 3px 5px"
NUMBER: Final = CELL.replace("left", "right", 1)
SMALL: Final = "color: #555; font-size: 12px"
_CLAUSE: Final = re.compile(r"[a-z_]+\.md(?:#[\w-]+)?", re.ASCII)


def head(title: str) -> str:
    """Return the beginning of a page; ``title`` is HTML."""
    return _HEAD.format(title=title)


def made(at: datetime | None) -> str:
    """When a page was made (default: now), and with which version."""
    return f'<p style="{SMALL}">{moment(at or datetime.now(UTC))}, ocpi-emsp {in_html(__version__)}</p>\n'


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], last: str = NUMBER) -> Iterator[str]:
    """Yield a table of cells that are HTML; ``last`` is the style of the last column, which holds numbers."""
    yield f"{_TABLE}\n<thead><tr>"
    yield from (f'<th scope="col" style="{CELL}; background: #f2f2f2">{name}</th>' for name in columns)
    yield "</tr></thead>\n<tbody>\n"
    for *cells, number in rows:
        yield f"<tr>{''.join(_cell(cell, CELL) for cell in cells)}{_cell(number, last)}</tr>\n"
    yield "</tbody>\n</table>\n"


def _cell(content: str, style: str) -> str:
    breaks = "; overflow-wrap: anywhere" if _LONG.search(_TAG.sub(" ", content)) else ""
    return f'<td style="{style}{breaks}">{content}</td>'


def link(clause: str) -> str:
    """Return a clause of the specification, as a link if possible."""
    if not _CLAUSE.fullmatch(clause):
        return in_html(clause)
    return f'<a href="{in_html(url_of(clause))}" style="overflow-wrap: anywhere">{in_html(clause)}</a>'


def code(text: str) -> str:
    """Return external text as code."""
    return f'<code style="font-family: monospace; overflow-wrap: anywhere">{in_html(text)}</code>'
