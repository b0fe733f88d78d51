"""Findings of any number of documents, added up by rule.

Rules of this module:
- each rule has a few samples, from its first findings, each with another place or value; memory is bounded by the
  number of rules, and external texts are cut;
- a rule's places are pointers without list indices (``/evses/*/status``), per kind of object. The first ``MAX_PLACES``
  have a count each; hits at other places are counted together;
- ``severity`` is the worst that occurred: a policy, or an envelope around good data, may lower that of a finding.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache
from typing import Any

from attrs import define, field, frozen

from ocpi_emsp.check import RULES
from ocpi_emsp.findings import Finding, Severity
from ocpi_emsp.report.samples import Quoted, cut

MAX_PLACES = 10
"""Places of a rule with a count of their own; a mail can name this many."""
MAX_SAMPLES = 5
"""Samples of a rule; enough for a partner to recognize the fault."""
MAX_FILES = 20
"""Names of files that a report lists."""
_LOOKED_AT = 50
"""Findings of a rule that are examined for samples."""
MAX_TEXT = 200
"""Characters of a pointer or a source: enough to find the place, without repeating a hostile name."""
UNREADABLE = "(unreadable)"
"""The kind of a document whose kind is not given and not clear from its content."""

_INDEX = re.compile(r"/\d+(?=/|$)", re.ASCII)


@define
class PlaceCount:
    """How often a rule was broken at one place of one kind of object."""

    kind: str
    pointer: str
    """The pointer, with ``*`` for list indices."""
    clause: str
    count: int = 0

    def as_json(self) -> dict[str, Any]:
        """Return this count as a member of the JSON report."""
        return {"kind": self.kind, "pointer": self.pointer, "clause": self.clause, "count": self.count}


@frozen
class RuleSample:
    """A value that broke a rule."""

    source: str
    """The file, with the line or entry."""
    pointer: str
    """The pointer within the source."""
    sample: str | None
    """The value at the pointer, shortened; None if it is missing, or the document is unknown."""

    def as_json(self) -> dict[str, Any]:
        """Return this sample as a member of the JSON report."""
        return {"source": self.source, "pointer": self.pointer, "sample": self.sample}


@define(kw_only=True)
class RuleCount:
    """How often one rule was broken, and its first finding."""

    rule: str
    severity: Severity
    clause: str
    """The specification's file and anchor, from the first finding: a schema rule cites its object."""
    sentence: str
    """The description of the rule."""
    kind: str
    """The kind of the first document that broke it."""
    pointer: str
    """The pointer of the first finding, within its source."""
    source: str
    """The place of the first finding: a file, with the line or entry."""
    sample: str | None
    """The value at the pointer, shortened; None if it is missing, or the document is unknown."""
    count: int = 0
    first_seen: datetime | None = None
    last_seen: datetime | None = None
    elsewhere: int = 0
    """Hits beyond the places with a count of their own."""
    samples: list[RuleSample] = field(factory=list, init=False)
    """Up to ``MAX_SAMPLES`` of different places or values; the first finding's comes first."""
    _places: dict[tuple[str, str], PlaceCount] = field(factory=dict, init=False, repr=False)
    _sampled: set[tuple[str, str | None]] = field(factory=set, init=False, repr=False)

    @property
    def places(self) -> list[PlaceCount]:
        """The places, those with the most hits first."""
        return sorted(self._places.values(), key=lambda place: (-place.count, place.kind, place.pointer))

    def hit(self, kind: str, pointer: str, clause: str, at: datetime | None) -> None:
        """Count one more finding of this rule."""
        self.count += 1
        place = self._places.get((kind, pointer))
        if place is None and len(self._places) < MAX_PLACES:
            place = self._places[kind, pointer] = PlaceCount(kind, pointer, clause)
        if place is None:
            self.elsewhere += 1
        else:
            place.count += 1
        if at is not None:
            self.first_seen = min(self.first_seen or at, at)
            self.last_seen = max(self.last_seen or at, at)

    def quote(self, source: str, pointer: str, place: str, quoted: Quoted, below: str) -> None:
        """Store the value at a pointer as a sample, unless a similar one exists or there are enough."""
        if len(self.samples) == MAX_SAMPLES or self.count > _LOOKED_AT:
            return
        sample = quoted.at(pointer)
        if (place, sample) not in self._sampled:
            self._sampled.add((place, sample))
            self.samples.append(RuleSample(cut(source, MAX_TEXT), cut(below + pointer, MAX_TEXT), sample))

    def as_json(self) -> dict[str, Any]:
        """Return this rule as a member of the JSON report."""
        return {
            "rule": self.rule,
            "severity": self.severity.value,
            "count": self.count,
            "clause": self.clause,
            "sentence": self.sentence,
            "kind": self.kind,
            "pointer": self.pointer,
            "source": self.source,
            "sample": self.sample,
            "samples": [each.as_json() for each in self.samples],
            "first_seen": moment(self.first_seen),
            "last_seen": moment(self.last_seen),
            "places": [place.as_json() for place in self.places],
            "elsewhere": self.elsewhere,
        }


@define
class PartnerReport:
    """The deviations of a partner's documents, by rule. ``refuses`` is the severity from which a document is rejected.

    ``party`` names the sender of the documents for people, such as NL-TNM.
    """

    refuses: Severity = Severity.ERROR
    party: str | None = field(default=None, kw_only=True)
    files: list[str] = field(factory=list, init=False)
    """The names of the first ``MAX_FILES`` files that were read."""
    more_files: int = field(default=0, init=False)
    """The number of files beyond those listed."""
    documents: Counter[str] = field(factory=Counter, init=False)
    """The number of documents by kind."""
    accepted: int = field(default=0, init=False)
    refused: int = field(default=0, init=False)
    more: int = field(default=0, init=False)
    """Findings beyond those that the report of a document lists; they are not counted by rule."""
    first_seen: datetime | None = field(default=None, init=False)
    last_seen: datetime | None = field(default=None, init=False)
    _rules: dict[str, RuleCount] = field(factory=dict, init=False, repr=False)

    def add(
        self,
        source: str,
        kind: type[Any] | str | None,
        findings: Iterable[Finding],
        document: Any = None,
        at: datetime | None = None,
        *,
        below: str = "",
        accepted: bool | None = None,
        more: int | None = None,
    ) -> None:
        """Add the findings of one document; only short samples of a rule's first findings are stored.

        The findings' pointers refer to ``document`` (bytes, str or parsed JSON); ``below`` is the pointer of the
        document in its source, ``at`` the time of its receipt (aware). ``accepted`` is derived from ``refuses`` by
        default; ``more`` is that of a :class:`~ocpi_emsp.findings.Report`.
        """
        name = kind if isinstance(kind, str) else kind.__name__ if kind is not None else UNREADABLE
        worst, quoted = -1, Quoted(document, name)
        for finding in findings:
            worst = max(worst, finding.severity.rank)
            count = self._rules.get(finding.rule)
            if count is None:
                count = self._rules[finding.rule] = _first(source, name, finding, quoted, below)
            elif finding.severity.rank > count.severity.rank:
                count.severity = finding.severity
            place = _place(finding.pointer)
            count.hit(name, place, finding.clause, at)
            count.quote(source, finding.pointer, place, quoted, below)
        self.more += (getattr(findings, "more", 0) if more is None else more) or 0
        self.documents[name] += 1
        if worst < self.refuses.rank if accepted is None else accepted:
            self.accepted += 1
        else:
            self.refused += 1
        if at is not None:
            self.first_seen, self.last_seen = min(self.first_seen or at, at), max(self.last_seen or at, at)

    def read(self, file: str) -> None:
        """Add the name of a file from which documents were read."""
        if len(self.files) < MAX_FILES:
            self.files.append(cut(file, MAX_TEXT))
        else:
            self.more_files += 1

    @property
    def rules(self) -> list[RuleCount]:
        """The broken rules: the worst first, then the most frequent."""
        return sorted(self._rules.values(), key=lambda each: (-each.severity.rank, -each.count, each.rule))

    @property
    def total(self) -> int:
        """The number of documents."""
        return self.accepted + self.refused

    def findings_of(self, severity: Severity) -> int:
        """Return the number of findings of this severity."""
        return sum(each.count for each in self._rules.values() if each.severity is severity)

    def as_json(self) -> dict[str, Any]:
        """Return the report as a JSON document; timestamps as ISO 8601 texts."""
        return {
            "party": self.party,
            "files": {"first": self.files, "total": len(self.files) + self.more_files},
            "documents": {
                "total": self.total,
                "accepted": self.accepted,
                "refused": self.refused,
                "by_kind": dict(sorted(self.documents.items())),
            },
            "findings": {
                **{severity.value: self.findings_of(severity) for severity in reversed(Severity)},
                "not_listed": self.more,
            },
            "first_seen": moment(self.first_seen),
            "last_seen": moment(self.last_seen),
            "rules": [each.as_json() for each in self.rules],
        }


def moment(at: datetime | None) -> str | None:
    """Return a time as the reports write it, to the second."""
    return None if at is None else at.isoformat(timespec="seconds").replace("+00:00", "Z")


def _first(source: str, kind: str, finding: Finding, quoted: Quoted, below: str) -> RuleCount:
    rule = RULES.get(finding.rule)
    return RuleCount(
        rule=finding.rule,
        severity=finding.severity,
        clause=finding.clause,
        sentence=rule.sentence if rule is not None else "",
        kind=kind,
        pointer=cut(below + finding.pointer, MAX_TEXT),
        source=cut(source, MAX_TEXT),
        sample=quoted.at(finding.pointer),
    )


@lru_cache(maxsize=4096)
def _star(pointer: str) -> str:
    return cut(_INDEX.sub("/*", pointer), MAX_TEXT)


def _place(pointer: str) -> str:
    """Return a pointer without indices; one that is too long is cut."""
    return _star(pointer) if len(pointer) <= MAX_TEXT else cut(_INDEX.sub("/*", pointer[: 2 * MAX_TEXT]), MAX_TEXT)
