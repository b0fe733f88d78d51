"""From the cost of a session to a verdict on the claimed total.

Rules of this module:
- a credit is a negative total: its amount is that of the session with the opposite sign;
- VAT is added if the readings include it, as a line of its own;
- right for both bounds is RIGHT; beyond one and not right for it is WRONG by at least the difference; else UNDECIDABLE.
"""

from __future__ import annotations

from decimal import Context, Decimal
from fractions import Fraction
from functools import partial
from typing import Final

from attrs import evolve, frozen

from ocpi_emsp.pricing.exact import Rational, decimal, rational
from ocpi_emsp.pricing.readings import Readings
from ocpi_emsp.pricing.reckoning.reckon import Reckoning
from ocpi_emsp.pricing.result import Line, Reason, Verdict
from ocpi_emsp.pricing.verdict.appraisal import Case
from ocpi_emsp.pricing.verdict.rightness import Money, billed

WIDE: Final = Context(prec=400)
"""A context in which sums and differences of amounts are exact: no amount has so many digits."""


@frozen(kw_only=True)
class Ruling:
    """The result for a CDR under given readings: amounts with the sign of a credit, and VAT if included."""

    verdict: Verdict
    reasons: tuple[Reason, ...]
    notes: tuple[str, ...] = ()
    low: Rational | None = None
    high: Rational | None = None
    lines: tuple[Line, ...] = ()
    beyond: Rational | None = None
    """The amount that the claimed one differs from, if it is wrong."""
    case: Case | None = None
    """What was priced; None if nothing was."""
    base: Reckoning | None = None
    """The amounts without sign and VAT."""
    factor: Rational = 1
    """Sign and VAT."""

    @property
    def expected(self) -> Rational | None:
        """The certain amount, if there is one."""
        return self.low if self.low == self.high else None


def no_ruling(reasons: tuple[Reason, ...], notes: tuple[str, ...] = ()) -> Ruling:
    """Return a ruling without a decision and without bounds."""
    return Ruling(verdict=Verdict.UNDECIDABLE, reasons=reasons, notes=notes)


def ruled(claimed: Rational, case: Case, base: Reckoning, readings: Readings, notes: tuple[str, ...]) -> Ruling:
    """Return the ruling on a claimed total, from the cost of the session."""
    sign = -1 if claimed < 0 and readings.credit != "off" else 1
    money = Money.of(case.currency, readings, sign * vat_factor(readings))
    amounts = [None if each is None else each * money.factor for each in (base.low, base.high)]
    low, high = amounts if sign > 0 else reversed(amounts)
    fits_low = low is not None and _fits(claimed, low, base, "low" if sign > 0 else "high", money)
    fits_high = (
        fits_low
        if low == high
        else high is not None and _fits(claimed, high, base, "high" if sign > 0 else "low", money)
    )
    beyond = None
    if low is not None and claimed < low and not fits_low:
        beyond = low
    elif high is not None and claimed > high and not fits_high:
        beyond = high
    undecided = Verdict.RIGHT if fits_low and fits_high else Verdict.UNDECIDABLE
    return Ruling(
        verdict=undecided if beyond is None else Verdict.WRONG,
        reasons=base.reasons,
        notes=notes,
        low=low,
        high=high,
        lines=final_lines(base, sign, low if low == high else None, readings),
        beyond=beyond,
        case=case,
        base=base,
        factor=money.factor,
    )


def vat_factor(readings: Readings) -> Rational:
    """Return the factor from an amount without VAT to one with it."""
    return 1 if readings.vat is None else 1 + rational(readings.vat) / Fraction(100)


def _fits(claimed: Rational, amount: Rational, base: Reckoning, bound: str, money: Money) -> bool:
    column = "cost" if base.low == base.high else bound
    return money.right(claimed, amount, partial(billed, base.lines, column))


def final_lines(base: Reckoning, sign: int, total: Rational | None, readings: Readings) -> tuple[Line, ...]:
    """Return the lines with the sign of a credit, and VAT; their costs add up to ``total`` if it is certain."""
    lines = base.lines if sign > 0 else tuple(map(_negated, base.lines))
    if not readings.vat or not lines:
        return lines
    return (*lines, _vat_line(lines, sign, base, total, readings.vat))


def _negated(line: Line) -> Line:
    cost, low, high = map(_opposite, (line.cost, line.low, line.high))
    return evolve(line, cost=cost, low=high, high=low)


def _opposite(amount: Decimal | None) -> Decimal | None:
    """Return the amount with the opposite sign, exactly: arithmetic would round it to the caller's precision."""
    return amount.copy_negate() if amount else amount


def _vat_line(lines: tuple[Line, ...], sign: int, base: Reckoning, total: Rational | None, rate: Decimal) -> Line:
    share = sign * rational(rate) / Fraction(100)
    low, high = (None if each is None else decimal(each * share) for each in (base.low, base.high))
    if sign < 0:
        low, high = high, low
    cost = None
    if total is not None:
        cost = low = high = WIDE.subtract(decimal(total), added([line.cost or Decimal(0) for line in lines]))
    return Line(
        dimension="VAT",
        period=None,
        start=lines[0].start,
        end=lines[-1].end,
        measured=rate,
        billed=rate,
        unit="%",
        price=None,
        step_size=None,
        cost=cost,
        low=low,
        high=high,
        tariff_id=None,
        element=None,
        component=None,
        why="the party includes VAT in its totals (reading vat)",
    )


def added(amounts: list[Decimal]) -> Decimal:
    """Return the exact sum."""
    total = Decimal(0)
    for each in amounts:
        total = WIDE.add(total, each)
    return total
