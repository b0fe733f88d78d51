"""What blocks bill for a volume that several prices share, if its division among them is unknown.

Rules of this module:
- the volume may be divided in any way: a power limit, for example, may be passed several times within a period;
- each price first bills its certain volume: the room left in the last block of it is free;
- bounds contain every division. For two prices they are reached by a division, unless their blocks only fit together
  after many of them (``MAX_LOOKS``); for more, each price may add a block that no division fits beside the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import gcd
from typing import Final, NamedTuple

from ocpi_emsp.pricing.exact import Rational
from ocpi_emsp.pricing.reckoning.money import Amount

MAX_LOOKS: Final = 10
"""Blocks of the most expensive, or cheapest, price that are exchanged one by one for those of others."""


class Share(NamedTuple):
    """A price that bills part of a volume."""

    each: int
    """The price of one Wh or second."""
    step: int
    certain: Rational
    """The volume that the price bills for certain."""

    @property
    def room(self) -> Rational:
        """Return the room that is left in its last block."""
        return -self.certain % self.step if self.step > 0 else 0

    @property
    def block(self) -> int:
        """Return the price of a block; 0 if there are no blocks."""
        return self.each * max(0, self.step)

    def cost(self, volume: Rational = 0) -> Amount:
        """Return the cost of its certain volume plus ``volume``."""
        return self.each * blocks(self.certain + volume, self.step)


def blocks(volume: Rational, step: int) -> Rational:
    """Return a volume in whole blocks."""
    return volume + -volume % step if step > 0 else volume


def highest(volume: Rational, shares: Sequence[Share], unit: int, *, free: bool) -> Amount:
    """Return the most that all shares bill together for a volume, certain volumes included.

    ``unit`` is the smallest part of the volume: a second, or 0 for energy. ``free``: some or all of it may cost
    nothing.
    """
    prices = [each for each in shares if each.each > 0]
    rebates = [each for each in shares if each.each < 0]
    if prices:
        return _most(volume, prices, unit) + sum(each.cost() for each in rebates)
    if free:
        return sum(each.cost() for each in rebates)
    return -_least(volume, _negated(rebates))


def lowest(volume: Rational, shares: Sequence[Share], unit: int, *, free: bool) -> Amount:
    """Return the least that all shares bill together."""
    return -highest(volume, _negated(shares), unit, free=free)


def _negated(shares: Sequence[Share]) -> list[Share]:
    return [each._replace(each=-each.each) for each in shares]


def _most(volume: Rational, shares: Sequence[Share], unit: int) -> Amount:
    """Return the most that prices above 0 bill: all at the highest price, plus what started blocks of the others
    add.
    """
    dearest, *others = sorted(shares, key=lambda each: -each.each)
    alone = dearest.cost(volume) + sum(each.cost() for each in others)
    if not others or not volume:
        return alone
    # Each of the others starts a block with as little volume as possible: the highest price bills that much less,
    # except for the room in its own last block.
    begun = sum(max(0, each.block - dearest.each * (each.room + unit)) for each in others)
    if dearest.step <= unit:
        return alone + begun
    rest = blocks(dearest.certain + volume, dearest.step) - dearest.certain - volume
    return alone + min(
        begun + dearest.each * (dearest.step - unit - rest), _exchanged(volume, dearest, others, rest + unit)
    )


def _exchanged(volume: Rational, dearest: Share, others: Sequence[Share], rest: Rational) -> Amount:
    """Return the gain of exchanging blocks: others bill more than the highest price loses, part of a block, then whole
    ones.
    """
    first, after = sum(each.block for each in others), others[0].each
    best: Amount = 0
    looks = _looks(dearest, others)
    for lost in range(min(looks, MAX_LOOKS)):
        left = min(volume, (lost + 1) * dearest.step - rest)
        apart = sum(each.cost(left) - each.cost() for each in others)
        best = max(best, min(apart, first + after * left) - lost * dearest.block)
        if left == volume:
            return best
    if looks > MAX_LOOKS:
        best = max(best, first + after * ((MAX_LOOKS + 1) * dearest.step - rest) - MAX_LOOKS * dearest.block)
    return best


def _looks(share: Share, others: Sequence[Share]) -> int:
    """Return the number of blocks after which the blocks of both prices end together again: more need not be
    examined.
    """
    if len(others) > 1:
        return MAX_LOOKS + 1
    step = others[0].step
    return step // gcd(step, share.step) if step > 0 else 1


def _least(volume: Rational, shares: Sequence[Share]) -> Amount:
    """Return the least that prices above 0 bill: started blocks are filled first, the rest has the cheapest price."""
    begun = sum(each.cost() for each in shares)
    rest = volume - sum(each.room for each in shares)
    if rest <= 0:
        return begun
    cheapest, *others = sorted(shares, key=lambda each: each.each)
    best: Amount = cheapest.each * blocks(rest, cheapest.step)
    if not others or cheapest.step <= 0:
        return begun + best
    # Some of its last blocks may be exchanged for those of others, which cost more but may fit better.
    full, looks = -(-rest // cheapest.step), _looks(cheapest, others)
    for less in range(1, min(full, looks, MAX_LOOKS) + 1):
        kept = full - less
        best = min(best, kept * cheapest.block + _others(rest - kept * cheapest.step, others))
    if min(full, looks) > MAX_LOOKS:
        kept = full - MAX_LOOKS - 1
        best = min(best, kept * cheapest.block + others[0].each * (rest - kept * cheapest.step))
    return begun + best


def _others(volume: Rational, shares: Sequence[Share]) -> Amount:
    """Return a lower bound of what these bill for a volume that starts their blocks; the cheapest is the first."""
    if len(shares) == 1:
        return shares[0].each * blocks(volume, shares[0].step)
    return max(shares[0].each * volume, min(each.block for each in shares))
