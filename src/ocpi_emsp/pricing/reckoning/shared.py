"""What blocks bill for a volume that several prices share, where how much is at which price is not known.

Rules of this module:
- the volume may be divided in any way: a limit of power, for one, is passed several times within a period;
- what a price bills for certain stands before it: the room that is left in its last block costs nothing more;
- bounds hold every division. Of two prices they are what a division gives, unless their blocks fit together only
  after many of them (``MAX_LOOKS``); of more, each may add a block that no division fits beside the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import gcd
from typing import Final, NamedTuple

from ocpi_emsp.pricing.exact import Rational
from ocpi_emsp.pricing.reckoning.money import Amount

MAX_LOOKS: Final = 10
"""So many blocks of the dearest, or cheapest, price are given up one by one for those of others."""


class Share(NamedTuple):
    """A price that bills part of a volume."""

    each: int
    """What a Wh or a second costs."""
    step: int
    certain: Rational
    """The volume that it bills for certain."""

    @property
    def room(self) -> Rational:
        """What its last block has room for."""
        return -self.certain % self.step if self.step > 0 else 0

    @property
    def block(self) -> int:
        """What a block costs; 0 where there are none."""
        return self.each * max(0, self.step)

    def cost(self, volume: Rational = 0) -> Amount:
        """What it bills for its certain volume and for more."""
        return self.each * blocks(self.certain + volume, self.step)


def blocks(volume: Rational, step: int) -> Rational:
    """A volume in whole blocks."""
    return volume + -volume % step if step > 0 else volume


def highest(volume: Rational, shares: Sequence[Share], unit: int, *, free: bool) -> Amount:
    """The most that all of these bill together for a volume, certain ones included.

    ``unit`` is the least part of the volume: a second, or 0 for energy. ``free``: some of it, or all, may cost nothing.
    """
    prices = [each for each in shares if each.each > 0]
    rebates = [each for each in shares if each.each < 0]
    if prices:
        return _most(volume, prices, unit) + sum(each.cost() for each in rebates)
    if free:
        return sum(each.cost() for each in rebates)
    return -_least(volume, _negated(rebates))


def lowest(volume: Rational, shares: Sequence[Share], unit: int, *, free: bool) -> Amount:
    """The least that they bill."""
    return -highest(volume, _negated(shares), unit, free=free)


def _negated(shares: Sequence[Share]) -> list[Share]:
    return [each._replace(each=-each.each) for each in shares]


def _most(volume: Rational, shares: Sequence[Share], unit: int) -> Amount:
    """The most that prices above 0 bill: all at the dearest, and what begun blocks of the others add to that."""
    dearest, *others = sorted(shares, key=lambda each: -each.each)
    alone = dearest.cost(volume) + sum(each.cost() for each in others)
    if not others or not volume:
        return alone
    # Each of the others begins a block, and takes as little as that needs: the dearest bills less by so much, but for
    # the rest of its own last block.
    begun = sum(max(0, each.block - dearest.each * (each.room + unit)) for each in others)
    if dearest.step <= unit:
        return alone + begun
    rest = blocks(dearest.certain + volume, dearest.step) - dearest.certain - volume
    return alone + min(
        begun + dearest.each * (dearest.step - unit - rest), _exchanged(volume, dearest, others, rest + unit)
    )


def _exchanged(volume: Rational, dearest: Share, others: Sequence[Share], rest: Rational) -> Amount:
    """What others bill more than the dearest bills less, which gives up a rest of a block, then one block by one."""
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
    """After so many blocks of a price those of another one end where they did before: no more of them is better."""
    if len(others) > 1:
        return MAX_LOOKS + 1
    step = others[0].step
    return step // gcd(step, share.step) if step > 0 else 1


def _least(volume: Rational, shares: Sequence[Share]) -> Amount:
    """The least that prices above 0 bill: blocks that are begun are filled, the rest is at the cheapest price."""
    begun = sum(each.cost() for each in shares)
    rest = volume - sum(each.room for each in shares)
    if rest <= 0:
        return begun
    cheapest, *others = sorted(shares, key=lambda each: each.each)
    best: Amount = cheapest.each * blocks(rest, cheapest.step)
    if not others or cheapest.step <= 0:
        return begun + best
    # Some of its last blocks may be given up for those of others, which cost more, but may fit better.
    full, looks = -(-rest // cheapest.step), _looks(cheapest, others)
    for less in range(1, min(full, looks, MAX_LOOKS) + 1):
        kept = full - less
        best = min(best, kept * cheapest.block + _others(rest - kept * cheapest.step, others))
    if min(full, looks) > MAX_LOOKS:
        kept = full - MAX_LOOKS - 1
        best = min(best, kept * cheapest.block + others[0].each * (rest - kept * cheapest.step))
    return begun + best


def _others(volume: Rational, shares: Sequence[Share]) -> Amount:
    """What these bill at least for a volume, in blocks that begin with it; the cheapest is the first."""
    if len(shares) == 1:
        return shares[0].each * blocks(volume, shares[0].step)
    return max(shares[0].each * volume, min(each.block for each in shares))
