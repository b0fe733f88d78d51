"""Single changes of a document that break the schema in one place, derived from the annotations.

Rules of this module:
- a document is untyped JSON, as returned by :func:`ocpi_emsp.codec.parse`; a mutation never changes it, but makes a
  copy;
- a mutation states which rules report it and where: exactly those, whatever else the document contains;
- every field of the schema in the document is changed in every way that its type can be wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Any, TypeAlias

from attrs import evolve, frozen
from msgspec import inspect

from ocpi_emsp.check.registry import bare
from ocpi_emsp.findings import pointer
from ocpi_emsp.testing.strategies.schema import reading, schema

Path: TypeAlias = tuple[str | int, ...]

_AN_OBJECT: Mapping[str, Any] = MappingProxyType({"x": 1})
"""Not an empty one: among members that are empty, too, it would say that there is nothing (rule value.empty)."""
DROP = object()
"""Stands for the removal of a member."""


@frozen
class Mutation:
    """One change: the value at ``path`` becomes ``value`` (:data:`DROP` removes the member)."""

    name: str
    path: Path
    value: Any
    rules: frozenset[str]
    """The rules that report it, at ``path`` or at every one of ``reported_at``."""
    strict_refuses: bool = True
    """True if the strict lane leaves the document to the diagnosing lane."""
    quirk: int | None = None
    """The row of PARTNER-QUIRKS.md."""
    reported_at: tuple[Path, ...] | None = None

    @property
    def places(self) -> frozenset[tuple[str, str]]:
        """Return pointer and rule of each expected finding."""
        paths = (self.path,) if self.reported_at is None else self.reported_at
        return frozenset((pointer(path), rule) for path in paths for rule in self.rules)

    def apply(self, document: Any) -> Any:
        """Return a changed copy of the document."""
        return _changed(document, self.path, self.value)


def _changed(document: Any, path: Path, value: Any) -> Any:
    if not path:
        return value
    step, rest = path[0], path[1:]
    if isinstance(document, list):
        return [_changed(item, rest, value) if index == step else item for index, item in enumerate(document)]
    changed = {name: _changed(item, rest, value) if name == step else item for name, item in document.items()}
    if step not in document:
        changed[str(step)] = _changed({}, rest, value)
    return {name: item for name, item in changed.items() if item is not DROP}


def mutations(kind: type[Any], document: Any) -> list[Mutation]:
    """Return every single mutation of this document of a ``kind``."""
    return list(_of_object(schema(kind), document, ())) if isinstance(document, dict) else []


def _mutations(node: inspect.Type, value: Any, path: Path) -> Iterator[Mutation]:
    match inner := bare(node):
        case _ if value is None:
            return
        case inspect.DataclassType(cls=cls):
            if isinstance(value, dict):
                yield _one("number for an object", path, 1, "value.type")
                yield from _of_object(schema(cls), value, path)
        case inspect.VarTupleType(item_type=item, min_length=least):
            if isinstance(value, list):
                yield from _of_list(item, least or 0, value, path)
        case inspect.RawType():
            return  # it is never read
        case _:
            yield _one("object for a scalar", path, dict(_AN_OBJECT), "value.type")
            for name, changed, rules, strict_refuses in _CHANGES[type(inner)](inner, value, reading(node)):
                yield Mutation(name, path, changed, frozenset(rules.split()), strict_refuses)


def _one(name: str, path: Path, value: Any, rules: str, *, strict_refuses: bool = True) -> Mutation:
    return Mutation(name, path, value, frozenset(rules.split()), strict_refuses)


def _of_object(fields: Mapping[str, inspect.Field], value: dict[str, Any], path: Path) -> Iterator[Mutation]:
    unknown, restricts = (*path, "x/vendor~1"), "min_kwh" in fields
    rule = "restrictions.unknown" if restricts else "field.unknown"
    yield _one("unknown member", unknown, Decimal("1.10"), rule, strict_refuses=restricts)
    for name, field in fields.items():
        if name not in value:
            continue
        place = (*path, name)
        if field.required:
            rule = "last_updated.missing" if name == "last_updated" else "field.required"
            yield _one("missing member", place, DROP, rule)
            if not isinstance(bare(field.type), inspect.VarTupleType):
                yield _one("null member", place, None, rule)
        elif not isinstance(bare(field.type), inspect.StrType | inspect.EnumType | inspect.RawType):
            yield _one("empty text for nothing", place, "", "value.empty")
        of_this = _mutations(field.type, value[name], place)
        is_copy = name == "location" and "currency" in fields
        yield from map(_softened, of_this) if is_copy else of_this


_ERRORS = frozenset({"field.required", "value.type", "datetime.unreadable"})


def _softened(mutation: Mutation) -> Mutation:
    """Return the mutation within the location copy of a session or CDR, where a fatal fault is only a warning."""
    if mutation.path[-1] == "location" or not mutation.rules & _ERRORS:
        return mutation
    return evolve(mutation, rules=mutation.rules - _ERRORS | {"location.copy"})


def _of_list(item: inspect.Type, least: int, value: list[Any], path: Path) -> Iterator[Mutation]:
    if least:
        yield _one("null for a list", path, None, "array.null")
    yield _one("object for a list", path, {}, "value.type")
    if least:
        yield _one("empty list", path, [], "array.empty")
    for index, one in enumerate(value):
        yield from _mutations(item, one, (*path, index))


Change: TypeAlias = tuple[str, Any, str, bool]
"""Its name, the changed value, the rules that report it, and whether the strict lane rejects it."""


def _strings(node: inspect.StrType, _value: Any, meaning: str | None) -> Iterator[Change]:
    lengths = {"coordinate": "value.type", "country": "location.country.alpha2", "time_of_day": "value.type"}
    length = lengths.get(meaning or "", "string.length")
    number = {
        "coordinate": "coordinate.form",
        "country": "string.number location.country.alpha2",
        "time_of_day": "string.number value.type",
    }
    if node.max_length is not None:
        yield f"{node.max_length + 1} characters", "x" * (node.max_length + 1), length, True
    yield "boolean for a string", True, "value.type", True
    yield "number for a string", 7, number.get(meaning or "", "string.number"), True


def _integers(node: inspect.IntType, value: Any, _meaning: str | None) -> Iterator[Change]:
    short = isinstance(value, int) and len(str(abs(value))) <= 18
    yield "integer as string", str(value), "integer.string" if short else "value.type", True
    yield "boolean for an integer", True, "value.type", True
    if node.le is not None:
        yield "integer out of range", int(node.le) + 1, "integer.range", True


def _decimals(_node: Any, value: Any, _meaning: str | None) -> Iterator[Change]:
    yield "number as string", str(value), "number.string", False
    for text in ("NaN", "-infinity", "sNaN12", "1e9999999999999999999", "two"):
        yield f"{text!r} for a number", text, "value.type", True


def _datetimes(_node: Any, value: Any, _meaning: str | None) -> Iterator[Change]:
    if not isinstance(value, str) or not value.endswith("Z"):
        return
    bare = value.removesuffix("Z")
    yield "no zone", bare, "datetime.zone", True
    yield "offset", bare + "+02:00", "datetime.offset", True
    yield "negative offset without colon", bare + "-0230", "datetime.offset datetime.form", True
    yield "offset of zero", bare + "+00:00", "datetime.offset", False
    yield "space for T", value.replace("T", " "), "datetime.form", False
    yield "hour 24", value[:11] + "24:00:00Z", "datetime.form", True
    yield "date only", value[:10], "datetime.unreadable", True
    yield "no timestamp", "yesterday", "datetime.unreadable", True
    yield "a day that does not exist", "2015-02-30" + value[10:], "datetime.unreadable", True
    yield "number for a timestamp", 1435617549, "value.type", True


def _booleans(_node: Any, value: Any, _meaning: str | None) -> Iterator[Change]:
    yield "boolean as string", str(value).lower(), "boolean.string", True
    yield "number for a boolean", 1, "value.type", True


def _enums(_node: Any, value: Any, _meaning: str | None) -> Iterator[Change]:
    yield "unlisted value", "NOT_LISTED", "enum.unknown", True
    yield "number for an enum", 1, "value.type", True
    if isinstance(value, str) and value.swapcase() != value:
        yield "another case", value.swapcase(), "enum.case", True


_CHANGES: Mapping[type[inspect.Type], Callable[[Any, Any, str | None], Iterator[Change]]] = {
    inspect.StrType: _strings,
    inspect.IntType: _integers,
    inspect.DecimalType: _decimals,
    inspect.DateTimeType: _datetimes,
    inspect.BoolType: _booleans,
    inspect.EnumType: _enums,
}
