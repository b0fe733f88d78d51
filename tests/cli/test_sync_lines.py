"""A report in lines: what is counted, what is shown, and that no text of a partner reaches a terminal as it is."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from ocpi_emsp.cli.sync_lines import lines
from ocpi_emsp.findings import Finding, Severity
from ocpi_emsp.flows.sync.report import ModuleReport, RejectedObject, SyncEnded, SyncReport

EVIL = "\x1b[2J\nNL-TNM  all is well"
SHOWN = "\\x1b[2J\\nNL-TNM  all is well"
NOTHING = "0 created, 0 updated, 0 unchanged, 0 stale, 0 rejected"


def shown(**changes: Any) -> list[str]:
    """The lines of one module, without the sum."""
    values: dict[str, Any] = {"module": "locations", "ended": SyncEnded.DONE, **changes}
    module = ModuleReport(**values)
    report = SyncReport(
        country_code="NL",
        party_id="TNM",
        started_at=datetime(2024, 1, 1, tzinfo=UTC),
        duration=2.0,
        modules=(module,),
    )
    return list(lines(report))


def test_the_sum_of_a_party() -> None:
    *_, last = shown(created=3, updated=2, unchanged=1, stale=4, missing=5, removed=6, pages=2, duration=1.25)
    counts = "3 created, 2 updated, 1 unchanged, 4 stale, 0 rejected, 5 missing, 6 removed"
    assert last == f"NL-TNM  in all     done     {counts}; 2 pages; 2.0 s, 5 objects/s"


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"pages": 1, "retries": 1, "duration": 0.04}, f"done     {NOTHING}; 1 page, 1 retry; 0.0 s"),
        ({"retries": 4, "ended": SyncEnded.FAILED, "reason": "no"}, f"failed   {NOTHING}, 4 retries; 0.0 s: no"),
        ({"ended": SyncEnded.SKIPPED, "reason": "no tariffs endpoint"}, "skipped  no tariffs endpoint"),
        ({"ended": SyncEnded.STOPPED, "reason": "asked to"}, "stopped  asked to"),
        (
            {"ended": SyncEnded.STOPPED, "reason": "asked to", "pages": 2},
            f"stopped  {NOTHING}; 2 pages; 0.0 s: asked to",
        ),
    ],
)
def test_a_module(changes: dict[str, Any], line: str) -> None:
    assert shown(**changes)[0] == f"NL-TNM  locations  {line}"


def test_what_a_partner_wrote_is_escaped() -> None:
    finding = Finding(pointer="/" + EVIL, rule="x", severity=Severity.ERROR, message=EVIL, clause="c")
    rejected = RejectedObject(id=EVIL, url=EVIL, message=EVIL, findings=(finding,))
    said = shown(ended=SyncEnded.FAILED, reason=EVIL, notes=(EVIL,), rejected=1, rejections=(rejected,))
    assert len(said) == 5
    assert all(line.isprintable() for line in said)
    assert said[0].endswith(f": {SHOWN}")
    assert said[1] == f"    note: {SHOWN}"
    assert said[2].endswith(f": {SHOWN}")
    assert SHOWN in said[3]


def test_a_note_of_each_page_is_one_line() -> None:
    notes = ("a", *["b"] * 40, "c", "d", "e", "f", "g")
    said = ["a", "b", "c", "d", "e"]
    expected = [f"    note{', 40 times' if each == 'b' else ''}: {each}" for each in said]
    assert shown(notes=notes)[1:-1] == [*expected, "    and 2 more notes, see --json"]


@pytest.mark.parametrize(("module", "where"), [("cdrs", "ocpi-emsp rejections list"), ("tokens", "--json")])
def test_rejections_that_are_not_shown_are_counted(module: str, where: str) -> None:
    rejections = tuple(RejectedObject(id="", url="", message="no", findings=()) for _ in range(6))
    said = shown(module=module, rejected=250, rejections=rejections)[1:-1]
    assert said == ["    rejected one without an id: no"] * 5 + [f"    and 245 more rejected, see {where}"]


def test_findings_that_are_not_shown_are_counted() -> None:
    findings = tuple(
        Finding(pointer=f"/{number}", rule="x", severity=Severity.ERROR, message="no", clause="c")
        for number in range(5)
    )
    rejected = RejectedObject(id="A", url="", message="refused", findings=findings)
    said = shown(rejected=1, rejections=(rejected,))[2:-1]
    assert [line.startswith("      error at /") for line in said] == [True] * 3 + [False]
    assert said[-1] == "      and 2 more findings"
