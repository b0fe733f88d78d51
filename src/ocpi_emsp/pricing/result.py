"""What an audit and a quote return: plain data.

Rules of this module:
- amounts are exact decimals, before any rounding; the costs of the lines add up to ``expected``;
- volumes are Wh and seconds, as ``unit`` says; prices are per kWh and per hour, as in the tariff;
- an amount that is only known between bounds has ``low`` and ``high``; None is no bound.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any, TypeAlias

from attrs import Attribute, field, fields, frozen

from ocpi_emsp.pricing.exact import absurd
from ocpi_emsp.pricing.readings import Readings
from ocpi_emsp.scalars import aware, given

_LONGEST = 400
"""Digits before or after the point of a number that is written without an exponent."""


class Verdict(StrEnum):
    """Whether the total of a CDR follows from its tariff."""

    RIGHT = "right"
    WRONG = "wrong"
    UNDECIDABLE = "undecidable"


@frozen(kw_only=True)
class Reason:
    """Why an audit has its verdict, or what is suspicious: a code of :data:`ocpi_emsp.pricing.REASONS`, a pointer, and
    a sentence.
    """

    code: str
    pointer: str
    """RFC 6901 pointer into the CDR; empty for the whole document."""
    message: str

    def as_json(self) -> dict[str, str]:
        """Return the reason as a JSON object."""
        return {"code": self.code, "pointer": self.pointer, "message": self.message}


@frozen(kw_only=True)
class Explanation:
    """A change that would make a wrong total right."""

    code: str
    """The kind of change: ``reading``, ``vat``, ``cents``, ``wh``, ``price_per_step``, ``rounded_down``, ..."""
    message: str
    settings: Mapping[str, str] = field(factory=dict)
    """The readings that would make the total right, for ``Readings.changed``; empty if none would."""

    def as_json(self) -> dict[str, Any]:
        """Return the explanation as a JSON object."""
        return {"code": self.code, "message": self.message, "settings": dict(self.settings)}


@frozen(kw_only=True)
class Line:
    """One line of a bill: a volume under one price component, or under none."""

    dimension: str
    """ENERGY, TIME, PARKING_TIME, FLAT, or a partner's own type; VAT if the readings add it."""
    period: int | None
    """The index of the charging period in the CDR as received; None for the session as a whole."""
    start: datetime
    end: datetime
    measured: Decimal
    billed: Decimal
    """The billed volume, after ``step_size``; equal to ``measured`` if nothing was added."""
    unit: str
    """``Wh``, ``s``, ``%`` for VAT, or empty for FLAT."""
    price: Decimal | None
    """Price per kWh, per hour or per fee; None if no element has a price, or it is unknown which one applies."""
    step_size: int | None
    cost: Decimal | None
    """The cost; None if only bounds are known."""
    low: Decimal | None
    high: Decimal | None
    tariff_id: str | None
    element: int | None
    """The index of the tariff element; None if none applies, or it is unknown which one."""
    component: int | None
    """The index of its price component."""
    why: str
    """Why this element applies, or that none matches, in a sentence."""

    def as_json(self) -> dict[str, Any]:
        """Return the line as a JSON object: amounts and volumes as text, times in UTC."""
        return {
            "dimension": self.dimension,
            "period": self.period,
            "from": _utc(self.start),
            "to": _utc(self.end),
            "measured": text(self.measured),
            "billed": text(self.billed),
            "unit": self.unit,
            "price": text(self.price),
            "step_size": self.step_size,
            "cost": text(self.cost),
            "low": text(self.low),
            "high": text(self.high),
            "tariff_id": self.tariff_id,
            "element": self.element,
            "component": self.component,
            "why": self.why,
        }


Explained: TypeAlias = tuple[Explanation, ...] | Callable[[], tuple[Explanation, ...]]
"""Explanations, or a function that returns them."""


def _again(members: dict[str, Any]) -> Audit:
    return Audit(**members)


@frozen(kw_only=True)
class Audit:
    """The audit of a CDR: whether its total follows from its tariff, and how it is made up."""

    cdr: str
    verdict: Verdict
    claimed: Decimal
    expected: Decimal | None
    """The expected amount; None if only bounds are known."""
    low: Decimal | None
    high: Decimal | None
    difference: Decimal | None
    """Claimed minus expected, or minus the exceeded bound; None if undecidable."""
    at_least: bool = False
    """True if the difference is to a bound: it is at least that much."""
    currency: str
    lines: tuple[Line, ...] = ()
    reasons: tuple[Reason, ...] = ()
    assumptions: tuple[str, ...] = ()
    _explained: Explained = field(default=(), alias="explanations", eq=False, repr=False)
    readings: Readings

    @property
    def explanations(self) -> tuple[Explanation, ...]:
        """What would make a wrong total right. Computed on first access: it takes further audits."""
        if callable(self._explained):
            object.__setattr__(self, "_explained", self._explained())
        found: Any = self._explained
        return tuple(found)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy with the explanations, not with the function that finds them."""
        members = {each.alias: getattr(self, each.name) for each in fields(type(self)) if each.name != "_explained"}
        return _again, (members | {"explanations": self.explanations},)

    def as_json(self) -> dict[str, Any]:
        """Return the audit as a JSON object: amounts as exact decimal text."""
        return {
            "cdr": self.cdr,
            "verdict": self.verdict.value,
            "claimed": text(self.claimed),
            "expected": text(self.expected),
            "low": text(self.low),
            "high": text(self.high),
            "difference": text(self.difference),
            "at_least": self.at_least,
            "currency": self.currency,
            "lines": [each.as_json() for each in self.lines],
            "reasons": [each.as_json() for each in self.reasons],
            "assumptions": list(self.assumptions),
            "explanations": [each.as_json() for each in self.explanations],
            "readings": self.readings.as_json(),
        }


def _decimal(value: object) -> object:
    """Return a number as a Decimal; a float as its shortest decimal."""
    if isinstance(value, int | float | str) and not isinstance(value, bool):
        try:
            return Decimal(str(value))
        except InvalidOperation:
            return value
    return value


_FIRST_YEAR, _LAST_YEAR = 1970, 9990
_LONGEST_PLAN = timedelta(days=366)
_MOST = 10**9
"""The largest kWh and kW of a plan."""


@frozen(kw_only=True)
class Plan:
    """A planned charge: ``charging`` with ``energy_kwh``, then ``parking``. Raises ValueError for invalid values."""

    start: datetime = field()
    energy_kwh: Decimal = field(converter=_decimal)
    charging: timedelta = field()
    parking: timedelta = field(default=timedelta())
    power_kw: Decimal | None = field(default=None, converter=_decimal)
    """The power while charging; None for the mean of energy and time."""

    @start.validator
    def _aware(self, _: object, value: datetime) -> None:
        if not _FIRST_YEAR <= aware(value, "start").year <= _LAST_YEAR:
            raise ValueError(f"invalid start '{value}': expected a year from {_FIRST_YEAR} to {_LAST_YEAR}")

    @energy_kwh.validator
    @power_kw.validator
    def _not_negative(self, attribute: Attribute[Any], value: object) -> None:
        if value is None and attribute.name == "power_kw":
            return
        if not isinstance(value, Decimal) or absurd(value) or not 0 <= value < _MOST:
            raise ValueError(
                f"invalid {attribute.name} '{given(value)}': expected a number of 0 or more, for example 20.5"
            )

    @charging.validator
    @parking.validator
    def _no_less(self, attribute: Attribute[Any], value: object) -> None:
        if not isinstance(value, timedelta) or not timedelta() <= value <= _LONGEST_PLAN:
            raise ValueError(
                f"invalid {attribute.name} '{given(value)}': expected a time of 0 to 366 days, "
                "for example timedelta(minutes=30)"
            )


@frozen(kw_only=True)
class Quote:
    """What a plan would cost, before a driver starts."""

    total: Decimal | None
    """The total; None if only bounds are known."""
    low: Decimal | None
    high: Decimal | None
    currency: str
    tariff_id: str
    lines: tuple[Line, ...] = ()
    reasons: tuple[Reason, ...] = ()
    assumptions: tuple[str, ...] = ()
    readings: Readings

    def as_json(self) -> dict[str, Any]:
        """Return the quote as a JSON object: amounts as exact decimal text."""
        return {
            "total": text(self.total),
            "low": text(self.low),
            "high": text(self.high),
            "currency": self.currency,
            "tariff_id": self.tariff_id,
            "lines": [each.as_json() for each in self.lines],
            "reasons": [each.as_json() for each in self.reasons],
            "assumptions": list(self.assumptions),
            "readings": self.readings.as_json(),
        }


def text(number: Decimal | None) -> str | None:
    """Return the plain decimal text of an exact number, without trailing zeros; with an exponent if it has hundreds of
    digits.
    """
    if number is None:
        return None
    if not number or not -_LONGEST < number.adjusted() < _LONGEST:
        return str(number) if number else "0"  # it would have millions of digits otherwise
    plain = f"{number:f}"
    return plain.rstrip("0").rstrip(".") if "." in plain else plain


def _utc(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
