"""Whether a claimed amount is an exact one, rounded in a common way.

Rules of this module (``rounding`` and ``tolerance`` in docs/spec-choices.md):
- less than one minor unit of the currency away is right, and so is each line, or each price, rounded to it;
- a negative amount is rounded as the positive one is;
- amounts are exact; what is shown of one that does not end (50 digits) counts as that amount.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Final, NamedTuple, TypeAlias

from attrs import frozen

from ocpi_emsp.pricing.currencies import minor_digits
from ocpi_emsp.pricing.exact import Rational, decimal, rational
from ocpi_emsp.pricing.fine import FINE, NOISE, fine, fine_of, smooth
from ocpi_emsp.pricing.readings import Readings
from ocpi_emsp.pricing.result import Line

Way: TypeAlias = Callable[[int, int], int]
"""A whole number for a numerator of 0 or more and a denominator."""


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
"""How an amount is rounded, away from 0 and towards it alike for both signs."""
_NEAREST: Final = (_half_up, _half_even)


def rounded(amount: Rational, way: Way) -> int:
    """The amount as a whole number."""
    return _signed(amount.numerator, amount.denominator, way)


def down(amount: Rational) -> int:
    """The next whole number towards 0."""
    return rounded(amount, _down)


def size(amount: Rational) -> Rational:
    """The amount without its sign."""
    return amount if amount >= 0 else -amount


def _signed(numerator: int, denominator: int, way: Way) -> int:
    return way(numerator, denominator) if numerator >= 0 else -way(-numerator, denominator)


class BilledLine(NamedTuple):
    """What rounding needs to know of a line: its cost and its price, in the small unit."""

    cost: int
    price: int | None


def billed(lines: Iterable[Line], bound: str = "cost") -> tuple[BilledLine, ...]:
    """The lines at their cost, or at one of their bounds; none where one of them has no such amount."""
    found = list[BilledLine]()
    for line in lines:
        amount = getattr(line, bound)
        if amount is None:
            return ()
        found.append(BilledLine(fine(amount), None if line.price is None else fine(line.price)))
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
        if self.rounding in WAYS and claimed * self.scale == rounded(amount * self.scale, WAYS[self.rounding]):
            return True
        if amount.denominator != 1 and claimed == rational(decimal(amount)):
            return True
        if self.rounding not in ("common", "per_line", "per_price"):
            return False
        parts = lines()
        return (self.rounding != "per_price" and self._per_line(claimed, off, parts)) or (
            self.rounding != "per_line" and self._per_price(claimed, parts)
        )

    def _per_line(self, claimed: Rational, off: Rational, lines: Sequence[BilledLine]) -> bool:
        """Whether it is the sum of the lines, each rounded: before or after what is put on top."""
        if not lines or off * self.scale > (len(lines) + 1) * max(size(self.factor), 1):
            return False
        units, minor = claimed * self.scale, FINE // self.scale
        totals = [sum(_signed(cost, minor, way) for cost, _ in lines) for way in WAYS.values()]
        if any(units in self._ends(total) for total in totals):
            return True
        if size(self.factor) == 1:
            return False
        return any(units == sum(rounded(each, way) for each in self._on_top(lines)) for way in WAYS.values())

    def _on_top(self, lines: Sequence[BilledLine]) -> Iterator[Rational]:
        """Each line in minor units, with what is put on top of it."""
        return (Fraction(cost * self.scale, FINE) * self.factor for cost, _ in lines)

    def _per_price(self, claimed: Rational, lines: Sequence[BilledLine]) -> bool:
        """Whether it is what rounded prices give."""
        minor = FINE // self.scale
        if all(not price or price % minor == 0 for _, price in lines):
            return False
        totals = (smooth(sum(_at_rounded_price(each, minor, way) for each in lines)) for way in _NEAREST)
        near = fine_of(claimed)
        return any(
            abs(fine_of(total * self.factor) - near) <= NOISE
            or claimed * self.scale in self._ends(Fraction(total, minor))
            for total in totals
        )

    def _ends(self, units: Rational) -> Iterable[Rational]:
        """What a sum in minor units may end as."""
        whole = units * self.factor
        return (whole,) if whole.denominator == 1 else (whole, *(rounded(whole, way) for way in WAYS.values()))


def _at_rounded_price(line: BilledLine, minor: int, way: Way) -> int:
    if not line.price:
        return line.cost
    return line.cost * _signed(line.price, minor, way) * minor // line.price
