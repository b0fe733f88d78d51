"""From a model's annotations to models: the engine of :func:`ocpi_emsp.testing.strategies.from_model`.

Rules of this module:
- every field is drawn by its annotation; if fields must agree, the model has a *plan* (the strategies of some of its
  fields, after something common was drawn) and a *finish* (changes that follow from the drawn values);
- the caller's values are used unchanged, even if they break a semantic rule;
- optional fields are absent first, lists are short: shrinking ends there;
- a strategy is built once, also in the plans: Hypothesis analyses every new one when it is first drawn from, which
  takes longer than drawing. So functions that build strategies cache them by their parts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import NoneType
from typing import Any, TypeAlias

from attrs import frozen
from hypothesis import strategies as st
from msgspec import inspect

from ocpi_emsp.check.registry import bare
from ocpi_emsp.testing.strategies.scalars import remembered, scalars
from ocpi_emsp.testing.strategies.schema import schema

Members: TypeAlias = dict[str, Any]
Given: TypeAlias = Mapping[str, Any]
"""The fields that the caller fixed."""
Strategies: TypeAlias = Mapping[str, Any]
"""A strategy, or the value itself, for each field that must agree."""
Plan: TypeAlias = "Callable[[Builder, st.DrawFn, Given], Strategies]"
Finish: TypeAlias = Callable[[Members], None]
"""Changes members in place so that they agree."""

PLANS: dict[type[Any], Plan] = {}
FINISHES: dict[type[Any], Finish] = {}

MOST_ITEMS = 2
"""Items of a list: two cover everything that a list can do, and a CDR stays within Hypothesis' limits."""


def plan(kind: type[Any]) -> Callable[[Plan], Plan]:
    """Register the plan of a model."""
    return lambda function: PLANS.setdefault(kind, function)


def finish(kind: type[Any]) -> Callable[[Finish], Finish]:
    """Register the finish of a model."""
    return lambda function: FINISHES.setdefault(kind, function)


@frozen
class Builder:
    """Builds strategies; ``full`` ones have every optional field and no empty list."""

    full: bool = False

    def model(self, kind: type[Any], given: Mapping[str, Any] | None = None) -> st.SearchStrategy[Any]:
        """Draw models of a kind; ``given`` maps fields to strategies, or to values that are used unchanged."""
        fields = schema(kind)
        if not given:
            if (self, kind) not in _PLAIN:
                _PLAIN[self, kind] = _models(self, kind, {})
            return _PLAIN[self, kind]
        unknown = given.keys() - fields.keys()
        if unknown:
            raise TypeError(f"unknown fields of {kind.__name__}: {', '.join(sorted(unknown))}")
        if all(isinstance(value, st.SearchStrategy | str | NoneType) for value in given.values()):
            key: Any = kind  # a class is hashable
            return _remembered(self, key, tuple(given.items()))
        return _fixed(self, kind, given)  # equal values may have several spellings

    def field(self, kind: type[Any], name: str) -> st.SearchStrategy[Any]:
        """Draw values of a present field; built once, since Hypothesis analyses every new strategy."""
        key = (self, kind, name)
        if key not in _FIELDS:
            _FIELDS[key] = self.node(schema(kind)[name].type, name)
        return _FIELDS[key]

    def node(self, node: inspect.Type, name: str) -> st.SearchStrategy[Any]:
        """Draw values of a present field."""
        match inner := bare(node):
            case inspect.DataclassType(cls=cls):
                return self.model(cls)
            case inspect.VarTupleType(item_type=item):
                return self.items(self.node(item, name), unique=not isinstance(bare(item), inspect.DataclassType))
        return scalars(inner, name, node)

    @remembered
    def items(
        self, item: st.SearchStrategy[Any], *, least: int = 1, most: int = MOST_ITEMS, unique: Any = False
    ) -> st.SearchStrategy[tuple[Any, ...]]:
        """Draw tuples of items; ``unique`` is True, or the name of the member in which they differ."""
        by = (lambda value: getattr(value, unique)) if isinstance(unique, str) else None
        return st.lists(item, min_size=least, max_size=most, unique=unique is True, unique_by=by).map(tuple)

    @remembered
    def maybe(self, values: st.SearchStrategy[Any], absent: Any = None) -> st.SearchStrategy[Any]:
        """Draw an absent value, or one of the values."""
        return values if self.full else st.just(absent) | values


_PRESENT = st.booleans()
_FIELDS: dict[tuple[Builder, type[Any], str], st.SearchStrategy[Any]] = {}
_PLAIN: dict[tuple[Builder, type[Any]], st.SearchStrategy[Any]] = {}


@remembered
def _remembered(builder: Builder, kind: Any, given: tuple[tuple[str, Any], ...]) -> st.SearchStrategy[Any]:
    return _fixed(builder, kind, dict(given))


def _fixed(builder: Builder, kind: type[Any], given: Mapping[str, Any]) -> st.SearchStrategy[Any]:
    fixed = {name: value if isinstance(value, st.SearchStrategy) else st.just(value) for name, value in given.items()}
    return _models(builder, kind, fixed)


@st.composite
def _models(draw: st.DrawFn, builder: Builder, kind: type[Any], fixed: Mapping[str, st.SearchStrategy[Any]]) -> Any:
    given = {name: draw(strategy) for name, strategy in fixed.items()}
    planned = PLANS[kind](builder, draw, given) if kind in PLANS else {}
    members: Members = {}
    for name, field in schema(kind).items():
        if name in given:
            members[name] = given[name]
        elif name in planned:
            value = planned[name]
            members[name] = draw(value) if isinstance(value, st.SearchStrategy) else value
        elif field.required or builder.full or draw(_PRESENT):
            members[name] = draw(builder.field(kind, name))
    if kind in FINISHES:
        FINISHES[kind](members)
    return kind(**(members | given))
