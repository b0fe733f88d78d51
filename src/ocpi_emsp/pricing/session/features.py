"""What a tariff contains, examined once: which questions of a reading can matter for it.

Rules of this module: it describes the content of the tariff, not whether it applies.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from attrs import define

from ocpi_emsp.models import PriceComponent, Tariff, TariffElement, TariffRestrictions
from ocpi_emsp.pricing.exact import absurd

_NUMBERS = ("min_kwh", "max_kwh", "min_power", "max_power", "min_duration", "max_duration")


@define(kw_only=True)
class Features:
    """The kinds of prices and restrictions of a tariff."""

    elements: int = 0
    priced: frozenset[str] = frozenset()
    """The types with a price other than 0."""
    has_mixed_types: bool = False
    """True if one element has prices for dimensions that another lacks."""
    flats: int = 0
    """Number of FLAT components."""
    has_steps: bool = False
    """True if a ``step_size`` rounds: one Wh or second does not."""
    has_clock: bool = False
    has_kwh: bool = False
    has_power: bool = False
    has_duration: bool = False
    has_wrap: bool = False
    """True for a window past midnight with days of the week."""
    has_span: bool = False
    """True for a date and a time on one side."""
    has_equal_times: bool = False
    has_maximum: bool = False
    """True for a maximum of energy, power or duration."""
    absurd_at: str | None = None
    """Place below the tariff of the first number that is too large or small to calculate with."""

    @property
    def has_restrictions(self) -> bool:
        """Return True if one part of a session may have another price than the next."""
        return self.has_clock or self.has_kwh or self.has_power or self.has_duration


def features(tariff: Tariff) -> Features:
    """Return what a tariff contains."""
    found = Features(elements=len(tariff.elements))
    priced, types = set[str](), set[frozenset[str]]()
    for index, element in enumerate(tariff.elements):
        for component in element.price_components:
            _take_component(found, component, priced)
        types.add(frozenset(each.type.value for each in element.price_components))
        if element.restrictions is not None:
            _take_restrictions(found, element.restrictions)
        if found.absurd_at is None:
            found.absurd_at = next(_absurd(element, index), None)
    found.priced = frozenset(priced)
    found.has_mixed_types = len(types) > 1
    return found


def _take_component(found: Features, component: PriceComponent, priced: set[str]) -> None:
    kind = component.type.value
    if component.price:
        priced.add(kind)
    if kind == "FLAT":
        found.flats += 1
    elif component.step_size > 1 or (component.step_size == 1 and kind == "ENERGY"):
        found.has_steps = True


def _take_restrictions(found: Features, given: TariffRestrictions) -> None:
    times, dates = (given.start_time, given.end_time), (given.start_date, given.end_date)
    found.has_clock |= any(times) or any(dates) or bool(given.day_of_week)
    found.has_kwh |= _any(given.min_kwh, given.max_kwh)
    found.has_power |= _any(given.min_power, given.max_power)
    found.has_duration |= _any(given.min_duration, given.max_duration)
    found.has_maximum |= _any(given.max_kwh, given.max_power, given.max_duration)
    start, end = times
    if start and end:
        found.has_equal_times |= start == end
        found.has_wrap |= start > end and bool(given.day_of_week)
    found.has_span |= any(time and date for time, date in zip(times, dates, strict=True))


def _any(*numbers: object) -> bool:
    return any(each is not None for each in numbers)


def _absurd(element: TariffElement, index: int) -> Iterator[str]:
    for place, component in enumerate(element.price_components):
        if absurd(component.price):
            yield f"/elements/{index}/price_components/{place}/price"
        if absurd(component.step_size):
            yield f"/elements/{index}/price_components/{place}/step_size"
    if element.restrictions is not None:
        for name in _NUMBERS:
            number = getattr(element.restrictions, name)
            if number is not None and absurd(number):
                yield f"/elements/{index}/restrictions/{name}"


def ids(tariffs: Iterable[Tariff]) -> str:
    """Return the ids of some tariffs for a sentence; only the first ones if there are many."""
    names = list(dict.fromkeys(each.id for each in tariffs))
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
