"""The turns of parties and modules: pure functions of the time.

Rules of this module (transport_and_format.md, pull: poll in hours, and not all at once):
- times are whole seconds since 1970 in UTC, by one clock for all planners: the database's;
- a party and module has one turn in each period, at an offset that is the same in every process;
- a turn that no process planned in time (a first start, an outage) is made up for during its period, and not all at
  once; turns of earlier periods are not.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

_CATCH_UP = 4
"""Missed turns are caught up within a quarter of a period: soon, at four times the usual load."""
_LOOKS = 20
"""How often a planner checks within a period: a turn begins at most a twentieth of the period late."""
_MINUTE = 60
_DIVISORS = tuple(seconds for seconds in range(1, _MINUTE + 1) if _MINUTE % seconds == 0)


class Pair(NamedTuple):
    """A module of a party; both codes in upper case."""

    country_code: str
    party_id: str
    module: str

    def __str__(self) -> str:
        return f"{self.country_code}-{self.party_id}/{self.module}"


class Turn(NamedTuple):
    """A pair, and the time of its turn."""

    at: int
    pair: Pair


def last_turn(pair: Pair, period: int, now: int) -> int:
    """Return the pair's last turn that is not after ``now``."""
    place = int.from_bytes(hashlib.sha256(str(pair).encode()).digest()[:8], "big") % period
    return now - (now - place) % period


def is_full(turn: Turn, period: int, full_every: int | None) -> bool:
    """Return True for the first turn of a pair after each start of its full-sync period, which has its own offset,
    too.
    """
    return full_every is not None and last_turn(turn.pair, full_every, turn.at) > turn.at - period


def due(pairs: Iterable[Pair], period: int, now: int, planned: Mapping[Pair, int]) -> list[Turn]:
    """Return the current turns that are not planned yet, oldest first; ``planned``: the last planned turn per pair."""
    turns = (Turn(last_turn(pair, period, now), pair) for pair in pairs)
    return sorted(turn for turn in turns if turn.at > planned.get(turn.pair, -1))


def most(pairs: int, period: int, every: int) -> int:
    """Return the most turns that one check plans, if a planner checks at intervals of ``every`` seconds."""
    return max(1, math.ceil(_CATCH_UP * pairs * every / period))


def look_every(period: int) -> int:
    """Return the seconds between two checks of a planner."""
    return divisor_up_to(period / _LOOKS)


def divisor_up_to(seconds: float) -> int:
    """Return the longest divisor of a minute up to this many seconds, at least one."""
    return max(each for each in _DIVISORS if each <= max(seconds, 1))


def cron(every: int) -> str:
    """Return the croniter expression. Raises ValueError if the seconds do not divide 60."""
    if every not in _DIVISORS:
        raise ValueError(f"invalid interval of {every} s: expected a divisor of 60, for example 5")
    return "* * * * *" if every == _MINUTE else f"* * * * * */{every}"
