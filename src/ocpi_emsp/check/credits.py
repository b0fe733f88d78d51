"""Credits: CDRs that take another one back, which OCPI 2.1.1 does not know and its users need.

Rules of this module:
- OCPI 2.2 gives a credit all the data of its original and a negative total; some CPOs make its volumes negative, too:
  both are credits (docs/spec-choices.md);
- one that is negative throughout is looked at as the CDR that it takes back, so that a credit is one note and not a
  warning for each number;
- a negative total beside volumes of both signs is no credit.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import TypeVar

from attrs import evolve

from ocpi_emsp.models import Cdr, CdrDimension, CdrDimensionType, ChargingPeriod

T = TypeVar("T")

_CURRENTS = frozenset((CdrDimensionType.MIN_CURRENT, CdrDimensionType.MAX_CURRENT))
"""No volumes: they say how fast it was charged, whatever the sign of the bill."""


def is_credit(cdr: Cdr) -> bool:
    """Whether a CDR, as :func:`as_charged` gives it, has a negative total and nothing else that is negative."""
    return cdr.total_cost < 0 and all(number >= 0 for number in (*_totals(cdr), *_volumes(cdr)))


def as_charged(value: T) -> T:
    """A credit with negative volumes as the one with positive volumes; anything else as it is."""
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
