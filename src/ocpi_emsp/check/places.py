"""mod_locations.md, chapter 4: energy mix, coordinates, opening hours, planned status."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import accumulate

from ocpi_emsp.check.examples import broken, broken_at
from ocpi_emsp.check.numbers import differ, total
from ocpi_emsp.check.registry import NOTE, Chapter, Hit, repeated
from ocpi_emsp.codec.readings import shown
from ocpi_emsp.models import (
    AdditionalGeoLocation,
    EnergyMix,
    EnergySource,
    EnergySourceCategory,
    EnvironmentalImpact,
    ExceptionalPeriod,
    GeoLocation,
    Hours,
    RegularHours,
    StatusSchedule,
)

PLACES = Chapter("Data types of locations", "mod_locations.md")

_ENERGY_SOURCE = "mod_locations.md#46-energysource-class"

_NOT_GREEN = (
    EnergySourceCategory.NUCLEAR,
    EnergySourceCategory.GENERAL_FOSSIL,
    EnergySourceCategory.COAL,
    EnergySourceCategory.GAS,
)


@PLACES.rule(
    "energy_mix.green",
    "is_green_energy is true, but a source is not regenerative, or waste or emission is not zero.",
    broken_at(EnergyMix, "/energy_sources/0/source", "COAL"),
)
def energy_green(mix: EnergyMix) -> Iterator[Hit]:
    if mix.is_green_energy:
        parts: list[tuple[str, Decimal]] = [(impact.source, impact.amount) for impact in mix.environ_impact]
        parts += [(each.source, each.percentage) for each in mix.energy_sources if each.source in _NOT_GREEN]
        dirty = next(((source, share) for source, share in parts if share > 0), None)
        if dirty is not None:
            yield ("is_green_energy",), f"is_green_energy is true, with {shown(dirty[1])} of {shown(str(dirty[0]))}"


@PLACES.rule(
    "energy_mix.sources.sum",
    "The percentages of the energy sources do not add up to 100.",
    broken_at(EnergyMix, "/energy_sources/0/percentage", 50),
    clause=_ENERGY_SOURCE,
)
def energy_sum(mix: EnergyMix) -> Iterator[Hit]:
    shares = total(source.percentage for source in mix.energy_sources)
    if mix.energy_sources and differ(shares, Decimal(100), Decimal(1)):
        yield ("energy_sources",), f"the percentages add up to {shown(shares)}"


@PLACES.rule(
    "energy_mix.sources.unique",
    "An energy source is listed twice.",
    broken_at(EnergyMix, "/energy_sources/1/source", "SOLAR"),
    clause=_ENERGY_SOURCE,
)
def energy_sources_unique(mix: EnergyMix) -> Iterator[Hit]:
    yield from _listed_twice("energy_sources", [each.source for each in mix.energy_sources])


@PLACES.rule(
    "energy_source.percentage.range", "A percentage is outside 0 to 100.", broken(EnergySource, percentage=101)
)
def percentage_range(source: EnergySource) -> Iterator[Hit]:
    if not 0 <= source.percentage <= 100:
        yield ("percentage",), f"{shown(source.percentage)} is not a percentage between 0 and 100"


@PLACES.rule(
    "energy_mix.impact.unique",
    "An environmental impact is listed twice.",
    broken_at(EnergyMix, "/environ_impact/1/source", "NUCLEAR_WASTE"),
    clause="mod_locations.md#48-environmentalimpact-class",
)
def impacts_unique(mix: EnergyMix) -> Iterator[Hit]:
    yield from _listed_twice("environ_impact", [each.source for each in mix.environ_impact])


def _listed_twice(name: str, sources: Sequence[str]) -> Iterator[Hit]:
    for index in repeated(sources):
        yield (name, index, "source"), f"{shown(str(sources[index]))} is already listed"


@PLACES.rule(
    "environmental_impact.negative",
    "An amount of waste or emission is negative.",
    broken(EnvironmentalImpact, amount=-1),
)
def impact_negative(impact: EnvironmentalImpact) -> Iterator[Hit]:
    if impact.amount < 0:
        yield ("amount",), f"the amount {shown(impact.amount)} is negative"


@PLACES.rule(
    "exceptional_period.order",
    "An exceptional period does not end after it begins.",
    broken(ExceptionalPeriod, period_end="2014-06-21T08:00:00Z"),
)
def exceptional_order(period: ExceptionalPeriod) -> Iterator[Hit]:
    if period.period_end <= period.period_begin:
        yield ("period_end",), "period_end is not later than period_begin"


@PLACES.rule(
    "coordinate.range",
    "A latitude is outside -90 to 90, or a longitude outside -180 to 180.",
    broken(GeoLocation, latitude="95.000000"),
    GeoLocation,
    AdditionalGeoLocation,
)
def coordinate_range(point: GeoLocation | AdditionalGeoLocation) -> Iterator[Hit]:
    for name, text, most in (("latitude", point.latitude, 90), ("longitude", point.longitude, 180)):
        if text and abs(Decimal(text)) > most:  # empty: a copy of a location without coordinates
            yield (name,), f"the {name} {text} is outside -{most} to {most}"


@PLACES.rule(
    "coordinate.zero",
    "Latitude and longitude are both zero: a point in the Gulf of Guinea, and most likely a missing value.",
    broken(GeoLocation, latitude="0.000000", longitude="0.000000"),
    GeoLocation,
    AdditionalGeoLocation,
)
def coordinate_zero(point: GeoLocation | AdditionalGeoLocation) -> Iterator[Hit]:
    if point.latitude and point.longitude and not (Decimal(point.latitude) or Decimal(point.longitude)):
        yield (), "latitude and longitude are both zero"


@PLACES.rule(
    "hours.choice",
    "Exactly one of regular_hours and twentyfourseven is required: both contradict each other, none is incomplete.",
    broken(Hours, twentyfourseven=True),
)
def hours_choice(hours: Hours) -> Iterator[Hit]:
    if hours.twentyfourseven and hours.regular_hours:
        yield ("twentyfourseven",), "twentyfourseven is true and regular_hours is present; read as the regular hours"
    elif not hours.twentyfourseven and not hours.regular_hours:
        yield ("regular_hours",), "neither twentyfourseven nor regular_hours is present"


@PLACES.rule(
    "hours.flag",
    "twentyfourseven is false and regular_hours is present; the specification asks for one of them.",
    broken(Hours, twentyfourseven=False),
    severity=NOTE,
)
def hours_flag(hours: Hours) -> Iterator[Hit]:
    if hours.twentyfourseven is False and hours.regular_hours:
        yield ("twentyfourseven",), "twentyfourseven is false and regular_hours is present; one of the two is enough"


@PLACES.rule(
    "hours.regular.overlap",
    "Regular hours of one weekday overlap.",
    broken_at(Hours, "/regular_hours/1/period_begin", "11:00"),
    severity=NOTE,
)
def hours_overlap(hours: Hours) -> Iterator[Hit]:
    last: dict[int, str] = {}
    for index, period in sorted(enumerate(hours.regular_hours), key=lambda pair: pair[1].period_begin):
        end = _end(period)
        if period.period_begin < last.get(period.weekday, ""):
            yield ("regular_hours", index), f"the hours overlap with other hours of weekday {shown(period.weekday)}"
        last[period.weekday] = max(end, last.get(period.weekday, ""))


def _end(period: RegularHours) -> str:
    return "24:00" if period.period_end == "00:00" else period.period_end


@PLACES.rule(
    "hours.exceptional.overlap",
    "An exceptional closing overlaps an exceptional opening.",
    broken_at(Hours, "/exceptional_closings/0/period_begin", "2014-06-21T10:00:00Z"),
)
def exceptional_overlap(hours: Hours) -> Iterator[Hit]:
    openings = sorted((each.period_begin, each.period_end) for each in hours.exceptional_openings)
    begins = [begin for begin, _ in openings]
    ends = list(accumulate((end for _, end in openings), max))
    for index, closing in enumerate(hours.exceptional_closings):
        before = bisect_left(begins, closing.period_end)
        if before and ends[before - 1] > closing.period_begin:
            yield ("exceptional_closings", index), "the closing overlaps an exceptional opening"


@PLACES.rule(
    "regular_hours.order", "A regular period does not end after it begins.", broken(RegularHours, period_end="07:00")
)
def regular_order(period: RegularHours) -> Iterator[Hit]:
    if period.period_end <= period.period_begin and period.period_end != "00:00":
        yield ("period_end",), f"period_end {period.period_end} is not later than period_begin {period.period_begin}"


@PLACES.rule(
    "hours.midnight",
    "A period ends at 00:00, which is not after its begin; read as 24:00.",
    broken_at(Hours, "/regular_hours/1/period_end", "00:00"),
    clause="mod_locations.md#419-regularhours-class",
)
def hours_midnight(hours: Hours) -> Iterator[Hit]:
    for index, period in enumerate(hours.regular_hours):
        if period.period_end == "00:00":
            yield ("regular_hours", index, "period_end"), "the period ends at 00:00; read as 24:00"


@PLACES.rule(
    "status_schedule.order",
    "A planned status does not end after it begins.",
    broken(StatusSchedule, period_end="2015-06-30T00:00:00Z"),
)
def schedule_order(schedule: StatusSchedule) -> Iterator[Hit]:
    if schedule.period_end is not None and schedule.period_end <= schedule.period_begin:
        yield ("period_end",), "period_end is not later than period_begin"
