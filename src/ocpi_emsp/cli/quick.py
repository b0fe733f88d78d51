"""The findings of a document that the strict lane accepts, at a fraction of the cost of ``check``, with the same
result.

Rules of this module:
- the strict lane leaves only notes to find by the schema (codec/strict.py); if the bytes and the shape of the document
  show that there is no note either, only the semantic rules remain;
- in any doubt ``check`` decides: an escape, a non-ASCII byte, more members than the schema counts.

The possible notes of such a document: unknown and repeated members, text that is not printable ASCII, a number as a
string, an integer with a fraction, a timestamp without ``Z``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeAlias

import msgspec
from attrs import frozen
from msgspec import inspect

from ocpi_emsp.check import check
from ocpi_emsp.check.registry import Context, Walk, bare
from ocpi_emsp.check.rules import OBJECT_RULES
from ocpi_emsp.codec import decode_strict
from ocpi_emsp.errors import NotJson
from ocpi_emsp.findings import Collector, Report

_WALK = Walk(OBJECT_RULES)
_FRACTION = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{1,6}Z", re.ASCII)
_ODD = (b"\\", b"\x7f", b" :", b"\t:", b"\n:", b"\r:")
"""Escapes may hide any character; DEL is not printable; with these gaps members could not be counted."""
_NOTED = -(10**12)
"""Added to a number of members, it makes the number impossible."""

_Fits: TypeAlias = Callable[[Any], bool]


def check_quickly(document: bytes, kind: type[Any], limit: int) -> Report:
    """Return ``check(document, kind, limit=limit)``."""
    value = read_without_notes(document, kind)
    if value is None:
        return check(document, kind, limit=limit)
    findings = Collector(limit)
    _WALK(value, Context(datetime.now(UTC)), findings)
    return findings.report()


def read_without_notes(document: bytes, kind: type[Any]) -> Any:
    """Return the model if the schema finds nothing at all, otherwise None."""
    if not document.isascii() or any(odd in document for odd in _ODD):
        return None
    try:
        value = decode_strict(kind, document)
        shape = _SHAPES.get(kind) or _compile(kind)
        if value is None or shape is None:
            return None
        count = shape.members(msgspec.json.decode(document))
    except (NotJson, msgspec.DecodeError, RecursionError):
        return None
    # a repeated member is one more colon; so is a text that begins with one, for which ``check`` decides
    return value if count == document.count(b'":') else None


@frozen
class _Shape:
    """What is examined in the untyped objects of one model."""

    names: frozenset[str]
    scalars: tuple[tuple[str, _Fits], ...]
    objects: tuple[tuple[str, _Shape], ...]
    lists: tuple[tuple[str, _Shape], ...]

    def members(self, document: dict[str, Any]) -> int:
        """Return the number of members at all depths; below 0 if one of them gives a note."""
        if not document.keys() <= self.names:
            return _NOTED
        count = len(document)
        for name, fits in self.scalars:
            if name in document and not fits(document[name]):
                return _NOTED
        for name, shape in self.objects:
            if (inner := document.get(name)) is not None:
                count += shape.members(inner)
        for name, shape in self.lists:
            for inner in document.get(name, ()):
                count += shape.members(inner)
        return count


_SHAPES: dict[type[Any], _Shape] = {}


def _compile(kind: type[Any]) -> _Shape | None:
    """Return the shape of a model; None if it has a type that this module does not know."""
    node = inspect.type_info(kind)
    shape = _shape(node) if isinstance(node, inspect.DataclassType) else None
    return shape if shape is None else _SHAPES.setdefault(kind, shape)


def _shape(node: inspect.DataclassType) -> _Shape | None:
    scalars: list[tuple[str, _Fits]] = []
    objects: list[tuple[str, _Shape]] = []
    lists: list[tuple[str, _Shape]] = []
    for each in node.fields:
        form = bare(each.type)
        place = lists if isinstance(form, inspect.VarTupleType) else objects
        inner = bare(form.item_type) if isinstance(form, inspect.VarTupleType) else form
        if isinstance(inner, inspect.DataclassType):
            below = _shape(inner)
            if below is None:
                return None
            place.append((each.name, below))
        elif fits := _FITS.get(type(inner)):
            if inner is not form:
                return None
            scalars.append((each.name, fits))
        elif not isinstance(inner, inspect.StrType | inspect.EnumType | inspect.BoolType):
            return None
    names = frozenset(each.name for each in node.fields)
    return _Shape(names, tuple(scalars), tuple(objects), tuple(lists))


def _is_timestamp(value: Any) -> bool:
    if value is None:
        return True
    return (len(value) == 20 and value[10] == "T" and value[19] == "Z") or _FRACTION.fullmatch(value) is not None


_FITS: dict[type[inspect.Type], _Fits] = {
    inspect.IntType: lambda value: type(value) is int or value is None,
    inspect.DecimalType: lambda value: not isinstance(value, str),
    inspect.DateTimeType: _is_timestamp,
}
