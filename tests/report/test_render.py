"""The renderers, read back by parsers: structure, and nothing of a hostile value that takes effect."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser

import pytest

from ocpi_emsp import Location, check
from ocpi_emsp.report import PartnerReport, to_html, to_json, to_markdown, to_text
from report.support import HOSTILE, finding, hostile

VOID = {"meta", "br", "hr", "img", "link", "input"}
ALLOWED = {"html", "head", "meta", "title", "body", "h1", "h2", "p", "table", "thead", "tbody", "tr", "th", "td", "b",
           "code", "ul", "li"}  # fmt: skip


class Page(HTMLParser):
    """Reads a page, and fails on a tag that is not closed, not known or not ours."""

    tags = ALLOWED

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.rows: list[list[str]] = []
        self.texts: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.declarations: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_decl(self, decl: str) -> None:
        self.declarations.append(decl)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in self.tags
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)
        if "td" in self.open or "th" in self.open:
            self.rows[-1][-1] += data

    def handle_comment(self, data: str) -> None:
        raise AssertionError(data)

    handle_pi = unknown_decl = handle_comment


def simple() -> PartnerReport:
    report = PartnerReport()
    document = json.dumps({"id": "1", "name": "x" * 300}).encode()
    report.add("a.json", Location, check(document, Location), document)
    return report


def shown(text: str) -> str:
    """What is left of a hostile text for people: what is not printable is escaped."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def test_the_page_has_a_row_per_rule() -> None:
    report = simple()
    page = Page(to_html(report, title="NL-TNM"))
    assert page.declarations == ["DOCTYPE html"]
    assert page.rows[0] == ["severity", "count", "rule", "first at", "sample", "clause"]
    assert [row[:4] for row in page.rows[1:]] == [
        [each.severity.value, str(each.count), each.rule, each.pointer] for each in report.rules
    ]
    assert page.texts.count("NL-TNM") == 2


@pytest.mark.parametrize("make", [simple, hostile, PartnerReport])
def test_the_page_needs_and_runs_nothing(make: Callable[[], PartnerReport]) -> None:
    page = Page(to_html(make()))
    names = {name for name, _ in page.attributes}
    assert names <= {"style", "lang", "charset", "name", "content", "http-equiv", "border", "cellpadding",
                     "cellspacing", "scope"}  # fmt: skip
    for _, value in page.attributes:
        assert not re.search(r"https?:|//|url\(|@import|javascript:", value)


def test_a_page_shows_hostile_values_as_text() -> None:
    page = Page(to_html(hostile(), title=HOSTILE[0]))
    texts = "\n".join(page.texts)
    for text in HOSTILE:
        assert shown(text) in texts
    cells = {cell for row in page.rows for cell in row}
    assert json.dumps(HOSTILE[0]) in cells


def cells(line: str) -> list[str]:
    """The cells of a row of a Markdown table: GitHub splits at every pipe without a backslash, in code spans too."""
    assert line.startswith("| ")
    assert line.endswith(" |")
    return re.split(r"(?<!\\)(?:\\\\)*\|", line[2:-2])


def outside_code(text: str) -> str:
    """What Markdown interprets: without code spans, and without what is escaped."""
    return re.sub(r"\\[!-/:-@\[-`{-~]", "", re.sub(r"(?<!\\)`[^`\n]*(?<!\\)`", "", text))


def test_markdown_has_a_table_with_a_row_per_rule() -> None:
    report = simple()
    lines = to_markdown(report).splitlines()
    rows = [cells(line) for line in lines if line.startswith("| ")]
    assert {len(row) for row in rows} == {6}
    assert [row[2].strip(" `") for row in rows[1:]] == [each.rule for each in report.rules]


def test_markdown_shows_hostile_values_as_text() -> None:
    text = to_markdown(hostile(), title=HOSTILE[0])
    rows = [cells(line) for line in text.splitlines() if line.startswith("| ")]
    assert {len(row) for row in rows} == {6}
    assert len(rows) == 1 + len(hostile().rules)
    interpreted = outside_code(text)
    assert not re.search(r"<|!\[|\]\(|~~|https?:/", interpreted)
    assert sum(line.startswith("# ") for line in text.splitlines()) == 1
    assert all(char.isprintable() or char == "\n" for char in text)
    for line in text.splitlines():
        spans = re.findall(r"(?<!\\)`", line)
        assert len(spans) % 2 == 0


def test_text_moves_no_cursor_and_breaks_no_line() -> None:
    report = hostile()
    text = to_text(report, title="a\x1b[2J")
    assert all(char.isprintable() or char == "\n" for char in text)
    table = text.split("\n\n")[1].splitlines()
    assert len(table) == 1 + len(report.rules)


def test_text_is_drawn_by_the_table_that_is_given() -> None:
    drawn: list[tuple[int, int]] = []

    def table(columns: object, rows: object) -> str:
        assert isinstance(columns, tuple)
        assert isinstance(rows, list)
        drawn.append((len(columns), len(rows)))
        return "TABLE\n"

    assert "\nTABLE\n" in to_text(simple(), table=table)
    assert drawn == [(5, len(simple().rules))]


def test_json_is_what_the_report_says() -> None:
    for report in (simple(), hostile()):
        text = to_json(report)
        assert text.isascii()
        assert json.loads(text) == report.as_json()
    (rule,) = (each for each in simple().as_json()["rules"] if each["rule"] == "string.length")
    assert set(rule) == {"rule", "severity", "count", "clause", "sentence", "kind", "pointer", "source", "sample",
                         "first_seen", "last_seen", "places", "elsewhere"}  # fmt: skip
    assert set(rule["places"][0]) == {"kind", "pointer", "clause", "count"}


def test_a_lone_surrogate_can_be_written() -> None:
    report = PartnerReport()
    report.add("bad-\udcff.json", Location, [finding()])
    for render in (to_text, to_json, to_markdown, to_html):
        render(report).encode()
