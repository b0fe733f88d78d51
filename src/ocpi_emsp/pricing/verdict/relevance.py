"""Which other readings can matter for a wrong total; trying all of them would take tens of audits.

Rules of this module:
- a reading only matters if the tariff raises its question: a window, a limit, a step_size, a second element;
- readings that divide a session among the tariff's prices only matter if the claimed total is between the least and the
  most that any division gives; those of ``step_size`` and ``flat`` only if their own sums give it;
- what passes is reckoned: passing too much only costs time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction

from attrs import define

from ocpi_emsp.models import PriceComponent, Tariff
from ocpi_emsp.pricing.exact import Rational, rational
from ocpi_emsp.pricing.readings import CHOICES, Readings
from ocpi_emsp.pricing.result import Line
from ocpi_emsp.pricing.session.features import Features
from ocpi_emsp.pricing.session.missing import missing
from ocpi_emsp.pricing.verdict.blocks import PER_UNIT, Bill
from ocpi_emsp.pricing.verdict.cdr_case import CdrCase
from ocpi_emsp.pricing.verdict.fine import FINE, NOISE, fine, fine_of
from ocpi_emsp.pricing.verdict.rightness import Money
from ocpi_emsp.pricing.verdict.ruling import Ruling


def relevant(case: CdrCase, ruling: Ruling, readings: Readings, bill: Bill | None) -> Iterator[tuple[str, str]]:
    """Yield name and value of each other reading that can matter; ``bill`` is built from the lines, if they are
    certain.
    """
    sieve = _Sieve.of(case, ruling, Money.of(case.cdr.currency, readings), bill)
    if sieve is None:
        return
    for name in sieve.asked():
        for value in CHOICES[name]:
            if value != getattr(readings, name) and sieve.passes(name, value):
                yield name, value


@define
class _Sieve:
    """A wrong total, and the bill that it differs from; amounts are whole numbers of the small unit of fine.py."""

    case: CdrCase
    tariffs: list[Tariff]
    features: list[Features]
    lines: tuple[Line, ...]
    claimed: int
    """The claimed amount without VAT and without the sign of a credit."""
    slack: int
    """The maximum effect of rounding: the minor unit, or the tolerance."""
    is_missing: bool
    bill: Bill | None
    """The bill; None if a line of it is uncertain."""
    _fees: int | None = None
    """The number of fees that gives the total; None if unknown."""
    _reaches: bool | None = None

    @classmethod
    def of(cls, case: CdrCase, ruling: Ruling, money: Money, bill: Bill | None) -> _Sieve | None:
        priced = ruling.case
        if priced is None or ruling.base is None or not ruling.factor:
            return None
        features = [priced.features_of(place) for place in range(len(priced.candidates))]
        is_missing = any(missing(case.cdr, case.measured, each) for each in features)
        return cls(
            case=case,
            tariffs=[each.tariff for each in priced.candidates],
            features=features,
            lines=ruling.base.lines,
            claimed=fine_of(case.claimed / Fraction(ruling.factor)),
            slack=FINE // money.scale + fine_of(money.tolerance) + NOISE,
            is_missing=is_missing,
            bill=None if is_missing else bill,
        )

    def asked(self) -> Iterator[str]:
        """Yield the settings whose question the tariff raises."""
        seen = self.features
        if self.is_missing:
            yield "missing"
        if len(self.case.cdr.tariffs) > 1 or len(self.case.given) > 1:
            yield "tariffs"
        if self.case.claimed < 0:
            yield "credit"
        if any("SESSION_TIME" in each.priced for each in seen):
            yield "session_time"
        if any("FLAT" in each.priced for each in seen) and self._counts_fees():
            yield "flat"
        if any(each.has_steps for each in seen):
            yield "price_unit"
            if self.bill is None or self._is_near(self.bill.bare, self.bill.most()):
                yield "step"
                if any(line.price is None and line.measured for line in self.lines):
                    yield "step_volume"
        if self._within_reach():
            yield from self._dividing()

    def _dividing(self) -> Iterator[str]:
        """Yield the settings that decide which part of a session has which price."""
        seen = self.features
        asked = {
            "element": any(each.has_mixed_types for each in seen),
            "duration": any(each.has_duration for each in seen),
            "boundary": any(each.has_restrictions for each in seen) and (self.bill is None or self._is_divided()),
            "power": any(each.has_power for each in seen),
            "upper": any(each.has_power for each in seen) or any(map(self._meets_maximum, self.tariffs)),
            "wrap_day": any(each.has_wrap for each in seen),
            "dates": any(each.has_span for each in seen),
            "equal_times": any(each.has_equal_times for each in seen),
        }
        yield from (name for name, is_asked in asked.items() if is_asked)

    def passes(self, name: str, value: str) -> bool:
        """Return True if a reading's sum is near the total, as far as the bill shows it."""
        if name not in ("flat", "step", "price_unit"):
            return True
        if self.bill is None:
            return self._within_reach()
        if name == "flat":
            return self._fees is None or self._fees <= self._most_fees(value)
        if name == "step":
            return self._is_near(self.bill.stepped(value))
        return value == "unit" or self._is_near(self.bill.by_blocks())

    def _is_near(self, amount: int, more: int = 0) -> bool:
        """Return True if an amount, changed by at most ``more``, may be rounded to the total."""
        return abs(amount - self.claimed) <= self.slack + more

    def _is_divided(self) -> bool:
        """Return True if a charging period has two lines for one dimension."""
        places = [(line.period, line.dimension) for line in self.lines if line.period is not None]
        return len(set(places)) < len(places)

    def _meets_maximum(self, tariff: Tariff) -> bool:
        """Return True if a period begins at exactly the maximum of an element."""
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

    def _counts_fees(self) -> bool:
        """Return True if a whole number of fees, beside the rest of the bill, gives the total."""
        prices = {each.price for tariff in self.tariffs for each in _flats(tariff) if each.price}
        if self.bill is None or len(prices) > 1:
            return True
        price, rest = fine(prices.pop()), self.bill.total - self.bill.fees
        if not price:
            return False  # a fee of 1e-59 is nothing in the small unit
        counts = (0, (self.claimed - rest + price // 2) // price)
        near = [each for each in counts if self._is_near(rest + price * each)]
        self._fees = near[0] if near else None
        return bool(near)

    def _most_fees(self, value: str) -> Rational:
        """Return the most fees that a reading can charge."""
        periods = self.case.measured.metered.periods
        if value == "each_period":
            return len(periods)
        if value == "dimension":
            return -(-sum(each.flat or 0 for each in periods) // 1)
        return 1 if value == "session" else max(each.flats for each in self.features)

    def _within_reach(self) -> bool:
        """Return True if the total is between the least and the most of any division of the volumes among the
        prices.
        """
        if self._reaches is None:
            self._reaches = any(map(self._reaches_it, self.tariffs))
        return self._reaches

    def _reaches_it(self, tariff: Tariff) -> bool:
        pieces = len(self.lines) + len(self.case.cdr.charging_periods)
        low, high = _reach(tariff, self.lines, pieces)
        if self.bill is not None:
            low, high = low + self.bill.fees, high + self.bill.fees
        else:
            fees = [pieces * fine(each.price) for each in _flats(tariff)]
            low, high = low + sum(min(each, 0) for each in fees), high + sum(max(each, 0) for each in fees)
        return low - self.slack <= self.claimed <= high + self.slack


def _flats(tariff: Tariff) -> Iterator[PriceComponent]:
    return (each for element in tariff.elements for each in element.price_components if each.type.value == "FLAT")


def _reach(tariff: Tariff, lines: Sequence[Line], pieces: int) -> tuple[int, int]:
    """Return the least and the most that the volumes of a bill cost under any of the prices."""
    volumes = dict[str, int]()
    for line in lines:
        if line.unit in PER_UNIT:
            volumes[line.dimension] = volumes.get(line.dimension, 0) + int(line.measured) + 1
    least, most = dict.fromkeys(volumes, 0), dict.fromkeys(volumes, 0)
    for element in tariff.elements:
        for component in element.price_components:
            kind = component.type.value
            if kind in volumes:
                block = pieces * component.step_size if component.step_size > 1 else 0
                amount = fine(component.price) * (volumes[kind] + block) // PER_UNIT["Wh" if kind == "ENERGY" else "s"]
                least[kind] = min(least[kind], amount)
                most[kind] = max(most[kind], amount)
    return sum(least.values()), sum(most.values())
