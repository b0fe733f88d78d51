"""Documents that are valid by the schema and otherwise arbitrary: any text, any number, any year.

Rules of this module:
- a document is untyped JSON: dict, list, str, int, Decimal, bool, None;
- it is drawn from the annotations alone, to find what the schema allows, not what is likely; the strict lane accepts
  every document, the semantic rules do not.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hypothesis import strategies as st
from msgspec import inspect

from ocpi_emsp.check.registry import bare
from ocpi_emsp.testing.strategies.schema import schema

TEXT = st.text(st.characters(codec="utf-8"), max_size=8)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.decimals(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
"""Any JSON value."""

_DOCUMENTS: dict[type[Any], st.SearchStrategy[dict[str, Any]]] = {}


def documents(kind: type[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Draw documents of a model that are valid by the schema: optional members absent, null or present."""
    if kind not in _DOCUMENTS:
        fields = schema(kind)
        _DOCUMENTS[kind] = st.fixed_dictionaries(
            {name: _values(field.type) for name, field in fields.items() if field.required},
            optional={name: _values(field.type) for name, field in fields.items() if not field.required},
        )
    return _DOCUMENTS[kind]


def _values(node: inspect.Type) -> st.SearchStrategy[Any]:
    match node:
        case inspect.Metadata(type=inner):
            return _values(inner)
        case inspect.UnionType():
            return st.none() | _values(bare(node))
        case inspect.VarTupleType(item_type=item, min_length=least):
            return st.lists(_values(item), min_size=least or 0, max_size=2)
        case inspect.DataclassType(cls=cls):
            return documents(cls)
        case inspect.RawType():
            return JSON
    return _scalars(node)


def _scalars(node: inspect.Type) -> st.SearchStrategy[Any]:
    match node:
        case inspect.StrType():
            return _strings(node)
        case inspect.IntType(ge=least, le=most):
            return st.integers(-(10**25) if least is None else int(least), 10**25 if most is None else int(most))
        case inspect.DecimalType():
            return _numbers()
        case inspect.BoolType():
            return st.booleans()
        case inspect.DateTimeType():
            return _timestamps()
        case inspect.EnumType(cls=cls):
            return st.sampled_from([member.value for member in cls])
    raise TypeError(f"no strategy for {node}")


def _strings(node: inspect.StrType) -> st.SearchStrategy[str]:
    if node.pattern:
        return st.from_regex(node.pattern)
    least, most = node.min_length or 0, node.max_length or 1000
    filled = st.characters(codec="utf-8").map(lambda character: character * most)
    return st.text(st.characters(codec="utf-8"), min_size=least, max_size=min(most, 10)) | filled


def _numbers() -> st.SearchStrategy[Decimal]:
    """Draw decimals of up to 30 digits, with and without fraction and exponent."""
    digits = st.lists(st.integers(0, 9), min_size=1, max_size=30).map(tuple)
    return st.builds(lambda *parts: Decimal(parts), st.integers(0, 1), digits, st.integers(-30, 5))


@st.composite
def _timestamps(draw: st.DrawFn) -> str:
    """Draw RFC 3339 timestamps in UTC, years 2 to 9998, so that no offset leaves the calendar."""
    moment = draw(st.datetimes()).replace(microsecond=0)
    moment = moment.replace(year=min(max(moment.year, 2), 9998), day=min(moment.day, 28))
    fraction = draw(st.none() | st.text("0123456789", min_size=1, max_size=9))
    return moment.isoformat() + (f".{fraction}" if fraction else "") + "Z"
