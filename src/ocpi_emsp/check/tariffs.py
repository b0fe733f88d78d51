"""mod_tariffs.md: Tariff, its elements, price components and restrictions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from itertools import chain

from ocpi_emsp.check.examples import broken, broken_at
from ocpi_emsp.check.registry import NOTE, Chapter, Hit, negative, repeated
from ocpi_emsp.codec.readings import shown
from ocpi_emsp.models import PriceComponent, Tariff, TariffDimensionType, TariffElement, TariffRestrictions

TARIFFS = Chapter("Tariffs", "mod_tariffs.md")


_LIMITS = (("min_kwh", "max_kwh"), ("min_power", "max_power"), ("min_duration", "max_duration"))
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_NO_RESTRICTIONS = TariffRestrictions()
_SUNDAY = {
    "price_components": [{"type": "ENERGY", "price": Decimal("0.2"), "step_size": 1}],
    "restrictions": {"day_of_week": ["SUNDAY"]},
}
_DEFAULT = {"price_components": [{"type": "ENERGY", "price": Decimal("0.3"), "step_size": 1}]}
_FREE = [{"price_components": [{"type": "ENERGY", "price": 0, "step_size": 1}]}]


def _unrestricted(element: TariffElement) -> bool:
    """Return True if the element always applies; unknown restrictions (UnreadRestrictions) do not count here."""
    return element.restrictions in (None, _NO_RESTRICTIONS)


@TARIFFS.rule(
    "tariff.elements.hidden",
    "An element without restrictions precedes others of the same dimension, which therefore never apply.",
    broken_at(Tariff, "/elements/0/restrictions", ...),
)
def elements_hidden(tariff: Tariff) -> Iterator[Hit]:
    always: dict[str, int] = {}
    for index, element in enumerate(tariff.elements):
        for place, component in enumerate(element.price_components):
            first = always.get(component.type, index)
            if first < index:
                message = f"the unrestricted element {first} already has a price for {shown(str(component.type))}"
                yield ("elements", index, "price_components", place), message
        if _unrestricted(element):
            for component in element.price_components:
                always.setdefault(component.type, index)


@TARIFFS.rule(
    "tariff.elements.default",
    "The last element has restrictions, so there is no default price when no element matches.",
    broken_at(Tariff, "/elements/1/restrictions", {"day_of_week": ["SUNDAY"]}),
    severity=NOTE,
)
def elements_default(tariff: Tariff) -> Iterator[Hit]:
    if tariff.elements and not _unrestricted(tariff.elements[-1]):
        yield (
            ("elements", len(tariff.elements) - 1, "restrictions"),
            "the last element has restrictions, so there is no default price",
        )


@TARIFFS.rule(
    "tariff.elements.repeated",
    "Two elements of a tariff are the same.",
    broken(Tariff, elements=[_SUNDAY, _SUNDAY, _DEFAULT]),
    severity=NOTE,
)
def elements_repeated(tariff: Tariff) -> Iterator[Hit]:
    # Unknown restrictions are skipped: only their names are read, so two equal elements may differ in their values.
    for index in repeated(element if element.usable else None for element in tariff.elements):
        yield ("elements", index), "an earlier element is the same"


@TARIFFS.rule(
    "tariff.components.repeated",
    "Two price components of a tariff element have the same type, so it is unclear which one is its price.",
    broken_at(TariffElement, "/price_components/1", {"type": "ENERGY", "price": Decimal("0.3"), "step_size": 1}),
    severity=NOTE,
)
def components_repeated(element: TariffElement) -> Iterator[Hit]:
    for index in repeated(component.type for component in element.price_components):
        kind = shown(str(element.price_components[index].type))
        yield ("price_components", index, "type"), f"an earlier component already has a price for {kind}"


@TARIFFS.rule(
    "tariff.free_of_charge",
    "Every price is zero but no component is FLAT: a free tariff is one FLAT component with price 0.",
    broken(Tariff, elements=_FREE),
)
def free_of_charge(tariff: Tariff) -> Iterator[Hit]:
    components = [component for element in tariff.elements for component in element.price_components]
    if components and not any(
        component.price or component.type == TariffDimensionType.FLAT for component in components
    ):
        yield ("elements",), "every price is zero, but no component is FLAT"


@TARIFFS.rule("price.negative", "The price of a component is negative.", broken(PriceComponent, price=Decimal("-0.25")))
def price_negative(component: PriceComponent) -> Iterator[Hit]:
    if component.price < 0:
        yield ("price",), f"the price {shown(component.price)} is negative"


@TARIFFS.rule(
    "price.step_size.negative", "The step_size of a component is negative.", broken(PriceComponent, step_size=-1)
)
def step_size_negative(component: PriceComponent) -> Iterator[Hit]:
    if component.step_size < 0:
        yield ("step_size",), f"the step_size {shown(component.step_size)} is negative"


@TARIFFS.rule(
    "price.step_size.zero",
    "A step_size is zero; read as no rounding (a FLAT price has no steps).",
    broken(PriceComponent, step_size=0),
    severity=NOTE,
)
def step_size_zero(component: PriceComponent) -> Iterator[Hit]:
    if component.step_size == 0 and component.type != TariffDimensionType.FLAT:
        yield ("step_size",), "the step_size is 0; read as no rounding"


@TARIFFS.rule(
    "restrictions.never",
    "A minimum is not below its maximum, so the element never applies.",
    broken(TariffRestrictions, min_kwh=50),
)
def restrictions_never(restrictions: TariffRestrictions) -> Iterator[Hit]:
    for lower, upper in _LIMITS:
        least, most = getattr(restrictions, lower), getattr(restrictions, upper)
        if most is not None and (least or 0) >= most:
            yield (upper,), f"{lower} {shown(least or 0)} is not below {upper} {shown(most)}"


@TARIFFS.rule(
    "restrictions.negative",
    "A minimum or maximum of energy, power or duration is negative.",
    broken(TariffRestrictions, min_kwh=-1),
)
def restrictions_negative(restrictions: TariffRestrictions) -> Iterator[Hit]:
    yield from negative(restrictions, chain.from_iterable(_LIMITS))


@TARIFFS.rule(
    "restrictions.times.equal",
    "start_time and end_time are equal, so the element never applies.",
    broken(TariffRestrictions, end_time="09:00"),
)
def times_equal(restrictions: TariffRestrictions) -> Iterator[Hit]:
    if restrictions.start_time is not None and restrictions.start_time == restrictions.end_time:
        yield ("end_time",), f"start_time and end_time are both {restrictions.end_time}"


@TARIFFS.rule(
    "restrictions.date.form",
    "A date is not written as YYYY-MM-DD.",
    broken(TariffRestrictions, start_date="01-01-2015"),
)
def date_form(restrictions: TariffRestrictions) -> Iterator[Hit]:
    for name, text in (("start_date", restrictions.start_date), ("end_date", restrictions.end_date)):
        if text is not None and len(text) <= 10 and _date(text) is None:
            yield (name,), f"{shown(text)} is not a date: expected YYYY-MM-DD, for example 2024-05-01"


@TARIFFS.rule(
    "restrictions.dates.order",
    "end_date (exclusive) is not after start_date, so the element never applies.",
    broken(TariffRestrictions, end_date="2015-01-01"),
)
def dates_order(restrictions: TariffRestrictions) -> Iterator[Hit]:
    start, end = _date(restrictions.start_date), _date(restrictions.end_date)
    if start is not None and end is not None and start >= end:
        yield ("end_date",), f"end_date {end} is not later than start_date {start}"


def _date(text: str | None) -> date | None:
    try:
        return date.fromisoformat(text) if text and _DATE.fullmatch(text) else None
    except ValueError:
        return None
