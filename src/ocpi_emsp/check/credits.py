"""Credits: CDRs that reverse another CDR. OCPI 2.1.1 does not define them, but its users need them.

Rules of this module:
- a credit of OCPI 2.2 has all the data of its original and a negative total; some CPOs also make its volumes negative:
  both count as credits (docs/spec-choices.md);
- a credit that is negative throughout is checked as the CDR that it reverses, so it gives one note and not a warning
  for each number;
- a negative total beside volumes of both signs is not a credit.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import TypeVar

from attrs import evolve

from ocpi_emsp.models import Cdr, CdrDimension, CdrDimensionType, ChargingPeriod

T = TypeVar("T")

_CURRENTS = frozenset((CdrDimensionType.MIN_CURRENT, CdrDimensionType.MAX_CURRENT))
"""Dimensions that are not volumes: they state the charging current, whatever the sign of the bill."""


def is_credit(cdr: Cdr) -> bool:
    """Return True if a CDR, as :func:`as_charged` returns it, has a negative total and no other negative number."""
    return cdr.total_cost < 0 and all(number >= 0 for number in (*_totals(cdr), *_volumes(cdr)))


def as_charged(value: T) -> T:
    """Return a credit with its negative volumes made positive; anything else unchanged."""
    if not isinstance(value, Cdr) or value.total_cost >= 0:
        return value
    volumes = list(_volumes(value))
    if any(volume > 0 for volume in volumes) or not any(volume < 0 for volume in volumes):
        return value
    parking = value.total_parking_time
    return evolve(
        value,
        charging_periods=tuple(map(_charged, value.charging_periods)),
        total_energy=value.total_energy.copy_abs(),
        total_time=value.total_time.copy_abs(),
        total_parking_time=None if parking is None else parking.copy_abs(),
    )


def _charged(period: ChargingPeriod) -> ChargingPeriod:
    return evolve(period, dimensions=tuple(evolve(each, volume=each.volume.copy_abs()) for each in period.dimensions))


def _totals(cdr: Cdr) -> Iterator[Decimal]:
    yield from (cdr.total_energy, cdr.total_time)
    if cdr.total_parking_time is not None:
        yield cdr.total_parking_time


def _volumes(cdr: Cdr) -> Iterator[Decimal]:
    return (each.volume for each in _dimensions(cdr) if each.type not in _CURRENTS)


def _dimensions(cdr: Cdr) -> Iterator[CdrDimension]:
    return (each for period in cdr.charging_periods for each in period.dimensions)
