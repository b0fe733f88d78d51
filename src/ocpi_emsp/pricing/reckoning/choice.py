"""Which prices may apply: the first matching element, where some elements only may match.

Rules of this module (mod_tariffs.md 3.1, the reading ``element``):
- elements are examined in order: an element that matches for certain ends the search, one that may match is a
  candidate;
- with ``per_dimension`` only elements with a price for the dimension are examined; with ``first_element`` the first
  match decides, and dimensions that it has no price for are free;
- the answer for each set of elements is computed once; a tariff with too many sets gets all its prices as an answer.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from ocpi_emsp.pricing.readings import Readings
from ocpi_emsp.pricing.reckoning.restrictions import Rate, TariffIndex

MAX_LOOKS: Final = 200_000
"""Prices that are examined for the answers of one session."""
MAX_CHOICES: Final = 10_000
"""Answers that are cached."""


class Options:
    """The prices of a dimension that may apply, and whether possibly none applies."""

    __slots__ = ("certain", "elements", "free", "high", "low", "rate")

    def __init__(self, elements: int, free: bool, rates: list[Rate]) -> None:
        self.elements = elements
        """The elements whose price may apply, a bit each."""
        self.free = free
        """True if no price may apply."""
        self.certain = len(rates) + free == 1
        self.rate = rates[0] if len(rates) == 1 and not free else None
        """The price, if it is certain."""
        costs = [each.each for each in rates]
        if free:
            costs.append(0)
        self.low = min(costs)
        self.high = max(costs)


class Chooser:
    """Returns the prices that may apply, for sets of matching elements."""

    def __init__(self, index: TariffIndex, readings: Readings) -> None:
        self.index = index
        self.limited = False
        """True if some answer was all prices, to bound the work."""
        self._per_dimension = readings.element == "per_dimension"
        self._looks = MAX_LOOKS
        self._answers: dict[tuple[str, int, bool], Options] = {}
        self._chosen: dict[tuple[str, int, int], Options] = {}
        self._fixed: dict[str, Options | None] = {}
        self._everything: dict[str, Options] = {}
        self._relevant: dict[str, int] = {}

    def relevant(self, dimension: str) -> int:
        """Return the elements that are examined for a dimension: none after one without restrictions."""
        known = self._relevant.get(dimension)
        if known is None:
            asked = self.index.priced.get(dimension, 0) if self._per_dimension else self.index.every
            asked &= self.index.every
            last = asked & self.index.free
            known = asked & _up_to(last) if last else asked
            self._relevant[dimension] = known
        return known

    def options(self, dimension: str, sure: int, possible: int) -> Options:
        """Return what may apply if the elements ``sure`` match for certain and ``possible`` may match."""
        key = (dimension, sure, possible)
        known = self._chosen.get(key)
        if known is None:
            if len(self._chosen) > MAX_CHOICES:
                self._chosen.clear()
            known = self._chosen[key] = self._choice(dimension, sure, possible)
        return known

    def _choice(self, dimension: str, sure: int, possible: int) -> Options:
        asked = self.relevant(dimension)
        possible &= asked
        sure &= possible
        if sure:
            possible &= _up_to(sure)
        priced = possible & self.index.priced.get(dimension, 0)
        return self.of(dimension, priced, not sure or priced != possible)

    def fixed(self, dimension: str) -> Options | None:
        """Return what applies at every time, if that never changes."""
        if dimension not in self._fixed:
            self._fixed[dimension] = self._always(dimension)
        return self._fixed[dimension]

    def _always(self, dimension: str) -> Options | None:
        if not self.index.priced.get(dimension):
            return self.of(dimension, 0, True)
        asked = self.relevant(dimension)
        first = asked & -asked
        return self.options(dimension, first, first) if first & self.index.free or not asked else None

    def union(self, dimension: str, several: Iterable[Options]) -> Options:
        """Return what may apply if any one of these options does."""
        found: Options | None = None
        for each in several:
            if found is None or each is found:
                found = each
            else:
                found = self.of(dimension, found.elements | each.elements, found.free or each.free)
        return found or self.of(dimension, 0, True)

    def everything(self, dimension: str) -> Options:
        """Return every price that a dimension may have at any time, and no price if that is possible."""
        known = self._everything.get(dimension)
        if known is None:
            asked = self.relevant(dimension)
            priced = asked & self.index.priced.get(dimension, 0)
            free = not asked & self.index.free or priced != asked
            known = self._everything[dimension] = Options(priced, free, self.rates(dimension, priced))
        return known

    def of(self, dimension: str, elements: int, free: bool) -> Options:
        """Return the prices of these elements."""
        key = (dimension, elements, free)
        known = self._answers.get(key)
        if known is None:
            self._looks -= elements.bit_count()
            if self._looks < 0:
                self.limited = True
                return self.everything(dimension)
            known = self._answers[key] = Options(elements, free, self.rates(dimension, elements))
        return known

    def rates(self, dimension: str, elements: int) -> list[Rate]:
        """Return the price components of these elements."""
        rates = self.index.rates.get(dimension, {})
        found = []
        while elements:
            bit = elements & -elements
            found.append(rates[bit.bit_length() - 1])
            elements ^= bit
        return found


def _up_to(elements: int) -> int:
    """Return the bits up to and including the first one set."""
    return ((elements & -elements) << 1) - 1
