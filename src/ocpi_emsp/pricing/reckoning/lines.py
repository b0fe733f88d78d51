"""The lines of a bill, from its parts.

Rules of this module:
- the costs of lines add up to the exact total: a cost without a finite decimal (a third) is cut, and the last such line
  takes the remainder;
- each line says why its price applies, in the words of the tariff.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Final, NamedTuple

from ocpi_emsp.models import Tariff, TariffRestrictions
from ocpi_emsp.pricing.exact import decimal, moment
from ocpi_emsp.pricing.reckoning.choice import Chooser, Options
from ocpi_emsp.pricing.reckoning.money import Amount
from ocpi_emsp.pricing.reckoning.parts import Part
from ocpi_emsp.pricing.reckoning.restrictions import ENERGY, FLAT
from ocpi_emsp.pricing.result import Line

PLACES: Final = 12
"""Decimals of a cost that is cut; more if the total has more."""

_UNITS: Final = {FLAT: "", ENERGY: "Wh"}
_NAMES: Final = (
    "start_time",
    "end_time",
    "start_date",
    "end_date",
    "min_kwh",
    "max_kwh",
    "min_power",
    "max_power",
    "min_duration",
    "max_duration",
)


class _Price(NamedTuple):
    """What lines with the same options have in common."""

    price: Decimal | None
    step_size: int | None
    element: int | None
    component: int | None
    why: str


class Lines:
    """Creates the lines of one session under one tariff."""

    def __init__(self, tariff: Tariff, chooser: Chooser) -> None:
        self._tariff, self._chooser, self._money = tariff, chooser, chooser.index.money
        self._prices: dict[tuple[str, Options], _Price] = {}
        self._moments: dict[int, datetime] = {}

    def of(self, parts: Sequence[Part], total: Amount | None) -> tuple[Line, ...]:
        """Return a line for each part; ``total`` is the exact sum, None if only bounds are known."""
        costs = self._costs(parts, total)
        return tuple([self._line(part, cost) for part, cost in zip(parts, costs, strict=True)])

    def _line(self, part: Part, cost: Decimal | None) -> Line:
        key = part.dimension, part.options
        known = self._prices.get(key)
        if known is None:
            known = self._prices[key] = self._price(*key)
        measured = decimal(part.volume)
        low = high = cost
        if cost is None:
            low, high = map(self._money.decimal, sorted((part.low, part.high)))
        return Line(
            dimension=str(part.dimension),
            period=part.position,
            start=self._moment(part.start),
            end=self._moment(part.end),
            measured=measured,
            billed=decimal(part.volume + part.added) if part.added else measured,
            unit=_UNITS.get(part.dimension, "s"),
            price=known.price,
            step_size=known.step_size,
            cost=cost,
            low=low,
            high=high,
            tariff_id=self._tariff.id,
            element=known.element,
            component=known.component,
            why=known.why,
        )

    def _moment(self, time: int) -> datetime:
        known = self._moments.get(time)
        if known is None:
            known = self._moments[time] = moment(time)
        return known

    def _price(self, dimension: str, options: Options) -> _Price:
        rates = self._chooser.rates(dimension, options.elements)
        why = self._sentence(dimension, options)
        if options.rate is not None:
            rate = options.rate
            return _Price(rate.price, rate.step, rate.element, rate.component, why)
        prices = {each.price for each in rates}
        price = prices.pop() if len(prices) == 1 and not options.free else None
        return _Price(price, None, None, None, why)

    def _costs(self, parts: Sequence[Part], total: Amount | None) -> list[Decimal | None]:
        """Return the cost of each part as a decimal; None if it is uncertain.

        A total may be certain although its parts are not, because a block is full either way: then one of the ways is
        shown.
        """
        money = self._money
        if total is None:
            return [money.decimal(part.low) if part.low == part.high else None for part in parts]
        endless = [part for part in parts if not money.ends(part.low)]
        if not endless:
            return [money.decimal(part.low) for part in parts]
        whole = money.decimal(total)
        exponent = whole.as_tuple().exponent
        scale = 10 ** max(PLACES, -exponent if isinstance(exponent, int) else 0)
        # The total may have no finite decimal either: the lines add up to what is shown of it.
        left = Fraction(whole) - money.exact(sum(part.low for part in parts if money.ends(part.low)))
        cuts: list[Fraction] = []
        for part in endless[:-1]:
            cuts.append(Fraction(money.exact(part.low) * scale // 1, scale))
            left -= cuts[-1]
        shown = iter([*cuts, left])
        return [money.decimal(part.low) if money.ends(part.low) else decimal(next(shown)) for part in parts]

    def _sentence(self, dimension: str, options: Options) -> str:
        rates = self._chooser.rates(dimension, options.elements)
        if not rates:
            return f"no element that matches has a price for {dimension}"
        if len(rates) == 1 and not options.free:
            element = rates[0].element
            asked = restrictions(self._tariff.elements[element].restrictions)
            return f"element {element} is the first that matches and has a price for {dimension}: {asked}"
        named = ", ".join(str(each.element) for each in rates[:5]) + (", ..." if len(rates) > 5 else "")
        several = f"element {named}" if len(rates) == 1 else f"one or several of the elements {named}"
        return f"{several} may have the price for {dimension}{', or none' if options.free else ''}"


def restrictions(asked: TariffRestrictions | None) -> str:
    """Return the restrictions of an element in a few words."""
    if asked is None:
        return "no restrictions"
    found = [f"{name} {_plain(value)}" for name in _NAMES if (value := getattr(asked, name)) is not None]
    if asked.day_of_week:
        found.append(f"day_of_week {' '.join(asked.day_of_week)}")
    found += [f"{name} (not known)" for name in getattr(asked, "unread", ())]
    return ", ".join(found) or "no restrictions"


def _plain(value: object) -> str:
    return f"{value:f}" if isinstance(value, Decimal) else str(value)
