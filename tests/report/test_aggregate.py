"""PartnerReport: counts, samples, places, times, and memory that stays bounded."""

from __future__ import annotations

import json
import tracemalloc
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ocpi_emsp import Location, Session, check
from ocpi_emsp.check import EXAMPLES, RULES
from ocpi_emsp.findings import Severity
from ocpi_emsp.models import Credentials
from ocpi_emsp.report import PartnerReport, check_partial, to_html, to_json, to_markdown, to_text
from report.support import finding

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)


def test_rules_are_counted_and_the_first_finding_is_kept() -> None:
    report = PartnerReport()
    report.add("a.json", Location, [finding(pointer="/name")], b'{"name": "too long"}')
    report.add("b.json", Location, [finding(pointer="/city"), finding("value.type", "", Severity.ERROR)], b"[1, 2]")
    worst, length = report.rules
    assert (worst.rule, worst.severity, worst.sample, worst.source) == (
        "value.type", Severity.ERROR, "[2 items]", "b.json",
    )  # fmt: skip
    assert (length.count, length.pointer, length.source, length.sample) == (2, "/name", "a.json", '"too long"')
    assert length.sentence == RULES["string.length"].sentence
    assert (report.total, report.accepted, report.refused) == (2, 1, 1)
    assert report.documents == {"Location": 2}


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_is_reported_from_its_example(rule: str) -> None:
    example = EXAMPLES[rule]
    report = PartnerReport()
    report.add("example", example.kind, check(example.document, example.kind), example.document)
    (counted,) = (each for each in report.rules if each.rule == rule)
    assert counted.severity is RULES[rule].severity
    assert counted.clause
    assert counted.sentence == RULES[rule].sentence
    for render in (to_text, to_json, to_markdown, to_html):
        assert rule in render(report)


def test_the_policy_decides_what_is_refused_unless_the_caller_does() -> None:
    report = PartnerReport(Severity.WARNING)
    report.add("a", Location, [finding()])
    report.add("a", Location, [finding(severity=Severity.NOTE)])
    report.add("a", Location, [finding()], accepted=True)
    report.add("a", Location, [], accepted=False)
    assert (report.accepted, report.refused) == (2, 2)


def test_places_have_no_indices_and_a_kind() -> None:
    report = PartnerReport()
    found = [finding(pointer=f"/evses/{number}/status") for number in range(5)]
    report.add("a", Location, found)
    report.add("a", Session, [finding(pointer="/location/evses/0/status", clause="other"), finding(pointer="")])
    (rule,) = report.rules
    assert [(each.kind, each.pointer, each.clause, each.count) for each in rule.places] == [
        ("Location", "/evses/*/status", rule.clause, 5),
        ("Session", "", rule.clause, 1),
        ("Session", "/location/evses/*/status", "other", 1),
    ]


@pytest.mark.parametrize(
    ("document", "pointer", "sample"),
    [
        ({"a": {"b": [1, {"c/d~": "x"}]}}, "/a/b/1/c~1d~0", '"x"'),
        ({"a": None}, "/a", "null"),
        ({"a": True}, "/a", "true"),
        ({"a": "y" * 1000}, "/a", '"' + "y" * 76 + "..."),
        ({"a": {}}, "/a", "{}"),
        ({"a": {"b": 1}}, "/a", "{1 members}"),
        ({"a": []}, "/a", "[]"),
        ({}, "/a", None),
        ([1], "/1", None),
        ([1], "/x", None),
        (b'{"a": 1.10}', "/a", "1.10"),
        (b'{"a": 1e400}', "/a", "1E+400"),
        ('{"a": "\u00fc"}', "/a", '"\u00fc"'),
        (b"{broken\xff", "", "{broken\\xff"),
        (None, "/a", None),
    ],
)
def test_a_sample_is_the_value_in_short(document: Any, pointer: str, sample: str | None) -> None:
    report = PartnerReport()
    report.add("a", Location, [finding(pointer=pointer)], document)
    assert report.rules[0].sample == sample


@pytest.mark.parametrize("document", [b'{"token": "secret-token"}', b'{"token": "secret-token'])
def test_a_token_of_credentials_is_never_shown(document: bytes) -> None:
    report = PartnerReport()
    report.add("a", Credentials, check(document, Credentials), document)
    report.add("a", Credentials, [finding(pointer="/token")], document)
    for render in (to_text, to_json, to_markdown, to_html):
        assert "secret" not in render(report)


def test_the_pointer_leads_into_the_source() -> None:
    report = PartnerReport()
    report.add("a", Location, [finding(pointer="/name")], b'{"name": 1}', below="/data/3")
    assert (report.rules[0].pointer, report.rules[0].sample) == ("/data/3/name", "1")
    assert report.rules[0].places[0].pointer == "/name"


def test_first_and_last_seen_do_not_depend_on_the_order() -> None:
    report = PartnerReport()
    for hours in (3, 1, 2):
        report.add("a", Location, [finding()], at=NOON + timedelta(hours=hours))
    report.add("a", Location, [finding("other.rule")])
    seen, unseen = sorted(report.as_json()["rules"], key=lambda each: each["rule"], reverse=True)
    assert (seen["first_seen"], seen["last_seen"]) == ("2024-05-01T13:00:00Z", "2024-05-01T15:00:00Z")
    assert (unseen["first_seen"], unseen["last_seen"]) == (None, None)
    assert report.as_json()["last_seen"] == "2024-05-01T15:00:00Z"


def test_the_worst_severity_of_a_rule_counts() -> None:
    report = PartnerReport()
    for severity in (Severity.NOTE, Severity.ERROR, Severity.WARNING):
        report.add("a", Location, [finding(severity=severity)])
    assert report.rules[0].severity is Severity.ERROR
    assert report.findings_of(Severity.ERROR) == 3


def test_findings_that_a_report_left_out_are_counted() -> None:
    document = json.dumps({f"x{number}": 1 for number in range(30)}).encode()
    report = PartnerReport()
    report.add("a", Location, check(document, Location, limit=10), document)
    listed = sum(each.count for each in report.rules)
    assert (listed, report.more) == (10, check(document, Location).__len__() - 10)
    assert report.as_json()["findings"]["not_listed"] == report.more
    assert f"{report.more} more findings" in to_text(report)


def test_memory_does_not_grow_with_documents_or_hostile_names() -> None:
    report = PartnerReport()
    tracemalloc.start()
    for number in range(3000):
        name = f"/{'n' * 5000}{number}"
        report.add(f"{'s' * 5000}{number}", Location, [finding(pointer=name)], {"x": "v" * 5000})
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 200_000
    (rule,) = report.rules
    assert rule.count == 3000 == sum(place.count for place in rule.places) + rule.elsewhere
    assert max(map(len, (rule.pointer, rule.source, rule.places[0].pointer))) <= 200


def test_an_empty_report_says_so() -> None:
    assert PartnerReport().as_json()["documents"] == {"total": 0, "accepted": 0, "refused": 0, "by_kind": {}}
    for render in (to_text, to_markdown, to_html):
        assert "Nothing deviates" in render(PartnerReport())


@pytest.mark.parametrize(
    ("body", "rules"),
    [
        (b'{"name": "x"}', []),
        (b"{}", []),
        (b'{"city": null}', ["field.required"]),
        (b'{"coordinates": {"latitude": "51.047599"}}', []),
        (b'{"evses": [{"status": "FAULTED"}]}', ["enum.unknown"]),
        (b'{"country": "BE"}', ["location.country.alpha2"]),
        (b"{broken", ["json.syntax"]),
        (b"[]", ["value.type"]),
    ],
)
def test_a_patch_is_checked_for_what_it_says(body: bytes, rules: list[str]) -> None:
    assert [each.rule for each in check_partial(body, Location)] == rules
