"""mod_cdrs.md: CDR, its charging periods and dimensions.

Rules of this module: totals are compared within rounding: each number may be off by one in its last written decimal, a
time by one second at either end. A credit is checked as the CDR that it reverses (credits.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from ocpi_emsp.check.credits import is_credit
from ocpi_emsp.check.examples import Example, broken, broken_at
from ocpi_emsp.check.numbers import above, differ, exceeds, hours, rounding, total
from ocpi_emsp.check.registry import NOTE, Chapter, Hit, negative
from ocpi_emsp.check.sessions import in_wh, not_one_connector, out_of_order, outside, periods_repeated, volumes
from ocpi_emsp.codec.readings import shown
from ocpi_emsp.models import Cdr, CdrDimension, CdrDimensionType

CDRS = Chapter("CDRs", "mod_cdrs.md")

_DIMENSION_TYPE = "mod_cdrs.md#43-cdrdimensiontype-enum"
_PERIOD = "mod_cdrs.md#44-chargingperiod-class"

_TWO_SECONDS = Decimal("0.0006")
_A_WATT_HOUR = Decimal("0.001")


@CDRS.rule(
    "cdr.stop.order", "The session of a CDR stops before it starts.", broken(Cdr, stop_date_time="2015-06-29T20:00:00Z")
)
def cdr_order(cdr: Cdr) -> Iterator[Hit]:
    if cdr.stop_date_time < cdr.start_date_time:
        yield ("stop_date_time",), "the session stops before it starts"


CDRS.rule(
    "cdr.location.evse",
    "The location of a CDR does not hold exactly the one used EVSE with its one used connector.",
    broken_at(Cdr, "/location/evses", ...),
)(not_one_connector)


@CDRS.rule("cdr.currency.tariff", "The currency of a tariff differs from that of its CDR.", broken(Cdr, currency="SEK"))
def cdr_currency(cdr: Cdr) -> Iterator[Hit]:
    for index, tariff in enumerate(cdr.tariffs):
        if tariff.currency != cdr.currency:
            message = f"the currency of the tariff is {shown(tariff.currency)}, that of the CDR {shown(cdr.currency)}"
            yield ("tariffs", index, "currency"), message


@CDRS.rule(
    "cdr.negative",
    "A total of a CDR is negative, and the CDR is not a credit.",
    Example(Cdr, {"/charging_periods/0/dimensions/0/type": "FLAT", "/total_energy": -1}),
)
def cdr_negative(cdr: Cdr) -> Iterator[Hit]:
    totals = ("total_energy", "total_time", "total_parking_time")
    yield from negative(cdr, totals if is_credit(cdr) else ("total_cost", *totals))


@CDRS.rule(
    "cdr.credit",
    "total_cost is negative and the volumes are of one sign: read as a credit, which takes a CDR back.",
    broken(Cdr, total_cost=Decimal("-7.1")),
    severity=NOTE,
)
def cdr_credit(cdr: Cdr) -> Iterator[Hit]:
    if is_credit(cdr):
        yield ("total_cost",), f"total_cost is {shown(cdr.total_cost)}: this is a credit"


@CDRS.rule("cdr.energy.total", "total_energy is not the sum of the ENERGY volumes.", broken(Cdr, total_energy=16))
def cdr_energy(cdr: Cdr) -> Iterator[Hit]:
    found = [volume for _, volume in volumes(cdr.charging_periods, CdrDimensionType.ENERGY)]
    tolerance = max(_A_WATT_HOUR, rounding([*found, cdr.total_energy]))
    if found and differ(total(found), cdr.total_energy, tolerance) and not _unit_suspected(cdr, total(found)):
        message = f"total_energy is {shown(cdr.total_energy)}, the ENERGY volumes add up to {shown(total(found))}"
        yield ("total_energy",), message


@CDRS.rule(
    "cdr.time.total",
    "total_time is not the time between start and stop, in hours.",
    broken(Cdr, stop_date_time="2015-06-29T23:30:00Z"),
)
def cdr_time(cdr: Cdr) -> Iterator[Hit]:
    if cdr.stop_date_time >= cdr.start_date_time:
        span = hours(cdr.start_date_time, cdr.stop_date_time)
        if differ(span, cdr.total_time, rounding([cdr.total_time]) + _TWO_SECONDS):
            yield ("total_time",), f"total_time is {shown(cdr.total_time)}, start and stop are {span:.4f} hours apart"


@CDRS.rule(
    "cdr.time.dimensions",
    "The TIME and PARKING_TIME volumes do not add up to total_time.",
    broken_at(Cdr, "/charging_periods/0/dimensions/1/volume", 90),
    clause=_DIMENSION_TYPE,
)
def cdr_time_dimensions(cdr: Cdr) -> Iterator[Hit]:
    charging = [volume for _, volume in volumes(cdr.charging_periods, CdrDimensionType.TIME)]
    parking = [volume for _, volume in volumes(cdr.charging_periods, CdrDimensionType.PARKING_TIME)]
    sum_, tolerance = total([*charging, *parking]), rounding([*charging, *parking, cdr.total_time]) + _TWO_SECONDS
    # Without PARKING_TIME the parking time may be missing; if a period states no time, the sum is only a lower bound.
    unsaid = (cdr.total_parking_time or Decimal(0)) if not parking else Decimal(0)
    short = bool(charging) and _times_all(cdr) and above(cdr.total_time, total([sum_, unsaid]), tolerance)
    if (charging or parking) and (short or above(sum_, cdr.total_time, tolerance)):
        message = f"TIME and PARKING_TIME add up to {shown(sum_)} hours, total_time is {shown(cdr.total_time)}"
        yield ("charging_periods",), message


def _times_all(cdr: Cdr) -> bool:
    """Return True if each period states its time; periods hold only relevant values (mod_cdrs.md 4.4) and may omit
    it.
    """
    times = (CdrDimensionType.TIME, CdrDimensionType.PARKING_TIME)
    return all(any(each.type in times for each in period.dimensions) for period in cdr.charging_periods)


@CDRS.rule(
    "cdr.parking.total",
    "total_parking_time is longer than total_time, or not the sum of the PARKING_TIME volumes.",
    broken(Cdr, total_parking_time=1),
)
def cdr_parking(cdr: Cdr) -> Iterator[Hit]:
    parking = cdr.total_parking_time
    if parking is None:
        return
    found = [volume for _, volume in volumes(cdr.charging_periods, CdrDimensionType.PARKING_TIME)]
    if above(parking, cdr.total_time, Decimal(0)):
        message = f"total_parking_time is {shown(parking)}, total_time {shown(cdr.total_time)}"
        yield ("total_parking_time",), message
    elif found and differ(total(found), parking, rounding([*found, parking]) + _TWO_SECONDS):
        if total(found) < parking and not _times_all(cdr):
            return
        message = f"total_parking_time is {shown(parking)}, the PARKING_TIME volumes add up to {shown(total(found))}"
        yield ("total_parking_time",), message


@CDRS.rule("cdr_dimension.negative", "The volume of a dimension is negative.", broken(CdrDimension, volume=-1))
def volume_negative(dimension: CdrDimension) -> Iterator[Hit]:
    if dimension.volume < 0:
        yield ("volume",), f"the volume {shown(dimension.volume)} is negative"


@CDRS.rule(
    "cdr.energy.unit",
    "total_energy and the ENERGY volumes of a CDR differ more than a hundredfold: one of them seems to be in Wh.",
    broken_at(Cdr, "/charging_periods/0/dimensions/0/volume", 15342),
    clause=_DIMENSION_TYPE,
)
def cdr_energy_unit(cdr: Cdr) -> Iterator[Hit]:
    found = volumes(cdr.charging_periods, CdrDimensionType.ENERGY)
    sum_ = total(volume for _, volume in found)
    if _volumes_in_wh(cdr, sum_):
        yield from in_wh(found, f"total_energy is {shown(cdr.total_energy)}")
    elif _total_in_wh(cdr, sum_):
        message = f"total_energy {shown(cdr.total_energy)} seems to be in Wh: the volumes add up to {shown(sum_)}"
        yield ("total_energy",), message


def _volumes_in_wh(cdr: Cdr, volume: Decimal) -> bool:
    return cdr.total_energy > 0 and exceeds(volume, cdr.total_energy, 100)


def _total_in_wh(cdr: Cdr, volume: Decimal) -> bool:
    return volume > 0 and exceeds(cdr.total_energy, volume, 100)


def _unit_suspected(cdr: Cdr, volume: Decimal) -> bool:
    return _volumes_in_wh(cdr, volume) or _total_in_wh(cdr, volume)


CDRS.rule(
    "cdr.periods.order",
    "The charging periods of a CDR are not sorted by their start.",
    broken_at(Cdr, "/charging_periods/0/start_date_time", "2015-06-29T22:45:00Z"),
    clause=_PERIOD,
)(out_of_order)


CDRS.rule(
    "cdr.periods.repeated",
    "Two charging periods of a CDR have the same start.",
    broken_at(Cdr, "/charging_periods/1/start_date_time", "2015-06-29T21:00:00Z"),
    severity=NOTE,
    clause=_PERIOD,
)(periods_repeated)


@CDRS.rule(
    "cdr.periods.outside",
    "A charging period of a CDR starts before or after the session.",
    broken_at(Cdr, "/charging_periods/1/start_date_time", "2015-06-29T23:10:00Z"),
    clause=_PERIOD,
)
def cdr_periods_outside(cdr: Cdr) -> Iterator[Hit]:
    yield from outside(cdr.charging_periods, cdr.start_date_time, cdr.stop_date_time)
