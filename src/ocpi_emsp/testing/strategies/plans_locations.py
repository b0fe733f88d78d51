"""The agreement within a location, an EVSE, and their parts (mod_locations.md).

Rules of this module: one small plan or finish per model; it repeats nothing that the annotations already say.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from functools import cache
from itertools import pairwise
from typing import Any

from hypothesis import strategies as st

from ocpi_emsp.models import (
    AdditionalGeoLocation,
    Connector,
    ConnectorFormat,
    ConnectorType,
    EnergyMix,
    EnergySource,
    EnergySourceCategory,
    EnvironmentalImpact,
    Evse,
    ExceptionalPeriod,
    GeoLocation,
    Hours,
    Location,
    PowerType,
    RegularHours,
    StatusSchedule,
)
from ocpi_emsp.testing.strategies.build import Builder, Given, Members, Strategies, finish, plan
from ocpi_emsp.testing.strategies.places import PLACES, Place
from ocpi_emsp.testing.strategies.scalars import clock, degrees, evse_ids, moments, together

_AROUND = 50_000
"""Millionths of a degree, about five kilometres: the extent of a town."""
_DAY = timedelta(days=1)
_BOTH, _STEPS, _PERCENT = st.booleans(), st.integers(0, _AROUND), st.integers(1, 100).map(Decimal)
_ANYWHERE = st.sampled_from(PLACES)
_IN: Mapping[Any, st.SearchStrategy[Place]] = {
    one.country: st.sampled_from([place for place in PLACES if place.country == one.country]) for one in PLACES
}


@plan(Location)
def _location(builder: Builder, draw: st.DrawFn, given: Given) -> Strategies:
    return _located(builder, draw(_IN.get(given.get("country"), _ANYWHERE)))


@cache
def _located(builder: Builder, place: Place) -> Strategies:
    """Return the fields of a location in this town."""
    evse = builder.model(Evse, {**_evse_at(builder, place)})
    evses = st.lists(evse, min_size=builder.full, max_size=2, unique_by=(_uid, _evse_id))
    related = builder.model(AdditionalGeoLocation, _around(place))
    return {
        "country": place.country,
        "city": place.city,
        "postal_code": place.postal_code,
        "address": place.address,
        "coordinates": _near(place),
        "time_zone": builder.maybe(st.just(place.time_zone)),
        "evses": evses.map(tuple),
        "related_locations": builder.maybe(builder.items(related), ()),
    }


def _evse_at(builder: Builder, place: Place) -> Strategies:
    return {
        "evse_id": builder.maybe(evse_ids(place.country_code)),
        "coordinates": builder.maybe(_near(place)),
    }


def _uid(evse: Evse) -> str:
    return evse.uid.lower()


def _evse_id(evse: Evse) -> object:
    return evse.evse_id or object()


@cache
def _near(place: Place) -> st.SearchStrategy[GeoLocation]:
    return together(_STEPS, _STEPS).map(
        lambda step: GeoLocation(
            latitude=degrees(place.latitude + step[0]), longitude=degrees(place.longitude + step[1])
        )
    )


@cache
def _around(place: Place) -> Mapping[str, st.SearchStrategy[str]]:
    return {
        "latitude": _STEPS.map(lambda north: degrees(place.latitude + north)),
        "longitude": _STEPS.map(lambda east: degrees(place.longitude + east)),
    }


@cache
def used(builder: Builder) -> st.SearchStrategy[Location]:
    """Draw a location with exactly the EVSE and the connector that were used (mod_sessions.md 3.1, mod_cdrs.md 3.1)."""

    @cache
    def at(place: Place) -> st.SearchStrategy[Location]:
        evse = {"connectors": together(builder.model(Connector)), **_evse_at(builder, place)}
        return builder.model(Location, {"country": place.country, "evses": together(builder.model(Evse, evse))})

    return _ANYWHERE.flatmap(at)


@finish(Location)
def _location_is_as_new_as_its_evses(members: Members) -> None:
    _as_new_as(members, members.get("evses", ()))


@plan(Evse)
def _evse(builder: Builder, _draw: st.DrawFn, _given: Given) -> Strategies:
    return _connected(builder)


@cache
def _connected(builder: Builder) -> Strategies:
    connectors = st.lists(builder.model(Connector), min_size=1, max_size=2, unique_by=lambda each: each.id.lower())
    return {"connectors": connectors.map(tuple)}


@finish(Evse)
def _evse_is_as_new_as_its_connectors(members: Members) -> None:
    _as_new_as(members, members["connectors"])
    schedule = sorted(members.get("status_schedule", ()), key=lambda each: each.period_begin)
    apart = all(one.period_end and one.period_end <= other.period_begin for one, other in pairwise(schedule))
    members["status_schedule"] = tuple(schedule if apart else schedule[:1])


def _as_new_as(members: Members, parts: Any) -> None:
    members["last_updated"] = max([members["last_updated"], *(part.last_updated for part in parts)])


_AC = [kind for kind in ConnectorType if not kind.endswith("_COMBO") and kind != ConnectorType.CHADEMO]
_DC = [ConnectorType.IEC_62196_T2_COMBO, ConnectorType.IEC_62196_T1_COMBO, ConnectorType.CHADEMO]
_OUTPUT = {
    PowerType.AC_1_PHASE: ([230, 220], [16, 32]),
    PowerType.AC_3_PHASE: ([230, 220], [16, 32, 63]),
    PowerType.DC: ([400, 500, 920], [50, 125, 500]),
}
"""Volts (mod_locations.md 3.3: line to neutral for three phases) and amperes of real hardware."""


@plan(Connector)
def _connector(_builder: Builder, draw: st.DrawFn, given: Given) -> Strategies:
    return _powered(given.get("power_type") or draw(_POWERS))


_POWERS = st.sampled_from([PowerType.AC_3_PHASE, PowerType.AC_1_PHASE, PowerType.DC])


@cache
def _powered(power: PowerType) -> Strategies:
    direct = power == PowerType.DC
    volts, amperes = _OUTPUT.get(power, _OUTPUT[PowerType.DC])
    # A Schuko or a single-phase CEE socket does not have three phases.
    three = [
        kind for kind in _AC if "DOMESTIC" not in kind and "single" not in kind and kind != ConnectorType.IEC_62196_T1
    ]
    one = [kind for kind in _AC if "three" not in kind]
    standards = _DC if direct else three if power == PowerType.AC_3_PHASE else one
    return {
        "standard": st.sampled_from(sorted(standards, key=ConnectorType.IEC_62196_T2.__ne__)),
        "format": st.sampled_from([ConnectorFormat.CABLE] * 2 if direct else ConnectorFormat),
        "power_type": power,
        "voltage": st.sampled_from(volts),
        "amperage": st.sampled_from(amperes),
    }


@plan(GeoLocation)
@plan(AdditionalGeoLocation)
def _point(_builder: Builder, draw: st.DrawFn, _given: Given) -> Strategies:
    return _around(draw(_ANYWHERE))


_GREEN = {
    EnergySourceCategory.GENERAL_GREEN,
    EnergySourceCategory.SOLAR,
    EnergySourceCategory.WIND,
    EnergySourceCategory.WATER,
}


@plan(EnergyMix)
def _energy_mix(builder: Builder, draw: st.DrawFn, given: Given) -> Strategies:
    sources = given["energy_sources"] if "energy_sources" in given else _shares(draw(_SOURCES[builder.full]))
    green = {source.source for source in sources} <= _GREEN if sources else draw(_BOTH)
    impacts = builder.items(builder.model(EnvironmentalImpact), unique="source")
    return {
        "is_green_energy": green,
        "energy_sources": sources,
        # Green energy has neither waste nor emission (mod_locations.md 4.5).
        "environ_impact": () if green else builder.maybe(impacts, ()),
    }


_SOURCES = [
    st.lists(st.sampled_from(EnergySourceCategory), min_size=least, max_size=3, unique=True) for least in (0, 1)
]


def _shares(kinds: list[EnergySourceCategory]) -> tuple[EnergySource, ...]:
    """Return almost equal shares that add up to 100."""
    if not kinds:
        return ()
    share = Decimal(100 // len(kinds))
    first = 100 - share * (len(kinds) - 1)
    return tuple(EnergySource(source=kind, percentage=share if place else first) for place, kind in enumerate(kinds))


@plan(EnergySource)
def _energy_source(_builder: Builder, _draw: st.DrawFn, _given: Given) -> Strategies:
    return {"percentage": _PERCENT}


@plan(RegularHours)
def _regular_hours(_builder: Builder, draw: st.DrawFn, given: Given) -> Strategies:
    if given.keys() & {"period_begin", "period_end"}:
        return {}
    begin = draw(_MINUTES)
    end = begin + 1 + draw(_MINUTES) % (24 * 60 - 1 - begin)
    return {"period_begin": clock(begin), "period_end": clock(end)}


_MINUTES = st.integers(0, 23 * 60)


@plan(Hours)
def _hours(builder: Builder, draw: st.DrawFn, given: Given) -> Strategies:
    always = given["twentyfourseven"] if "twentyfourseven" in given else draw(_BOTH) and not builder.full
    exceptions = draw(builder.items(builder.model(ExceptionalPeriod), least=2 * builder.full, most=2))
    exceptions = _apart(exceptions)
    return {
        "regular_hours": () if always else _regular(builder),
        "twentyfourseven": True if always else None,
        "exceptional_openings": () if always else exceptions[1:],
        "exceptional_closings": exceptions[:1],
    }


@cache
def _regular(builder: Builder) -> st.SearchStrategy[tuple[RegularHours, ...]]:
    hours = builder.items(builder.model(RegularHours), most=3, unique="weekday")
    return hours.map(lambda some: tuple(sorted(some, key=lambda each: each.weekday)))


def _apart(periods: tuple[ExceptionalPeriod, ...]) -> tuple[ExceptionalPeriod, ...]:
    """Return periods that do not overlap: each is moved behind the previous one."""
    moved: list[ExceptionalPeriod] = []
    for period in sorted(periods, key=lambda each: each.period_begin):
        begin = max([period.period_begin, *(before.period_end + _DAY for before in moved)])
        moved.append(
            ExceptionalPeriod(period_begin=begin, period_end=begin + (period.period_end - period.period_begin))
        )
    return tuple(moved)


@plan(ExceptionalPeriod)
def _exceptional_period(_builder: Builder, draw: st.DrawFn, given: Given) -> Strategies:
    begin = given.get("period_begin") or draw(moments())
    return {"period_begin": begin, "period_end": begin + timedelta(hours=draw(_HOURS))}


_HOURS = st.integers(1, 48)


@plan(StatusSchedule)
def _status_schedule(builder: Builder, draw: st.DrawFn, given: Given) -> Strategies:
    period = _exceptional_period(builder, draw, given)
    return period if builder.full or draw(_BOTH) else {**period, "period_end": None}
