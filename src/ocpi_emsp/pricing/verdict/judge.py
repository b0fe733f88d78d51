"""Whether the total of a CDR follows from its tariff: models in, an Audit out (docs/how-to/audit-bills.md).

Rules of this module:
- everything that a CDR leaves open is reckoned in every way: one amount is certain, several are bounds with a reason;
- data that was taken from outside the CDR, or ignored, is an assumption;
- amounts are exact; one without a finite decimal is shown with 50 digits, and differences are those of the shown
  amounts.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from functools import partial

from ocpi_emsp.models import Cdr, Location, Tariff
from ocpi_emsp.pricing.exact import Rational, decimal
from ocpi_emsp.pricing.readings import Readings
from ocpi_emsp.pricing.result import Audit
from ocpi_emsp.pricing.verdict.cdr_case import CdrCase
from ocpi_emsp.pricing.verdict.explanations import explain, may_explain
from ocpi_emsp.pricing.verdict.ruling import WIDE, Ruling


def judge(
    cdr: Cdr,
    *,
    tariffs: Sequence[Tariff] = (),
    location: Location | None = None,
    readings: Readings,
    time_zone: str | None = None,
    notes: Sequence[str] = (),
) -> Audit:
    """Return the audit of a CDR.

    ``tariffs`` are used if the CDR has none; ``location`` is the one that the party published; ``time_zone`` is the
    IANA name of the party's zone; ``notes`` are earlier assumptions.
    """
    case = CdrCase.of(cdr, tariffs, location, time_zone)
    ruling = case.rule(readings)
    low, high = shown(ruling.low), shown(ruling.high)
    return Audit(
        cdr=cdr.id,
        verdict=ruling.verdict,
        claimed=cdr.total_cost,
        expected=low if ruling.low == ruling.high else None,
        low=low,
        high=high,
        difference=_difference(cdr, ruling),
        at_least=ruling.beyond is not None and ruling.low != ruling.high,
        currency=cdr.currency,
        lines=ruling.lines,
        reasons=ruling.reasons,
        assumptions=tuple(dict.fromkeys((*notes, *ruling.notes))),
        explanations=partial(explain, case, ruling, readings) if may_explain(ruling) else (),
        readings=readings,
    )


def shown(amount: Rational | None) -> Decimal | None:
    """Return the amount as a decimal."""
    return None if amount is None else decimal(amount)


def _difference(cdr: Cdr, ruling: Ruling) -> Decimal | None:
    """Return claimed minus the amount that it differs from; if the total is right, minus the certain amount."""
    amount = ruling.expected if ruling.beyond is None else ruling.beyond
    return None if amount is None else WIDE.subtract(cdr.total_cost, decimal(amount))
