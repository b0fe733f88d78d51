"""The models' annotations, as all generators read them.

Rules of this module: it states nothing about a field itself; everything comes from ``msgspec.inspect``.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import attrs
from msgspec import inspect

from ocpi_emsp import models

KINDS: tuple[type[Any], ...] = tuple(filter(attrs.has, models.OBJECTS_AND_ENUMS.values()))
"""Every object model, and the envelope around them."""


_SCHEMAS: dict[type[Any], Mapping[str, inspect.Field]] = {}


def schema(kind: type[Any]) -> Mapping[str, inspect.Field]:
    """Return the fields of a model by name, in their order. Raises TypeError if ``kind`` is not a model."""
    if kind not in _SCHEMAS:
        node = inspect.type_info(kind)
        if not isinstance(node, inspect.DataclassType):
            raise TypeError(f"invalid kind {getattr(kind, '__name__', kind)}: expected a model class such as Location")
        _SCHEMAS[kind] = MappingProxyType({field.name: field for field in node.fields})
    return _SCHEMAS[kind]


def reading(node: inspect.Type) -> str | None:
    """Return the reading that a scalar's annotation names (``extra={"reading": ...}``), or None."""
    match node:
        case inspect.Metadata(extra=extra) if extra and "reading" in extra:
            return str(extra["reading"])
        case inspect.Metadata(type=inner):
            return reading(inner)
        case inspect.UnionType(types=types):
            return next((found for member in types if (found := reading(member))), None)
    return None
