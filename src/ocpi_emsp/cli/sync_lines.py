"""The result of a sync, in lines for people.

Rules of this module: text from partners is made printable; a partner's faults are shown by the first cases, the rest
are counted; counts of faults are left out if they are 0.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from ocpi_emsp.cli.output import printable
from ocpi_emsp.findings import counted, worst_first
from ocpi_emsp.resources import ModuleReport, RejectedObject, SyncEnded, SyncReport

SHOWN = 5
"""Notes and rejections of a module that are shown: enough to see the problem."""
_FINDINGS = 3
"""Findings of a rejection that are shown."""
_OUTCOMES = ("created", "updated", "unchanged", "stale", "rejected")
_SELDOM = ("moved", "missing", "removed")


def lines(report: SyncReport) -> Iterator[str]:
    """Yield a line for each module, its faults below, and the sum of the party."""
    party = f"{report.country_code}-{report.party_id}"
    for module in report.modules:
        yield printable(f"{party}  {module.module:<9}  {module.ended.value:<7}  {_module(module)}")
        yield from (f"    {printable(text)}" for text in _below(module))
    ended = "done" if all(each.ended in (SyncEnded.DONE, SyncEnded.SKIPPED) for each in report.modules) else "not done"
    yield f"{party}  in all     {ended:<7}  {_sum(report)}"


def _module(module: ModuleReport) -> str:
    if module.ended is SyncEnded.SKIPPED or (
        module.ended is SyncEnded.STOPPED and not (module.pages or module.objects)
    ):
        return module.reason
    why = f": {module.reason}" if module.reason else ""
    retried = f", {module.retries} {'retry' if module.retries == 1 else 'retries'}" if module.retries else ""
    pages = f"; {counted(module.pages, 'page')}" if module.pages else ""
    return f"{_counts([module])}{pages}{retried}; {module.duration:.1f} s{why}"


def _sum(report: SyncReport) -> str:
    objects = sum(each.objects for each in report.modules)
    rate = f", {objects / report.duration:,.0f} objects/s" if objects and report.duration > 0 else ""
    pages = counted(report.pages, "page")
    return f"{_counts(report.modules)}; {pages}; {report.duration:.1f} s{rate}"


def _counts(modules: Sequence[ModuleReport]) -> str:
    sums = {name: sum(getattr(each, name) for each in modules) for name in (*_OUTCOMES, *_SELDOM)}
    return ", ".join(f"{number} {name}" for name, number in sums.items() if number or name in _OUTCOMES)


def _below(module: ModuleReport) -> Iterator[str]:
    notes = list(Counter(module.notes).items())  # many repeat on each page
    yield from (f"note: {note}" if times == 1 else f"note, {times} times: {note}" for note, times in notes[:SHOWN])
    if len(notes) > SHOWN:
        yield f"and {counted(len(notes) - SHOWN, 'more note')}, see --json"
    for rejected in module.rejections[:SHOWN]:
        yield from _rejected(rejected)
    if module.rejected > SHOWN:
        listed = "--json" if module.module == "tokens" else "ocpi-emsp rejections list"
        yield f"and {module.rejected - SHOWN} more rejected, see {listed}"


def _rejected(rejected: RejectedObject) -> Iterator[str]:
    name = f"'{rejected.id}'" if rejected.id else "one without an id"
    yield f"rejected {name}: {rejected.message}"
    yield from (f"  {finding}" for finding in worst_first(rejected.findings)[:_FINDINGS])
    if len(rejected.findings) > _FINDINGS:
        yield f"  and {counted(len(rejected.findings) - _FINDINGS, 'more finding')}"
