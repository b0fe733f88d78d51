"""Audits of any number of CDRs, added up: counts, sums per currency, and the worst first.

Rules of this module:
- memory is bounded whatever the number of CDRs: it holds the worst ``limit`` audits, each with its first
  :data:`MAX_LINES` lines, and :data:`MAX_CURRENCIES` currencies;
- sums are exact; amounts beyond :data:`ABSURD` digits are counted but not summed.
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
"""Lines of one listed audit; a person reads no more."""
MAX_CURRENCIES = 50
"""Currencies with sums of their own; the number is bounded because a partner may make up any number of currencies."""
MAX_FAILED = 100
"""Documents that could not be audited and are listed; further ones are only counted."""
ABSURD = 60
"""The exponent beyond which an amount is not summed."""
VERDICTS = (Verdict.WRONG, Verdict.UNDECIDABLE, Verdict.RIGHT)
"""The verdicts, the worst first."""

_EXACT = Context(prec=400, Emax=MAX_EMAX, Emin=MIN_EMIN)
_Rank: TypeAlias = tuple[int, Decimal, int]


@frozen
class ListedAudit:
    """An audit, and the place of its CDR."""

    source: str
    """The place of the CDR, such as ``cdrs.json: line 3``, or ``NL-TNM``."""
    audit: Audit
    more_lines: int = 0
    """Lines beyond those that ``audit`` holds here."""


@frozen
class FailedAudit:
    """A document that could not be audited, and the reason."""

    source: str
    message: str


@define
class CurrencySums:
    """The CDRs of one currency, added up."""

    currency: str
    cdrs: int = 0
    claimed: Decimal = Decimal(0)
    """The sum claimed by all CDRs."""
    expected: Decimal = Decimal(0)
    """The sum expected for right and wrong CDRs; if only a bound of the total is known, the bound."""
    difference: Decimal = Decimal(0)
    """The difference of the wrong CDRs: ``overcharged`` less ``undercharged``."""
    overcharged: Decimal = Decimal(0)
    undercharged: Decimal = Decimal(0)
    undecidable: Decimal = Decimal(0)
    """The sum claimed by undecidable CDRs."""
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
    """Adds audits up; lists the worst ``limit`` of those with a verdict in ``only``.

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
    """The first :data:`MAX_FAILED` documents that could not be audited."""
    other_currencies: int = field(default=0, init=False)
    """CDRs in further currencies, which are not summed."""
    _currencies: dict[str, CurrencySums] = field(factory=dict, init=False, repr=False)
    _worst: list[tuple[_Rank, ListedAudit]] = field(factory=list, init=False, repr=False)
    _matching: int = field(default=0, init=False, repr=False)

    def add(self, audit: Audit, source: str = "") -> None:
        """Add the audit of one CDR; ``source`` is the place of the CDR."""
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
        """Add a document that could not be audited, and the reason."""
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
        """The listed audits: wrong ones by their difference, then undecidable ones by their claimed amount."""
        return [listed for _, listed in sorted(self._worst, key=lambda each: each[0], reverse=True)]

    @property
    def not_listed(self) -> int:
        """Audits with a verdict in ``only`` beyond the limit."""
        return self._matching - len(self._worst)

    @property
    def currencies(self) -> list[CurrencySums]:
        """The sums of each currency; the currency with the most CDRs comes first."""
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
    """Return True if an amount has more digits than a sum can hold."""
    return bool(amount) and abs(amount.adjusted()) > ABSURD


def _rank(audit: Audit, number: int) -> _Rank:
    """Return a sort key: a worse audit has a larger one; of equal audits the first ranks higher."""
    amount = audit.claimed if audit.difference is None else audit.difference
    return -VERDICTS.index(audit.verdict), amount.copy_abs(), -number


def _sum(one: Decimal, other: Decimal) -> Decimal:
    return _EXACT.add(one, other)
