"""The charging periods, with the volumes measured before each: the state that restrictions refer to.

Rules of this module:
- energy and durations are counted over the sorted periods; the session began at the CDR's start_date_time;
- volumes of the session as a whole form one more span, from its start to its stop; within its periods, the energy (or
  time) so far is then anything up to that volume.
"""

from __future__ import annotations

from typing import TypeAlias

from ocpi_emsp.pricing.exact import Rational
from ocpi_emsp.pricing.reckoning.clock import Slice
from ocpi_emsp.pricing.reckoning.power import Range, power
from ocpi_emsp.pricing.reckoning.restrictions import ENERGY, PARKING_TIME, TIME
from ocpi_emsp.pricing.session.metered import Metered, MeteredPeriod

Count: TypeAlias = tuple[Rational, Rational, bool]
"""A quantity at the start and at the end of a span, and whether it is only known to be between the two."""


class Span:
    """A stretch of a session and its volumes."""

    __slots__ = (
        "by_clock",
        "charged",
        "end",
        "energy",
        "flat",
        "looked_at",
        "parked",
        "parking",
        "position",
        "power",
        "seconds",
        "start",
        "steady",
        "wh",
    )

    def __init__(self, period: MeteredPeriod, position: int | None, power: Range) -> None:
        self.position = position
        self.start, self.end = period.start, period.end
        self.wh: Rational = period.wh or 0
        self.seconds = period.seconds or 0
        self.parking = period.parking or 0
        self.flat: Rational = period.flat or 0
        self.power = power
        self.by_clock: list[Slice] | None = None
        """Its stretches by the clock, once they were asked for."""
        self.looked_at = False
        self.steady: int | None = None
        """The elements that match in all of it, once it was looked at; None if that changes."""
        self.energy: Count = (0, 0, False)
        self.charged: Count = (0, 0, False)
        self.parked: Count = (0, 0, False)

    @property
    def length(self) -> int:
        """The seconds of the span by the clock."""
        return self.end - self.start

    def volume(self, dimension: str) -> Rational:
        """Return the measured volume of a dimension."""
        if dimension == ENERGY:
            return self.wh
        if dimension == TIME:
            return self.seconds
        if dimension == PARKING_TIME:
            return self.parking
        return self.seconds + self.parking

    def fills(self, dimension: str) -> bool:
        """Return True if a duration is the only one of the span and fills it by the clock."""
        if dimension in (TIME, PARKING_TIME) and self.seconds and self.parking:
            return False
        return -1 <= self.volume(dimension) - self.length <= 1


def spans(metered: Metered, reading: str, needs_power: bool) -> list[Span]:
    """Return the spans of a session in the order of time; that of the whole session comes last."""
    found = []
    wh: Rational = 0
    charged = parked = 0
    whole = _whole(metered)
    for period in metered.periods:
        span = Span(period, period.position, power(metered, period, reading) if needs_power else (0, None))
        span.energy = wh, wh + span.wh, False
        span.charged = charged, charged + span.seconds, False
        span.parked = parked, parked + span.parking, False
        wh, charged, parked = wh + span.wh, charged + span.seconds, parked + span.parking
        found.append(span)
    if whole is None:
        return found
    last = Span(whole, None, power(metered, whole._replace(wh=None), reading) if needs_power else (0, None))
    for each in found:
        each.energy = _between(each.energy, metered.whole_wh)
        each.charged = _between(each.charged, metered.whole_seconds)
        each.parked = _between(each.parked, metered.whole_parking)
    last.energy = (0, metered.whole_wh or wh, False)
    last.charged = (0, metered.whole_seconds or charged, False)
    last.parked = (0, metered.whole_parking or parked, False)
    return [*found, last]


def _whole(metered: Metered) -> MeteredPeriod | None:
    volumes = metered.whole_wh, metered.whole_seconds, metered.whole_parking
    if not any(volumes):
        return None
    return MeteredPeriod(-1, metered.start, max(metered.start, metered.stop), *volumes)


def _between(count: Count, whole: Rational | None) -> Count:
    return (count[0], count[1] + whole, True) if whole else count
