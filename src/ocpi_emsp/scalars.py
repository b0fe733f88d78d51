"""The wire's scalar types: each constraint is stated once, here or in the annotation of the field that uses it.

Rules of this module (types.md and the tables of each chapter):
- ``StringN`` is ``string(N)``; non-ASCII text is accepted and reported as a note, so it is not a constraint of the
  type;
- ``DateTime`` is an aware ``datetime``; ``Number`` is an exact ``Decimal``, never a float;
- enums are open: a value that the specification does not list retains its text (see :class:`OpenEnum`);
- ``extra={"reading": ...}`` names the reading that the diagnosing lane tries on a value that breaks the constraint.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Self, TypeAlias

from attrs import Attribute, Converter
from msgspec import Meta

String2: TypeAlias = Annotated[str, Meta(max_length=2)]
String3: TypeAlias = Annotated[str, Meta(max_length=3)]
String4: TypeAlias = Annotated[str, Meta(max_length=4)]
String10: TypeAlias = Annotated[str, Meta(max_length=10)]
String16: TypeAlias = Annotated[str, Meta(max_length=16)]
String36: TypeAlias = Annotated[str, Meta(max_length=36)]
String39: TypeAlias = Annotated[str, Meta(max_length=39)]
String45: TypeAlias = Annotated[str, Meta(max_length=45)]
String48: TypeAlias = Annotated[str, Meta(max_length=48)]
String64: TypeAlias = Annotated[str, Meta(max_length=64)]
Secret64: TypeAlias = Annotated[str, Meta(max_length=64, extra={"reading": "secret"})]
"""``string(64)`` that no finding quotes."""
String100: TypeAlias = Annotated[str, Meta(max_length=100)]
String255: TypeAlias = Annotated[str, Meta(max_length=255)]
String512: TypeAlias = Annotated[str, Meta(max_length=512)]

CiString36: TypeAlias = Annotated[str, Meta(max_length=36, extra={"case_insensitive": True})]
"""Compared case-insensitively (types.md 1.1)."""

Url: TypeAlias = Annotated[str, Meta(max_length=255)]
"""string(255) (types.md 1.6)."""

CountryAlpha3: TypeAlias = Annotated[str, Meta(min_length=3, max_length=3, extra={"reading": "country"})]
"""ISO 3166-1 alpha-3 (mod_locations.md 3.1)."""

Latitude: TypeAlias = Annotated[
    str, Meta(max_length=10, pattern=r"^-?[0-9]{1,2}\.[0-9]{6}\Z", extra={"reading": "coordinate"})
]
Longitude: TypeAlias = Annotated[
    str, Meta(max_length=11, pattern=r"^-?[0-9]{1,3}\.[0-9]{6}\Z", extra={"reading": "coordinate"})
]
"""Decimal degrees with six decimals, as text (mod_locations.md 4.12)."""

TimeOfDay: TypeAlias = Annotated[
    str, Meta(max_length=5, pattern=r"^([0-1][0-9]|2[0-3]):[0-5][0-9]\Z", extra={"reading": "time_of_day"})
]
"""Hours and minutes with leading zeros, 24 h (mod_locations.md 4.19, mod_tariffs.md 4.5)."""

Weekday: TypeAlias = Annotated[int, Meta(ge=1, le=7)]
"""Monday is 1, Sunday is 7 (mod_locations.md 4.19)."""

Pixels: TypeAlias = Annotated[int, Meta(ge=0, le=99999)]
"""int(5) (mod_locations.md 4.14)."""

DateTime: TypeAlias = Annotated[datetime, Meta(tz=True)]
"""An aware UTC timestamp; written as ``YYYY-MM-DDTHH:MM:SSZ`` (types.md 1.2)."""


def aware(moment: object, name: str) -> datetime:
    """Return the time if it has a zone. Raises ValueError if it has none."""
    if isinstance(moment, datetime) and moment.utcoffset() is not None:
        return moment
    raise ValueError(f"invalid {name} '{given(moment)}': expected a time with a zone, for example datetime.now(UTC)")


def aware_times(_: type[Any], fields: list[Attribute[Any]]) -> list[Attribute[Any]]:
    """Reject a naive time in every DateTime field of a class, as its ``field_transformer``.

    By converters: msgspec itself rejects such a time, and would also run validators of attrs, which would slow it down.
    """
    return [each.evolve(converter=_AWARE) if "DateTime" in str(each.type) else each for each in fields]


def _aware(moment: DateTime | None, field: Attribute[Any]) -> datetime | None:
    return None if moment is None is field.default else aware(moment, field.name)


_AWARE: Any = Converter(_aware, takes_field=True)


def given(value: object) -> str:
    """Return a caller's argument for a message: a text, number or time unchanged, anything else by a name."""
    if value is None or isinstance(value, str | int | float | Decimal | date | timedelta):
        return str(value)
    return str(getattr(value, "__qualname__", type(value).__name__))


Number: TypeAlias = Decimal
"""A JSON number, exact (types.md 1.4)."""


class OpenEnum(StrEnum):
    """An enum of the specification that retains values which the specification does not list.

    ``Status("CHARGING")`` is strict and raises ValueError for an unlisted text; :meth:`of` never raises: an unlisted
    text returns a member of the same class whose ``value`` is that text and whose :attr:`known` is False.
    """

    @classmethod
    def of(cls, text: str) -> Self:
        """Return the listed member with this value, or an unlisted member with the text."""
        listed = cls._value2member_map_.get(text)
        if isinstance(listed, cls):
            return listed
        member = str.__new__(cls, text)
        member._name_ = text
        member._value_ = text
        return member

    @property
    def known(self) -> bool:
        """True if the specification lists this value."""
        return self._value_ in type(self)._value2member_map_

    def __reduce_ex__(self, proto: Any) -> tuple[Any, ...]:
        return type(self).of, (self._value_,)
