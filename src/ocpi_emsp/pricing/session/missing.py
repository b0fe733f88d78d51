"""Dimensions that a tariff prices and no charging period reports: derived from the totals of the CDR.

Rules of this module (``missing`` in docs/spec-choices.md):
- charging time is the clock time of the periods less their parking, if that fits total_time less total_parking_time;
  otherwise it is that total, to be divided over the session;
- energy and parking time are the total of the CDR, to be divided over the session.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from itertools import combinations
from typing import Final

from attrs import evolve

from ocpi_emsp.models import Cdr
from ocpi_emsp.pricing.exact import seconds, watt_hours
from ocpi_emsp.pricing.session.features import Features
from ocpi_emsp.pricing.session.measure import Measured
from ocpi_emsp.pricing.session.metered import Metered

ENERGY: Final = "ENERGY"
TIME: Final = "TIME"
PARKING_TIME: Final = "PARKING_TIME"
_COARSEST: Final = -2
"""A total in hours that is written with fewer decimals counts as rounded to that many."""


def missing(cdr: Cdr, measured: Measured, tariff: Features) -> tuple[str, ...]:
    """Return the dimensions that no period reports, that the tariff prices, and for which the CDR has a total."""
    found = list[str]()
    if "wh" not in measured.reported and cdr.total_energy and (ENERGY in tariff.priced or tariff.has_kwh):
        found.append(ENERGY)
    if "seconds" not in measured.reported and TIME in tariff.priced and _charged(cdr, measured):
        found.append(TIME)
    if "parking" not in measured.reported and PARKING_TIME in tariff.priced and cdr.total_parking_time:
        found.append(PARKING_TIME)
    return tuple(found)


def _charged(cdr: Cdr, measured: Measured) -> bool:
    """Return True if the totals imply a time of charging; a difference of two times may be due to rounding."""
    charging = _charging(cdr, measured.metered)
    parks = bool(cdr.total_parking_time) or "parking" in measured.reported
    return charging > (_rounding(cdr) if parks else 0)


def derived(cdr: Cdr, metered: Metered, dimensions: tuple[str, ...]) -> Metered:
    """Return the session with these dimensions taken from the totals."""
    if TIME in dimensions:
        metered = _with_time(cdr, metered, parked=PARKING_TIME in dimensions)
    if ENERGY in dimensions:
        metered = evolve(metered, whole_wh=watt_hours(cdr.total_energy.copy_abs()))
    if PARKING_TIME in dimensions:
        metered = evolve(metered, whole_parking=seconds((cdr.total_parking_time or Decimal(0)).copy_abs()))
    return metered


def ways(cdr: Cdr, metered: Metered, dimensions: tuple[str, ...], reading: str) -> Iterator[Metered]:
    """Yield the possible sessions if these dimensions are missing, under a reading of ``missing``."""
    if reading != "derive":
        yield metered
    if reading == "derive":
        yield derived(cdr, metered, dimensions)
    elif reading == "undecidable":
        for number in range(1, len(dimensions) + 1):
            for some in combinations(dimensions, number):
                yield derived(cdr, metered, some)


def _with_time(cdr: Cdr, metered: Metered, *, parked: bool) -> Metered:
    """Set the charging time of each period if it is known, otherwise that of the session."""
    charging = _charging(cdr, metered)
    times = [each.end - each.start - (each.parking or 0) for each in metered.periods]
    fits = min(times, default=-1) >= 0 and abs(sum(times) - charging) <= _rounding(cdr) and not parked
    if not fits:
        return evolve(metered, whole_seconds=charging)
    periods = (each._replace(seconds=time) for each, time in zip(metered.periods, times, strict=True))
    return evolve(metered, periods=tuple(periods))


def _charging(cdr: Cdr, metered: Metered) -> int:
    """Return the seconds of charging according to the totals."""
    parking = cdr.total_parking_time
    parked = sum(each.parking or 0 for each in metered.periods) if parking is None else seconds(parking.copy_abs())
    return seconds(cdr.total_time.copy_abs()) - parked


def _rounding(cdr: Cdr) -> int:
    """Return the seconds by which the totals may differ: one in their last decimal each, and one at either end."""
    return 2 + sum(_unit(each) for each in (cdr.total_time, cdr.total_parking_time) if each)


def _unit(hours: Decimal) -> int:
    exponent = hours.as_tuple().exponent
    places = -min(exponent, _COARSEST) if isinstance(exponent, int) else 0
    return -(-3600 // int(10**places))
