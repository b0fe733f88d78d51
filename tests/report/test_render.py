"""The renderers, read back by parsers: structure, and nothing of a hostile value that takes effect."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from html.parser import HTMLParser
from importlib.metadata import version

import pytest

from ocpi_emsp import Location, check
from ocpi_emsp.findings import Severity
from ocpi_emsp.report import PartnerReport, to_html, to_json, to_markdown, to_text
from report.support import HOSTILE, finding, hostile

VOID = {"meta", "br", "hr", "img", "link", "input"}
ALLOWED = {"html", "head", "meta", "title", "style", "body", "section", "h1", "h2", "p", "table", "thead", "tbody",
           "tr", "th", "td", "b", "a", "br", "span", "code", "ul", "li"}  # fmt: skip
SPECIFICATION = "https://github.com/ocpi/ocpi/blob/release-2.1.1-bugfixes/"
NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)


class Page(HTMLParser):
    """Reads a page, and fails on a tag that is not closed, not known or not ours."""

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
        assert tag in ALLOWED
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
    report = PartnerReport(party="NL-TNM")
    report.read("a.json")
    document = json.dumps({"id": "1", "name": "x" * 300}).encode()
    report.add("a.json", Location, check(document, Location), document)
    return report


def shown(text: str) -> str:
    """What is left of a hostile text for people: what is not printable is escaped."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def test_the_page_has_a_row_per_rule() -> None:
    report = simple()
    page = Page(to_html(report, at=NOON))
    assert page.declarations == ["DOCTYPE html"]
    count = len(report.rules)
    assert page.rows[0] == ["severity", "rule", "count"]
    assert page.rows[1 : count + 1] == [
        [each.severity.value, f"{each.rule}{each.sentence}", str(each.count)] for each in report.rules
    ]
    assert page.texts.count("OCPI 2.1.1 report: NL-TNM") == 2
    assert f"2024-05-01T12:00:00Z, ocpi-emsp {version('ocpi-emsp')}" in page.texts
    assert "a.json" in page.texts


def test_every_form_has_the_party_in_its_title_unless_another_is_given() -> None:
    for render in (to_text, to_markdown, to_html):
        assert "OCPI 2.1.1 report: NL-TNM" in render(simple())
        titled = render(simple(), title="Findings")
        assert "Findings" in titled
        assert "NL-TNM" not in titled


def test_what_is_no_json_is_counted_among_the_kinds() -> None:
    report = PartnerReport()
    report.add("a.json", Location, [])
    report.add("b.json", None, [finding("json.syntax", "", Severity.ERROR)], b"{")
    for render in (to_text, to_markdown, to_html):
        assert "(1 unreadable, 1 Location)" in render(report).replace("\\", "")


def test_the_page_links_rules_and_clauses() -> None:
    report = simple()
    attributes = Page(to_html(report)).attributes
    links = {value for name, value in attributes if name == "href"}
    assert {f"#{each.rule}" for each in report.rules} == {each for each in links if each.startswith("#")}
    assert {value for name, value in attributes if name == "id"} == {each.rule for each in report.rules}
    assert f"{SPECIFICATION}mod_locations.md#31-location-object" in links


def test_the_page_has_several_samples_of_a_rule() -> None:
    report = PartnerReport()
    for number, text in enumerate(["x" * 300, "y" * 300, "x" * 300, "z" * 300]):
        report.add(f"{number}.json", Location, [finding(pointer="/name")], {"name": text})
    found = [row for row in Page(to_html(report)).rows if row[0].startswith("/name")]
    assert [row[0] for row in found] == ["/name0.json", "/name1.json", "/name3.json"]
    assert [row[1][:2] for row in found] == ['"x', '"y', '"z']


def test_no_table_is_wider_than_a_telephone() -> None:
    assert max(len(row) for row in Page(to_html(hostile())).rows) <= 4


@pytest.mark.parametrize("make", [simple, hostile, PartnerReport])
def test_the_page_needs_and_runs_nothing(make: Callable[[], PartnerReport]) -> None:
    page = Page(to_html(make()))
    names = {name for name, _ in page.attributes}
    assert names <= {"style", "lang", "charset", "name", "content", "http-equiv", "scope", "href", "id"}
    for name, value in page.attributes:
        rest = value.removeprefix(SPECIFICATION) if name == "href" else value
        assert not re.search(r"https?:|//|url\(|@import|javascript:", rest)


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
                         "samples", "first_seen", "last_seen", "places", "elsewhere"}  # fmt: skip
    assert rule["samples"] == [{"source": "a.json", "pointer": "/name", "sample": rule["sample"]}]
    assert set(rule["places"][0]) == {"kind", "pointer", "clause", "count"}


def test_a_lone_surrogate_can_be_written() -> None:
    report = PartnerReport()
    report.add("bad-\udcff.json", Location, [finding()])
    for render in (to_text, to_json, to_markdown, to_html):
        render(report).encode()
