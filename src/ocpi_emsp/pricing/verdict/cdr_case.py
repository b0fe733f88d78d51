"""A CDR with all inputs of the reckoning, and the ruling under given readings.

Rules of this module:
- what does not depend on the readings is computed once: explanations try many readings;
- a CDR that cannot be reckoned is refused with every reason: a total that is not significant, a session that stops
  before it starts, absurd numbers, negative volumes that are not those of a credit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from fractions import Fraction
from functools import partial
from typing import Final

from attrs import define, evolve, field

from ocpi_emsp.models import Cdr, CdrDimensionType, Location, Tariff
from ocpi_emsp.pricing.exact import Rational, decimal, rational, watt_hours
from ocpi_emsp.pricing.readings import Readings
from ocpi_emsp.pricing.result import Reason, Verdict
from ocpi_emsp.pricing.session.features import Features
from ocpi_emsp.pricing.session.measure import Measured, UsedConnector, absurd_at, measured, used_connector
from ocpi_emsp.pricing.session.metered import Metered
from ocpi_emsp.pricing.session.missing import ENERGY, missing, ways
from ocpi_emsp.pricing.session.tariff_choice import TariffChoice, choose
from ocpi_emsp.pricing.session.zones import Zones, zones_of
from ocpi_emsp.pricing.verdict.appraisal import Case, Possible, appraise, reason
from ocpi_emsp.pricing.verdict.rightness import size
from ocpi_emsp.pricing.verdict.ruling import Ruling, no_ruling, ruled

_NOT_SIGNIFICANT: Final = "[?]"
_COARSEST, _FINEST = -1, -6
"""A volume written with fewer decimals counts as rounded to one, with more as rounded to six (as in ``check``)."""


@define(kw_only=True)
class CdrCase:
    """A CDR, what is known beside it, and what it measured."""

    cdr: Cdr
    given: Sequence[Tariff] = ()
    location: Location | None = None
    time_zone: str | None = None
    claimed: Rational = 0
    refusals: tuple[Reason, ...] = ()
    """Why no ruling is possible under any readings."""
    connector: UsedConnector = field(factory=UsedConnector)
    _measured: Measured | None = None
    _zones: Zones | None = None
    _cases: dict[tuple[str, Rational], Case] = field(factory=dict)

    @classmethod
    def of(cls, cdr: Cdr, given: Sequence[Tariff], location: Location | None, time_zone: str | None) -> CdrCase:
        """Return the case of a CDR."""
        found = cls(cdr=cdr, given=given, location=location, time_zone=time_zone, refusals=tuple(_refusals(cdr)))
        if not found.refusals:
            found.claimed = rational(cdr.total_cost)
            found.connector = used_connector(cdr.location, location)
        return found

    @property
    def measured(self) -> Measured:
        """What the CDR measured."""
        if self._measured is None:
            self._measured = measured(self.cdr, self.connector)
        return self._measured

    @property
    def zones(self) -> Zones:
        """The zones that the session may have been in."""
        if self._zones is None:
            cdr = self.cdr
            self._zones = zones_of(cdr.location, self.location, self.time_zone, cdr.start_date_time, cdr.stop_date_time)
        return self._zones

    def rule(self, readings: Readings, energy: Rational = 1) -> Ruling:
        """Return the ruling under these readings; ``energy`` is a factor for the volumes: 1/1000 if they are Wh."""
        refusals = self.refusals or self._negative(readings)
        if refusals:
            return no_ruling(refusals)
        choice = choose(self.cdr, self.given, self.connector.tariff_id, readings)
        if choice.reason is not None:
            return no_ruling((choice.reason,), choice.notes)
        case = self._case(choice, readings, energy)
        notes = (*choice.notes, *self.connector.notes, *self.zones.notes)
        if self.zones.assumption is not None and case.has_clock:
            notes = (*notes, self.zones.assumption)
        ruling = ruled(self.claimed, case, appraise(case, readings), readings, notes)
        if ruling.verdict is Verdict.RIGHT or energy != 1 or not self._total_differs(case):
            return ruling
        return self._by_total(case, readings, notes) or ruling

    def _total_differs(self, case: Case) -> bool:
        """Return True if total_energy is within the rounding of the volumes, but is not their sum."""
        if "wh" not in self.measured.reported:
            return False
        seen = [case.features_of(place) for place in range(len(case.candidates))]
        if not any(ENERGY in each.priced for each in seen) or any(map(partial(self._contradiction, 1), seen)):
            return False
        return self._sum() != watt_hours(self.cdr.total_energy.copy_abs())

    def _by_total(self, case: Case, readings: Readings, notes: tuple[str, ...]) -> Ruling | None:
        """Return the ruling if the last volume is the remainder of total_energy; None if the total is not right
        then.
        """
        total, volume = watt_hours(self.cdr.total_energy.copy_abs()), self._sum()
        periods = list(self.measured.metered.periods)
        last = max(place for place, each in enumerate(periods) if each.wh is not None)
        left = (periods[last].wh or 0) + total - volume
        if left < 0:
            return None
        periods[last] = periods[last]._replace(wh=left)
        evened = evolve(case, metered=evolve(self.measured.metered, periods=tuple(periods)))
        kwh = decimal(volume / Fraction(1000))
        note = f"total_energy {self.cdr.total_energy} kWh is billed; the volumes are rounded, and add up to {kwh}"
        ruling = ruled(self.claimed, evened, appraise(evened, readings), readings, (*notes, note))
        return ruling if ruling.verdict is Verdict.RIGHT else None

    def _sum(self) -> Rational:
        """Return the sum of the ENERGY volumes, in Wh."""
        return sum(each.wh or 0 for each in self.measured.metered.periods)

    def _negative(self, readings: Readings) -> tuple[Reason, ...]:
        """Return the reasons for negative volumes, unless they are those of a credit."""
        found = self.measured
        if not found.has_negative:
            return ()
        if self.claimed < 0 and readings.credit == "negative_volumes" and not found.has_positive:
            return ()
        return (reason("volume.negative", found.negative_at),)

    def _case(self, choice: TariffChoice, readings: Readings, energy: Rational) -> Case:
        key = (readings.tariffs, energy)
        found = self._cases.get(key)
        if found is None:
            metered = self.measured.metered if energy == 1 else _scaled(self.measured.metered, energy)
            found = self._cases[key] = Case(
                candidates=choice.candidates,
                currency=self.cdr.currency,
                zones=self.zones,
                metered=metered,
                possible=self._possible,
                refused=partial(self._contradiction, energy),
            )
        return found

    def _possible(self, tariff: Features, metered: Metered, readings: Readings) -> Possible:
        dimensions = missing(self.cdr, self.measured, tariff)
        if not dimensions:
            return Possible(ways=(metered,))
        return Possible(ways=tuple(ways(self.cdr, metered, dimensions, readings.missing)), missing=dimensions)

    def _contradiction(self, energy: Rational, tariff: Features) -> Reason | None:
        """Return the contradiction between the periods and total_energy, if energy affects the price."""
        if "wh" not in self.measured.reported or not (ENERGY in tariff.priced or tariff.has_kwh):
            return None
        volume = energy * self._sum()
        total = watt_hours(self.cdr.total_energy.copy_abs())
        if volume == total or any(size(volume - each) <= _rounding(self.cdr) for each in {total, total * energy}):
            return None
        more = f"They add up to {decimal(volume / Fraction(1000))}, total_energy is {self.cdr.total_energy}."
        return reason("energy.contradiction", "/total_energy", more)


def _refusals(cdr: Cdr) -> Iterator[Reason]:
    if cdr.remark is not None and cdr.remark.lstrip().startswith(_NOT_SIGNIFICANT):
        yield reason("remark.not_significant", "/remark")
    if cdr.stop_date_time < cdr.start_date_time:
        yield reason("session.reversed", "/stop_date_time")
    place = absurd_at(cdr)
    if place is not None:
        yield reason("number.absurd", place)


def _scaled(metered: Metered, energy: Rational) -> Metered:
    periods = (each if each.wh is None else each._replace(wh=each.wh * energy) for each in metered.periods)
    return evolve(metered, periods=tuple(periods))


def _rounding(cdr: Cdr) -> Fraction:
    """Return the Wh by which the volumes may differ from total_energy: each by one in its last written decimal."""
    units: dict[int, int] = {}
    for number in _energies(cdr):
        exponent = number.as_tuple().exponent
        places = max(_FINEST, min(_COARSEST, exponent)) if isinstance(exponent, int) else _COARSEST
        units[places] = units.get(places, 0) + 1
    return max(Fraction(1), sum((count * Fraction(10) ** (places + 3) for places, count in units.items()), Fraction()))


def _energies(cdr: Cdr) -> Iterator[Decimal]:
    yield cdr.total_energy
    for period in cdr.charging_periods:
        for dimension in period.dimensions:
            if dimension.type == CdrDimensionType.ENERGY:
                yield dimension.volume
