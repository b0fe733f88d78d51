"""Money in a unit so small that every price of a tariff is a whole number of it: sums are sums of whole numbers."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from fractions import Fraction
from math import lcm
from typing import TypeAlias

from ocpi_emsp.pricing.exact import Rational, decimal, prime_power, scaled

Amount: TypeAlias = Rational
"""An amount in the unit of a :class:`MoneyUnit`."""


class MoneyUnit:
    """The unit of a tariff: 1/``unit`` of its currency; ``unit`` is a power of ten times a remaining factor."""

    __slots__ = ("_places", "_rest", "unit")

    def __init__(self, denominators: Iterable[int]) -> None:
        smallest = lcm(*denominators)
        twos, fives = prime_power(smallest, 2), prime_power(smallest, 5)
        self._rest: int = smallest // (2**twos * 5**fives)
        self._places = max(twos, fives)
        self.unit: int = self._rest * 10**self._places

    def of(self, amount: Rational) -> int:
        """Return a price in this unit."""
        return int(amount * self.unit)

    def exact(self, amount: Amount) -> Fraction:
        """Return an amount in the currency itself."""
        return Fraction(amount.numerator, amount.denominator * self.unit)

    def ends(self, amount: Amount) -> bool:
        """Return True if an amount in the currency has a finite decimal."""
        if isinstance(amount, int):
            return bool(amount % self._rest == 0)
        exact = self.exact(amount).denominator
        return bool(exact == 2 ** prime_power(exact, 2) * 5 ** prime_power(exact, 5))

    def decimal(self, amount: Amount) -> Decimal:
        """Return an amount in the currency as a decimal: exact if it is finite."""
        if isinstance(amount, int) and amount % self._rest == 0:
            return scaled(amount // self._rest, self._places)
        return decimal(self.exact(amount))
