"""The cheapest and the most expensive way to divide a volume whose division is unknown.

Rules of this module: the bounds contain the cost of every division; they are reached if any division is possible.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Final

from ocpi_emsp.pricing.exact import Rational
from ocpi_emsp.pricing.reckoning.choice import Options
from ocpi_emsp.pricing.reckoning.money import Amount

Bounds = tuple[Amount, Amount]

MAX_LAID: Final = 4
"""Most amounts and rooms for which every way to distribute the amounts is examined."""


def along(amounts: Sequence[Rational], rows: Sequence[Sequence[Options]]) -> Bounds:
    """Return bounds of the cost of consecutive amounts, while another quantity advances through its stages.

    ``rows[k][i]`` holds the options for ``amounts[k]`` at stage ``i``; stages never go back. Each amount is cheapest
    (and most expensive) at one stage, so one pass over the grid finds the best of all ways.
    """
    low = _best(amounts, [[each.low for each in row] for row in rows], min)
    high = _best(amounts, [[each.high for each in row] for row in rows], max)
    return low, high


def _best(
    amounts: Sequence[Rational], rows: Sequence[Sequence[int]], better: Callable[[Amount, Amount], Amount]
) -> Amount:
    best: list[Amount] = [0] * len(rows[0])
    for amount, row in zip(amounts, rows, strict=True):
        reached = best[0]
        for stage, cost in enumerate(row):
            reached = better(reached, best[stage])
            best[stage] = reached + amount * cost
    found = best[0]
    for each in best[1:]:
        found = better(found, each)
    return found


def filled(volume: Rational, rooms: Sequence[int], choices: Sequence[Options]) -> Bounds:
    """Return bounds of the cost of a duration spread over stretches of the clock, each of which holds its own
    length.
    """
    low = _filled(volume, sorted(zip((each.low for each in choices), rooms, strict=True)))
    dearest = sorted(zip((each.high for each in choices), rooms, strict=True), reverse=True)
    return low, _filled(volume, dearest)


def _filled(volume: Rational, rooms: Sequence[tuple[int, int]]) -> Amount:
    cost: Amount = 0
    for price, room in rooms:
        share = min(volume, room)
        cost += price * share
        volume -= share
        if not volume:
            break
    return cost


def laid(amounts: Sequence[Rational], rooms: Sequence[int], rows: Sequence[Sequence[Options]]) -> Bounds:
    """Return bounds of the cost of consecutive amounts, distributed over consecutive rooms.

    ``rows[k][i]`` holds the options for ``amounts[k]`` in ``rooms[i]``. A room need not be full.
    """
    # Costs are linear between the ends of amounts. So in the cheapest way each room ends at one of these ends, or at
    # the distance from it that other rooms, each full or empty, span.
    edges = [0, *accumulate(amounts)]
    sums: set[Rational] = {0}
    for room in rooms:
        sums |= {each + room for each in sums}
    points = sorted(
        {at for edge in edges for each in sums for at in (edge - each, edge + each) if 0 <= at <= edges[-1]}
    )
    low = _laid(points, edges, rooms, [[each.low for each in row] for row in rows])
    high = _laid(points, edges, rooms, [[-each.high for each in row] for row in rows])
    return low, -high


def _laid(
    points: Sequence[Rational], edges: Sequence[Rational], rooms: Sequence[int], rows: Sequence[Sequence[int]]
) -> Amount:
    best: dict[Rational, Amount] = {0: 0}
    for place, room in enumerate(rooms):
        costs = {at: _up_to(at, edges, [row[place] for row in rows]) for at in points}
        best = {
            end: min(ways)
            for end in points
            if (ways := [best[at] + costs[end] - costs[at] for at in best if at <= end <= at + room])
        }
    return best[points[-1]]


def _up_to(at: Rational, edges: Sequence[Rational], prices: Sequence[int]) -> Amount:
    """Return the cost of everything before a point, with one price between each two edges."""
    return sum(
        price * max(0, min(at, end) - begin) for price, begin, end in zip(prices, edges[:-1], edges[1:], strict=True)
    )
