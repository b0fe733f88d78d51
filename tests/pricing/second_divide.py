"""The second implementation, part two: every way in which a period's volumes may be divided among prices.

Brute force: the clock is walked minute by minute, energy from limit to limit, and all extreme divisions are listed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction
from itertools import combinations_with_replacement, islice, pairwise, permutations, product
from typing import Any

from pricing.second_state import (
    Component,
    Document,
    Period,
    Readings,
    Session,
    State,
    candidates,
    clock_matches,
    power_bounds,
)

MANY = 4000
"""So many divisions are listed at most; where there are more, the answer is not complete."""

Span = tuple[Fraction, Fraction]


@dataclass(frozen=True)
class Share:
    """What a period measured of a dimension under one component, None for no price."""

    period: int
    dimension: str
    component: Component | None
    volume: Fraction


Way = tuple[Share, ...]
"""One division of one dimension of one period, in the order of time."""


@dataclass(frozen=True)
class Slice:
    """A stretch of the clock in which no element changes by the clock or by the session's duration."""

    offset: int
    length: int
    elapsed: Span


class Ways:
    """Lists the ways of one session under one tariff."""

    def __init__(self, session: Session, elements: list[Document], readings: Readings) -> None:
        self.session, self.elements, self.readings = session, elements, readings
        self.complete = True
        rests = [each.get("restrictions") or {} for each in elements]
        self.kwh = sorted(
            {Fraction(r[n]) * 1000 for r in rests for n in ("min_kwh", "max_kwh") if r.get(n) is not None}
        )
        self.durations = sorted(
            {Fraction(r[n]) for r in rests for n in ("min_duration", "max_duration") if r.get(n) is not None}
        )

    def of(self, period: Period, dimension: str) -> list[Way]:
        """Every extreme division of a dimension, each once."""
        if not period.volume(dimension):
            return [()]
        boundary = self.readings["boundary"]
        if boundary == "period_start" or (boundary == "proportional" and not period.length):
            return self._priced(period, dimension, [[(period.volume(dimension), self.start_of(period))]])
        if boundary == "proportional":
            return self._priced(period, dimension, [list(self._flowing(period, dimension))])
        lists = self._energy(period) if dimension == "ENERGY" else self._time(period, dimension)
        return self._priced(period, dimension, lists)

    def _priced(self, period: Period, dimension: str, lists: Iterable[list[tuple[Fraction, State]]]) -> list[Way]:
        power = power_bounds(self.session, period, dimension, self.readings)
        found: dict[Way, None] = {}
        for pieces in self.limited(lists):
            parts = [(volume, self.candidates(dimension, state, power)) for volume, state in pieces if volume]
            for picked in self.limited(product(*(choices for _, choices in parts))):
                found[_merged(period.index, dimension, picked, [volume for volume, _ in parts])] = None
        return list(found)

    def candidates(self, dimension: str, state: State, power: Any) -> list[Component | None]:
        """The components that may apply."""
        return candidates(self.elements, dimension, state, power, self.session.zone, self.readings)

    def limited(self, many: Iterable[Any]) -> Iterator[Any]:
        """The first of many, and whether they were all."""
        each = iter(many)
        yield from islice(each, MANY)
        if next(each, None) is not None:
            self.complete = False

    def start_of(self, period: Period) -> State:
        """The state at the start of a period."""
        since = Fraction(int((period.start - self.session.start).total_seconds()))
        energy, time, parking = period.first_wh, period.first_time, period.first_parking
        return State(period.start, (since, since), (energy, energy), (time, time), (parking, parking))

    def slices(self, period: Period, more: Sequence[int] = ()) -> list[Slice]:
        """The stretches of a period, walked from minute to minute; cut at these offsets, too."""
        since = int((period.start - self.session.start).total_seconds())
        if not period.length:
            return [Slice(0, 0, (Fraction(since), Fraction(since)))]
        minutes = range(-period.start.second % 60, period.length, 60)
        limits = [int(each) - since for each in self.durations]
        cuts = sorted({0, *minutes, *(each for each in (*limits, *more) if 0 < each < period.length)})
        found: list[Slice] = []
        facts: list[object] = []
        for begin, end in zip(cuts, [*cuts[1:], period.length], strict=True):
            moment = period.start + timedelta(seconds=begin)
            fact = (
                tuple(self._clock(each, moment) for each in self.elements),
                sum(each <= begin for each in limits),
                sum(each <= begin for each in more),
            )
            if facts and facts[-1] == fact:
                begin = found.pop().offset
                facts.pop()
            found.append(Slice(begin, end - begin, (Fraction(since + begin), Fraction(since + end))))
            facts.append(fact)
        return found

    def _clock(self, element: Document, moment: Any) -> bool:
        return clock_matches(element.get("restrictions") or {}, moment, self.session.zone, self.readings)

    def levels(self, period: Period) -> list[Span]:
        """The energy of a period from limit to limit; one point where there is none."""
        return spans(period.first_wh, period.volume("ENERGY"), self.kwh)

    def _charged(self, period: Period) -> list[Span]:
        limits = self.durations if self.readings["duration"] == "dimension" else []
        return spans(period.first_time, period.volume("TIME"), limits)

    def _state(self, period: Period, at: Slice, wh: Span, charged: Span, parked: Span) -> State:
        return State(period.start + timedelta(seconds=at.offset), at.elapsed, wh, charged, parked)

    def _energy(self, period: Period) -> Iterator[list[tuple[Fraction, State]]]:
        levels, charged = self.levels(period), self._charged(period)
        parked = (period.first_parking, period.first_parking)
        if period.fills == "TIME":
            slices = self.slices(period, [int(begin - period.first_time) for begin, _ in charged[1:]])
            begins = [period.first_time + each.offset for each in slices]
            cells = [(at, (begin, begin + at.length)) for at, begin in zip(slices, begins, strict=True)]
            paths: Iterable[Any] = combinations_with_replacement(cells, len(levels))
        else:
            clocks = combinations_with_replacement(self.slices(period), len(levels))
            counts = list(combinations_with_replacement(charged, len(levels)))
            paths = (tuple(zip(clock, count, strict=True)) for clock in clocks for count in counts)
        for path in paths:
            yield [
                (wh[1] - wh[0], self._state(period, at, wh, count, parked))
                for wh, (at, count) in zip(levels, path, strict=True)
            ]

    def _time(self, period: Period, dimension: str) -> Iterator[list[tuple[Fraction, State]]]:
        volume, slices = period.volume(dimension), self.slices(period)
        first = period.first_time if dimension == "TIME" else period.first_parking
        levels = self.levels(period)
        if dimension == "PARKING_TIME":
            levels = [(levels[-1][1], levels[-1][1])]
        limits = self.durations if self.readings["duration"] == "dimension" else []
        own = spans(first, volume, limits)
        for shares in _allocations(volume, [each.length for each in slices], period.fills == dimension):
            pieces = list(_overlaid(shares, own))
            for path in combinations_with_replacement(levels, len(pieces)):
                yield [
                    (amount, self._state(period, slices[number], wh, count, count))
                    for (amount, number, count), wh in zip(pieces, path, strict=True)
                ]

    def flow(self, period: Period) -> list[tuple[Fraction, Fraction, State]]:
        """A period in which everything flows evenly: from, to (parts of 1) and the state between."""
        slices = self.slices(period)
        limits = self.durations if self.readings["duration"] == "dimension" else []
        counts = {
            "ENERGY": (period.first_wh, self.kwh),
            "TIME": (period.first_time, limits),
            "PARKING_TIME": (period.first_parking, limits),
        }
        cuts = {Fraction(0), Fraction(1), *(Fraction(each.offset, period.length) for each in slices)}
        for dimension, (first, levels) in counts.items():
            volume = period.volume(dimension)
            cuts |= {(each - first) / volume for each in levels if volume and first < each < first + volume}
        found = []
        for begin, end in pairwise(sorted(cuts)):
            at = max((each for each in slices if each.offset <= begin * period.length), key=lambda each: each.offset)
            runs = [
                (first + period.volume(name) * begin, first + period.volume(name) * end)
                for name, (first, _) in counts.items()
            ]
            found.append((begin, end, self._state(period, at, runs[0], runs[1], runs[2])))
        return found

    def _flowing(self, period: Period, dimension: str) -> Iterator[tuple[Fraction, State]]:
        for begin, end, state in self.flow(period):
            yield period.volume(dimension) * (end - begin), state


def spans(first: Fraction, volume: Fraction, limits: Iterable[Fraction]) -> list[Span]:
    """A count from limit to limit; one point where it does not grow."""
    inside = [each for each in limits if first < each < first + volume]
    edges = [first, *inside, first + volume]
    return list(pairwise(edges))


def _allocations(volume: Fraction, lengths: list[int], fills: bool) -> Iterator[list[Fraction]]:
    """The extreme ways to lay a time into stretches of the clock."""
    if fills:
        yield [*map(Fraction, lengths[:-1]), volume - sum(lengths[:-1])]
        return
    rooms = [Fraction(each) if volume <= sum(lengths) else volume for each in lengths]
    seen = set()
    for order in islice(permutations(range(len(rooms))), 720):
        shares, rest = [Fraction(0)] * len(rooms), volume
        for number in order:
            shares[number] = min(rest, rooms[number])
            rest -= shares[number]
        if tuple(shares) not in seen:
            seen.add(tuple(shares))
            yield shares


def _overlaid(shares: list[Fraction], own: list[Span]) -> Iterator[tuple[Fraction, int, Span]]:
    """Lay the levels of a count over the shares of the stretches, both in the order of time."""
    at, level = own[0][0], 0
    for number, share in enumerate(shares):
        end = at + share
        while at < end:
            until = min(end, own[level][1])
            yield until - at, number, own[level]
            at = until
            if at == own[level][1]:
                level += 1


def _merged(period: int, dimension: str, picked: Iterable[Component | None], volumes: list[Fraction]) -> Way:
    """One share for each component, in the order in which they were last used."""
    sums: dict[Component | None, Fraction] = {}
    for component, volume in zip(picked, volumes, strict=True):
        sums[component] = sums.pop(component, Fraction(0)) + volume
    return tuple(Share(period, dimension, component, volume) for component, volume in sums.items())
