"""What a member of OCPI holds, by its name, and which values of it are harmless.

Rules of this module:
- the table is read from the models. This module adds what annotations do not say (an id that is a number, a code, a
  time that is a text), and the OCPI 2.2 names that are read as those of 2.1.1;
- a name is looked up without the kind of its object, so the result does not depend on it: if a name has several
  meanings, harmless values of each stay.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import Any, Final, TypeAlias

from msgspec import inspect

from ocpi_emsp.check.registry import bare
from ocpi_emsp.codec.readings import time_zones
from ocpi_emsp.models import OBJECTS_AND_ENUMS
from ocpi_emsp.redact.forms import is_number
from ocpi_emsp.scalars import OpenEnum

Place: TypeAlias = frozenset[str]
"""Kinds of value at a place: object, text, number, boolean, time, code, coordinate, party, version, zone; all."""

UNKNOWN: Final[Place] = frozenset()
"""A place that OCPI does not define."""
OBJECT: Final[Place] = frozenset({"object"})
ALL: Final[Place] = frozenset({"all"})
"""A place whose value stays unchanged."""

_OTHERWISE: Final[Mapping[str, str]] = {
    **dict.fromkeys(("period_begin", "period_end", "start_time", "end_time", "start_date", "end_date"), "time"),
    **dict.fromkeys(("country", "country_code", "currency", "language"), "code"),
    **dict.fromkeys(("latitude", "longitude"), "coordinate"),
    "party_id": "party",
    "reservation_id": "text",
    "time_zone": "zone",
    "version": "version",
}
"""Members whose annotation says less than their chapter."""
_OF_OCPI_2_2: Final[Mapping[str, str]] = {
    **dict.fromkeys(("start_date_time", "end_date_time"), "time"),
    **dict.fromkeys(("max_voltage", "max_amperage", "excl_vat", "incl_vat", "vat"), "number"),
    **dict.fromkeys(("cdr_token", "cdr_location", "total_cost"), "object"),
    **dict.fromkeys(("connector_id", "tariff_ids", "contract_id", "parking_type"), "text"),
    **dict.fromkeys(("connector_standard", "connector_format", "connector_power_type"), "text"),
}
_MOMENT: Final = re.compile(
    r"\s*(?:(?:000[01]|[1-9]\d{3})-\d\d-\d\d|\d{4}-\d\d-\d\d[Tt ]\s?[\d:.,]*\s?(?:[Zz]|[+-]\d\d(?::?\d\d)?)?"
    r"|(?:[0-3]?\d([-./])[0-3]?\d\1(?:19|20)?\d\d|(?:19|20)\d\d([-./])[0-3]?\d\2[0-3]?\d)(?: \d\d?:\d\d(?::\d\d)?)?"
    r"|\d{1,2}:\d\d(?::\d\d)?)\s*",
    re.ASCII,
)
"""Dates with and without a time, valid or not, in common orders; not every number with separators."""
_CODE: Final = 3
"""Letters of the longest code."""
_VERSION: Final = re.compile(r"\d(?:\.\d){0,2}(?:-d\d)?", re.ASCII)
_MOST_DEGREES: Final = 1000
_DEGREES: Final = re.compile(r"(\s*[+-]?\d+[.,])(\d+)(\s*)", re.ASCII)


def is_moment(text: str) -> bool:
    """Return True if a text looks like a date or a time, valid or not."""
    return _MOMENT.fullmatch(text) is not None


def place_of(name: str) -> Place:
    """Return what an OCPI member of this name holds; :data:`UNKNOWN` if there is none."""
    return _places().get(name, UNKNOWN)


def stays(text: str, place: Place) -> bool:
    """Return True if a text identifies nothing at this place."""
    return (
        ("time" in place and is_moment(text))
        or ("number" in place and is_number(text))
        or ("boolean" in place and text.strip().lower() in ("true", "false"))
        or ("code" in place and len(text.strip()) <= _CODE)
        or ("version" in place and _VERSION.fullmatch(text) is not None)
        or ("zone" in place and text in time_zones())
    )


def coarse(text: str) -> str | None:
    """Return coordinates without their place within the degree, in the same spelling; None if they are not coordinates.

    Whole degrees stay whole; others stay between the same two, so checks of ranges and countries give the same result.
    A telephone number, for example, gives None.
    """
    found = _DEGREES.fullmatch(text)
    try:
        exact = Decimal(text.strip().replace(",", ".")).quantize(Decimal("1.000000"))
    except InvalidOperation:
        return None
    if not exact.is_finite() or abs(exact) >= _MOST_DEGREES:
        return None
    is_whole = exact == exact.to_integral_value()
    if found is None:
        return text if is_whole else f"{int(exact) if int(exact) else '-0' if exact < 0 else '0'}.5"
    if is_whole:
        return text if not found[2].strip("0") else f"{int(exact)}.{'0' * len(found[2])}"
    return f"{found[1]}{'5'.ljust(len(found[2]), '0')}{found[3]}"


@cache
def _places() -> Mapping[str, Place]:
    found: dict[str, set[str]] = {}
    for kind in OBJECTS_AND_ENUMS.values():
        if not issubclass(kind, OpenEnum):
            for name, what in _members(kind):
                found.setdefault(name, set()).add(_OTHERWISE.get(name, what))
    for name, what in _OF_OCPI_2_2.items():
        found.setdefault(name, set()).add(what)
    return {name: frozenset(whats) for name, whats in found.items()}


def _members(kind: type[Any]) -> Iterator[tuple[str, str]]:
    node = inspect.type_info(kind)
    assert isinstance(node, inspect.DataclassType)
    for field in node.fields:
        form = bare(field.type)
        inner = bare(form.item_type) if isinstance(form, inspect.VarTupleType) else form
        yield field.name, _WHATS.get(type(inner), "text")


_WHATS: Final[Mapping[type[inspect.Type], str]] = {
    inspect.DataclassType: "object",
    inspect.RawType: "object",
    inspect.IntType: "number",
    inspect.DecimalType: "number",
    inspect.BoolType: "boolean",
    inspect.DateTimeType: "time",
}
