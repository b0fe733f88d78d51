"""The fast path for values that already fit their type: nearly all, even in a document that deviates elsewhere.

Rules of this module: readings.py accepts every value accepted here, with the same result and without a finding; a value
that is not accepted here may still have a reading.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeAlias

import msgspec
from msgspec import inspect

from ocpi_emsp.codec.readings import UNREADABLE

Quick: TypeAlias = Callable[[Any], Any]
"""Returns the value of the typed view, or UNREADABLE if the value needs a closer look."""

_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)
_LONGEST = 255
"""Longest text, in characters, that is accepted here if its type has no limit."""


def quick(node: inspect.Type, reading: str | None = None) -> Quick | None:
    """Return the fast check of a node; None for an object, a list, or a text that has readings."""
    match node:
        case inspect.Metadata(type=inner, extra=extra):
            return quick(inner, (extra or {}).get("reading"))
        case inspect.UnionType(types=types):
            return quick(next(each for each in types if not isinstance(each, inspect.NoneType)))
        case inspect.StrType() if reading is None:
            return _text(node)
        case inspect.IntType():
            return _integer(node)
        case inspect.EnumType(cls=enum):
            return _member(enum)
        case inspect.DecimalType():
            return _number
        case inspect.DateTimeType():
            return quick_moment
        case inspect.BoolType():
            return _boolean
    return None


def quick_moment(value: Any) -> Any:
    """Read a timestamp in its usual form."""
    if type(value) is str and len(value) == 20 and _MOMENT.fullmatch(value):
        try:
            return msgspec.convert(value, datetime)
        except msgspec.ValidationError:  # such as 31 February
            return UNREADABLE
    return UNREADABLE


def _text(node: inspect.StrType) -> Quick:
    longest = node.max_length or _LONGEST

    def read(value: Any) -> Any:
        fits = type(value) is str and len(value) <= longest and value.isascii() and value.isprintable()
        return value if fits and not value.isspace() and value else UNREADABLE

    return read


def _member(enum: Any) -> Quick:
    listed = dict(enum._value2member_map_)

    def read(value: Any) -> Any:
        return listed.get(value, UNREADABLE) if type(value) is str else UNREADABLE

    return read


def _integer(node: inspect.IntType) -> Quick:
    least, most = node.ge or 0, node.le

    def read(value: Any) -> Any:
        return value if type(value) is int and value >= least and (most is None or value <= most) else UNREADABLE

    return read


def _number(value: Any) -> Any:
    if type(value) is Decimal and value.is_finite():
        return value
    return Decimal(value) if type(value) is int else UNREADABLE


def _boolean(value: Any) -> Any:
    return value if type(value) is bool else UNREADABLE
