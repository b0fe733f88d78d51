"""Findings of any number of documents, added up by rule.

Rules of this module:
- one sample per rule, the first one, so memory is bounded by the number of rules; texts from outside are cut;
- a rule's places are pointers without the indices of lists (``/evses/*/status``), of one kind of object, the first
  ``MAX_PLACES`` of them with a count each; hits at other places are counted together;
- ``severity`` is the worst that was seen, since a policy, or an envelope around good data, may soften a finding.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache
from typing import Any

from attrs import define, field

from ocpi_emsp.check import RULES
from ocpi_emsp.findings import Finding, Severity
from ocpi_emsp.report.samples import cut, sample_at

MAX_PLACES = 10
"""Places that are counted one by one for a rule: what a mail can name."""
MAX_TEXT = 200
"""Characters of a pointer or a source: one is for people to find the place, not to repeat a hostile name."""
UNREADABLE = "(unreadable)"
"""The kind of a document whose kind is neither given nor clear from its content."""

_INDEX = re.compile(r"/\d+(?=/|$)", re.ASCII)


@define
class PlaceCount:
    """How often a rule was broken at one place of one kind of object."""

    kind: str
    pointer: str
    """With ``*`` for the index of a list."""
    clause: str
    count: int = 0

    def as_json(self) -> dict[str, Any]:
        """As a member of the JSON report."""
        return {"kind": self.kind, "pointer": self.pointer, "clause": self.clause, "count": self.count}


@define(kw_only=True)
class RuleCount:
    """How often one rule was broken, and the first time that it was."""

    rule: str
    severity: Severity
    clause: str
    """The specification's file and anchor: that of the first finding, since a rule of the schema cites its object."""
    sentence: str
    """The description of the rule."""
    kind: str
    """Of the first document that broke it."""
    pointer: str
    """Of the first finding, in its source."""
    source: str
    """Where the first finding was made: a file, with the line or entry."""
    sample: str | None
    """The value at the pointer, shortened; None if it is missing, or the document is unknown."""
    count: int = 0
    first_seen: datetime | None = None
    last_seen: datetime | None = None
    elsewhere: int = 0
    """Hits beyond the places that are counted one by one."""
    _places: dict[tuple[str, str], PlaceCount] = field(factory=dict, init=False, repr=False)

    @property
    def places(self) -> list[PlaceCount]:
        """The places with the most hits first."""
        return sorted(self._places.values(), key=lambda place: (-place.count, place.kind, place.pointer))

    def hit(self, kind: str, pointer: str, clause: str, at: datetime | None) -> None:
        """One more finding of this rule."""
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

    def as_json(self) -> dict[str, Any]:
        """As a member of the JSON report."""
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
            "first_seen": moment(self.first_seen),
            "last_seen": moment(self.last_seen),
            "places": [place.as_json() for place in self.places],
            "elsewhere": self.elsewhere,
        }


@define
class PartnerReport:
    """The deviations of a partner's documents, by rule. ``refuses`` is the severity from which one is rejected."""

    refuses: Severity = Severity.ERROR
    documents: Counter[str] = field(factory=Counter, init=False)
    """The number of documents by kind."""
    accepted: int = field(default=0, init=False)
    refused: int = field(default=0, init=False)
    more: int = field(default=0, init=False)
    """Findings beyond those that the report of a document lists; no rule counts them."""
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
        """Add the findings of one document; only a short sample of each new rule's first finding is stored.

        ``document`` is what the findings' pointers lead into (bytes, str or parsed JSON), ``below`` the pointer of the
        document in its source, ``at`` when it was received (aware). ``accepted`` defaults to what follows from
        ``refuses``; ``more`` is that of a :class:`~ocpi_emsp.findings.Report`.
        """
        name = kind if isinstance(kind, str) else kind.__name__ if kind is not None else UNREADABLE
        worst = -1
        for finding in findings:
            worst = max(worst, finding.severity.rank)
            count = self._rules.get(finding.rule)
            if count is None:
                count = self._rules[finding.rule] = _first(source, name, finding, document, below)
            elif finding.severity.rank > count.severity.rank:
                count.severity = finding.severity
            count.hit(name, _place(finding.pointer), finding.clause, at)
        self.more += (getattr(findings, "more", 0) if more is None else more) or 0
        self.documents[name] += 1
        if worst < self.refuses.rank if accepted is None else accepted:
            self.accepted += 1
        else:
            self.refused += 1
        if at is not None:
            self.first_seen, self.last_seen = min(self.first_seen or at, at), max(self.last_seen or at, at)

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
    """A time as the reports write it, to the second."""
    return None if at is None else at.isoformat(timespec="seconds").replace("+00:00", "Z")


def _first(source: str, kind: str, finding: Finding, document: Any, below: str) -> RuleCount:
    rule = RULES.get(finding.rule)
    return RuleCount(
        rule=finding.rule,
        severity=finding.severity,
        clause=finding.clause,
        sentence=rule.sentence if rule is not None else "",
        kind=kind,
        pointer=cut(below + finding.pointer, MAX_TEXT),
        source=cut(source, MAX_TEXT),
        sample=None if document is None else sample_at(document, finding.pointer, kind),
    )


@lru_cache(maxsize=4096)
def _star(pointer: str) -> str:
    return cut(_INDEX.sub("/*", pointer), MAX_TEXT)


def _place(pointer: str) -> str:
    """A pointer without indices; one of a hostile length is not remembered."""
    return _star(pointer) if len(pointer) <= MAX_TEXT else cut(_INDEX.sub("/*", pointer[: 2 * MAX_TEXT]), MAX_TEXT)
