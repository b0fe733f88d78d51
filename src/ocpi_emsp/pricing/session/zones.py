"""Which time zones a session may have been in: windows and days of a tariff are local (mod_tariffs.md 4.5).

Rules of this module:
- the zone is that of the CDR's location, otherwise of the stored one, otherwise the one that the caller gives for the
  party, otherwise that of the country if all its zones had the same offset then; a zone that the CDR does not state is
  an assumption;
- a country with several zones gives each of them, no country each whole and half hour from -12 to +14;
- zones are those of ``zoneinfo``, from the package tzdata on a machine that has none;
- a name that is not an IANA zone is ignored and reported; case is ignored.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import cache
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

from attrs import frozen

from ocpi_emsp.models import Location
from ocpi_emsp.pricing.session.country_zones import COUNTRY_ZONES
from ocpi_emsp.scalars import given

_HALF_HOUR: Final = timedelta(minutes=30)
EVERY_OFFSET: Final[tuple[tzinfo, ...]] = tuple(timezone(each * _HALF_HOUR) for each in range(-24, 29))
"""Each whole and half hour from -12 to +14."""
_STEADY: Final = timedelta(days=20)
"""Days within which no zone changes its offset twice."""
_NO_ZONES: Final = frozenset({"localtime", "posixrules", "factory"})
"""Files beside the zones: the first is the zone of this machine."""


@frozen(kw_only=True)
class Zones:
    """The zones that a session may have been in: exactly one if it is known."""

    candidates: tuple[tzinfo, ...] = (UTC,)
    assumption: str | None = None
    """The origin of the zone, unless the CDR states it."""
    notes: tuple[str, ...] = ()
    """Values that were ignored, or that contradict."""


def zone_named(name: str) -> tzinfo | None:
    """Return the zone of an IANA name, in any case; None if there is none."""
    return _zone(name.strip()) if len(name) <= 64 else None


@cache
def _exact_names() -> dict[str, str]:
    return {each.casefold(): each for each in available_timezones()}


@cache
def _known(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def _zone(name: str) -> tzinfo | None:
    first = name.partition("/")[0].casefold()
    if not name.isascii() or first in _NO_ZONES or first in ("posix", "right"):
        return None
    try:
        return _known(name)
    except (KeyError, ValueError, OSError):  # no such file, a path that leads elsewhere, a folder
        exact = _exact_names().get(name.casefold())
        return None if exact is None else _known(exact)


def require_zone(time_zone: str | None) -> str | None:
    """Return the name of a zone that a caller gives. Raises TypeError or ValueError."""
    if time_zone is None:
        return None
    expected = "expected an IANA name, for example Europe/Amsterdam"
    if not isinstance(time_zone, str):
        raise TypeError(f"invalid time_zone '{given(time_zone)}': {expected}")
    if zone_named(time_zone) is None:
        raise ValueError(f"invalid time_zone '{time_zone[:64]}': {expected}")
    return time_zone


def zones_of(
    place: Location | None, stored: Location | None, time_zone: str | None, start: datetime, stop: datetime
) -> Zones:
    """Return the zones of a session. ``place`` is the CDR's own location copy, ``stored`` the location that the party
    published.
    """
    notes = list[str]()
    said = _said(place, "the location", notes)
    known = _said(stored, "the stored location", notes)
    if said and known and said[0].casefold() != known[0].casefold():
        notes.append(f"the time_zone {said[0]} of the CDR is used; that of the stored location is {known[0]}")
    if said:
        return Zones(candidates=(said[1],), notes=tuple(notes))
    if known:
        assumption = f"the time zone {known[0]} is that of the stored location"
        return Zones(candidates=(known[1],), assumption=assumption, notes=tuple(notes))
    zone = None if time_zone is None else zone_named(time_zone)
    if zone is not None:
        assumption = f"the time zone {time_zone} is that of the party"
        return Zones(candidates=(zone,), assumption=assumption, notes=tuple(notes))
    return _of_country((place, stored), start, stop, tuple(notes))


def _said(place: Location | None, called: str, notes: list[str]) -> tuple[str, tzinfo] | None:
    """Return the name and the zone that a location states."""
    if place is None or not place.time_zone:
        return None
    zone = zone_named(place.time_zone)
    if zone is None:
        notes.append(f"the time_zone '{place.time_zone[:64]}' of {called} is not an IANA zone and was not regarded")
        return None
    return place.time_zone.strip(), zone


def _of_country(places: Iterable[Location | None], start: datetime, stop: datetime, notes: tuple[str, ...]) -> Zones:
    countries = (place.country.strip().upper() for place in places if place is not None)
    found = next(((each, COUNTRY_ZONES[each]) for each in countries if each in COUNTRY_ZONES), None)
    if found is None:
        return Zones(candidates=EVERY_OFFSET, notes=notes)
    country, names = found
    different = dict[object, tuple[str, tzinfo]]()
    for name in names:
        zone = zone_named(name)
        if zone is not None:  # the database of this machine may be older than the table
            different.setdefault(_offset(zone, start, stop) or name, (name, zone))
    if not different:
        return Zones(candidates=EVERY_OFFSET, notes=notes)
    candidates = tuple(zone for _, zone in different.values())
    only = next(iter(different.values()))[0]
    assumption = f"the time zone {only} is that of the country {country}" if len(candidates) == 1 else None
    return Zones(candidates=candidates, assumption=assumption, notes=notes)


def _offset(zone: tzinfo, start: datetime, stop: datetime) -> object:
    """Return the offset of a zone if it does not change during a session, otherwise None."""
    first = start.astimezone(zone).utcoffset()
    steady = stop - start <= _STEADY and stop.astimezone(zone).utcoffset() == first
    return (first,) if steady else None
