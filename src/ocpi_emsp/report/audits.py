"""Audits of any number of CDRs, added up: counts, sums per currency, and the worst first.

Rules of this module:
- memory is bounded whatever the number of CDRs: the worst ``limit`` audits are held, each with its first
  :data:`MAX_LINES` lines, and :data:`MAX_CURRENCIES` currencies;
- sums are exact; an amount beyond :data:`ABSURD` digits is counted and left out of them.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Collection, Iterable
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal
from typing import Any, TypeAlias

from attrs import define, evolve, field, frozen

from ocpi_emsp.pricing import Audit, Verdict
from ocpi_emsp.pricing.result import text

MAX_LINES = 100
"""Lines of one listed audit: what a person reads."""
MAX_CURRENCIES = 50
"""Currencies with sums of their own: a partner may make up any number of them."""
MAX_FAILED = 100
"""Documents that could not be audited and are listed; the others are counted."""
ABSURD = 60
"""The exponent from which on an amount is none that a sum can hold."""
VERDICTS = (Verdict.WRONG, Verdict.UNDECIDABLE, Verdict.RIGHT)
"""The worst first."""

_EXACT = Context(prec=400, Emax=MAX_EMAX, Emin=MIN_EMIN)
_Rank: TypeAlias = tuple[int, Decimal, int]


@frozen
class ListedAudit:
    """An audit, and where its CDR was found."""

    source: str
    """Such as ``cdrs.json: line 3``, or ``NL-TNM``."""
    audit: Audit
    more_lines: int = 0
    """Lines beyond those that ``audit`` has here."""


@frozen
class FailedAudit:
    """A document that could not be audited, and why."""

    source: str
    message: str


@define
class CurrencySums:
    """The CDRs of one currency, added up."""

    currency: str
    cdrs: int = 0
    claimed: Decimal = Decimal(0)
    """Of all CDRs."""
    expected: Decimal = Decimal(0)
    """Of those that are right or wrong; the bound that the total lies beyond, where no amount is known."""
    difference: Decimal = Decimal(0)
    """Of the wrong ones: ``overcharged`` less ``undercharged``."""
    overcharged: Decimal = Decimal(0)
    undercharged: Decimal = Decimal(0)
    undecidable: Decimal = Decimal(0)
    """Claimed by those that are undecidable."""
    not_summed: int = 0
    """CDRs whose amounts are too large or too small to be added."""

    def add(self, audit: Audit) -> None:
        """Add one CDR of this currency."""
        self.cdrs += 1
        difference = audit.difference or Decimal(0)
        if is_absurd(audit.claimed) or is_absurd(difference):
            self.not_summed += 1
            return
        self.claimed = _sum(self.claimed, audit.claimed)
        if audit.verdict is Verdict.UNDECIDABLE:
            self.undecidable = _sum(self.undecidable, audit.claimed)
            return
        expected = audit.expected if audit.expected is not None else _EXACT.subtract(audit.claimed, difference)
        self.expected = _sum(self.expected, expected)
        if audit.verdict is Verdict.WRONG:
            self.difference = _sum(self.difference, difference)
            self.overcharged = _sum(self.overcharged, max(difference, Decimal(0)))
            self.undercharged = _sum(self.undercharged, max(difference.copy_negate(), Decimal(0)))

    def as_json(self) -> dict[str, Any]:
        """Return the sums as a JSON object: amounts as exact decimal text."""
        amounts = ("claimed", "expected", "difference", "overcharged", "undercharged", "undecidable")
        sums = {name: text(getattr(self, name)) for name in amounts}
        return {"currency": self.currency, "cdrs": self.cdrs, **sums, "not_summed": self.not_summed}


@define
class AuditTally:
    """Adds audits up; the worst ``limit`` of those with a verdict of ``only`` are listed.

    >>> tally = AuditTally(limit=10, only={Verdict.WRONG})
    >>> tally.add_all([])
    >>> tally.total
    0
    """

    limit: int = 100
    only: Collection[Verdict] = VERDICTS
    counts: Counter[Verdict] = field(factory=Counter, init=False)
    failed: int = field(default=0, init=False)
    """Documents that could not be audited."""
    listed_failures: list[FailedAudit] = field(factory=list, init=False)
    """The first :data:`MAX_FAILED` of them."""
    other_currencies: int = field(default=0, init=False)
    """CDRs in further currencies, which have no sums."""
    _currencies: dict[str, CurrencySums] = field(factory=dict, init=False, repr=False)
    _worst: list[tuple[_Rank, ListedAudit]] = field(factory=list, init=False, repr=False)
    _matching: int = field(default=0, init=False, repr=False)

    def add(self, audit: Audit, source: str = "") -> None:
        """Add the audit of one CDR; ``source`` says where the CDR was found."""
        self.counts[audit.verdict] += 1
        sums = self._currencies.get(audit.currency)
        if sums is None and len(self._currencies) < MAX_CURRENCIES:
            sums = self._currencies[audit.currency] = CurrencySums(audit.currency)
        if sums is None:
            self.other_currencies += 1
        else:
            sums.add(audit)
        if audit.verdict in self.only:
            self._list(audit, source)

    def add_all(self, audits: Iterable[Audit], source: str = "") -> None:
        """Add the audits of several CDRs."""
        for audit in audits:
            self.add(audit, source)

    def add_failure(self, source: str, message: str) -> None:
        """Add a document that could not be audited, and why."""
        self.failed += 1
        if len(self.listed_failures) < MAX_FAILED:
            self.listed_failures.append(FailedAudit(source, message))

    def _list(self, audit: Audit, source: str) -> None:
        self._matching += 1
        rank = _rank(audit, self._matching)
        is_full = len(self._worst) >= self.limit
        if is_full and (not self._worst or rank <= self._worst[0][0]):
            return
        shown = audit if len(audit.lines) <= MAX_LINES else evolve(audit, lines=audit.lines[:MAX_LINES])
        entry = (rank, ListedAudit(source, shown, len(audit.lines) - len(shown.lines)))
        if is_full:
            heapq.heapreplace(self._worst, entry)
        else:
            heapq.heappush(self._worst, entry)

    @property
    def total(self) -> int:
        """The number of CDRs that were audited."""
        return self.counts.total()

    @property
    def all_right(self) -> bool:
        """True if every document was audited and every CDR is right."""
        return not self.failed and self.counts[Verdict.RIGHT] == self.total

    @property
    def worst(self) -> list[ListedAudit]:
        """The listed audits: wrong ones by their difference, then undecidable ones by what they claim."""
        return [listed for _, listed in sorted(self._worst, key=lambda each: each[0], reverse=True)]

    @property
    def not_listed(self) -> int:
        """Audits with a verdict of ``only`` beyond the limit."""
        return self._matching - len(self._worst)

    @property
    def currencies(self) -> list[CurrencySums]:
        """The sums of each currency, that with the most CDRs first."""
        return sorted(self._currencies.values(), key=lambda each: (-each.cdrs, each.currency))

    def as_json(self) -> dict[str, Any]:
        """Return counts and sums as a JSON object, without the audits."""
        return {
            "cdrs": self.total,
            **{verdict.value: self.counts[verdict] for verdict in VERDICTS},
            "failed": self.failed,
            "currencies": [each.as_json() for each in self.currencies],
            "other_currencies": self.other_currencies,
        }


def is_absurd(amount: Decimal) -> bool:
    """Whether an amount has more digits than a sum can hold."""
    return bool(amount) and abs(amount.adjusted()) > ABSURD


def _rank(audit: Audit, number: int) -> _Rank:
    """The larger, the worse; of equal ones the first is the worse."""
    amount = audit.claimed if audit.difference is None else audit.difference
    return -VERDICTS.index(audit.verdict), amount.copy_abs(), -number


def _sum(one: Decimal, other: Decimal) -> Decimal:
    return _EXACT.add(one, other)
