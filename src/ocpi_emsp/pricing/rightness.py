"""Whether a claimed amount is an exact one, rounded in a common way.

Rules of this module (``rounding`` and ``tolerance`` in docs/spec-choices.md):
- less than one minor unit of the currency away is right, and so is each line, or each price, rounded to it;
- a negative amount is rounded as the positive one is;
- amounts are exact; what is shown of one that does not end (50 digits) counts as that amount.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Final, NamedTuple

from attrs import frozen

from ocpi_emsp.pricing.currencies import minor_digits
from ocpi_emsp.pricing.exact import Rational, decimal, rational
from ocpi_emsp.pricing.readings import Readings
from ocpi_emsp.pricing.result import Line


def size(amount: Rational) -> Rational:
    """The amount without its sign."""
    return amount if amount >= 0 else -amount


def half_up(units: Rational) -> int:
    """The nearest whole number, a half away from 0."""
    return _signed(units, lambda each: (2 * each.numerator + each.denominator) // (2 * each.denominator))


def half_even(units: Rational) -> int:
    """The nearest whole number, a half to the even one."""
    return round(units)


def up(units: Rational) -> int:
    """The next whole number away from 0."""
    return _signed(units, lambda each: -(-each.numerator // each.denominator))


def down(units: Rational) -> int:
    """The next whole number towards 0."""
    return _signed(units, lambda each: each.numerator // each.denominator)


def _signed(units: Rational, way: Callable[[Rational], int]) -> int:
    return way(units) if units >= 0 else -way(-units)


WAYS: Final[Mapping[str, Callable[[Rational], int]]] = {
    "half_up": half_up,
    "half_even": half_even,
    "up": up,
    "down": down,
}


class BilledLine(NamedTuple):
    """What rounding needs to know of a line: its exact cost and its price."""

    cost: Rational
    price: Rational | None


def billed(lines: Iterable[Line], bound: str = "cost") -> tuple[BilledLine, ...]:
    """The lines at their exact cost, or at one of their bounds; none where one of them has no such amount."""
    found = list[BilledLine]()
    for line in lines:
        amount = getattr(line, bound)
        if amount is None:
            return ()
        found.append(BilledLine(rational(amount), None if line.price is None else rational(line.price)))
    return tuple(found)


@frozen(kw_only=True)
class Money:
    """What makes amounts of a CDR right: its currency, and the readings."""

    scale: int
    """Minor units in one unit: 100 for EUR."""
    rounding: str
    tolerance: Rational
    factor: Rational = 1
    """What is put on top of the sum of the lines: the sign of a credit, and VAT."""

    @classmethod
    def of(cls, currency: str, readings: Readings, factor: Rational = 1) -> Money:
        """The money of a currency under the readings."""
        scale = 10 ** minor_digits(currency)
        return cls(scale=scale, rounding=readings.rounding, tolerance=rational(readings.tolerance), factor=factor)

    def right(
        self, claimed: Rational, amount: Rational, lines: Callable[[], Sequence[BilledLine]] = lambda: ()
    ) -> bool:
        """Whether ``claimed`` is ``amount``, of which ``lines`` are the parts; without lines only as a whole."""
        off = size(claimed - amount)
        if not off or off <= self.tolerance or (self.rounding == "common" and off * self.scale < 1):
            return True
        if self.rounding in WAYS and claimed * self.scale == WAYS[self.rounding](amount * self.scale):
            return True
        if claimed == rational(decimal(amount)):
            return True
        if self.rounding not in ("common", "per_line", "per_price"):
            return False
        parts = lines()
        return (self.rounding != "per_price" and self._per_line(claimed, parts)) or (
            self.rounding != "per_line" and self._per_price(claimed, parts)
        )

    def _per_line(self, claimed: Rational, lines: Sequence[BilledLine]) -> bool:
        """Whether it is the sum of the lines, each rounded: before or after what is put on top."""
        if len(lines) + 1 < size(claimed - self._whole(lines)) * self.scale / max(Fraction(1), size(self.factor)):
            return False
        units = claimed * self.scale
        return any(
            units in self._totals(sum(way(each.cost * self.scale) for each in lines))
            or units == sum(way(each.cost * self.scale * self.factor) for each in lines)
            for way in WAYS.values()
        )

    def _per_price(self, claimed: Rational, lines: Sequence[BilledLine]) -> bool:
        """Whether it is what rounded prices give."""
        if not lines or all(each.price is None or (each.price * self.scale).denominator == 1 for each in lines):
            return False
        units = claimed * self.scale
        totals = (sum(_at_rounded_price(each, self.scale, way) for each in lines) for way in (half_up, half_even))
        return any(units in self._totals(total * self.scale) for total in totals)

    def _totals(self, units: Rational) -> Iterable[Rational]:
        """What a sum in minor units may end as."""
        whole = units * self.factor
        return (whole, *(way(whole) for way in WAYS.values()))

    def _whole(self, lines: Sequence[BilledLine]) -> Rational:
        return sum(each.cost for each in lines) * self.factor


def _at_rounded_price(line: BilledLine, scale: int, way: Callable[[Rational], int]) -> Rational:
    if not line.price:
        return line.cost
    return Fraction(way(line.price * scale)) / (line.price * scale) * line.cost
