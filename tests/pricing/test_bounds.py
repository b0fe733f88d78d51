"""Bounds hold every division, and are no wider where that is promised: small numbers, every division tried."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import product
from random import Random

import pytest

from ocpi_emsp.pricing.exact import Rational
from ocpi_emsp.pricing.reckoning import shared
from ocpi_emsp.pricing.reckoning.bounds import laid
from ocpi_emsp.pricing.reckoning.choice import Options
from ocpi_emsp.pricing.reckoning.flat import MAX_FEES, least_due
from ocpi_emsp.pricing.reckoning.parts import Part, bound
from ocpi_emsp.pricing.reckoning.restrictions import TIME, Rate
from ocpi_emsp.pricing.reckoning.shared import MAX_LOOKS, Share, highest, lowest

EXAMPLES = 50


def divided(volume: int, count: int) -> Iterator[tuple[int, ...]]:
    """A volume over so many prices, in every way."""
    if count == 1:
        yield (volume,)
        return
    for first in range(volume + 1):
        for rest in divided(volume - first, count - 1):
            yield (first, *rest)


def costs(volume: int, shares: Sequence[Share], *, free: bool, parts: int = 1) -> list[Rational]:
    """What every division costs, in parts of a unit; one that is free has the last place."""
    ways = divided(volume * parts, len(shares) + free)
    return [
        sum(each.cost(Fraction(some, parts)) for each, some in zip(shares, way[: len(shares)], strict=True))
        for way in ways
    ]


def a_share(draw: Random, steps: Sequence[int], signs: Sequence[int]) -> Share:
    return Share(draw.choice(signs) * draw.randint(1, 6), draw.choice(steps), draw.randint(0, 9))


@pytest.mark.parametrize("seed", range(3))
def test_blocks_of_prices_that_share_a_volume_hold_every_division(seed: int) -> None:
    draw = Random(seed)
    for _ in range(EXAMPLES):
        shares = [a_share(draw, (0, 1, 2, 3, 4, 5, 6), draw.choice([(1,), (-1,), (1, -1)])) for _ in range(seed + 1)]
        volume, free = draw.randint(0, 12 - 3 * seed), draw.random() < 0.4
        found = costs(volume, shares, free=free)
        assert lowest(volume, shares, 1, free=free) <= min(found)
        assert highest(volume, shares, 1, free=free) >= max(found)
        finer = costs(volume, shares, free=free, parts=2)
        assert lowest(volume, shares, 0, free=free) <= min(finer)
        assert highest(volume, shares, 0, free=free) >= max(finer)


@pytest.mark.parametrize("signs", [(1,), (-1,), (1, -1)], ids=["prices", "rebates", "both"])
@pytest.mark.parametrize("count", [1, 2])
def test_blocks_of_two_prices_are_what_a_division_gives(count: int, signs: tuple[int, ...]) -> None:
    draw = Random(count)
    for _ in range(EXAMPLES):
        shares = [a_share(draw, (2, 3, 4, 5, 6), signs) for _ in range(count)]
        volume, free = draw.randint(0, 20), draw.random() < 0.4
        found = costs(volume, shares, free=free)
        bounds = lowest(volume, shares, 1, free=free), highest(volume, shares, 1, free=free)
        assert bounds == (min(found), max(found))


def test_blocks_that_fit_after_many_of_them_hold_every_division(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared, "MAX_LOOKS", 1)
    draw = Random(5)
    for _ in range(EXAMPLES):
        shares = [a_share(draw, (5, 7, 9), (1,)) for _ in range(2)]
        found = costs(volume := draw.randint(20, 40), shares, free=False)
        assert lowest(volume, shares, 1, free=False) <= min(found)
        assert highest(volume, shares, 1, free=False) >= max(found)


def test_the_work_for_two_prices_does_not_grow_with_their_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = 0
    counted = shared.blocks

    def blocks(volume: Rational, step: int) -> Rational:
        nonlocal asked
        asked += 1
        return counted(volume, step)

    monkeypatch.setattr(shared, "blocks", blocks)
    shares = [Share(3, 10**9 + 7, 5), Share(2, 10**6 + 3, 7)]
    assert highest(10**30, shares, 1, free=False) > 3 * 10**30
    assert lowest(10**30, shares, 1, free=False) > 2 * 10**30
    assert asked < 8 * MAX_LOOKS


def options(*prices: int) -> Options:
    return Options(1, False, [Rate(TIME, place, 0, 0, each, 0) for place, each in enumerate(prices)])  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", range(2))
def test_amounts_laid_into_rooms_cost_what_the_cheapest_and_the_dearest_way_costs(seed: int) -> None:
    draw = Random(seed)
    for _ in range(40):
        amounts = [draw.randint(1, 5) for _ in range(draw.randint(1, 3))]
        rooms = [draw.randint(1, 8) for _ in range(draw.randint(2, 3))]
        rooms[-1] += max(0, sum(amounts) - sum(rooms))
        prices = [[draw.randint(-2, 6) for _ in rooms] for _ in amounts]
        units = [number for number, amount in enumerate(amounts) for _ in range(amount)]
        found = []
        for way in divided(len(units), len(rooms)):
            if all(some <= room for some, room in zip(way, rooms, strict=True)):
                places = [place for place, some in enumerate(way) for _ in range(some)]
                found.append(sum(prices[unit][place] for unit, place in zip(units, places, strict=True)))
        rows = [[options(each) for each in row] for row in prices]
        assert laid(amounts, rooms, rows) == (min(found), max(found))


@pytest.mark.parametrize("bounds", [(0, 12), (-3, 20), (4, 9), (-1, 7), (8, 14), (7, 7)])
def test_parts_of_a_group_have_its_bounds_and_keep_their_own_in_order(bounds: tuple[int, int]) -> None:
    parts = [Part(TIME, 0, 0, 1, volume, options(0, 4)) for volume in (1, 2)]
    bound(parts, *bounds)
    assert (sum(each.low for each in parts), sum(each.high for each in parts)) == bounds
    assert all(each.low <= each.high for each in parts)


@pytest.mark.parametrize("seed", range(2))
def test_of_fees_that_may_be_due_the_cheapest_choice_is_found(seed: int) -> None:
    draw = Random(seed)
    for _ in range(EXAMPLES):
        prices = {1 << place: draw.randint(-1, 6) for place in range(5)}
        due = [draw.randint(1, 31) for _ in range(draw.randint(0, 4))]
        # Fees that cost nothing, or less, are due in any case.
        free = sum(bit for bit, price in prices.items() if price <= 0)
        ways = [sum(way) for way in product(*((0, bit) for bit in prices if prices[bit] > 0))]
        least = min(
            sum(prices[bit] for bit in prices if way & bit) for way in ways if all(each & (way | free) for each in due)
        )
        assert least_due(due, prices) == least


def test_of_many_fees_that_may_be_due_no_more_is_found_than_is() -> None:
    fees = 3 * MAX_FEES
    prices = {1 << place: place + 1 for place in range(fees)}
    # 1 or 2, 3 or 4, ...: the odd ones; all of them a second time, which costs nothing more
    due = [3 << place for place in range(0, fees, 2)]
    assert least_due([*due, (1 << fees) - 1], prices) == sum(range(1, fees + 1, 2))
    # 1 or 2, 2 or 3, ...: one of each two is due; at least 1 + 3 + 5 + ... / every other set
    assert 0 < least_due([3 << place for place in range(fees - 1)], prices) <= sum(range(2, fees + 1, 2))
