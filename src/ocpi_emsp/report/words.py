"""The sentences at the beginning of every form of a report."""

from __future__ import annotations

from ocpi_emsp.findings import Severity, counted
from ocpi_emsp.report.aggregate import PartnerReport, RuleCount, moment

TITLE = "OCPI 2.1.1 report"
NOTHING = "Nothing deviates from the specification."


def title(report: PartnerReport) -> str:
    """Return the title of a report for which none is given."""
    return f"{TITLE}: {report.party}" if report.party else TITLE


def summary(report: PartnerReport) -> list[str]:
    """Return the number of documents, their results, and the period."""
    kinds = ", ".join(f"{count} {kind.strip('()')}" for kind, count in sorted(report.documents.items()))
    found = ", ".join(counted(report.findings_of(severity), severity) for severity in reversed(Severity))
    lines = [
        f"{counted(report.total, 'document')}{f' ({kinds})' if kinds else ''}: "
        f"{report.accepted} accepted, {report.refused} refused.",
        f"{found}, of {counted(len(report.rules), 'rule')}.",
    ]
    if report.more:
        lines.append(f"{counted(report.more, 'more finding')} beyond the limit of single documents: not counted here.")
    if report.first_seen is not None:
        lines.append(f"Received from {moment(report.first_seen)} to {moment(report.last_seen)}.")
    return lines


def pointer(each: str) -> str:
    """Return a pointer; the empty one as ``(document)``."""
    return each or "(document)"


def seen(each: RuleCount) -> str:
    """Say when a rule was broken; empty if unknown."""
    if each.first_seen is None:
        return ""
    return f"{moment(each.first_seen)} to {moment(each.last_seen)}"
