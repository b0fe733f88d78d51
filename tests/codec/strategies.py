"""Random documents for every model, drawn from the annotations, and single mutations of them.

A document here is untyped JSON: dict, list, str, int, Decimal, bool, None. What ``documents`` draws is valid by the
schema; a ``Mutation`` says where it changed a document and by which rules that has to be reported.
"""

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any, NamedTuple, TypeAlias

import attrs
from hypothesis import strategies as st
from msgspec import inspect

from ocpi_emsp import models

Path: TypeAlias = tuple[str | int, ...]

KINDS: list[type[Any]] = [kind for name in models.__all__ if attrs.has(kind := getattr(models, name))]
"""Every object model."""

TEXT = st.text(st.characters(codec="utf-8"), max_size=8)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.decimals(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
"""Any JSON value."""


def numbers() -> st.SearchStrategy[Decimal]:
    """Decimals of up to 30 digits, with and without fraction and exponent."""
    digits = st.lists(st.integers(0, 9), min_size=1, max_size=30).map(tuple)
    return st.builds(lambda *parts: Decimal(parts), st.integers(0, 1), digits, st.integers(-30, 5))


@st.composite
def timestamps(draw: st.DrawFn) -> str:
    """RFC 3339 in UTC, years 2 to 9998, so that no offset leads out of the calendar."""
    moment = draw(st.datetimes()).replace(microsecond=0)
    moment = moment.replace(year=min(max(moment.year, 2), 9998), day=min(moment.day, 28))
    fraction = draw(st.none() | st.text("0123456789", min_size=1, max_size=9))
    return moment.isoformat() + (f".{fraction}" if fraction else "") + "Z"


def strings(node: inspect.StrType) -> st.SearchStrategy[str]:
    if node.pattern:
        return st.from_regex(node.pattern)
    least, most = node.min_length or 0, node.max_length or 1000
    filled = st.characters(codec="utf-8").map(lambda character: character * most)
    return st.text(st.characters(codec="utf-8"), min_size=least, max_size=min(most, 10)) | filled


def values(node: inspect.Type) -> st.SearchStrategy[Any]:
    """Values that fit a node of the schema."""
    match node:
        case inspect.Metadata(type=inner):
            return values(inner)
        case inspect.UnionType():
            return st.none() | values(present(node))
        case inspect.VarTupleType(item_type=item, min_length=least):
            return st.lists(values(item), min_size=least or 0, max_size=2)
        case inspect.DataclassType(cls=cls):
            return documents(cls)
    return scalars(node)


def scalars(node: inspect.Type) -> st.SearchStrategy[Any]:
    match node:
        case inspect.StrType():
            return strings(node)
        case inspect.IntType(ge=least, le=most):
            return st.integers(-(10**25) if least is None else least, 10**25 if most is None else most)
        case inspect.DecimalType():
            return numbers()
        case inspect.BoolType():
            return st.booleans()
        case inspect.DateTimeType():
            return timestamps()
        case inspect.EnumType(cls=cls):
            return st.sampled_from([member.value for member in cls])
    assert isinstance(node, inspect.RawType), node
    return JSON


_DOCUMENTS: dict[type[Any], st.SearchStrategy[dict[str, Any]]] = {}


def documents(kind: type[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Valid documents of a model: optional members absent, null or present."""
    if kind not in _DOCUMENTS:
        fields = schema(kind)
        _DOCUMENTS[kind] = st.fixed_dictionaries(
            {name: values(field.type) for name, field in fields.items() if field.required},
            optional={name: values(field.type) for name, field in fields.items() if not field.required},
        )
    return _DOCUMENTS[kind]


def schema(kind: type[Any]) -> Mapping[str, inspect.Field]:
    node = inspect.type_info(kind)
    assert isinstance(node, inspect.DataclassType)
    return {field.name: field for field in node.fields}


def present(node: inspect.UnionType) -> inspect.Type:
    return next(member for member in node.types if not isinstance(member, inspect.NoneType))


# --- mutations ------------------------------------------------------------------------------------------------------

DROP = object()


class Mutation(NamedTuple):
    """One change of a document: the value at ``path`` (DROP removes the member), and the rules that may report it."""

    name: str
    path: Path
    value: Any
    rules: frozenset[str]
    strict_refuses: bool = True

    def apply(self, document: Any, path: Path | None = None) -> Any:
        """A changed copy of the document."""
        step, *rest = self.path if path is None else path
        if isinstance(document, list):
            return [self._changed(item, rest) if index == step else item for index, item in enumerate(document)]
        changed = {name: self._changed(item, rest) if name == step else item for name, item in document.items()}
        if step not in document:
            changed[str(step)] = self.value
        return {name: item for name, item in changed.items() if item is not DROP}

    def _changed(self, item: Any, rest: list[str | int]) -> Any:
        return self.apply(item, tuple(rest)) if rest else self.value


def mutations(kind: type[Any], document: Any) -> list[Mutation]:
    """Every single mutation that this document offers."""
    node = inspect.type_info(kind)
    return list(_mutations(node, document, ()))


def _mutations(
    node: inspect.Type, value: Any, path: Path, extra: Mapping[str, Any] | None = None
) -> Iterator[Mutation]:
    match node:
        case inspect.Metadata(type=inner):
            yield from _mutations(inner, value, path, node.extra)
        case inspect.UnionType():
            yield from _mutations(present(node), value, path) if value is not None else ()
        case inspect.DataclassType(cls=cls) if isinstance(value, dict):
            yield from _of_object(schema(cls), value, path)
        case inspect.VarTupleType(item_type=item) if isinstance(value, list):
            empty = {"array.empty"} if node.min_length else set()
            yield Mutation("null array", path, None, frozenset({"array.null"} | empty))
            yield Mutation("no array", path, {}, frozenset({"value.type"}))
            if node.min_length:
                yield Mutation("empty array", path, [], frozenset({"array.empty"}))
            for index, one in enumerate(value):
                yield from _mutations(item, one, (*path, index))
        case inspect.DataclassType() | inspect.VarTupleType() | inspect.RawType():
            return  # changed already, or never read
        case _:
            yield from _of_scalar(node, value, path, (extra or {}).get("reading"))


def _of_object(fields: Mapping[str, inspect.Field], value: dict[str, Any], path: Path) -> Iterator[Mutation]:
    if path:
        yield Mutation("no object", path, 1, frozenset({"value.type"}))
    yield Mutation("unknown member", (*path, "x/vendor~1"), Decimal("1.10"), frozenset({"field.unknown"}), False)
    for name, field in fields.items():
        if name not in value:
            continue
        if field.required:
            yield Mutation("missing member", (*path, name), DROP, frozenset({"field.required"}))
            if not isinstance(field.type, inspect.VarTupleType):
                yield Mutation("null member", (*path, name), None, frozenset({"field.required"}))
        yield from _mutations(field.type, value[name], (*path, name))


def _of_scalar(node: inspect.Type, value: Any, path: Path, reading: str | None) -> Iterator[Mutation]:
    yield Mutation("object for a scalar", path, {}, frozenset({"value.type"}))
    for name, changed, rules, strict_refuses in _CHANGES.get(type(node), _no_changes)(node, value, reading):
        yield Mutation(name, path, changed, frozenset(rules.split()), strict_refuses)


Change: TypeAlias = tuple[str, Any, str, bool]


def _no_changes(_node: Any, _value: Any, _reading: str | None) -> Iterator[Change]:
    yield from ()


def _strings(node: inspect.StrType, _value: Any, reading: str | None) -> Iterator[Change]:
    rules = {None: "string.length", "country": "location.country.alpha2"}
    if node.max_length is not None:
        yield "over-long", "x" * (node.max_length + 1), rules.get(reading, "value.type"), True
    yield "boolean for a string", True, "value.type", True
    yield "number for a string", 7, "coordinate.form" if reading == "coordinate" else "string.number", True


def _integers(node: inspect.IntType, value: Any, _reading: str | None) -> Iterator[Change]:
    yield "integer as string", str(value), "integer.string value.type", True
    yield "boolean for an integer", True, "value.type", True
    if node.le is not None:
        yield "integer out of range", int(node.le) + 1, "integer.range", True


def _decimals(_node: Any, value: Any, _reading: str | None) -> Iterator[Change]:
    yield "number as string", str(value), "number.string", False
    for text in ("NaN", "-infinity", "sNaN12", "1e9999999999999999999", "", "two"):
        yield "no number", text, "value.type", True


def _datetimes(_node: Any, value: Any, _reading: str | None) -> Iterator[Change]:
    if not isinstance(value, str) or not value.endswith("Z"):
        return
    bare = value.removesuffix("Z")
    yield "no zone", bare, "datetime.zone", True
    yield "offset", bare + "+02:00", "datetime.offset", True
    yield "negative offset without colon", bare + "-0230", "datetime.offset", True
    yield "offset of zero", bare + "+00:00", "datetime.offset", False
    yield "space for T", value.replace("T", " "), "datetime.form", False
    yield "hour 24", value[:11] + "24:00:00Z", "datetime.form", True
    yield "date only", value[:10], "datetime.unreadable", True
    yield "number for a timestamp", 1435617549, "value.type", True


def _booleans(_node: Any, value: Any, _reading: str | None) -> Iterator[Change]:
    yield "boolean as string", str(value).lower(), "boolean.string", True
    yield "number for a boolean", 1, "value.type", True


def _enums(_node: Any, value: Any, _reading: str | None) -> Iterator[Change]:
    yield "unlisted value", "NOT_LISTED", "enum.unknown", True
    yield "number for an enum", 1, "value.type", True
    if isinstance(value, str) and value.swapcase() != value:
        yield "another case", value.swapcase(), "enum.case", True


_CHANGES: dict[type[Any], Callable[[Any, Any, str | None], Iterator[Change]]] = {
    inspect.StrType: _strings,
    inspect.IntType: _integers,
    inspect.DecimalType: _decimals,
    inspect.DateTimeType: _datetimes,
    inspect.BoolType: _booleans,
    inspect.EnumType: _enums,
}
