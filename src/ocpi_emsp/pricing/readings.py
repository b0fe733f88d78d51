"""How OCPI 2.1.1 is read where it is silent about prices: one setting for each question, as data, per party.

Rules of this module (docs/spec-choices.md has a row for each reading, with its reason):
- the first value of each setting is its default;
- where a later specification (2.2.1, 2.3.0) answers the question, the default follows it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation
from types import MappingProxyType
from typing import Any, Final, Self

from attrs import Attribute, asdict, evolve, field, fields, frozen

from ocpi_emsp.scalars import given

CHOICES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "element": ("per_dimension", "first_element"),
        "step": (
            "session_last",
            "session_last_sequence",
            "time_total",
            "per_dimension",
            "per_component",
            "per_price",
            "per_period",
            "none",
        ),
        "step_volume": ("priced", "all"),
        "duration": ("session", "dimension"),
        "boundary": ("bounds", "period_start", "proportional"),
        "power": ("current", "mean", "ampere", "ignore"),
        "flat": ("session", "each_component", "each_period", "dimension"),
        "upper": ("exclusive", "inclusive"),
        "wrap_day": ("moment", "window_start"),
        "dates": ("daily", "span"),
        "equal_times": ("never", "whole_day"),
        "missing": ("undecidable", "explicit", "derive"),
        "tariffs": ("connector", "first"),
        "rounding": ("common", "exact", "half_up", "half_even", "up", "down", "per_line", "per_price"),
        "price_unit": ("unit", "step"),
        "credit": ("negative_total", "negative_volumes", "off"),
        "session_time": ("off", "on"),
    }
)
"""Each setting that is a choice, with its values, the default first."""


def _chosen(_: Readings, attribute: Attribute[str], value: object) -> None:
    values = CHOICES[attribute.name]
    if value not in values:
        from difflib import get_close_matches

        closest = get_close_matches(given(value), values, n=1, cutoff=0)[0]
        raise ValueError(
            f"invalid reading {attribute.name} '{given(value)}': expected one of {', '.join(values)}, "
            f"for example {closest}"
        )


def _choice(name: str) -> Any:
    return field(default=CHOICES[name][0], validator=_chosen)


def _number(value: object) -> object:
    """Return a number given as text, int, float (its shortest decimal) or Decimal; anything else unchanged, to be
    rejected.
    """
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        try:
            return Decimal(str(value) if isinstance(value, float) else value)
        except InvalidOperation:
            return value
    return value


_MOST = Decimal(10) ** 60
"""Largest amount or rate; a number with an exponent of millions would be expanded to as many digits."""


def _is_usable(number: Decimal) -> bool:
    if not number.is_finite() or not 0 <= number <= _MOST:
        return False
    return len(number.as_tuple().digits) <= 100 and (not number or number.adjusted() >= -60)


def _not_negative(_: Readings, attribute: Attribute[Any], value: object) -> None:
    if value is None and attribute.default is None:
        return
    if not isinstance(value, Decimal) or not _is_usable(value):
        raise ValueError(
            f"invalid reading {attribute.name} '{given(value)}': expected a number of 0 or more, for example 0.01"
        )


@frozen(kw_only=True)
class Readings:
    """The readings under which a CDR is audited or a price quoted. Raises ValueError that names the setting.

    ``tolerance`` is the amount by which a total may differ; ``vat`` the rate in percent that the party includes in its
    totals, None for none.
    """

    element: str = _choice("element")
    step: str = _choice("step")
    step_volume: str = _choice("step_volume")
    duration: str = _choice("duration")
    boundary: str = _choice("boundary")
    power: str = _choice("power")
    flat: str = _choice("flat")
    upper: str = _choice("upper")
    wrap_day: str = _choice("wrap_day")
    dates: str = _choice("dates")
    equal_times: str = _choice("equal_times")
    missing: str = _choice("missing")
    tariffs: str = _choice("tariffs")
    rounding: str = _choice("rounding")
    tolerance: Decimal = field(default=Decimal(0), converter=_number, validator=_not_negative)
    vat: Decimal | None = field(default=None, converter=_number, validator=_not_negative)
    price_unit: str = _choice("price_unit")
    credit: str = _choice("credit")
    session_time: str = _choice("session_time")

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Self:
        """Return the default readings with these settings changed. Raises ValueError for an unknown name."""
        return cls().changed(**settings)

    def changed(self, /, **settings: Any) -> Self:
        """Return these readings with some settings changed. Raises ValueError."""
        for name in settings:
            if name not in NAMES:
                from difflib import get_close_matches

                closest = get_close_matches(name, NAMES, n=len(NAMES), cutoff=0)
                raise ValueError(
                    f"invalid reading '{name}': expected one of {', '.join(closest)}, for example {closest[0]}"
                )
        return evolve(self, **settings)

    def as_json(self) -> dict[str, str | None]:
        """Return every setting by name, numbers as text."""
        return {name: None if value is None else str(value) for name, value in asdict(self).items()}

    def differing(self) -> dict[str, str]:
        """Return the settings that are not at their default, by name."""
        mine, usual = self.as_json(), Readings().as_json()
        return {name: value for name, value in mine.items() if value is not None and value != usual[name]}


NAMES: Final[tuple[str, ...]] = tuple(each.name for each in fields(Readings))


def others(readings: Readings) -> Iterator[Readings]:
    """Yield these readings with one choice changed, for each possible change."""
    for name, values in CHOICES.items():
        for value in values:
            if value != getattr(readings, name):
                yield readings.changed(**{name: value})
