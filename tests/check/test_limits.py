"""A report is bounded: at most so many findings, the worst of them, and the rest counted, in bounded memory."""

import sys
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given, strategies as st

from ocpi_emsp.check import Policy, accept, check, registry
from ocpi_emsp.check.examples import base
from ocpi_emsp.check.rules import OBJECT_RULES
from ocpi_emsp.codec import dump, rules as schema
from ocpi_emsp.findings import MAX_FINDINGS, Collector, Finding, Report, Severity
from ocpi_emsp.models import Evse, Location, Tariff


def finding(number: int, severity: Severity = Severity.NOTE, rule: str = "rule") -> Finding:
    clause = "types.md#15-string-type"
    return Finding(pointer=f"/{number:08}", rule=rule, severity=severity, message="a message", clause=clause)


def evses(number: int, **changes: Any) -> bytes:
    return dump(
        {
            **base(Location),
            "evses": [{**base(Evse), "uid": f"{index:05}", "evse_id": None, **changes} for index in range(number)],
        }
    )


def test_the_limit_is_settable() -> None:
    document = evses(20, status="FAULTED", vendor=1)
    whole = check(document, Location)
    assert (len(whole), whole.more) == (40, 0)
    for limit in (1, 7, 20, 39, 40, 41):
        report = check(document, Location, limit=limit)
        assert (len(report), report.more) == (min(limit, 40), max(0, 40 - limit))
        kept = sorted(whole, key=lambda each: (-each.severity.rank, each.pointer))[:limit]
        assert set(report) == set(kept)
        assert [each.pointer for each in report] == sorted(each.pointer for each in report)


@pytest.mark.parametrize("limit", [0, -1])
def test_a_report_lists_something(limit: int) -> None:
    with pytest.raises(ValueError, match="invalid limit"):
        check(b"{}", Location, limit=limit)


def test_an_error_is_never_lost_in_notes() -> None:
    document = base(Location) | {f"vendor{number}": number for number in range(5000)}
    document["last_updated"] = "yesterday"
    report = check(dump(document), Location, limit=10)
    assert (len(report), report.more) == (10, 4991)
    assert "datetime.unreadable" in {each.rule for each in report}
    assert not report.ok


SEVERITIES = st.lists(st.tuples(st.integers(0, 99), st.sampled_from(Severity)), max_size=200)


@given(drawn=SEVERITIES, limit=st.integers(0, 30))
def test_what_is_kept_depends_on_no_order(drawn: list[tuple[int, Severity]], limit: int) -> None:
    given_ = [finding(number, severity) for number, severity in drawn]
    expected = sorted(given_, key=lambda each: (-each.severity.rank, each.pointer, each.rule))[:limit]
    report = Report.of(given_, limit)
    assert sorted(report, key=lambda each: (-each.severity.rank, each.pointer)) == expected
    assert report.more == len(given_) - len(expected)


def test_memory_is_bounded() -> None:
    collector = Collector(100)
    tracemalloc.start()
    try:
        for number in range(50_000, 0, -1):  # each sorts before what is kept
            collector.append(finding(number))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 500_000
    report = collector.report()
    assert (len(report), report.more) == (100, 49_900)
    assert report.findings[0].pointer == "/00000001"


@pytest.mark.parametrize("limit", [1, 5, 100])
def test_a_note_that_a_warning_implies_is_not_counted(limit: int) -> None:
    document = base(Location)
    document["evses"] = [{**base(Evse), "uid": f"\u00e9{number}", "evse_id": None} for number in range(10)]
    report = check(dump(document), Location, limit=limit)
    assert {each.rule for each in report} == {"identifier.ascii"}
    assert len(report) + report.more == 10


def test_a_hidden_note_leaves_its_neighbours() -> None:
    collector = Collector(10)
    note = Severity.NOTE
    for each in (
        finding(1, note, "a"),
        finding(1, note, "b"),
        finding(2, note, "a"),
        finding(1, Severity.WARNING, "w"),
    ):
        collector.append(each)
    collector.hide(finding(1).pointer, "a")
    report = collector.report()
    assert [(each.pointer, each.rule) for each in report] == [
        ("/00000001", "b"),
        ("/00000001", "w"),
        ("/00000002", "a"),
    ]
    assert report.more == 0


# --- cost -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ids of the rules that were run, one for every object looked at."""
    made: list[str] = []

    def counted(rule: registry.ObjectRule) -> registry.ObjectRule:
        def find(*arguments: Any) -> Iterator[registry.Hit]:
            made.append(rule.rule.id)
            return rule.find(*arguments)

        return evolve(rule, find=find)

    monkeypatch.setattr(sys.modules[check.__module__], "_WALK", registry.Walk(map(counted, OBJECT_RULES)))
    return made


def test_rules_run_once_per_object_that_they_look_at(calls: list[str]) -> None:
    made = []
    for number in (10, 20, 40):
        calls.clear()
        assert check(evses(number), Location).findings == ()
        made.append(len(calls))
        assert calls.count("evse.evse_id.form") == calls.count("connector.voltage.positive") // 2 == number
        assert calls.count("location.country.unknown") == 1
        assert "price.negative" not in calls
    assert made[2] - made[1] == 2 * (made[1] - made[0])


def test_the_tolerant_policy_runs_no_rule_of_sense(calls: list[str]) -> None:
    accept(dump(base(Tariff)), Tariff, Policy.tolerant())
    accept(dump(base(Tariff) | {"id": 12}), Tariff, Policy.tolerant())  # the strict lane refuses it
    assert calls == []
    accept(dump(base(Tariff)), Tariff, Policy.strict())
    assert calls != []


def test_the_most_findings_are_the_default() -> None:
    report = check({"evses": [{} for _ in range(MAX_FINDINGS)]}, Location)
    assert len(report) == MAX_FINDINGS
    assert {each.rule for each in report} == {schema.REQUIRED.id}
