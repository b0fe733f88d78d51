"""A tariff prepared for look-ups: its prices by dimension, and its restrictions as limits and windows.

Rules of this module (mod_tariffs.md 4.2 to 4.5):
- of two components for one dimension in an element the first counts;
- a restriction that is unknown to 2.1.1 or unreadable may match or not: its element is never certain;
- it is created once for a session and does not change.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, tzinfo
from decimal import Decimal
from typing import Final

from ocpi_emsp.models import DayOfWeek, PriceComponent, Tariff, TariffRestrictions
from ocpi_emsp.models.tariffs import UnreadRestrictions
from ocpi_emsp.pricing.exact import absurd, rational
from ocpi_emsp.pricing.readings import Readings
from ocpi_emsp.pricing.reckoning.axis import Axis, Limit
from ocpi_emsp.pricing.reckoning.clock import DAY, Clock, Window
from ocpi_emsp.pricing.reckoning.money import MoneyUnit

ENERGY: Final = "ENERGY"
TIME: Final = "TIME"
PARKING_TIME: Final = "PARKING_TIME"
FLAT: Final = "FLAT"
SESSION_TIME: Final = "SESSION_TIME"
"""A type that hubs use: charging and parking at one price (the reading ``session_time``)."""

UNITS: Final = {ENERGY: 1000, TIME: 3600, PARKING_TIME: 3600, SESSION_TIME: 3600, FLAT: 1}
"""The Wh or seconds that a price is for."""

_DAYS: Final = {day: place for place, day in enumerate(DayOfWeek)}
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")
_TIME: Final = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]\Z")
_EPOCH: Final = date(1970, 1, 1).toordinal()


class Unread(ValueError):
    """A restriction is unreadable."""


class Rate:
    """A price component and its place. Two rates are only equal if they are the same component."""

    __slots__ = ("component", "dimension", "each", "element", "price", "step")

    def __init__(self, dimension: str, element: int, component: int, price: Decimal, each: int, step: int) -> None:
        self.dimension, self.element, self.component = dimension, element, component
        self.price, self.step = price, step
        self.each = each
        """What one Wh, second or fee costs, in the money of its :class:`TariffIndex`."""


class TariffIndex:
    """The elements of a tariff by their prices and restrictions. An element is a bit."""

    __slots__ = (
        "absurd",
        "clock",
        "duration",
        "energy",
        "every",
        "free",
        "money",
        "power",
        "priced",
        "rates",
        "unread",
    )

    def __init__(self, tariff: Tariff, readings: Readings, zone: tzinfo) -> None:
        self.rates: dict[str, dict[int, Rate]] = {}
        self.priced: dict[str, int] = {}
        self.every = (1 << len(tariff.elements)) - 1
        self.unread = self.free = 0
        self.absurd: str | None = None
        self.money = MoneyUnit(())
        self._components(tariff, readings)
        self._restrictions(tariff, readings, zone)

    def _components(self, tariff: Tariff, readings: Readings) -> None:
        found: list[tuple[int, int, PriceComponent, int, int]] = []
        for element, each in enumerate(tariff.elements):
            types = set[str]()
            for component, price in enumerate(each.price_components):
                if price.type in types:
                    continue
                types.add(price.type)
                if absurd(price.price) or absurd(price.step_size):
                    self.absurd = self.absurd or f"/elements/{element}/price_components/{component}"
                    continue
                numerator, denominator = price.price.as_integer_ratio()
                unit = _unit(price.type, price.step_size, readings)
                found.append((element, component, price, numerator, denominator * unit))
        self.money = MoneyUnit({denominator for *_, denominator in found})
        for element, component, price, numerator, denominator in found:
            dimension, cost = price.type, numerator * (self.money.unit // denominator)
            rate = Rate(dimension, element, component, price.price, cost, price.step_size)
            self.rates.setdefault(dimension, {})[element] = rate
            self.priced[dimension] = self.priced.get(dimension, 0) | 1 << element

    def _restrictions(self, tariff: Tariff, readings: Readings, zone: tzinfo) -> None:
        limits: dict[str, list[Limit]] = {"kwh": [], "power": [], "duration": []}
        windows: list[Window] = []
        for element, each in enumerate(tariff.elements):
            asked, bit = each.restrictions, 1 << element
            if asked is None:
                continue
            if isinstance(asked, UnreadRestrictions):
                self.unread |= bit
            if any(absurd(number) for number in _numbers(asked)):
                self.absurd = self.absurd or f"/elements/{element}/restrictions"
                continue
            _limits(asked, bit, readings, limits)
            self._window(asked, bit, readings, windows)
        inclusive = readings.upper == "inclusive"
        self.energy = _axis(limits["kwh"], self.every, inclusive)
        self.power = _axis(limits["power"], self.every, inclusive)
        self.duration = _axis(limits["duration"], self.every, inclusive)
        yesterday = readings.wrap_day == "window_start"
        self.clock = Clock(windows, self.every, yesterday, zone) if windows else None
        asking = self.unread
        for asked_of in (self.energy, self.power, self.duration, self.clock):
            asking |= 0 if asked_of is None else asked_of.elements
        self.free = self.every & ~asking

    def _window(self, asked: TariffRestrictions, bit: int, readings: Readings, windows: list[Window]) -> None:
        if not any((asked.start_time, asked.end_time, asked.start_date, asked.end_date, asked.day_of_week)):
            return
        try:
            window = _window(asked, bit, readings)
        except Unread:
            # Then no clock restriction is used: the element may match at any time.
            self.unread |= bit
            return
        if window is None:
            self.every &= ~bit
        else:
            windows.append(window)


def _unit(dimension: str, step: int, readings: Readings) -> int:
    """Return what the price is for: a kWh or an hour, or a block of ``step_size`` if a hub prices blocks."""
    if readings.price_unit == "step" and step > 0 and dimension != FLAT:
        return step
    return UNITS.get(dimension, 1)


def _numbers(asked: TariffRestrictions) -> Iterator[Decimal | int]:
    for number in (
        asked.min_kwh,
        asked.max_kwh,
        asked.min_power,
        asked.max_power,
        asked.min_duration,
        asked.max_duration,
    ):
        if number is not None:
            yield number


def _limits(asked: TariffRestrictions, bit: int, readings: Readings, limits: dict[str, list[Limit]]) -> None:
    if asked.min_kwh is not None or asked.max_kwh is not None:
        limits["kwh"].append(_limit(bit, asked.min_kwh, asked.max_kwh, 1000))
    if readings.power != "ignore" and (asked.min_power is not None or asked.max_power is not None):
        factor = 1 if readings.power == "ampere" else 1000
        limits["power"].append(_limit(bit, asked.min_power, asked.max_power, factor))
    if asked.min_duration is not None or asked.max_duration is not None:
        limits["duration"].append(Limit(bit, asked.min_duration, asked.max_duration))


def _limit(bit: int, low: Decimal | None, high: Decimal | None, factor: int) -> Limit:
    return Limit(bit, None if low is None else rational(low, factor), None if high is None else rational(high, factor))


def _axis(limits: list[Limit], every: int, inclusive: bool) -> Axis | None:
    return Axis(limits, every, inclusive) if limits else None


def _window(asked: TariffRestrictions, bit: int, readings: Readings) -> Window | None:
    """Return the clock restrictions; None if no moment can match. Raises Unread."""
    start, end = _time(asked.start_time), _time(asked.end_time)
    first, until = _date(asked.start_date), _date(asked.end_date)
    days = _days(asked.day_of_week)
    if end == 0:
        end = DAY
    from_moment = to_moment = None
    if readings.dates == "span":
        if first is not None and start is not None:
            from_moment, first, start = first * DAY + start, None, None
        if until is not None and end is not None:
            to_moment, until, end = until * DAY + end, None, None
    if start is not None and start == end:
        if readings.equal_times == "never":
            return None
        start = end = None
    return Window(bit, start, end, first, until, days, from_moment, to_moment)


def _time(text: str | None) -> int | None:
    if text is None:
        return None
    if not _TIME.match(text):
        raise Unread(text)
    return int(text[:2]) * 3600 + int(text[3:]) * 60


def _date(text: str | None) -> int | None:
    if text is None:
        return None
    if not _DATE.match(text):
        raise Unread(text)
    try:
        return date(int(text[:4]), int(text[5:7]), int(text[8:])).toordinal() - _EPOCH
    except ValueError:
        raise Unread(text) from None


def _days(days: tuple[DayOfWeek, ...]) -> frozenset[int] | None:
    if not days:
        return None
    try:
        return frozenset(_DAYS[day] for day in days)
    except KeyError:
        raise Unread("day_of_week") from None
