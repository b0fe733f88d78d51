"""Structs with the fields of models, for data that is only examined: read in a third of the time of attrs classes.

Rules of this module: names, types, constraints and defaults are those of the model, so the strict lane accepts the same
bytes for both (strict.py).
"""

from __future__ import annotations

from functools import cache, reduce
from operator import or_
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import attrs
import msgspec


def is_read_as(view: object, model: Any) -> bool:
    """Return True if a view is a ``model``, or the struct in its place."""
    return isinstance(view, model) or type(view) is _in_place_of(model)


@cache
def _in_place_of(model: Any) -> Any:
    return _struct(model) if attrs.has(model) else None


def as_structs(hint: Any) -> Any:
    """Return a type with structs in place of its models."""
    if isinstance(hint, type) and attrs.has(hint):
        return _struct(hint)
    origin, below = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return Annotated[(as_structs(below[0]), *hint.__metadata__)]
    if origin is tuple:
        return tuple.__class_getitem__((as_structs(below[0]), ...))  # of any length, like every tuple of a model
    if origin in (Union, UnionType):
        return reduce(or_, map(as_structs, below))
    return hint


@cache
def _struct(model: Any) -> Any:
    hints = get_type_hints(model, include_extras=True)
    fields = [(each.name, as_structs(hints[each.name]), *_default(each)) for each in attrs.fields(model)]
    return msgspec.defstruct(model.__name__, fields, kw_only=True, gc=False)


def _default(field: attrs.Attribute[Any]) -> tuple[Any, ...]:
    return () if field.default is attrs.NOTHING else (field.default,)
