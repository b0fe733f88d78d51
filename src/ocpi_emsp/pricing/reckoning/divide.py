"""A charging period divided among prices, exactly if possible, otherwise between bounds.

Rules of this module (the readings ``boundary`` and ``duration``; docs/how-to/audit-bills.md):
- energy is divided exactly by levels of kWh if the clock changes none of its prices; a duration that fills its period
  is divided exactly by the clock; otherwise every division is possible;
- parking comes after charging, so it is priced with the energy of the whole period;
- ``period_start`` uses the state at the start; ``proportional`` assumes that everything flows evenly by the clock;
- a volume beyond the work limit becomes one part with every price that the dimension has.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

from ocpi_emsp.pricing.exact import Rational
from ocpi_emsp.pricing.readings import Readings
from ocpi_emsp.pricing.reckoning.axis import Axis, Match
from ocpi_emsp.pricing.reckoning.bounds import MAX_LAID, Bounds, along, filled, laid
from ocpi_emsp.pricing.reckoning.choice import Chooser, Options
from ocpi_emsp.pricing.reckoning.limits import Budget, TooManySteps
from ocpi_emsp.pricing.reckoning.parts import Part
from ocpi_emsp.pricing.reckoning.power import Range
from ocpi_emsp.pricing.reckoning.restrictions import ENERGY, FLAT, PARKING_TIME, SESSION_TIME, TIME
from ocpi_emsp.pricing.reckoning.spans import Count, Span


class Section(NamedTuple):
    """A stretch of one quantity within which no restriction on it changes."""

    amount: Rational
    sure: int
    possible: int
    start: int
    end: int


class Divider:
    """Divides the spans of one session under one tariff."""

    def __init__(self, chooser: Chooser, readings: Readings, start: int, budget: Budget) -> None:
        self.chooser, self.index = chooser, chooser.index
        self.boundary = readings.boundary
        self.by_dimension = readings.duration == "dimension"
        self.start = start
        self.budget = budget
        self._all = self.index.every
        self._known_base: tuple[Span, str, Match] | None = None

    def parts(self, span: Span, dimension: str) -> list[Part]:
        """Return the parts of a dimension in a span, in the order of time."""
        volume = span.volume(dimension)
        if not volume:
            return []
        fixed = self.chooser.fixed(dimension)
        if fixed is not None:
            return [Part(dimension, span.position, span.start, span.end, volume, fixed)]
        try:
            steady = self.steady(span, dimension)
            if steady is not None:
                part = Part(dimension, span.position, span.start, span.end, volume, steady)
                if not steady.certain:
                    part.causes = self.causes(span, dimension, [steady])
                return [part]
            return self._divided(span, dimension, volume)
        except TooManySteps:
            return [self._coarse(span, dimension, volume)]

    def steady(self, span: Span, dimension: str) -> Options | None:
        """Return the options of a span within which no limit is passed; the most common case, so it is tried first."""
        if not span.looked_at:
            span.looked_at = True
            span.steady = self._state(span)
        if span.steady is None or (dimension == PARKING_TIME and self.index.energy is not None and span.wh):
            return None
        if self.index.power is None:
            return self.chooser.options(dimension, span.steady & ~self.index.unread, span.steady)
        base = self._base(span, dimension)
        return self.chooser.options(dimension, span.steady & base.sure, span.steady & base.possible)

    def _state(self, span: Span) -> int | None:
        """Return the elements that clock, energy and duration allow in all of a span; None if that changes."""
        clock, energy, duration = self.index.clock, self.index.energy, self.index.duration
        if self.boundary == "period_start" or span.energy[2] or (duration is not None and self.by_dimension):
            return None
        allowed = self._all
        if clock is not None:
            if span.by_clock is None:
                span.by_clock = clock.slices(span.start, span.end, self.budget)
            if len(span.by_clock) > 1:
                return None
            allowed &= span.by_clock[0].allowed
        counts = ((energy, *span.energy), (duration, span.start - self.start, span.end - self.start, False))
        for axis, first, last, _ in counts:
            if axis is None:
                continue
            if first == last:
                allowed &= axis.at(first)
            elif axis.cuts(first, last):
                return None
            else:
                allowed &= axis.above(first)
        return allowed

    def _divided(self, span: Span, dimension: str, volume: Rational) -> list[Part]:
        if self.boundary == "period_start" or (self.boundary == "proportional" and not span.length):
            options = self.at_start(span, dimension)
            part = Part(dimension, span.position, span.start, span.end, volume, options)
            part.causes = self.causes(span, dimension, [options])
            return [part]
        if self.boundary == "proportional":
            return self._grid(span, dimension, self.flow(span, dimension, volume), [self._one(span)])
        if dimension == ENERGY:
            return self._energy(span)
        return self._time(span, dimension, volume)

    def _energy(self, span: Span) -> list[Part]:
        own = self.levels(span, ENERGY)
        counted = self._counted(span, ENERGY)
        if len(counted) > 1 and span.fills(TIME):
            return self._grid(span, ENERGY, own, self._counted_slices(span, ENERGY))
        return self._grid(span, ENERGY, own, self.slices(span, ENERGY), counted)

    def _time(self, span: Span, dimension: str, volume: Rational) -> list[Part]:
        levels = self.levels(span, dimension)
        if span.fills(dimension):
            own = self._counted_slices(span, dimension)
            rest = volume - sum(each.amount for each in own)
            own[-1] = own[-1]._replace(amount=own[-1].amount + rest)
            return self._grid(span, dimension, own, levels)
        slices, counted = self.slices(span, dimension), self._counted(span, dimension)
        if len(slices) == 1:
            own = [each._replace(amount=volume) for each in counted] if len(counted) == 1 else counted
            return self._grid(span, dimension, own, levels, slices)
        return self._laid(span, dimension, volume, slices, counted, levels)

    def _laid(
        self,
        span: Span,
        dimension: str,
        volume: Rational,
        slices: list[Section],
        counted: list[Section],
        levels: list[Section],
    ) -> list[Part]:
        """Return a duration that does not fill its period, with bounds over every way to place it on the clock."""
        if not self.budget.spend(len(slices) * len(counted) * len(levels)):
            return [self._coarse(span, dimension, volume)]
        choices = [self.cell(span, dimension, each, counted, levels) for each in slices]
        options = self.chooser.union(dimension, choices)
        part = Part(dimension, span.position, span.start, span.end, volume, options)
        if not options.certain:
            rooms = [int(each.amount) for each in slices]
            if volume > sum(rooms):
                rooms = [int(volume)] * len(rooms)
            part.low, part.high = filled(volume, rooms, choices)
            if len(counted) > 1:
                rows = [[self.cell(span, dimension, one, [each], levels) for each in slices] for one in counted]
                amounts = [each.amount for each in counted]
                _narrow(part, along(amounts, rows))
                if max(len(amounts), len(rooms)) <= MAX_LAID:
                    _narrow(part, laid(amounts, rooms, rows))
            part.causes = self.causes(span, dimension, choices)
        return [part]

    def _grid(
        self,
        span: Span,
        dimension: str,
        own: Sequence[Section],
        cross: Sequence[Section],
        third: Sequence[Section] | None = None,
    ) -> list[Part]:
        """Return consecutive amounts while a second quantity advances; the third may be at any stage."""
        third = third or [self._one(span)]
        if len(own) == len(cross) == len(third) == 1:
            options = self.cell(span, dimension, own[0], cross, third)
            part = Part(dimension, span.position, span.start, span.end, own[0].amount, options)
            part.causes = () if options.certain else self.causes(span, dimension, [options])
            return [part]
        if not self.budget.spend(len(own) * len(cross) * len(third)):
            return [self._coarse(span, dimension, sum(each.amount for each in own))]
        rows = [[self.cell(span, dimension, one, [other], third) for other in cross] for one in own]
        found: list[Part] = []
        open_rows: list[tuple[Section, Sequence[Options]]] = []
        for section, row in zip(own, rows, strict=True):
            options = self.chooser.union(dimension, row)
            if not options.certain:
                open_rows.append((section, row))
            elif section.amount:
                _append(found, Part(dimension, span.position, section.start, section.end, section.amount, options))
        if open_rows:
            found.append(self._open(span, dimension, open_rows))
        return found

    def _open(self, span: Span, dimension: str, rows: list[tuple[Section, Sequence[Options]]]) -> Part:
        """Return one part for all uncertain amounts."""
        cells = [each for _, row in rows for each in row]
        amounts = [section.amount for section, _ in rows]
        options = self.chooser.union(dimension, cells)
        part = Part(dimension, span.position, rows[0][0].start, rows[-1][0].end, sum(amounts), options)
        part.low, part.high = along(amounts, [row for _, row in rows])
        part.causes = self.causes(span, dimension, cells)
        return part

    def cell(self, span: Span, dimension: str, own: Section, *others: Sequence[Section]) -> Options:
        """Return the options in a section of one quantity, at any stage of the others."""
        sure, possible = self._base(span, dimension)
        sure, possible = sure & own.sure, possible & own.possible
        return self.chooser.union(dimension, self._stages(dimension, sure, possible, others))

    def _stages(
        self, dimension: str, sure: int, possible: int, others: Sequence[Sequence[Section]]
    ) -> Iterator[Options]:
        if not others:
            yield self.chooser.options(dimension, sure, possible)
            return
        for each in others[0]:
            yield from self._stages(dimension, sure & each.sure, possible & each.possible, others[1:])

    def _coarse(self, span: Span, dimension: str, volume: Rational) -> Part:
        self.budget.exceeded = True
        options = self.chooser.everything(dimension)
        part = Part(dimension, span.position, span.start, span.end, volume, options)
        part.causes = (("work.limit", _pointer(span)),)
        return part

    def _base(self, span: Span, dimension: str) -> Match:
        """Return the elements that the power allows; unreadable restrictions leave theirs open."""
        known = self._known_base
        if known is not None and known[0] is span and known[1] == dimension:
            return known[2]
        sure = possible = self._all
        axis = self.index.power
        if axis is not None:
            sure, possible = axis.between(*_power(span, dimension))
        match = Match(sure & self._all & ~self.index.unread, possible & self._all)
        self._known_base = span, dimension, match
        return match

    def at_start(self, span: Span, dimension: str) -> Options:
        """Return the options at the very start of a span."""
        sure, possible = self._base(span, dimension)
        clock, energy, duration = self.index.clock, self.index.energy, self.index.duration
        if clock is not None:
            allowed = clock.at(span.start)
            sure, possible = sure & allowed, possible & allowed
        if energy is not None:
            sure, possible = _both(sure, possible, _start_of(energy, span.energy))
        if duration is not None:
            count: Count = (span.start - self.start, 0, False)
            if self.by_dimension and dimension in (ENERGY, TIME, PARKING_TIME):
                count = span.parked if dimension == PARKING_TIME else span.charged
            sure, possible = _both(sure, possible, _start_of(duration, count))
        return self.chooser.options(dimension, sure, possible)

    def slices(self, span: Span, dimension: str, more: Iterable[int] = ()) -> list[Section]:
        """Return the stretches of a span by the clock, the duration of the session, and further moments."""
        clock, relevant = self.index.clock, self.chooser.relevant(dimension)
        if clock is not None and relevant & clock.elements:
            if span.by_clock is None:
                span.by_clock = clock.slices(span.start, span.end, self.budget)
            found = [Section(end - start, allowed, allowed, start, end) for start, end, allowed in span.by_clock]
        else:
            found = [self._one(span)]
        duration = self.index.duration
        session = dimension in (FLAT, SESSION_TIME) or not self.by_dimension
        if duration is not None and session and relevant & duration.elements:
            cuts = duration.cuts(span.start - self.start, span.end - self.start)
            found = _cut(found, (self.start + int(each) for each in cuts))
            found = [_masked(each, _elapsed(duration, each, self.start)) for each in found]
        return _cut(found, more)

    def _counted_slices(self, span: Span, dimension: str) -> list[Section]:
        """Return the stretches of a span that a duration fills: charging (or parking) passes its limits at known
        moments.
        """
        duration = self.index.duration
        if duration is None or not self.by_dimension or dimension == SESSION_TIME:
            return self.slices(span, dimension)
        first, last, vague = span.parked if dimension == PARKING_TIME else span.charged
        if vague:
            match = duration.between(first, last)
            return [_masked(each, match) for each in self.slices(span, dimension)]
        cuts = [span.start + int(each - first) for each in duration.cuts(first, last)]
        return [
            _masked(each, _same(duration.above(first + each.start - span.start)))
            for each in self.slices(span, dimension, [each for each in cuts if each < span.end])
        ]

    def levels(self, span: Span, dimension: str) -> list[Section]:
        """Return the stretches of a span by the levels of energy; for parking, the one at its end."""
        axis = self.index.energy
        if axis is None or not self.chooser.relevant(dimension) & axis.elements:
            return [self._one(span)._replace(amount=span.wh)]
        if span.energy[2]:
            return [each._replace(amount=span.wh) for each in _sections(axis, span.energy, span)]
        if dimension == PARKING_TIME:
            return _sections(axis, (span.energy[1], span.energy[1], False), span)
        return _sections(axis, span.energy, span)

    def _counted(self, span: Span, dimension: str) -> list[Section]:
        """Return the stretches of a span by the duration of charging, or of parking."""
        axis = self.index.duration
        if not self.by_dimension or axis is None or dimension in (FLAT, SESSION_TIME):
            return [self._one(span)]
        return _sections(axis, span.parked if dimension == PARKING_TIME else span.charged, span)

    def flow(self, span: Span, dimension: str, volume: Rational) -> list[Section]:
        """Return the stretches of a span in which everything flows evenly."""
        slices, levels, counted = self.slices(span, dimension), self._levels_of_flow(span, dimension), []
        if self.by_dimension and self.index.duration is not None:
            counted = self._counted(span, dimension)
        runs = [_run(slices, span.length), *(_run(each, None) for each in (levels, counted) if len(each) > 0)]
        cuts = sorted({cut for run in runs for cut, _ in run} | {Fraction(1)})
        if not self.budget.spend(len(cuts) - 1):
            raise TooManySteps
        found = []
        places = [0] * len(runs)
        for begin, end in pairwise(cuts):
            sure = possible = self._all
            for number, run in enumerate(runs):
                while places[number] + 1 < len(run) and run[places[number] + 1][0] <= begin:
                    places[number] += 1
                section = run[places[number]][1]
                sure, possible = sure & section.sure, possible & section.possible
            amount = volume if len(cuts) == 2 else volume * (end - begin)
            edges = span.start + int(span.length * begin), span.start + int(span.length * end)
            found.append(Section(amount, sure, possible, *edges))
        return found

    def _levels_of_flow(self, span: Span, dimension: str) -> list[Section]:
        axis = self.index.energy
        if axis is None or not self.chooser.relevant(dimension) & axis.elements:
            return []
        return _sections(axis, span.energy, span)

    def _one(self, span: Span) -> Section:
        return Section(span.length, self._all, self._all, span.start, span.end)

    def causes(self, span: Span, dimension: str, cells: Sequence[Options]) -> tuple[tuple[str, str], ...]:
        """Return why a price is uncertain: codes and pointers."""
        found: dict[tuple[str, str], None] = {}
        open_cells = [each for each in cells if not each.certain]
        maybe = 0
        for each in open_cells:
            maybe |= each.elements
        sure, possible = self._base(span, dimension)
        unread = maybe & self.index.unread
        if unread:
            element = (unread & -unread).bit_length() - 1
            found["restriction.unknown", f"/elements/{element}/restrictions"] = None
        if maybe & (sure ^ possible) & ~self.index.unread:
            found["power.unknown", _pointer(span)] = None
        if len({*cells}) > 1 or (open_cells and not found):
            found["boundary.unknown", _pointer(span)] = None
        return tuple(found)


def _power(span: Span, dimension: str) -> Range:
    """Return the power while a dimension is measured; it is 0 while an EV parks."""
    if dimension == PARKING_TIME:
        return 0, 0
    low, high = span.power
    return (min(low, 0), high) if dimension == SESSION_TIME and span.parking else (low, high)


def _pointer(span: Span) -> str:
    return "/charging_periods" if span.position is None else f"/charging_periods/{span.position}"


def _append(parts: list[Part], part: Part) -> None:
    """Add a part, merged with the last one if both have the same price."""
    last = parts[-1] if parts else None
    if last is not None and last.options is part.options:
        last.volume += part.volume
        last.low += part.low
        last.high += part.high
        last.end = part.end
    else:
        parts.append(part)


def _narrow(part: Part, bounds: Bounds) -> None:
    part.low, part.high = max(part.low, bounds[0]), min(part.high, bounds[1])


def _both(sure: int, possible: int, match: Match) -> Match:
    return Match(sure & match.sure, possible & match.possible)


def _same(elements: int) -> Match:
    return Match(elements, elements)


def _masked(section: Section, match: Match) -> Section:
    return section._replace(sure=section.sure & match.sure, possible=section.possible & match.possible)


def _elapsed(axis: Axis, section: Section, start: int) -> Match:
    """Return the elements that the session's duration allows in a stretch between its limits."""
    since = section.start - start
    return _same(axis.above(since) if section.end > section.start else axis.at(since))


def _start_of(axis: Axis, count: Count) -> Match:
    first, last, vague = count
    return axis.between(first, last) if vague else _same(axis.at(first))


def _sections(axis: Axis, count: Count, span: Span) -> list[Section]:
    """Return a count in sections from limit to limit; a single point if it does not grow."""
    first, last, vague = count
    if vague:
        return [Section(last - first, *axis.between(first, last), span.start, span.end)]
    if first == last:
        here = axis.at(first)
        return [Section(0, here, here, span.start, span.end)]
    found = []
    for begin, end in pairwise([first, *axis.cuts(first, last), last]):
        here = axis.above(begin)
        found.append(Section(end - begin, here, here, span.start, span.end))
    return found


def _cut(sections: list[Section], moments: Iterable[int]) -> list[Section]:
    """Return the sections, cut at these moments."""
    cuts = sorted(moments)
    if not cuts:
        return sections
    found, place = [], 0
    for each in sections:
        start = each.start
        while place < len(cuts) and cuts[place] < each.end:
            if cuts[place] > start:
                found.append(each._replace(start=start, end=cuts[place], amount=cuts[place] - start))
                start = cuts[place]
            place += 1
        found.append(each._replace(start=start, amount=each.end - start))
    return found


def _run(sections: Sequence[Section], length: int | None) -> list[tuple[Fraction, Section]]:
    """Return the start of each section, as a fraction of the whole."""
    total = sum(each.amount for each in sections) if length is None else length
    found, at = [], Fraction(0)
    for each in sections:
        found.append((at, each))
        if total:
            at += Fraction(each.amount) / total
    return found
