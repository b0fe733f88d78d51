"""What a session costs under one tariff: exactly, or between two bounds.

Rules of this module (docs/how-to/audit-bills.md, docs/spec-choices.md):
- money and volumes are exact until the comparison; bounds contain every division that the CDR leaves open;
- a price of an unknown type has no volume: the cost is unbounded on one side;
- work is linear in periods and elements; divisions have a named limit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, tzinfo
from decimal import Decimal
from fractions import Fraction

from attrs import frozen

from ocpi_emsp.models import Tariff
from ocpi_emsp.pricing.readings import Readings
from ocpi_emsp.pricing.reasons import REASONS
from ocpi_emsp.pricing.reckoning.choice import Chooser
from ocpi_emsp.pricing.reckoning.divide import Divider
from ocpi_emsp.pricing.reckoning.flat import Fees, ever_active
from ocpi_emsp.pricing.reckoning.limits import MAX_CELLS, Budget
from ocpi_emsp.pricing.reckoning.lines import Lines
from ocpi_emsp.pricing.reckoning.money import Amount
from ocpi_emsp.pricing.reckoning.parts import Part
from ocpi_emsp.pricing.reckoning.restrictions import ENERGY, FLAT, PARKING_TIME, SESSION_TIME, TIME, Rate, TariffIndex
from ocpi_emsp.pricing.reckoning.spans import spans
from ocpi_emsp.pricing.reckoning.steps import Rounding
from ocpi_emsp.pricing.result import Line, Reason, text
from ocpi_emsp.pricing.session.metered import Metered

MAX_PLACES = 5
"""Places that a reason names; further ones are counted."""


@frozen
class Reckoning:
    """The cost of a session, from ``low`` to ``high``; None for no bound."""

    low: Fraction | None
    high: Fraction | None
    lines: tuple[Line, ...]
    reasons: tuple[Reason, ...]
    """Reasons; their pointers refer to the CDR or, if they begin with ``/elements``, to the tariff."""


def reckon(
    metered: Metered, tariff: Tariff, readings: Readings, zone: tzinfo | None, cells: int = MAX_CELLS
) -> Reckoning:
    """Return the cost of a session under a tariff. ``zone`` is that of the location; None if no price needs it.

    ``cells`` is the number of divisions that may be examined.
    """
    index = TariffIndex(tariff, readings, zone or UTC)
    if index.absurd is not None:
        return Reckoning(None, None, (), (_reason("number.absurd", index.absurd),))
    chooser = Chooser(index, readings)
    budget = Budget(cells)
    divider = Divider(chooser, readings, metered.start, budget)
    rows = spans(metered, readings.power, index.power is not None)
    dimensions: tuple[str, ...] = (ENERGY, TIME, PARKING_TIME)
    if readings.session_time == "on" and index.priced.get(SESSION_TIME):
        dimensions = (*dimensions, SESSION_TIME)
    parts = [part for span in rows for dimension in dimensions for part in divider.parts(span, dimension)]
    negative = _negative_steps(parts, chooser, readings)
    if negative is not None:
        return Reckoning(None, None, (), (_reason("step_size.negative", _component(negative)),))
    Rounding(chooser, readings).apply(parts)
    fees = Fees(divider, metered, rows)
    parts = [*fees.parts(readings.flat), *parts]
    return _reckoning(parts, tariff, chooser, budget, _open_types(fees, index, dimensions))


def _reckoning(
    parts: list[Part], tariff: Tariff, chooser: Chooser, budget: Budget, unknown: Sequence[Rate]
) -> Reckoning:
    low: Amount = sum([part.low for part in parts])
    high: Amount = sum([part.high for part in parts])
    found: dict[tuple[str, str], list[Part]] = {}
    if low != high:
        found = _causes([part for part in parts if part.low != part.high]) or _causes(parts)
        if not found:
            # Only the order in which a volume of the whole session and others were measured is open.
            found["boundary.unknown", "/charging_periods"] = []
        if budget.exceeded or chooser.limited:
            found["work.limit", "/charging_periods"] = []
    found |= {("price_type.unknown", _component(rate)): [] for rate in unknown}
    exact = low if low == high and not unknown else None
    return Reckoning(
        low=None if any(rate.price < 0 for rate in unknown) else chooser.index.money.exact(low),
        high=None if any(rate.price > 0 for rate in unknown) else chooser.index.money.exact(high),
        lines=Lines(tariff, chooser).of(parts, exact),
        reasons=tuple(_reasons(found, chooser)),
    )


def _causes(parts: Iterable[Part]) -> dict[tuple[str, str], list[Part]]:
    """Return codes and pointers, each with the parts that it concerns."""
    found: dict[tuple[str, str], list[Part]] = {}
    for part in parts:
        for cause in part.causes:
            found.setdefault(cause, []).append(part)
    return found


def _open_types(fees: Fees, index: TariffIndex, dimensions: Sequence[str]) -> list[Rate]:
    """Return the components of an unknown type that may apply at some time."""
    found: list[Rate] = []
    for dimension, rates in index.rates.items():
        if dimension in (*dimensions, FLAT) or not any(rate.price for rate in rates.values()):
            continue
        active = ever_active(fees, dimension)
        found += [rate for element, rate in rates.items() if rate.price and active >> element & 1]
    return found


def _negative_steps(parts: Iterable[Part], chooser: Chooser, readings: Readings) -> Rate | None:
    """Return the first used component with a step_size below 0."""
    if readings.step == "none" and readings.price_unit != "step":
        return None
    negative = {
        dimension: [rate for rate in rates.values() if rate.step < 0]
        for dimension, rates in chooser.index.rates.items()
        if any(rate.step < 0 for rate in rates.values())
    }
    if not negative:
        return None
    for part in parts:
        for rate in negative.get(part.dimension, ()):
            if part.options.elements >> rate.element & 1:
                return rate
    return None


def _component(rate: Rate) -> str:
    return f"/elements/{rate.element}/price_components/{rate.component}"


def _reasons(found: Mapping[tuple[str, str], Sequence[Part]], chooser: Chooser) -> Iterator[Reason]:
    by_code: dict[str, list[str]] = {}
    for code, pointer in found:
        by_code.setdefault(code, []).append(pointer)
    for code, pointers in by_code.items():
        for pointer in pointers[:MAX_PLACES]:
            yield _reason(code, pointer, _concerned(found[code, pointer], chooser))
        if len(pointers) > MAX_PLACES:
            more = len(pointers) - MAX_PLACES
            at = "/charging_periods" if pointers[0].startswith("/charging") else "/elements"
            yield _reason(code, at, f"{more} more {'place' if more == 1 else 'places'} like the ones before.")


def _concerned(parts: Sequence[Part], chooser: Chooser) -> str:
    """Return the dimensions that a reason concerns, with the prices that each may have."""
    named: dict[str, set[Decimal]] = {}
    for part in parts:
        prices = named.setdefault(part.dimension, set())
        prices |= {rate.price for rate in chooser.rates(part.dimension, part.options.elements)}
        if part.options.free:
            prices.add(Decimal(0))
    each = []
    for dimension, prices in named.items():
        listed = [str(text(price)) for price in sorted(prices)]
        # Of many prices, only the lowest and the highest are named.
        each.append(
            f"{dimension} at {' or '.join(listed) if len(listed) <= MAX_PLACES else f'{listed[0]} to {listed[-1]}'}"
        )
    return f"{', '.join(each)}." if each else ""


def _reason(code: str, pointer: str, more: str = "") -> Reason:
    return Reason(code=code, pointer=pointer, message=REASONS[code].sentence + (f" {more}" if more else ""))
