"""Checks a PATCH body, which holds only a part of an object.

Rules of this module (transport_and_format.md PATCH, docs/spec-choices.md rows 4 and 5):
- an absent member stays unchanged, at any depth: its absence gives no finding;
- null on a required member gives one, since it would clear the member;
- semantic rules do not run: they need the whole object.
"""

from __future__ import annotations

from typing import Any

from attrs import evolve

from ocpi_emsp.check import check
from ocpi_emsp.codec import untyped
from ocpi_emsp.errors import InvalidObject, NotJson
from ocpi_emsp.findings import Finding, Report
from ocpi_emsp.report.samples import sample_at

_MISSING = frozenset({"field.required", "last_updated.missing"})


def check_partial(document: bytes, kind: type[Any], **options: Any) -> Report:
    """Return the findings of a PATCH body of a ``kind``; ``options`` are those of :func:`ocpi_emsp.check`."""
    report = check(document, kind, **options)
    if all(finding.rule not in _MISSING for finding in report):
        return report
    try:
        parsed = untyped(document)
    except (InvalidObject, NotJson):
        return report
    return evolve(report, findings=tuple(each for each in report if not _absent(each, parsed)))


def _absent(finding: Finding, document: Any) -> bool:
    return finding.rule in _MISSING and sample_at(document, finding.pointer, "") is None
