"""What has to agree inside a tariff, a session and a CDR (mod_tariffs.md, mod_sessions.md, mod_cdrs.md).

Rules of this module:
- one small plan or finish per model; what the annotations say already is not said again;
- durations are multiples of 36 seconds, a hundredth of an hour, so that sums are exact.
"""

from __future__ import annotations

from collections.abc import Callable
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
from ocpi_emsp.testing.strategies.scalars import FIRST, LAST, amounts, clock, moments, together

_STEP = 36
_HOUR = 3600


# --- tariffs --------------------------------------------------------------------------------------------------------


@plan(Tariff)
def _tariff(builder: Builder, _draw: st.DrawFn, _given: Given) -> Strategies:
    restricted = builder.model(TariffElement, {"restrictions": builder.model(TariffRestrictions)})
    default = builder.model(TariffElement, {"restrictions": None})
    earlier = st.lists(restricted, min_size=builder.full, max_size=1)
    return {"elements": together(earlier, default).map(lambda parts: (*parts[0], parts[1]))}


@plan(TariffElement)
def _tariff_element(builder: Builder, _draw: st.DrawFn, _given: Given) -> Strategies:
    return {"price_components": builder.items(builder.model(PriceComponent), unique="type")}


@plan(PriceComponent)
def _price_component(_builder: Builder, draw: st.DrawFn, given: Given) -> Strategies:
    kinds = [TariffDimensionType.TIME, *(kind for kind in TariffDimensionType if kind != TariffDimensionType.TIME)]
    kind = given.get("type") or draw(st.sampled_from(kinds))
    steps = [1] if kind == TariffDimensionType.FLAT else [1, 60, 300, 900]
    # Free of charge is FLAT (mod_tariffs.md 3.1).
    prices = amounts(100, 4) if kind == TariffDimensionType.FLAT else amounts(100, 4).map(lambda price: price + 1)
    return {"type": kind, "price": prices, "step_size": st.sampled_from(steps)}


@plan(TariffRestrictions)
def _tariff_restrictions(builder: Builder, draw: st.DrawFn, _given: Given) -> Strategies:
    """At least one restriction; each that is a range comes as both of its ends, the first below the second."""
    numbers = together(amounts(50, 2), amounts(50, 2)).map(_rising_numbers)
    dates = _rising(FIRST.toordinal(), LAST.toordinal(), lambda day: date.fromordinal(day).isoformat())
    pairs: dict[tuple[str, ...], st.SearchStrategy[tuple[Any, ...]]] = {
        ("min_kwh", "max_kwh"): numbers,
        ("start_time", "end_time"): _rising(0, 24 * 60 - 1, clock),
        ("start_date", "end_date"): dates,
        ("min_power", "max_power"): numbers,
        ("min_duration", "max_duration"): _rising(0, 86400, int),
    }
    names = [*pairs, "day_of_week"]
    chosen = names if builder.full else draw(st.lists(st.sampled_from(names), min_size=1, max_size=3, unique=True))
    strategies: dict[str, Any] = {}
    for pair, values in pairs.items():
        strategies |= zip(pair, draw(values) if pair in chosen else [None] * len(pair), strict=True)
    days = builder.items(st.sampled_from(DayOfWeek), most=7, unique=True)
    return {**strategies, "day_of_week": days if "day_of_week" in chosen else st.just(())}


def _rising(least: int, most: int, shown: Callable[[int], Any]) -> st.SearchStrategy[tuple[Any, Any]]:
    """Two values, the first below the second."""
    first = st.integers(least, most - 1)
    return first.flatmap(lambda one: st.integers(one + 1, most).map(lambda other: (shown(one), shown(other))))


def _rising_numbers(pair: tuple[Decimal, Decimal]) -> tuple[Decimal, Decimal]:
    least, more = pair
    return least, least + more + 1


# --- sessions and CDRs ----------------------------------------------------------------------------------------------


@st.composite
def _periods(
    draw: st.DrawFn, builder: Builder, start: datetime, least: int
) -> tuple[tuple[ChargingPeriod, ...], datetime]:
    """Charging periods one after the other from ``start`` on, and where the last one ends."""
    lengths = draw(st.lists(st.integers(1, 400), min_size=least, max_size=2))
    periods = []
    for place, length in enumerate(lengths):
        hours = Decimal(length * _STEP) / _HOUR
        charging = place == 0 or draw(st.booleans())
        dimensions = [
            CdrDimension(type=CdrDimensionType.TIME, volume=hours),
            CdrDimension(type=CdrDimensionType.ENERGY, volume=draw(amounts(40, 3))),
        ]
        if not charging:
            dimensions = [CdrDimension(type=CdrDimensionType.PARKING_TIME, volume=hours)]
        elif builder.full or draw(st.booleans()):
            slowest, more = draw(together(amounts(16, 1), amounts(16, 1)))
            dimensions.append(CdrDimension(type=CdrDimensionType.MIN_CURRENT, volume=slowest))
            dimensions.append(CdrDimension(type=CdrDimensionType.MAX_CURRENT, volume=slowest + more))
        periods.append(ChargingPeriod(start_date_time=start, dimensions=tuple(dimensions)))
        start += timedelta(seconds=length * _STEP)
    return tuple(periods), start


def volume(periods: Any, *kinds: CdrDimensionType) -> Decimal:
    """The sum of the volumes of these dimensions over charging periods."""
    return sum((each.volume for period in periods for each in period.dimensions if each.type in kinds), Decimal(0))


@plan(CdrDimension)
def _cdr_dimension(_builder: Builder, _draw: st.DrawFn, _given: Given) -> Strategies:
    return {"volume": amounts(40, 3)}


@plan(ChargingPeriod)
def _charging_period(builder: Builder, _draw: st.DrawFn, _given: Given) -> Strategies:
    kinds = [CdrDimensionType.TIME, CdrDimensionType.ENERGY, CdrDimensionType.MAX_CURRENT]
    dimension = builder.model(CdrDimension, {"type": st.sampled_from(kinds)})
    return {"dimensions": builder.items(dimension, unique="type")}


@plan(Session)
def _session(builder: Builder, draw: st.DrawFn, given: Given) -> Strategies:
    statuses = [SessionStatus.COMPLETED] if builder.full else list(SessionStatus)
    status = given.get("status") or draw(st.sampled_from(statuses))
    start = given.get("start_datetime") or draw(moments())
    # A session that waits has not charged yet.
    pending = status == SessionStatus.PENDING and not builder.full
    periods, end = ((), start) if pending else draw(_periods(builder, start, builder.full))
    end = max(end, start + timedelta(seconds=_STEP))
    periods = given.get("charging_periods", periods)
    charged = st.just(volume(periods, CdrDimensionType.ENERGY)) if periods else amounts(40, 3)
    return {
        "status": status,
        "start_datetime": start,
        "end_datetime": end if status in (SessionStatus.COMPLETED, SessionStatus.INVALID) else None,
        "charging_periods": periods,
        "kwh": st.just(Decimal(0)) if pending else charged,
        "total_cost": builder.maybe(amounts(100, 2)),
        "location": used(builder),
        "last_updated": moments(end, end + timedelta(days=1)),
    }


@plan(Cdr)
def _cdr(builder: Builder, draw: st.DrawFn, given: Given) -> Strategies:
    start = given.get("start_date_time") or draw(moments())
    periods, end = draw(_periods(builder, start, 1))
    periods = given.get("charging_periods", periods)
    parked = volume(periods, CdrDimensionType.PARKING_TIME)
    currency = given.get("currency") or draw(st.sampled_from(["EUR", "CHF", "GBP"]))
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
        "total_parking_time": st.just(parked) if parked else builder.maybe(st.just(Decimal(0))),
        "location": used(builder),
        "last_updated": moments(end, end + timedelta(days=1)),
    }
