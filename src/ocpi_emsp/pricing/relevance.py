"""Which other readings can matter for a wrong total: trying all of them takes tens of audits.

Rules of this module:
- a reading matters only where the tariff asks its question: a window, a limit, a step_size, a second element;
- readings that divide a session among the prices of a tariff matter only where the claimed total lies between the
  least and the most that any division gives; those of ``step_size`` and ``flat`` only where their own sums give it;
- what passes is reckoned: this module may let too much pass, and that costs time alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Final

from attrs import define

from ocpi_emsp.models import PriceComponent, Tariff
from ocpi_emsp.pricing.blocks import PER_UNIT, Bill
from ocpi_emsp.pricing.cdr_case import CdrCase
from ocpi_emsp.pricing.exact import Rational, rational
from ocpi_emsp.pricing.features import Features
from ocpi_emsp.pricing.missing import missing
from ocpi_emsp.pricing.readings import CHOICES, Readings
from ocpi_emsp.pricing.result import Line
from ocpi_emsp.pricing.rightness import Money, size
from ocpi_emsp.pricing.ruling import Ruling

_ZERO: Final = Fraction()


def relevant(case: CdrCase, ruling: Ruling, readings: Readings) -> Iterator[tuple[str, str]]:
    """The name and the value of each other reading that can matter."""
    sieve = _Sieve.of(case, ruling, Money.of(case.cdr.currency, readings))
    if sieve is None:
        return
    for name in sieve.asked():
        for value in CHOICES[name]:
            if value != getattr(readings, name) and sieve.passes(name, value):
                yield name, value


@define
class _Sieve:
    """A wrong total, and the bill that it differs from."""

    case: CdrCase
    ruling: Ruling
    tariffs: list[Tariff]
    features: list[Features]
    lines: tuple[Line, ...]
    claimed: Fraction
    """Without the sign of a credit, and VAT."""
    unit: Fraction
    """The minor unit."""
    tolerance: Rational
    is_missing: bool
    bill: Bill | None

    @classmethod
    def of(cls, case: CdrCase, ruling: Ruling, money: Money) -> _Sieve | None:
        priced = ruling.case
        if priced is None or ruling.base is None or not ruling.factor:
            return None
        features = [priced.features_of(place) for place in range(len(priced.candidates))]
        is_missing = any(missing(case.cdr, case.measured, each) for each in features)
        return cls(
            case=case,
            ruling=ruling,
            tariffs=[each.tariff for each in priced.candidates],
            features=features,
            lines=ruling.base.lines,
            claimed=Fraction(case.claimed) / ruling.factor,
            unit=Fraction(1, money.scale),
            tolerance=money.tolerance,
            is_missing=is_missing,
            bill=None if is_missing or ruling.expected is None else Bill.of(ruling.base.lines),
        )

    def asked(self) -> Iterator[str]:
        """The settings whose question is asked."""
        seen = self.features
        always = {
            "missing": self.is_missing,
            "tariffs": len(self.case.cdr.tariffs) > 1 or len(self.case.given) > 1,
            "credit": self.case.claimed < 0,
            "session_time": any("SESSION_TIME" in each.priced for each in seen),
            "flat": any(each.flats for each in seen),
        }
        if any(each.has_steps for each in seen):
            always |= {"price_unit": True, "step": True, "step_volume": self._has_unpriced()}
        yield from (name for name, is_asked in always.items() if is_asked)
        if self.is_missing or self._within_reach():
            yield from (name for name, is_asked in self._dividing().items() if is_asked)

    def _dividing(self) -> dict[str, bool]:
        """The settings that say which price which part of a session has."""
        seen = self.features
        return {
            "element": any(each.has_mixed_types for each in seen),
            "duration": any(each.has_duration for each in seen),
            "boundary": any(each.has_restrictions for each in seen) and (self.bill is None or self._is_divided()),
            "power": any(each.has_power for each in seen),
            "upper": any(each.has_power for each in seen) or any(map(self._meets_maximum, self.tariffs)),
            "wrap_day": any(each.has_wrap for each in seen),
            "dates": any(each.has_span for each in seen),
            "equal_times": any(each.has_equal_times for each in seen),
        }

    def passes(self, name: str, value: str) -> bool:
        """Whether the sum of a reading is near the total, where it can be seen from the bill."""
        if self.bill is None:
            return True
        if name == "flat":
            return self._passes_flat(value)
        if name == "step":
            return self._is_near(self.bill.stepped(value))
        if name == "step_volume":
            return self._is_near(self.bill.bare(), self.bill.most())
        return name != "price_unit" or value == "unit" or self._is_near(self.bill.by_blocks())

    def _is_near(self, amount: Fraction, more: Fraction = _ZERO) -> bool:
        """Whether rounding may lead from an amount, or one that is up to so much off, to the total."""
        return size(amount - self.claimed) < self.unit + self.tolerance + more

    def _has_unpriced(self) -> bool:
        return self.bill is None or any(line.price is None and line.measured for line in self.lines)

    def _is_divided(self) -> bool:
        """Whether a charging period has two lines for one dimension."""
        places = [(line.period, line.dimension) for line in self.lines if line.period is not None]
        return len(set(places)) < len(places)

    def _meets_maximum(self, tariff: Tariff) -> bool:
        """Whether a period begins at exactly the maximum of an element."""
        asked = [each.restrictions for each in tariff.elements if each.restrictions is not None]
        energies = {rational(each.max_kwh, 1000) for each in asked if each.max_kwh is not None}
        durations = {each.max_duration for each in asked if each.max_duration is not None}
        if not energies and not durations:
            return False
        metered, energy = self.case.measured.metered, Fraction()
        for period in metered.periods:
            if energy in energies or period.start - metered.start in durations:
                return True
            energy += period.wh or 0
        return False

    def _passes_flat(self, value: str) -> bool:
        """Whether so many fees, beside what the rest of the bill costs, make the total."""
        assert self.bill is not None
        prices = {rational(each.price) for tariff in self.tariffs for each in _flats(tariff) if each.price}
        most = self._most_fees(value)
        if len(prices) > 1:
            return most > 1
        rest = self._total() - self.bill.fees
        return any(
            self._is_near(rest + price * count) for price in prices for count in _near(self.claimed - rest, price, most)
        )

    def _most_fees(self, value: str) -> Rational:
        """The most fees that a reading can charge."""
        periods = self.case.measured.metered.periods
        if value == "each_period":
            return len(periods)
        if value == "dimension":
            return sum(each.flat or 0 for each in periods)
        return 1 if value == "session" else max(each.flats for each in self.features)

    def _total(self) -> Fraction:
        return _ZERO + sum(rational(line.cost) for line in self.lines if line.cost is not None)

    def _within_reach(self) -> bool:
        """Whether the total lies between the least and the most of any division of the volumes among the prices."""
        fees = sum(
            (rational(each.cost) for each in self.lines if each.unit == "" and each.cost is not None), Fraction()
        )
        pieces = len(self.lines) + len(self.case.cdr.charging_periods)
        for tariff in self.tariffs:
            low, high = _reach(tariff, self.lines, pieces)
            if low + fees - self.unit * pieces <= self.claimed <= high + fees + self.unit * pieces:
                return True
        return False


def _near(fees: Fraction, price: Rational, most: Rational) -> Iterator[Rational]:
    """The whole numbers of fees that come nearest to an amount, and the most of them."""
    count = fees // price
    yield from {min(max(each, 0), most) for each in (count, count + 1)}


def _flats(tariff: Tariff) -> Iterator[PriceComponent]:
    return (each for element in tariff.elements for each in element.price_components if each.type.value == "FLAT")


def _reach(tariff: Tariff, lines: Sequence[Line], pieces: int) -> tuple[Fraction, Fraction]:
    """The least and the most that the volumes of a bill cost under any of the prices."""
    volumes = dict[str, Fraction]()
    for line in lines:
        if line.unit in PER_UNIT:
            volumes[line.dimension] = volumes.get(line.dimension, _ZERO) + rational(line.measured)
    least, most = dict[str, Fraction](), dict[str, Fraction]()
    for element in tariff.elements:
        for component in element.price_components:
            kind = component.type.value
            if kind in volumes:
                per = 1000 if kind == "ENERGY" else 3600
                block = pieces * max(component.step_size, 0) if component.step_size > 1 else 0
                amount = rational(component.price) * (volumes[kind] + block) / per
                least[kind] = min(least.get(kind, _ZERO), amount)
                most[kind] = max(most.get(kind, _ZERO), amount)
    return sum(least.values(), _ZERO), sum(most.values(), _ZERO)
