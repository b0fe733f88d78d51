"""The second implementation, part one: when does an element of a tariff apply? From the table of readings alone.

Documents are plain dicts, volumes Fractions of Wh and seconds, times aware datetimes of whole seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo
from fractions import Fraction
from typing import Any

Document = Mapping[str, Any]
Readings = Mapping[str, Any]
Bounds = tuple[Fraction, Fraction | None]

TRUE, MAYBE, FALSE = "true", "maybe", "false"
DAYS = ("MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY")
KNOWN = {
    "start_time", "end_time", "start_date", "end_date", "min_kwh", "max_kwh", "min_power", "max_power",
    "min_duration", "max_duration", "day_of_week",
}  # fmt: skip


@dataclass(frozen=True)
class Period:
    """A charging period: its volumes, None where it does not report the dimension."""

    index: int
    start: datetime
    end: datetime
    volumes: Mapping[str, Fraction]
    first_wh: Fraction
    """The energy of the session before it, in Wh; likewise the seconds of charging and of parking."""
    first_time: Fraction
    first_parking: Fraction

    @property
    def length(self) -> int:
        return int((self.end - self.start).total_seconds())

    def volume(self, dimension: str) -> Fraction:
        return self.volumes.get(dimension, Fraction(0))

    @property
    def fills(self) -> str | None:
        """The one time dimension whose volume is the period's whole length."""
        times = [each for each in ("TIME", "PARKING_TIME") if self.volume(each)]
        full = [each for each in times if abs(self.volume(each) - self.length) <= 1]
        return full[0] if len(times) == 1 and full else None


@dataclass(frozen=True)
class State:
    """What an element's restrictions ask about, over one piece of a period; a pair of equal numbers is a point."""

    moment: datetime
    elapsed: tuple[Fraction, Fraction]
    """Seconds of the session."""
    wh: tuple[Fraction, Fraction]
    charged: tuple[Fraction, Fraction]
    """Seconds of TIME so far."""
    parked: tuple[Fraction, Fraction]


@dataclass(frozen=True)
class Session:
    """A CDR, taken apart."""

    start: datetime
    stop: datetime
    periods: tuple[Period, ...]
    connector: Document
    zone: tzinfo
    totals: Document = field(default_factory=dict)


def clock_matches(rest: Document, moment: datetime, zone: tzinfo, readings: Readings) -> bool:
    """Whether a moment lies in the days, dates and times of day."""
    local = moment.astimezone(zone).replace(tzinfo=None)
    start, end = _minutes(rest.get("start_time")), _minutes(rest.get("end_time"))
    if rest.get("end_time") == "00:00":
        end = 1440
    first, last = _date(rest.get("start_date")), _date(rest.get("end_date"))
    spans = []
    if readings["dates"] == "span" and first and start is not None:
        spans.append(local >= first + timedelta(minutes=start))
        first = start = None
    if readings["dates"] == "span" and last and end is not None:
        spans.append(local < last + timedelta(minutes=end))
        last = end = None
    day = local
    wraps = start is not None and end is not None and end < start
    if wraps and readings["wrap_day"] == "window_start" and local.hour * 60 + local.minute < (end or 0):
        day = local - timedelta(days=1)
    days = rest.get("day_of_week")
    if (days and DAYS[day.weekday()] not in days) or (first and day < first) or (last and day >= last):
        return False
    if not all(spans):
        return False
    return _in_window(start, end, local, readings)


def _in_window(start: int | None, end: int | None, local: datetime, readings: Readings) -> bool:
    minute = local.hour * 60 + local.minute
    if start is not None and start == end:
        return bool(readings["equal_times"] == "whole_day")
    begin, until = start or 0, 1440 if end is None else end
    return begin <= minute < until if begin <= until else (minute >= begin or minute < until)


def _minutes(text: str | None) -> int | None:
    return None if text is None else int(text[:2]) * 60 + int(text[3:])


def _date(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def in_range(at: tuple[Fraction, Fraction], low: Any, high: Any, upper: str) -> bool:
    """Whether a number lies from a minimum on and below a maximum; of an interval, its middle."""
    middle = (at[0] + at[1]) / 2
    if low is not None and middle < Fraction(low):
        return False
    if high is None or middle < Fraction(high):
        return True
    return upper == "inclusive" and middle == Fraction(high)


def power_matches(rest: Document, bounds: Bounds, upper: str) -> str:
    """Whether a power of which only bounds are known is in range."""
    low, high = bounds
    answers = [TRUE]
    if (least := rest.get("min_power")) is not None:
        least = Fraction(least)
        below = high is not None and (high < least or (high == least and low < least))
        answers.append(TRUE if low >= least else FALSE if below else MAYBE)
    if (most := rest.get("max_power")) is not None:
        most = Fraction(most)
        if low == high == most:
            answers.append(TRUE if upper == "inclusive" else FALSE)
        else:
            answers.append(TRUE if high is not None and high <= most else FALSE if low >= most else MAYBE)
    return FALSE if FALSE in answers else MAYBE if MAYBE in answers else TRUE


def power_bounds(session: Session, period: Period, dimension: str, readings: Readings) -> Bounds:
    """The power in kW (or the current in A) of a period, as far as it is known."""
    if dimension == "PARKING_TIME":
        return Fraction(0), Fraction(0)
    connector, factor = session.connector, Fraction(1)
    if readings["power"] == "mean":
        seconds = period.volume("TIME") or period.length
        if not seconds or "ENERGY" not in period.volumes:
            return Fraction(0), None
        mean = period.volume("ENERGY") * Fraction(18, 5) / seconds
        return mean, mean
    if readings["power"] == "current":
        phases = 3 if connector["power_type"] == "AC_3_PHASE" else 1
        factor = Fraction(connector["voltage"] * phases, 1000)
    most = period.volumes.get("MAX_CURRENT", Fraction(connector["amperage"]))
    least = period.volumes.get("MIN_CURRENT", Fraction(0))
    return least * factor, max(least, most) * factor


def matches(element: Document, dimension: str, state: State, power: Bounds, zone: tzinfo, readings: Readings) -> str:
    """Whether an element's restrictions hold for a dimension, over one piece."""
    rest = element.get("restrictions") or {}
    if not clock_matches(rest, state.moment, zone, readings):
        return FALSE
    upper = readings["upper"]
    low, high = (None if rest.get(name) is None else Fraction(rest[name]) * 1000 for name in ("min_kwh", "max_kwh"))
    if not in_range(state.wh, low, high, upper):
        return FALSE
    elapsed = state.elapsed
    if readings["duration"] == "dimension" and dimension != "FLAT":
        elapsed = state.parked if dimension == "PARKING_TIME" else state.charged
    if not in_range(elapsed, rest.get("min_duration"), rest.get("max_duration"), upper):
        return FALSE
    answer = TRUE if readings["power"] == "ignore" else power_matches(rest, power, upper)
    if answer == TRUE and set(rest) - KNOWN:
        return MAYBE
    return answer


Component = tuple[int, int]
"""The index of an element and of one of its components."""


def candidates(
    elements: list[Document], dimension: str, state: State, power: Bounds, zone: tzinfo, readings: Readings
) -> list[Component | None]:
    """The components that may be the price of a dimension here; None is no price."""
    found: list[Component | None] = []
    for number, element in enumerate(elements):
        mine = [n for n, each in enumerate(element["price_components"]) if each["type"] == dimension]
        if not mine and readings["element"] == "per_dimension":
            continue
        answer = matches(element, dimension, state, power, zone, readings)
        if answer == FALSE:
            continue
        found.append((number, mine[0]) if mine else None)
        if answer == TRUE:
            return list(dict.fromkeys(found))
    return list(dict.fromkeys([*found, None]))
