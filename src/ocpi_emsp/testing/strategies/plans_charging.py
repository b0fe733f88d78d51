"""The agreement within a tariff, a session and a CDR (mod_tariffs.md, mod_sessions.md, mod_cdrs.md).

Rules of this module:
- one small plan or finish per model; it repeats nothing that the annotations already say;
- durations are multiples of 36 seconds, a hundredth of an hour, so that sums are exact.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from ocpi_emsp.models import (
    Cdr,
    CdrDimension,
    CdrDimensionType,
    ChargingPeriod,
    DayOfWeek,
    PriceComponent,
    Session,
    SessionStatus,
    Tariff,
    TariffDimensionType,
    TariffElement,
    TariffRestrictions,
)
from ocpi_emsp.testing.strategies.build import Builder, Given, Strategies, plan
from ocpi_emsp.testing.strategies.plans_locations import used
from ocpi_emsp.testing.strategies.scalars import FIRST, LAST, amounts, clock, moments, remembered, together

_BOTH = st.booleans()
_STEP = 36
_HOUR = 3600
_NONE_PARKED = st.just(Decimal(0))


# --- tariffs --------------------------------------------------------------------------------------------------------


@plan(Tariff)
def _tariff(builder: Builder, _draw: st.DrawFn, _given: Given) -> Strategies:
    restricted = builder.model(TariffElement, {"restrictions": builder.model(TariffRestrictions)})
    default = builder.model(TariffElement, {"restrictions": None})
    return {"elements": _elements(restricted, default, builder.full)}


@remembered
def _elements(
    restricted: st.SearchStrategy[TariffElement], default: st.SearchStrategy[TariffElement], least: int
) -> st.SearchStrategy[tuple[TariffElement, ...]]:
    earlier = st.lists(restricted, min_size=least, max_size=1)
    return together(earlier, default).map(lambda parts: (*parts[0], parts[1]))


@plan(TariffElement)
def _tariff_element(builder: Builder, _draw: st.DrawFn, _given: Given) -> Strategies:
    return {"price_components": builder.items(builder.model(PriceComponent), unique="type")}


@plan(PriceComponent)
def _price_component(_builder: Builder, draw: st.DrawFn, given: Given) -> Strategies:
    kind = given.get("type") or draw(_PRICED)
    if kind == TariffDimensionType.FLAT:
        return {"type": kind, "price": amounts(100, 4), "step_size": 1}
    return {"type": kind, "price": _ABOVE_ZERO, "step_size": _STEP_SIZES}


_PRICED = st.sampled_from(
    [TariffDimensionType.TIME, *(kind for kind in TariffDimensionType if kind != TariffDimensionType.TIME)]
)
_STEP_SIZES = st.sampled_from([1, 60, 300, 900])
_ABOVE_ZERO = amounts(100, 4).map(lambda price: price + 1)
"""Free of charge is FLAT (mod_tariffs.md 3.1)."""


@plan(TariffRestrictions)
def _tariff_restrictions(builder: Builder, draw: st.DrawFn, _given: Given) -> Strategies:
    """Draw at least one restriction; a range always has both of its ends, the first below the second."""
    chosen = [*_RANGES, "day_of_week"] if builder.full else draw(_RESTRICTED)
    strategies: dict[str, Any] = {}
    for pair, values in _RANGES.items():
        strategies |= zip(pair, draw(values) if pair in chosen else [None] * len(pair), strict=True)
    days = builder.items(_DAYS, most=7, unique=True)
    return {**strategies, "day_of_week": days if "day_of_week" in chosen else ()}


def _rising(least: int, most: int, shown: Callable[[int], Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    """Draw two values, the first below the second."""

    def two(drawn: tuple[int, ...]) -> tuple[Any, ...]:
        one, more = drawn
        return shown(one), shown(one + 1 + more % (most - one))

    return together(st.integers(least, most - 1), st.integers(0, most - least - 1)).map(two)


def _rising_numbers(pair: tuple[Decimal, ...]) -> tuple[Decimal, ...]:
    least, more = pair
    return least, least + more + 1


_NUMBERS = together(amounts(50, 2), amounts(50, 2)).map(_rising_numbers)
_RANGES: Mapping[tuple[str, ...], st.SearchStrategy[tuple[Any, ...]]] = {
    ("min_kwh", "max_kwh"): _NUMBERS,
    ("start_time", "end_time"): _rising(0, 24 * 60 - 1, clock),
    ("start_date", "end_date"): _rising(
        FIRST.toordinal(), LAST.toordinal(), lambda day: date.fromordinal(day).isoformat()
    ),
    ("min_power", "max_power"): _NUMBERS,
    ("min_duration", "max_duration"): _rising(0, 86400, int),
}
_RESTRICTED = st.lists(st.sampled_from([*_RANGES, "day_of_week"]), min_size=1, max_size=3, unique=True)
_DAYS = st.sampled_from(DayOfWeek)


# --- sessions and CDRs ----------------------------------------------------------------------------------------------


_LENGTHS = {least: st.lists(st.integers(1, 400), min_size=least, max_size=2) for least in (0, 1)}
_CURRENTS = together(amounts(16, 1), amounts(16, 1))
_DAY_SECONDS = st.integers(0, 86400)


def _periods(
    draw: st.DrawFn, builder: Builder, start: datetime, least: int
) -> tuple[tuple[ChargingPeriod, ...], datetime]:
    """Draw consecutive charging periods from ``start`` on, and return the end of the last one."""
    lengths = draw(_LENGTHS[least])
    periods = []
    for place, length in enumerate(lengths):
        hours = Decimal(length * _STEP) / _HOUR
        charging = place == 0 or draw(_BOTH)
        dimensions = [
            CdrDimension(type=CdrDimensionType.TIME, volume=hours),
            CdrDimension(type=CdrDimensionType.ENERGY, volume=draw(amounts(40, 3))),
        ]
        if not charging:
            dimensions = [CdrDimension(type=CdrDimensionType.PARKING_TIME, volume=hours)]
        elif builder.full or draw(_BOTH):
            slowest, more = draw(_CURRENTS)
            dimensions.append(CdrDimension(type=CdrDimensionType.MIN_CURRENT, volume=slowest))
            dimensions.append(CdrDimension(type=CdrDimensionType.MAX_CURRENT, volume=slowest + more))
        periods.append(ChargingPeriod(start_date_time=start, dimensions=tuple(dimensions)))
        start += timedelta(seconds=length * _STEP)
    return tuple(periods), start


def volume(periods: Any, *kinds: CdrDimensionType) -> Decimal:
    """Return the sum of the volumes of these dimensions over charging periods."""
    return sum((each.volume for period in periods for each in period.dimensions if each.type in kinds), Decimal(0))


@plan(CdrDimension)
def _cdr_dimension(_builder: Builder, _draw: st.DrawFn, _given: Given) -> Strategies:
    return {"volume": amounts(40, 3)}


@plan(ChargingPeriod)
def _charging_period(builder: Builder, _draw: st.DrawFn, _given: Given) -> Strategies:
    dimension = builder.model(CdrDimension, {"type": _MEASURED})
    return {"dimensions": builder.items(dimension, unique="type")}


_MEASURED = st.sampled_from([CdrDimensionType.TIME, CdrDimensionType.ENERGY, CdrDimensionType.MAX_CURRENT])
_STATUSES = st.sampled_from(SessionStatus)
_CURRENCIES = st.sampled_from(["EUR", "CHF", "GBP"])


@plan(Session)
def _session(builder: Builder, draw: st.DrawFn, given: Given) -> Strategies:
    status = given.get("status") or (SessionStatus.COMPLETED if builder.full else draw(_STATUSES))
    start = given.get("start_datetime") or draw(moments())
    # A waiting session has not charged yet.
    pending = status == SessionStatus.PENDING and not builder.full
    periods, end = ((), start) if pending else _periods(draw, builder, start, int(builder.full))
    end = max(end, start + timedelta(seconds=_STEP))
    periods = given.get("charging_periods", periods)
    charged: Any = volume(periods, CdrDimensionType.ENERGY) if periods else amounts(40, 3)
    return {
        "status": status,
        "start_datetime": start,
        "end_datetime": end if status in (SessionStatus.COMPLETED, SessionStatus.INVALID) else None,
        "charging_periods": periods,
        "kwh": Decimal(0) if pending else charged,
        "total_cost": builder.maybe(amounts(100, 2)),
        "location": used(builder),
        "last_updated": end + timedelta(seconds=draw(_DAY_SECONDS)),
    }


@plan(Cdr)
def _cdr(builder: Builder, draw: st.DrawFn, given: Given) -> Strategies:
    start = given.get("start_date_time") or draw(moments())
    periods, end = _periods(draw, builder, start, 1)
    periods = given.get("charging_periods", periods)
    parked = volume(periods, CdrDimensionType.PARKING_TIME)
    currency = given.get("currency") or draw(_CURRENCIES)
    tariffs = builder.items(builder.model(Tariff, {"currency": currency}), unique="id")
    return {
        "start_date_time": start,
        "stop_date_time": end,
        "currency": currency,
        "tariffs": builder.maybe(tariffs, ()),
        "charging_periods": periods,
        "total_cost": amounts(100, 2),
        "total_energy": volume(periods, CdrDimensionType.ENERGY),
        "total_time": volume(periods, CdrDimensionType.TIME, CdrDimensionType.PARKING_TIME),
        "total_parking_time": parked if parked else builder.maybe(_NONE_PARKED),
        "location": used(builder),
        "last_updated": end + timedelta(seconds=draw(_DAY_SECONDS)),
    }
