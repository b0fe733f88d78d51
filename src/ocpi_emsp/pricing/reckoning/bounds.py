"""The cheapest and the dearest way to divide a volume of which the division is not known.

Rules of this module: what is given back holds every division, and is one where the division is free.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ocpi_emsp.pricing.exact import Rational
from ocpi_emsp.pricing.reckoning.choice import Options
from ocpi_emsp.pricing.reckoning.money import Amount

Bounds = tuple[Amount, Amount]


def along(amounts: Sequence[Rational], rows: Sequence[Sequence[Options]]) -> Bounds:
    """Bounds of the cost of amounts that follow each other, while something else goes on, too.

    ``rows[k][i]`` is what may apply to ``amounts[k]`` at stage ``i`` of the other thing; stages never go back. Each
    amount is cheapest (and dearest) at one stage, so one pass over the grid finds the best of all ways.
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
    """Bounds of the cost of a time laid into stretches of the clock, each of which has room for its own length."""
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
