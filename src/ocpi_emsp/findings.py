"""Findings: what deviates, where, how badly, and which clause says so.

Rules of this module:
- plain data without behaviour beyond presentation; everything else in the library may import it;
- a place is a JSON Pointer (RFC 6901) into the document as received;
- severities: ``error`` leaves no usable value, ``warning`` deviates but has one clear reading, ``note`` is harmless.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum

from attrs import field, frozen


class Severity(StrEnum):
    """How bad a deviation is. Ordered by :attr:`rank`: note < warning < error."""

    NOTE = "note"
    WARNING = "warning"
    ERROR = "error"

    @property
    def rank(self) -> int:
        """0 for a note, 1 for a warning, 2 for an error."""
        return _RANKS[self]


_RANKS = {Severity.NOTE: 0, Severity.WARNING: 1, Severity.ERROR: 2}


@frozen(kw_only=True)
class Rule:
    """What a finding's ``rule`` id means: its severity, the clause it rests on, and a sentence for people."""

    id: str
    severity: Severity
    clause: str
    sentence: str


@frozen(kw_only=True)
class Finding:
    """One deviation at one place of one document."""

    pointer: str
    """RFC 6901 pointer into the document as received; empty for the whole document."""
    rule: str
    severity: Severity
    message: str
    clause: str
    """The specification's file and anchor, such as ``mod_locations.md#31-location-object``."""

    def as_json(self) -> dict[str, str]:
        """The finding as the JSON object that reports and OCPI answers carry."""
        return {
            "pointer": self.pointer,
            "rule": self.rule,
            "severity": self.severity.value,
            "message": self.message,
            "clause": self.clause,
        }

    def __str__(self) -> str:
        return f"{self.severity} at {self.pointer or '(document)'}: {self.message} [{self.rule}; {self.clause}]"


MAX_FINDINGS = 1000
"""Findings that one report holds: enough for any mail to a partner, and a bound on memory for hostile input."""


@frozen
class Report:
    """All findings of one document, ordered by pointer; never more than :data:`MAX_FINDINGS`, the rest is counted."""

    findings: tuple[Finding, ...] = ()
    more: int = field(default=0)
    """How many findings beyond those listed were counted."""

    @classmethod
    def of(cls, findings: Iterable[Finding], limit: int = MAX_FINDINGS) -> Report:
        """A report of ``findings``: errors are never cut in favour of notes, the rest is ordered by pointer."""
        ordered = sorted(findings, key=lambda finding: (-finding.severity.rank, finding.pointer, finding.rule))
        kept = sorted(ordered[:limit], key=lambda finding: (finding.pointer, finding.rule))
        return cls(tuple(kept), max(0, len(ordered) - limit))

    @property
    def severity(self) -> Severity | None:
        """The worst severity found, or None where nothing was found."""
        return max((finding.severity for finding in self.findings), key=lambda severity: severity.rank, default=None)

    @property
    def ok(self) -> bool:
        """True where no finding is an error: a typed view of the document exists."""
        return self.severity is not Severity.ERROR

    def at_least(self, severity: Severity) -> tuple[Finding, ...]:
        """The findings of this severity or a worse one."""
        return tuple(finding for finding in self.findings if finding.severity.rank >= severity.rank)

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def __len__(self) -> int:
        return len(self.findings)


def pointer(path: Sequence[str | int]) -> str:
    """The RFC 6901 pointer of a path of member names and array indices."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in path)
