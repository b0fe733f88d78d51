"""Elements by the minimum and maximum that they set for one quantity: energy, power, a duration, a date.

Rules of this module:
- a set of elements is a whole number, one bit for each: sets of a thousand cost as little as sets of two;
- a minimum is inclusive; the reading ``upper`` decides whether a maximum is, at a point; between two limits that makes
  no difference;
- every look-up is a binary search in precomputed sets.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from typing import NamedTuple

from ocpi_emsp.pricing.exact import Rational


class Limit(NamedTuple):
    """The limits that one element, given by its bit, sets for a quantity."""

    bit: int
    low: Rational | None
    high: Rational | None


class Match(NamedTuple):
    """The elements that match for certain, and those that may match, which include the certain ones."""

    sure: int
    possible: int


class Axis:
    """The elements that match at each value of one quantity."""

    __slots__ = ("_highest", "_inclusive", "_lowest", "_maxima", "_minima", "elements", "limits")

    def __init__(self, limits: Iterable[Limit], every: int, inclusive: bool) -> None:
        given = list(limits)
        self.elements = sum(each.bit for each in given)
        self._inclusive = inclusive
        minima = sorted((each.low, each.bit) for each in given if each.low is not None)
        maxima = sorted((each.high, each.bit) for each in given if each.high is not None)
        self._minima = [value for value, _ in minima]
        self._maxima = [value for value, _ in maxima]
        self._lowest = [every & ~sum(bit for _, bit in minima)]
        for _, bit in minima:
            self._lowest.append(self._lowest[-1] | bit)
        self._highest = [every]
        for _, bit in maxima:
            self._highest.append(self._highest[-1] & ~bit)
        self.limits = sorted({*self._minima, *self._maxima})

    def at(self, value: Rational) -> int:
        """Return the elements that match at exactly this value."""
        place = bisect_left if self._inclusive else bisect_right
        return self._lowest[bisect_right(self._minima, value)] & self._highest[place(self._maxima, value)]

    def above(self, value: Rational) -> int:
        """Return the elements that match just above this value, up to the next limit."""
        return self._lowest[bisect_right(self._minima, value)] & self._highest[bisect_right(self._maxima, value)]

    def between(self, low: Rational, high: Rational | None) -> Match:
        """Return the elements that match everywhere between two values, and those that match anywhere."""
        if low == high:
            found = self.at(low)
            return Match(found, found)
        if high is None:
            sure, possible = self._highest[-1], self._lowest[-1]
        else:
            sure = self._highest[bisect_left(self._maxima, high)]
            possible = self._lowest[bisect_left(self._minima, high)]
        return Match(
            sure & self._lowest[bisect_right(self._minima, low)],
            possible & self._highest[bisect_right(self._maxima, low)],
        )

    def cuts(self, low: Rational, high: Rational) -> list[Rational]:
        """Return the limits between two values, without these."""
        return self.limits[bisect_right(self.limits, low) : bisect_left(self.limits, high)]
