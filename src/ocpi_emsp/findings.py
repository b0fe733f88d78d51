"""Findings: what deviates, where, how badly, and which clause says so.

Rules of this module:
- plain data without behaviour beyond presentation; everything else in the library may import it;
- a place is a JSON Pointer (RFC 6901) into the document as received;
- severities: ``error`` leaves no usable value, ``warning`` deviates but has one clear reading, ``note`` is harmless.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum

from attrs import define, field, frozen


class Severity(StrEnum):
    """The severity of a deviation, ordered by :attr:`rank`: note < warning < error."""

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
    """The rule behind a finding: its severity, the clause it is based on, and a description."""

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

    @classmethod
    def of(cls, rule: Rule, pointer: str, message: str, clause: str = "") -> Finding:
        """The finding of a rule; ``clause`` is that of the object, for a rule that has none of its own."""
        clause = rule.clause or clause
        return cls(pointer=pointer, rule=rule.id, severity=rule.severity, message=message, clause=clause)

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
"""The most findings of one report: enough for any partner, and a bound on memory for hostile input."""


@frozen
class Report:
    """All findings of one document, ordered by pointer; never more than :data:`MAX_FINDINGS`, the rest is counted."""

    findings: tuple[Finding, ...] = ()
    more: int = field(default=0)
    """The number of findings beyond those listed."""

    @classmethod
    def of(cls, findings: Iterable[Finding], limit: int = MAX_FINDINGS) -> Report:
        """A report of ``findings``: errors are never cut in favour of notes, the rest is ordered by pointer."""
        collector = Collector(limit)
        for finding in findings:
            collector.append(finding)
        return collector.report()

    @property
    def severity(self) -> Severity | None:
        """The worst severity found, or None if nothing was found."""
        return max((finding.severity for finding in self.findings), key=lambda severity: severity.rank, default=None)

    @property
    def ok(self) -> bool:
        """True if no finding is an error: a typed view of the document exists."""
        return self.severity is not Severity.ERROR

    def at_least(self, severity: Severity) -> tuple[Finding, ...]:
        """The findings of this severity or a worse one."""
        return tuple(finding for finding in self.findings if finding.severity.rank >= severity.rank)

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def __len__(self) -> int:
        return len(self.findings)


@define
class Collector:
    """Collect findings: the worst ``limit`` of them, by first pointers, are stored; the rest is counted.

    It never stores more than twice ``limit``. Errors are cut last.
    """

    limit: int = MAX_FINDINGS
    _kept: list[Finding] = field(factory=list, init=False)
    _count: int = field(default=0, init=False)
    _last: tuple[int, str, str] | None = field(default=None, init=False)
    """What sorts after this was cut already: ``limit`` findings before it are known."""
    _hidden: set[tuple[str, str]] = field(factory=set, init=False)
    _hidden_count: int = field(default=0, init=False)

    def append(self, finding: Finding) -> None:
        """Add a finding."""
        self._count += 1
        if self._last is None or _worst_first(finding) <= self._last:
            self._kept.append(finding)
            if len(self._kept) >= 2 * self.limit:
                self._cut()

    def hide(self, pointer: str, rule: str) -> None:
        """Leave out the finding of ``rule`` at ``pointer``: a worse finding implies it.

        Once ``limit`` worse findings are stored, none of those that they imply can be among them.
        """
        self._hidden_count += 1
        if len(self._hidden) < self.limit:
            self._hidden.add((pointer, rule))

    def report(self) -> Report:
        """Return the report of all findings added so far."""
        self._kept = [each for each in self._kept if (each.pointer, each.rule) not in self._hidden]
        self._cut()
        kept = sorted(self._kept, key=lambda finding: (finding.pointer, finding.rule))
        return Report(tuple(kept), self._count - self._hidden_count - len(kept))

    def _cut(self) -> None:
        self._kept.sort(key=_worst_first)
        del self._kept[self.limit :]
        if len(self._kept) == self.limit:
            self._last = _worst_first(self._kept[-1]) if self._kept else (-len(Severity), "", "")


def _worst_first(finding: Finding) -> tuple[int, str, str]:
    return -finding.severity.rank, finding.pointer, finding.rule


def counted(number: int, noun: str) -> str:
    """``1 error``, ``2 errors``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def worst(findings: Iterable[Finding]) -> Finding | None:
    """The first finding of the highest severity, or None."""
    return max(findings, key=lambda each: each.severity.rank, default=None)


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """The findings by falling severity; those of one severity as they were."""
    return sorted(findings, key=lambda each: -each.severity.rank)


def with_reason(message: str, findings: Sequence[Finding]) -> str:
    """``message``, the worst of its findings, and how many there are beside it; once, where the message has them."""
    finding = worst(findings)
    if finding is None:
        return message
    more = f" ({len(findings) - 1} more)" if len(findings) > 1 else ""
    where = f"{finding.pointer} " if finding.pointer else ""
    reason = f"{where}{finding.message}{more}"
    return message if message.endswith(reason) else f"{message}: {reason}"


def pointer(path: Sequence[str | int]) -> str:
    """The RFC 6901 pointer of a path of member names and array indices."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in path)
