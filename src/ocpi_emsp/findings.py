"""Findings: what deviates, where, how severely, and by which clause.

Rules of this module:
- plain data without behaviour beyond presentation; every other module may import it;
- a place is a JSON Pointer (RFC 6901) into the document as received;
- severities: ``error`` leaves no usable value, ``warning`` deviates but has one clear reading, ``note`` is harmless.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from enum import StrEnum

from attrs import define, field, frozen


class Severity(StrEnum):
    """The severity of a deviation, ordered by :attr:`rank`: note < warning < error."""

    NOTE = "note"
    WARNING = "warning"
    ERROR = "error"

    @property
    def rank(self) -> int:
        """The rank: 0 for a note, 1 for a warning, 2 for an error."""
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
        """Return the finding of a rule; ``clause`` is that of the object, for a rule without its own."""
        clause = rule.clause or clause
        return cls(pointer=pointer, rule=rule.id, severity=rule.severity, message=message, clause=clause)

    def as_json(self) -> dict[str, str]:
        """Return the finding as the JSON object in reports and OCPI responses."""
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
"""Most findings of one report: enough for any partner, and a bound on memory for hostile input."""
MAX_DEVIATIONS = 25 * MAX_FINDINGS
"""Deviations of any severity after which the search ends, and the document is rejected: a location of 3,000 EVSEs with
two connectors has 21,000 if each of these objects has two or three.
"""
MAX_COMPARED = 2 * MAX_FINDINGS
"""Most findings of one severity that are created to determine the first ones; further ones are only counted, which is
cheap.
"""


@frozen
class Report:
    """All findings of one document, ordered by pointer; at most :data:`MAX_FINDINGS`, the rest are counted."""

    findings: tuple[Finding, ...] = ()
    more: int = field(default=0)
    """The number of findings beyond those listed; a lower bound if the search ended because of too many errors."""

    @classmethod
    def of(cls, findings: Iterable[Finding], limit: int = MAX_FINDINGS) -> Report:
        """Return a report of ``findings``: errors are never cut in favour of notes, the rest is ordered by pointer."""
        collector = Collector(limit)
        for finding in findings:
            collector.append(finding)
        return collector.report()

    @property
    def severity(self) -> Severity | None:
        """The worst severity, or None if there are no findings."""
        return max((finding.severity for finding in self.findings), key=lambda severity: severity.rank, default=None)

    @property
    def ok(self) -> bool:
        """True if no finding is an error: a typed view of the document exists."""
        return self.severity is not Severity.ERROR

    def at_least(self, severity: Severity) -> tuple[Finding, ...]:
        """Return the findings of this severity or a worse one."""
        return tuple(finding for finding in self.findings if finding.severity.rank >= severity.rank)

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def __len__(self) -> int:
        return len(self.findings)


@define
class Collector:
    """Collects findings: the worst ``limit`` of them, by first pointers, are stored; the rest are counted.

    It never stores more than twice ``limit``. Errors are cut last. :meth:`takes` is called before a finding is created,
    and :attr:`enough` ends the search, so the work for a document is bounded, too.
    """

    limit: int = MAX_FINDINGS
    _kept: list[Finding] = field(factory=list, init=False)
    count: int = field(default=0, init=False)
    """The number of findings, stored or not."""
    _last: tuple[int, str, str] | None = field(default=None, init=False)
    """Findings that sort after this were already cut: ``limit`` findings before it are known."""
    _hidden: set[tuple[str, str]] = field(factory=set, init=False)
    _hidden_count: int = field(default=0, init=False)
    _made: dict[Severity, int] = field(factory=lambda: dict.fromkeys(Severity, 0), init=False)
    """The number of added findings, by severity."""
    enough: bool = field(default=False, init=False)
    """True once there are more errors than a report lists, or more deviations than the search allows."""

    def takes(self, severity: Severity) -> bool:
        """Return False if a further finding of this severity need not be created, only counted with :meth:`skip`."""
        return self._made[severity] < MAX_COMPARED or self.limit > MAX_COMPARED

    def skip(self, number: int = 1) -> None:
        """Count findings that were not created."""
        self.count += number
        if self.count > MAX_DEVIATIONS:
            self.enough = True

    @property
    def has_errors(self) -> bool:
        """True if an error was added."""
        return self._made[Severity.ERROR] > 0

    @property
    def found(self) -> Sequence[Finding]:
        """The findings in the order in which they were added; if there were too many, the worst of those cut first."""
        return self._kept

    def append(self, finding: Finding) -> None:
        """Add a finding."""
        self.count += 1
        made = self._made[finding.severity] = self._made[finding.severity] + 1
        if finding.severity is Severity.ERROR and made > MAX_FINDINGS and made > self.limit:
            self.enough = True
        if self._last is None or _worst_first(finding) <= self._last:
            self._kept.append(finding)
            if len(self._kept) >= 2 * self.limit:
                self._cut()

    def hide(self, pointer: str, rule: str) -> None:
        """Leave out the finding of ``rule`` at ``pointer``: a worse finding implies it.

        Once ``limit`` worse findings are stored, none of the implied ones can be among them.
        """
        self._hidden_count += 1
        if len(self._hidden) < self.limit:
            self._hidden.add((pointer, rule))

    def report(self) -> Report:
        """Return the report of all findings added so far."""
        self._kept = [each for each in self._kept if (each.pointer, each.rule) not in self._hidden]
        self._cut()
        kept = sorted(self._kept, key=lambda finding: (finding.pointer, finding.rule))
        return Report(tuple(kept), self.count - self._hidden_count - len(kept))

    def _cut(self) -> None:
        self._kept.sort(key=_worst_first)
        del self._kept[self.limit :]
        if len(self._kept) == self.limit:
            self._last = _worst_first(self._kept[-1]) if self._kept else (-len(Severity), "", "")


def _worst_first(finding: Finding) -> tuple[int, str, str]:
    return -finding.severity.rank, finding.pointer, finding.rule


def counted(number: int, noun: str) -> str:
    """Return a count with its noun: ``1 error``, ``2 errors``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def worst(findings: Collection[Finding]) -> Finding | None:
    """Return the first finding of the highest severity, or None."""
    severity = max({each.severity for each in findings}, key=lambda each: each.rank, default=None)
    return next((each for each in findings if each.severity is severity), None)


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """Return the findings by falling severity; those of one severity stay in order."""
    return sorted(findings, key=lambda each: -each.severity.rank)


def with_reason(message: str, findings: Sequence[Finding]) -> str:
    """Return ``message`` with its worst finding and the number of further ones, unless it already has them."""
    finding = worst(findings)
    if finding is None:
        return message
    more = f" ({len(findings) - 1} more)" if len(findings) > 1 else ""
    where = f"{finding.pointer} " if finding.pointer else ""
    reason = f"{where}{finding.message}{more}"
    return message if message.endswith(reason) else f"{message}: {reason}"


def pointer(path: Sequence[str | int]) -> str:
    """Return the RFC 6901 pointer of a path of member names and array indices."""
    return "".join("/" + _short(str(step)).replace("~", "~0").replace("/", "~1") for step in path)


def _short(step: str) -> str:
    """Return a name of a readable length: one of 4 MiB would be repeated in every finding below it."""
    return step if len(step) <= _LONGEST_STEP else f"{step[: _LONGEST_STEP - 3]}..."


_LONGEST_STEP = 255
