"""The lines of a bill, from its parts.

Rules of this module:
- costs of lines add up to the exact total: one that has no end as a decimal (a third) is cut, and the last such line
  takes what is left;
- each line says why its price applies, in the words of the tariff.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Final

from ocpi_emsp.models import Tariff, TariffRestrictions
from ocpi_emsp.pricing.choice import Chooser, Options
from ocpi_emsp.pricing.exact import Rational, decimal, ends, moment
from ocpi_emsp.pricing.parts import Part
from ocpi_emsp.pricing.restrictions import ENERGY, FLAT
from ocpi_emsp.pricing.result import Line

PLACES: Final = 12
"""A cost without an end is cut after so many decimals, or at the last one of the total if that has more."""

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


class Lines:
    """Makes the lines of one session under one tariff."""

    def __init__(self, tariff: Tariff, chooser: Chooser) -> None:
        self._tariff, self._chooser = tariff, chooser
        self._sentences: dict[tuple[str, Options], str] = {}

    def of(self, parts: Sequence[Part], total: Fraction | None) -> tuple[Line, ...]:
        """A line for each part; ``total`` is the exact sum, None where only bounds are known."""
        costs = _costs(parts, total)
        return tuple(self._line(part, cost) for part, cost in zip(parts, costs, strict=True))

    def _line(self, part: Part, cost: Decimal | None) -> Line:
        rates = self._chooser.rates(part.dimension, part.options)
        rate = rates[0] if len(rates) == 1 and not part.options.free else None
        prices = {each.price for each in rates}
        price = prices.pop() if len(prices) == 1 and not part.options.free else None
        measured = decimal(part.volume)
        return Line(
            dimension=str(part.dimension),
            period=part.position,
            start=moment(part.start),
            end=moment(part.end),
            measured=measured,
            billed=decimal(part.volume + part.added) if part.added else measured,
            unit=_unit(part.dimension),
            price=price,
            step_size=None if rate is None else rate.step,
            cost=cost,
            low=decimal(part.low) if cost is None else cost,
            high=decimal(part.high) if cost is None else cost,
            tariff_id=self._tariff.id,
            element=None if rate is None else rate.element,
            component=None if rate is None else rate.component,
            why=self._why(part.dimension, part.options),
        )

    def _why(self, dimension: str, options: Options) -> str:
        known = self._sentences.get((dimension, options))
        if known is None:
            known = self._sentences[dimension, options] = self._sentence(dimension, options)
        return known

    def _sentence(self, dimension: str, options: Options) -> str:
        rates = self._chooser.rates(dimension, options)
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
    """The restrictions of an element in a few words."""
    if asked is None:
        return "no restrictions"
    found = [f"{name} {_plain(value)}" for name in _NAMES if (value := getattr(asked, name)) is not None]
    if asked.day_of_week:
        found.append(f"day_of_week {' '.join(asked.day_of_week)}")
    found += [f"{name} (not known)" for name in getattr(asked, "unread", ())]
    return ", ".join(found) or "no restrictions"


def _plain(value: object) -> str:
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


def _unit(dimension: str) -> str:
    if dimension == FLAT:
        return ""
    return "Wh" if dimension == ENERGY else "s"


def _costs(parts: Sequence[Part], total: Fraction | None) -> list[Decimal | None]:
    """The cost of each part as a decimal; None where it is not certain."""
    found: list[Decimal | None] = []
    endless: list[int] = []
    for place, part in enumerate(parts):
        if part.low != part.high:
            found.append(None)
        elif total is None or ends(part.low):
            found.append(decimal(part.low))
        else:
            endless.append(place)
            found.append(None)
    if total is None or not endless:
        return found
    whole = decimal(total)
    exponent = whole.as_tuple().exponent
    scale = 10 ** max(PLACES, -exponent if isinstance(exponent, int) else 0)
    left: Rational = Fraction(whole) - sum(Fraction(cost) for cost in found if cost is not None)
    for place in endless[:-1]:
        cut = Fraction(parts[place].low * scale // 1, scale)
        found[place] = decimal(cut)
        left -= cut
    found[endless[-1]] = decimal(left)
    return found
