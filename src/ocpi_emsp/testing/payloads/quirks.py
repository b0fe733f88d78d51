"""Deviations that partners really send: each quirk of docs/spec-choices.md within a document, as changes of a valid
one.

Rules of this module:
- the tolerant policy accepts a quirk, since it has one obvious reading; exactly the rules that it names report it, at
  exactly those places, beside notes at most;
- so a quirk is only applied where its reading changes nothing that other fields depend on: an offset is added to a
  timestamp without changing the moment, an unlisted value only where no rule examines the value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

from msgspec import inspect

from ocpi_emsp import models
from ocpi_emsp.check.registry import bare
from ocpi_emsp.testing.payloads.mutations import Mutation, Path
from ocpi_emsp.testing.strategies.places import PLACES
from ocpi_emsp.testing.strategies.scalars import NAMED, SPECIAL, identifiers
from ocpi_emsp.testing.strategies.schema import reading, schema

QUIRKS: tuple[int, ...] = (2, 3, 11, 12, 14, 16, 20)
"""The rows about documents; the others are about a request, a list, a PATCH or a command."""


def quirks(kind: type[Any], document: Any) -> list[Mutation]:
    """Return every quirk that this valid document of a ``kind`` can have."""
    return list(_of_object(kind, document, ())) if isinstance(document, dict) else []


def _quirk(row: int, name: str, path: Path, value: Any, rules: str = "", *at: Path) -> Mutation:
    return Mutation(name, path, value, frozenset(rules.split()), quirk=row, reported_at=at or None)


def _of_object(kind: type[Any], document: dict[str, Any], path: Path) -> Iterator[Mutation]:
    rule = "restrictions.unknown" if kind is models.TariffRestrictions else "field.unknown"
    yield _quirk(16, "vendor field", (*path, "x_vendor"), {"colour": "green"}, rule)
    yield from _OBJECTS.get(kind, _nothing)(document, path)
    for name, field in schema(kind).items():
        if name in document:
            yield from _of_value(field.type, document[name], (*path, name), name)


def _nothing(_document: dict[str, Any], _path: Path) -> Iterator[Mutation]:
    yield from ()


def _of_value(node: inspect.Type, value: Any, path: Path, name: str) -> Iterator[Mutation]:
    match inner := bare(node):
        case inspect.DataclassType(cls=cls):
            yield from _of_object(cls, value, path)
        case inspect.VarTupleType(item_type=item):
            for index, one in enumerate(value):
                yield from _of_value(item, one, (*path, index), name)
        case inspect.StrType():
            yield from _strings(inner, value, path, name, reading(node))
        case inspect.DateTimeType():
            yield from _datetimes(value, path)
        case inspect.EnumType():
            yield from _enums(inner, value, path)
        case inspect.BoolType():
            yield _quirk(14, "boolean as string", path, str(value).lower(), "boolean.string")
        case inspect.IntType():
            yield _quirk(14, "integer as string", path, str(value), "integer.string")
            yield _quirk(14, "integer with a fraction", path, Decimal(f"{value}.0"), "integer.fraction")
        case inspect.DecimalType():
            yield _quirk(14, "number as string", path, f"{Decimal(value):f}", "number.string")


def _strings(node: inspect.StrType, value: str, path: Path, name: str, meaning: str | None) -> Iterator[Mutation]:
    if meaning == "country":
        alpha2 = next((place.country_code for place in PLACES if place.country == value), None)
        if alpha2:
            yield _quirk(11, "alpha-2 country", path, alpha2, "location.country.alpha2")
    if node.pattern or name in SPECIAL:
        return
    if value.isdigit() and str(int(value)) == value:
        yield _quirk(14, "number for a string", path, int(value), "string.number")
    if node.max_length is not None and name != "type":
        longer = (value + "0" * node.max_length)[: node.max_length + 1]
        yield _quirk(20, f"{len(longer)} characters", path, longer, "string.length")
    if node.max_length is not None and node.max_length >= 9 and NAMED.get(name) is not identifiers:
        yield _quirk(20, "non-ASCII text", path, "Überlingen"[: node.max_length], "string.not_ascii")


def _datetimes(value: str, path: Path) -> Iterator[Mutation]:
    bare = value.removesuffix("Z")
    later = (datetime.fromisoformat(bare) + timedelta(hours=2)).isoformat()
    yield _quirk(2, "no zone", path, bare, "datetime.zone")
    yield _quirk(2, "offset", path, f"{later}+02:00", "datetime.offset")
    yield _quirk(2, "offset of zero", path, f"{bare}+00:00", "datetime.offset")
    yield _quirk(2, "fraction", path, f"{bare}.000Z")
    yield _quirk(2, "fraction without zone", path, f"{bare}.000000", "datetime.zone")
    yield _quirk(2, "space for T", path, value.replace("T", " "), "datetime.form")


_OPEN = (
    models.AuthMethod,
    models.Capability,
    models.ConnectorType,
    models.Facility,
    models.ImageCategory,
    models.LocationType,
    models.ParkingRestriction,
)
"""Enums whose values no semantic rule compares."""


def _enums(node: inspect.EnumType, value: str, path: Path) -> Iterator[Mutation]:
    if node.cls in _OPEN:
        yield _quirk(16, "vendor value", path, "VENDOR_VALUE", "enum.unknown")
    if value.swapcase() != value:
        yield _quirk(16, "another case", path, value.swapcase(), "enum.case")


# --- objects whose quirks affect more than one of their members -----------------------------------------------------


def _coordinates(document: dict[str, Any], path: Path) -> Iterator[Mutation]:
    spellings: list[tuple[str, Callable[[str], Any]]] = [
        ("coordinates as numbers", Decimal),
        ("coordinates with five decimals", lambda text: text[:-1]),
        ("coordinates with fifteen decimals", lambda text: text + "000000001"),
        ("coordinates with a comma", lambda text: text.replace(".", ",")),
    ]
    both = ("latitude", "longitude")
    for name, spelled in spellings:
        changed = {**document, **{member: spelled(document[member]) for member in both}}
        yield _quirk(3, name, path, changed, "coordinate.form", *((*path, member) for member in both))


def _location(document: dict[str, Any], path: Path) -> Iterator[Mutation]:
    if document["country"] in _TELL_A_SWAP:
        point, below = document["coordinates"], (*path, "coordinates")
        swapped = {**point, "latitude": point["longitude"], "longitude": point["latitude"]}
        yield _quirk(3, "coordinates swapped", below, swapped, "location.coordinates.swapped")


_TELL_A_SWAP = frozenset(place.country for place in PLACES if place.country != "USA")
"""Countries whose location the checks know."""


def _hours(document: dict[str, Any], path: Path) -> Iterator[Mutation]:
    flag = (*path, "twentyfourseven")
    hours = document.get("regular_hours")
    if not hours:
        # Without the flag nothing says when it is open.
        at = (*path, "regular_hours")
        changed = {name: value for name, value in document.items() if name != "twentyfourseven"}
        yield _quirk(12, "neither hours nor twentyfourseven", path, changed, "hours.choice", at)
        return
    yield _quirk(12, "hours beside twentyfourseven", flag, True, "hours.choice")
    yield _quirk(12, "twentyfourseven false beside hours", flag, False, "hours.flag")
    for index, (each, following) in enumerate(pairwise([*hours, {}])):
        below = (*path, "regular_hours", index)
        if each["period_begin"].startswith("0"):
            yield _quirk(
                12, "time without leading zero", (*below, "period_begin"), each["period_begin"][1:], "time_of_day.form"
            )
        if following.get("weekday") != each["weekday"]:
            yield _quirk(12, "end at 00:00", (*below, "period_end"), "00:00", "hours.midnight")
        yield _quirk(12, "time with seconds", (*below, "period_end"), each["period_end"] + ":00", "time_of_day.form")


_OBJECTS: dict[type[Any], Callable[[dict[str, Any], Path], Iterator[Mutation]]] = {
    models.AdditionalGeoLocation: _coordinates,
    models.GeoLocation: _coordinates,
    models.Hours: _hours,
    models.Location: _location,
}
