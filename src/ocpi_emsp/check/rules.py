"""Rules of sense: deviations that no schema can express, one small function each.

Rules of this module:
- a rule looks at the typed view (normal form) of one object and yields a place below it and a sentence;
- every rule names its id, severity and clause where it is registered; none of them is an ``error``, since a typed view
  exists: a backend can work with the object.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal, localcontext
from typing import Any, TypeAlias

from attrs import frozen

from ocpi_emsp.findings import Rule, Severity
from ocpi_emsp.models import CdrDimensionType, GeoLocation, Hours, Location, Session

Hit: TypeAlias = tuple[tuple[str | int, ...], str]
"""A path below the object, and a sentence that names the value."""


@frozen
class ObjectRule:
    """A rule with the model it looks at and the function that finds its hits."""

    rule: Rule
    kind: type[Any]
    find: Callable[[Any], Iterator[Hit]]


OBJECT_RULES: list[ObjectRule] = []


def _register(kind: type[Any], id_: str, severity: Severity, clause: str, sentence: str) -> Callable[[Any], Any]:
    def register(find: Callable[[Any], Iterator[Hit]]) -> Callable[[Any], Iterator[Hit]]:
        rule = Rule(id=id_, severity=severity, clause=clause, sentence=sentence)
        OBJECT_RULES.append(ObjectRule(rule, kind, find))
        return find

    return register


_BOXES: dict[str, tuple[int, int, int, int]] = {
    "AUT": (46, 50, 9, 18),
    "BEL": (49, 52, 2, 7),
    "CHE": (45, 48, 5, 11),
    "CZE": (48, 52, 12, 19),
    "DEU": (47, 56, 5, 16),
    "DNK": (54, 58, 8, 16),
    "ESP": (27, 44, -19, 5),
    "FIN": (59, 71, 19, 32),
    "FRA": (41, 52, -6, 10),
    "GBR": (49, 61, -9, 2),
    "HUN": (45, 49, 16, 23),
    "IRL": (51, 56, -11, -5),
    "ITA": (35, 48, 6, 19),
    "LUX": (49, 51, 5, 7),
    "NLD": (50, 54, 3, 8),
    "NOR": (57, 72, 4, 32),
    "POL": (48, 55, 14, 25),
    "PRT": (30, 43, -32, -6),
    "SVN": (45, 47, 13, 17),
    "SWE": (55, 70, 10, 25),
}
"""Whole degrees around a country: south, north, west, east. Coarse on purpose: only a swap has to be told apart."""


@_register(
    Location,
    "location.coordinates.swapped",
    Severity.WARNING,
    "mod_locations.md#412-geolocation-class",
    "Latitude and longitude seem to be swapped: only the other way round do they lie in the location's country.",
)
def coordinates_swapped(location: Location) -> Iterator[Hit]:
    box = _BOXES.get(location.country.upper())
    if box and not _inside(location.coordinates, box) and _inside(_swapped(location.coordinates), box):
        shown = f"{location.coordinates.latitude}, {location.coordinates.longitude}"
        yield ("coordinates",), f"latitude and longitude {shown} seem to be swapped for {location.country}"


def _inside(point: GeoLocation, box: tuple[int, int, int, int]) -> bool:
    south, north, west, east = box
    return south <= Decimal(point.latitude) <= north and west <= Decimal(point.longitude) <= east


def _swapped(point: GeoLocation) -> GeoLocation:
    return GeoLocation(latitude=point.longitude, longitude=point.latitude)


@_register(
    Hours,
    "hours.choice",
    Severity.WARNING,
    "mod_locations.md#413-hours-class",
    "Either regular_hours or twentyfourseven is given; both contradict each other, none says nothing.",
)
def hours_choice(hours: Hours) -> Iterator[Hit]:
    if hours.twentyfourseven and hours.regular_hours:
        yield ("twentyfourseven",), "twentyfourseven is true beside regular_hours; read as the regular hours"
    elif not hours.twentyfourseven and not hours.regular_hours:
        yield ("regular_hours",), "neither twentyfourseven nor regular_hours is given"


@_register(
    Hours,
    "hours.flag",
    Severity.NOTE,
    "mod_locations.md#413-hours-class",
    "twentyfourseven false stands beside regular_hours, although the table offers a choice of one.",
)
def hours_flag(hours: Hours) -> Iterator[Hit]:
    if hours.twentyfourseven is False and hours.regular_hours:
        yield ("twentyfourseven",), "twentyfourseven is false beside regular_hours, where one of the two is enough"


@_register(
    Hours,
    "hours.midnight",
    Severity.WARNING,
    "mod_locations.md#419-regularhours-class",
    "A period ends at 00:00, which is not later than its begin; read as 24:00.",
)
def hours_midnight(hours: Hours) -> Iterator[Hit]:
    for index, period in enumerate(hours.regular_hours):
        if period.period_end == "00:00":
            yield ("regular_hours", index, "period_end"), "the period ends at 00:00; read as 24:00"


_ANY_EXPONENT = Context(prec=28, Emax=MAX_EMAX, Emin=MIN_EMIN, traps=[])
"""Numbers from the wire may be larger than Decimal's default context calculates with; an overflow is an infinity."""


@_register(
    Session,
    "session.energy.unit",
    Severity.WARNING,
    "mod_cdrs.md#43-cdrdimensiontype-enum",
    "The ENERGY volumes exceed the session's kwh a hundredfold: they seem to be in Wh.",
)
def energy_unit(session: Session) -> Iterator[Hit]:
    volumes = [
        (("charging_periods", index, "dimensions", place, "volume"), dimension.volume)
        for index, period in enumerate(session.charging_periods)
        for place, dimension in enumerate(period.dimensions)
        if dimension.type == CdrDimensionType.ENERGY
    ]
    with localcontext(_ANY_EXPONENT):
        in_wh = session.kwh > 0 and sum(volume for _, volume in volumes) > 100 * session.kwh
    if in_wh:
        for path, volume in volumes:
            yield path, f"the ENERGY volume {volume} seems to be in Wh: the session's kwh is {session.kwh}"
