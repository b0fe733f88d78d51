"""Findings and reports: order, limit, severity, and pointers by RFC 6901."""

import json

import pytest

from ocpi_emsp.findings import MAX_FINDINGS, Finding, Report, Severity, pointer

NOTE, WARNING, ERROR = Severity.NOTE, Severity.WARNING, Severity.ERROR


def finding(at: str, severity: Severity = NOTE, rule: str = "rule") -> Finding:
    return Finding(pointer=at, rule=rule, severity=severity, message="a message", clause="types.md#15-string-type")


def test_a_report_is_ordered_by_pointer_then_rule() -> None:
    given = [
        finding("/b"),
        finding("/a/1", ERROR),
        finding("/a", rule="z"),
        finding("", WARNING),
        finding("/a", rule="y"),
    ]
    report = Report.of(given)
    assert [(each.pointer, each.rule) for each in report] == [
        ("", "rule"),
        ("/a", "y"),
        ("/a", "z"),
        ("/a/1", "rule"),
        ("/b", "rule"),
    ]
    assert (len(report), report.more) == (5, 0)
    assert Report.of(reversed(given)) == report
    assert Report.of(iter(given)) == report


def test_errors_are_never_cut_in_favour_of_notes() -> None:
    given = [finding("/1"), finding("/2", WARNING), finding("/3", ERROR), finding("/4", WARNING), finding("/5", ERROR)]
    reports = [Report.of(given, limit) for limit in range(7)]
    assert [[each.pointer for each in report] for report in reports] == [
        [],
        ["/3"],
        ["/3", "/5"],
        ["/2", "/3", "/5"],
        ["/2", "/3", "/4", "/5"],
        ["/1", "/2", "/3", "/4", "/5"],
        ["/1", "/2", "/3", "/4", "/5"],
    ]
    assert [report.more for report in reports] == [5, 4, 3, 2, 1, 0, 0]


def test_a_report_is_bounded() -> None:
    report = Report.of([finding(f"/{number:05}") for number in range(MAX_FINDINGS + 23)])
    assert (len(report), report.more) == (MAX_FINDINGS, 23)
    assert report.findings[-1].pointer == f"/{MAX_FINDINGS - 1:05}"


@pytest.mark.parametrize(
    ("severities", "worst", "ok"),
    [
        ([], None, True),
        ([NOTE], NOTE, True),
        ([NOTE, WARNING, NOTE], WARNING, True),
        ([WARNING, ERROR, NOTE], ERROR, False),
    ],
)
def test_severity_is_the_worst(severities: list[Severity], worst: Severity | None, ok: bool) -> None:
    report = Report.of([finding(f"/{place}", severity) for place, severity in enumerate(severities)])
    assert (report.severity, report.ok) == (worst, ok)


def test_at_least() -> None:
    report = Report.of([finding("/1", NOTE), finding("/2", WARNING), finding("/3", ERROR)])
    assert [each.pointer for each in report.at_least(NOTE)] == ["/1", "/2", "/3"]
    assert [each.pointer for each in report.at_least(WARNING)] == ["/2", "/3"]
    assert [each.pointer for each in report.at_least(ERROR)] == ["/3"]
    assert NOTE.rank < WARNING.rank < ERROR.rank


RFC_6901_SECTION_5 = {"": (), "/foo": ("foo",), "/foo/0": ("foo", 0), "/": ("",), "/a~1b": ("a/b",), "/m~0n": ("m~n",)}


@pytest.mark.parametrize("text", [*RFC_6901_SECTION_5, "/c%d", '/k"l', "/ "])
def test_pointers_of_rfc_6901(text: str) -> None:
    assert pointer(RFC_6901_SECTION_5.get(text, (text[1:],))) == text


def test_a_tilde_is_escaped_before_a_slash() -> None:
    assert pointer(("~1", "~/", "/~0")) == "/~01/~0~1/~1~00"


def test_a_finding_as_json_and_as_text() -> None:
    one = finding("/evses/0", WARNING, "string.length")
    assert json.loads(json.dumps(one.as_json())) == {
        "pointer": "/evses/0",
        "rule": "string.length",
        "severity": "warning",
        "message": "a message",
        "clause": "types.md#15-string-type",
    }
    assert str(one) == "warning at /evses/0: a message [string.length; types.md#15-string-type]"
    assert str(finding("")).startswith("note at (document): a message")
