"""Whose turn is when: no clock, no database."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from ocpi_emsp.contrib.procrastinate import WorkerSettings
from ocpi_emsp.contrib.procrastinate.planning import (
    Pair,
    Turn,
    cron,
    due,
    is_full,
    last_turn,
    look_every,
    most,
)

DAY = 86_400
NOW = 1_700_000_000
MODULES = ("cdrs", "locations", "sessions", "tariffs", "tokens")


def pairs_of(count: int) -> list[Pair]:
    return [Pair("NL", f"{number:03}", MODULES[number % 5]) for number in range(count)]


@settings(deadline=None)
@given(
    count=st.integers(1, 30),
    period=st.integers(5, 3000),
    start=st.integers(NOW, NOW + 2 * DAY),
    looks=st.lists(st.integers(1, 2), min_size=1, max_size=20),
)
def test_each_pair_has_one_turn_in_each_period(count: int, period: int, start: int, looks: list[int]) -> None:
    """However irregular a planner looks, and although each look plans only a few."""
    pairs, every = pairs_of(count), look_every(period)
    planned: dict[Pair, int] = {}
    turns: list[Turn] = []
    now = start
    for number in range(4 * period // every):
        taken = due(pairs, period, now, planned)[: most(count, period, every)]
        assert all(now - period < turn.at <= now for turn in taken)
        planned.update({turn.pair: turn.at for turn in taken})
        turns += taken
        now += every * looks[number % len(looks)]
    for pair in pairs:
        own = [turn.at for turn in turns if turn.pair == pair]
        assert own[0] == last_turn(pair, period, own[0]) > start - period
        assert own == list(range(own[0], own[0] + len(own) * period, period)), "one each period, none left out"
        assert own[-1] > now - every * 2 - 2 * period


@settings(deadline=None)
@given(count=st.integers(1, 60), period=st.integers(5, DAY), looks=st.lists(st.booleans(), min_size=5, max_size=200))
def test_two_planners_plan_each_turn_once(count: int, period: int, looks: list[bool]) -> None:
    """The database has each turn once; a planner that did not see what the other one did asks it again."""
    pairs, every = pairs_of(count), look_every(period)
    known: dict[bool, dict[Pair, int]] = {True: {}, False: {}}
    table: dict[Pair, list[int]] = {pair: [] for pair in pairs}
    for number, which in enumerate(looks):
        for turn in due(pairs, period, NOW + number * every, known[which]):
            known[which][turn.pair] = turn.at
            if turn.at not in table[turn.pair]:
                table[turn.pair].append(turn.at)
    for turns in table.values():
        assert turns == sorted(set(turns)), "a late planner brings no older turn back"


def test_turns_are_spread_over_the_period() -> None:
    period = 4 * 3600
    parts = Counter((last_turn(pair, period, NOW) - NOW) % period * 10 // period for pair in pairs_of(1000))
    assert sorted(parts) == list(range(10))
    assert max(parts.values()) < 140, "of 100 that are due in each tenth"


def test_what_was_missed_is_made_up_for_in_a_quarter_of_the_period() -> None:
    pairs, period = pairs_of(1000), 4 * 3600
    every = look_every(period)
    assert every == 60
    assert len(due(pairs, period, NOW, {})) == 1000, "at the first start all are due"
    assert most(1000, period, every) == 17
    assert 1000 / 17 * every <= period / 4


def test_oldest_turns_come_first() -> None:
    turns = due(pairs_of(50), DAY, NOW, {})
    assert turns == sorted(turns)
    first = turns[0]
    assert due(pairs_of(50), DAY, NOW, {first.pair: first.at}) == turns[1:]


@given(number=st.integers(0, 500), start=st.integers(NOW, NOW + 30 * DAY))
def test_one_turn_a_week_is_a_full_one(number: int, start: int) -> None:
    pair, period = pairs_of(501)[number], 4 * 3600
    first = last_turn(pair, period, start)
    turns = [Turn(first + turn * period, pair) for turn in range(7 * 6 * 3)]
    full = [turn.at for turn in turns if is_full(turn, period, 7 * DAY)]
    assert len(full) == 3
    assert {later - earlier for earlier, later in pairwise(full)} == {7 * DAY}
    assert not any(is_full(turn, period, None) for turn in turns)


@pytest.mark.parametrize(
    ("every", "line"), [(1, "* * * * * */1"), (5, "* * * * * */5"), (30, "* * * * * */30"), (60, "* * * * *")]
)
def test_the_line_for_cron(every: int, line: str) -> None:
    assert cron(every) == line


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"deaths": 0}, "deaths"),
        ({"full_every": timedelta(seconds=1)}, "invalid full_every 0:00:01"),
        ({"modules": ()}, "invalid modules '': expected"),
        ({"modules": ("locations", "vendor")}, "invalid modules 'vendor': expected"),
        ({"period": timedelta(seconds=4)}, "invalid period 0:00:04: expected 0:00:05 or more"),
        ({"relay_every": 7}, "invalid interval of 7 s"),
        ({"fan_out_every": 61}, "invalid interval of 61 s"),
        ({"expire_every": 0}, "invalid interval of 0 s"),
        ({"retries": -1}, "retries"),
        ({"take_over_after": timedelta(0)}, "take_over_after"),
    ],
)
def test_settings_with_which_nothing_is_done_are_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        WorkerSettings(**wrong)
