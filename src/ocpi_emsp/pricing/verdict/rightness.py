"""Whether a claimed amount is an exact one, rounded in a common way.

Rules of this module (``rounding`` and ``tolerance`` in docs/spec-choices.md):
- a total less than one minor unit of the currency away is right, and so is the sum of lines that are rounded to it one
  by one, or of the subtotals of each price (what one price of a dimension bills); a price itself is never rounded;
- a negative amount is rounded like the positive one;
- amounts are exact; if one has no finite decimal, its shown form (50 digits) counts as that amount.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Final, NamedTuple, TypeAlias

from attrs import frozen

from ocpi_emsp.pricing.currencies import minor_digits
from ocpi_emsp.pricing.exact import Rational, decimal, rational
from ocpi_emsp.pricing.readings import Readings
from ocpi_emsp.pricing.result import Line
from ocpi_emsp.pricing.verdict.fine import FINE, fine, smooth

Way: TypeAlias = Callable[[int, int], int]
"""Rounds a fraction, given as a numerator of 0 or more and a denominator, to a whole number."""


def _half_up(numerator: int, denominator: int) -> int:
    return (2 * numerator + denominator) // (2 * denominator)


def _half_even(numerator: int, denominator: int) -> int:
    whole, rest = divmod(numerator, denominator)
    return whole + (2 * rest > denominator or (2 * rest == denominator and whole % 2))


def _up(numerator: int, denominator: int) -> int:
    return -(-numerator // denominator)


def _down(numerator: int, denominator: int) -> int:
    return numerator // denominator


WAYS: Final[Mapping[str, Way]] = {"half_up": _half_up, "half_even": _half_even, "up": _up, "down": _down}
"""The ways to round an amount, away from 0 and towards it, the same for both signs."""


def rounded(amount: Rational, way: Way) -> int:
    """Return the amount as a whole number."""
    return _signed(amount.numerator, amount.denominator, way)


def down(amount: Rational) -> int:
    """Return the next whole number towards 0."""
    return rounded(amount, _down)


def size(amount: Rational) -> Rational:
    """Return the amount without its sign."""
    return amount if amount >= 0 else -amount


def _signed(numerator: int, denominator: int, way: Way) -> int:
    return way(numerator, denominator) if numerator >= 0 else -way(-numerator, denominator)


class BilledLine(NamedTuple):
    """What rounding needs of a line: its cost in the small unit, and the price that it belongs to."""

    cost: int
    price: tuple[str, Decimal | None]


def billed(lines: Iterable[Line], bound: str = "cost") -> tuple[BilledLine, ...]:
    """Return the lines at their cost, or at one of their bounds; empty if one of them has no such amount."""
    found = list[BilledLine]()
    for line in lines:
        amount = getattr(line, bound)
        if amount is None:
            return ()
        found.append(BilledLine(fine(amount), (line.dimension, line.price)))
    return tuple(found)


def _subtotals(lines: Iterable[BilledLine]) -> list[int]:
    """Return the amount that each price bills."""
    found: dict[tuple[str, Decimal | None], int] = {}
    for cost, price in lines:
        found[price] = found.get(price, 0) + cost
    return list(found.values())


@frozen(kw_only=True)
class Money:
    """What decides whether amounts of a CDR are right: its currency, and the readings."""

    scale: int
    """Minor units in one unit: 100 for EUR."""
    rounding: str
    tolerance: Rational
    factor: Rational = 1
    """Factor on the sum of the lines: the sign of a credit, and VAT."""

    @classmethod
    def of(cls, currency: str, readings: Readings, factor: Rational = 1) -> Money:
        """Return the money of a currency under the readings."""
        scale = 10 ** minor_digits(currency)
        return cls(scale=scale, rounding=readings.rounding, tolerance=rational(readings.tolerance), factor=factor)

    def right(
        self, claimed: Rational, amount: Rational, lines: Callable[[], Sequence[BilledLine]] = lambda: ()
    ) -> bool:
        """Return True if ``claimed`` is ``amount``, whose parts are ``lines``; without lines it is only compared as a
        whole.
        """
        off = size(claimed - amount)
        if not off or off <= self.tolerance or (self.rounding == "common" and off * self.scale < 1):
            return True
        if self.rounding in WAYS and claimed * self.scale == rounded(amount * self.scale, WAYS[self.rounding]):
            return True
        if amount.denominator != 1 and claimed == rational(decimal(amount)):
            return True
        if self.rounding not in ("common", "per_line", "per_price"):
            return False
        parts = lines()
        if off * self.scale > (len(parts) + 1) * max(size(self.factor), 1):
            return False  # each part rounds by less than one unit, and the factor once more
        return (self.rounding != "per_price" and self._adds_up(claimed, [cost for cost, _ in parts])) or (
            self.rounding != "per_line" and self._adds_up(claimed, _subtotals(parts))
        )

    def _adds_up(self, claimed: Rational, amounts: Sequence[int]) -> bool:
        """Return True if it is the sum of these amounts, each rounded before or after the factor is applied."""
        if not amounts:
            return False
        units, minor = claimed * self.scale, FINE // self.scale
        costs = [smooth(each) for each in amounts]
        totals = (sum(_signed(cost, minor, way) for cost in costs) for way in WAYS.values())
        if any(units in self._ends(total) for total in totals):
            return True
        if size(self.factor) == 1:
            return False
        on_top = [Fraction(cost, minor) * self.factor for cost in costs]
        return any(units == sum(rounded(each, way) for each in on_top) for way in WAYS.values())

    def _ends(self, units: Rational) -> Iterable[Rational]:
        """Return the possible results of a sum in minor units."""
        whole = units * self.factor
        return (whole,) if whole.denominator == 1 else (whole, *(rounded(whole, way) for way in WAYS.values()))
