"""The strict lane: bytes straight into a model at C speed, or no answer.

Rules of this module:
- a document that it accepts is valid by the schema, without a finding above ``note``;
- a document that it does not accept may still be usable: the diagnosing lane decides; this lane never explains;
- msgspec is more permissive than this library in four points, which are checked after decoding: text that is not UTF-8
  in an unknown member, a timestamp with an offset (the view is UTC), a non-finite number written as a string, an
  unknown tariff restriction.

A function generated from each model's schema checks timestamps, numbers and restrictions: walking the values takes less
time than searching the bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC
from typing import Any, NamedTuple, TypeAlias, TypeVar

import msgspec
from attrs import fields_dict
from msgspec import inspect

from ocpi_emsp.codec.documents import malformed, require_utf8
from ocpi_emsp.codec.structs import as_structs
from ocpi_emsp.models import Cdr, Tariff, TariffElement, TariffRestrictions

T = TypeVar("T")


def decode_strict(kind: type[T], data: bytes) -> T | None:
    """Return the model, or None if the diagnosing lane is needed. Raises NotJson if the bytes are not JSON."""
    require_utf8(data)
    return decode_part(kind, data)


def decode_part(kind: type[T], data: bytes) -> T | None:
    """Decode like :func:`decode_strict`, from bytes that are known to be UTF-8."""
    value: T | None = _decoded(_COMPILED.get(kind) or _compile(kind), kind, data)
    return value


def decode_struct(kind: type[Any], data: bytes) -> Any:
    """Decode like :func:`decode_part`, into structs instead of models (structs.py), for data that is examined but not
    stored.
    """
    return _decoded(_STRUCTS.get(kind) or _compile_struct(kind), kind, data)


def _decoded(compiled: _Compiled, kind: type[Any], data: bytes) -> Any:
    decoder, is_sound, is_unrestricted = compiled
    try:
        value = decoder.decode(data)
    except (msgspec.ValidationError, RecursionError):  # the other lane reports what nests too deeply
        return None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise malformed(error, data) from None
    if is_sound(value) and (is_unrestricted(value) or _knows_restrictions(kind, data)):
        return value
    return None


_Restrictions = msgspec.defstruct(
    "_Restrictions",
    [(name, msgspec.Raw, msgspec.Raw()) for name in fields_dict(TariffRestrictions)],
    forbid_unknown_fields=True,
    gc=False,
)


class _Element(msgspec.Struct, gc=False):
    restrictions: _Restrictions | None = None  # type: ignore[valid-type]  # made above


class _Tariff(msgspec.Struct, gc=False):
    elements: list[_Element]


class _Cdr(msgspec.Struct, gc=False):
    tariffs: list[_Tariff] | None = None


_RESTRICTED: Mapping[type[Any], msgspec.json.Decoder[Any]] = {
    Cdr: msgspec.json.Decoder(_Cdr),
    Tariff: msgspec.json.Decoder(_Tariff),
    TariffElement: msgspec.json.Decoder(_Element),
    TariffRestrictions: msgspec.json.Decoder(_Restrictions),
}
"""Per model with restrictions: a decoder of only the restrictions, which rejects unknown ones."""


def _knows_restrictions(kind: type[Any], data: bytes) -> bool:
    try:
        _RESTRICTED[kind].decode(data)
    except msgspec.ValidationError:
        return False
    return True


# --- checks of values ------------------------------------------------------------------------------------------------

_Look: TypeAlias = Callable[[Any], bool]


class _Compiled(NamedTuple):
    """A model's decoder, and the checks of a value: all timestamps UTC, all numbers finite, no restrictions."""

    decoder: msgspec.json.Decoder[Any]
    is_sound: _Look
    is_unrestricted: _Look


_COMPILED: dict[type[Any], _Compiled] = {}
_STRUCTS: dict[type[Any], _Compiled] = {}
"""The same for structs, which have the attributes of their model."""


def _compile(kind: type[Any]) -> _Compiled:
    """Compile the decoder and checks of a model, once."""
    schema = inspect.type_info(kind)
    compiled = _Compiled(msgspec.json.Decoder(kind), _look(schema, _sound), _look(schema, _unrestricted))
    return _COMPILED.setdefault(kind, compiled)


def _compile_struct(kind: type[Any]) -> _Compiled:
    """Compile the decoder and checks of a model's struct, once."""
    compiled = _COMPILED.get(kind) or _compile(kind)
    return _STRUCTS.setdefault(kind, compiled._replace(decoder=msgspec.json.Decoder(as_structs(kind))))


def _sound(node: inspect.Type, place: str) -> str | None:
    """Return the condition for a valid timestamp or number."""
    if isinstance(node, inspect.DateTimeType):
        return f"{place}.tzinfo is UTC"
    return f"{place}.is_finite()" if isinstance(node, inspect.DecimalType) else None


def _unrestricted(node: inspect.Type, _place: str) -> str | None:
    """Return a condition that is never true for restrictions."""
    return "False" if isinstance(node, inspect.DataclassType) and node.cls is TariffRestrictions else None


_Test: TypeAlias = Callable[[inspect.Type, str], str | None]
"""Returns the condition for a schema node at a place, as an expression; None if nothing is checked."""


def _look(schema: inspect.Type, test: _Test) -> _Look:
    """Return a function that checks the conditions of all nodes for a value of ``schema``."""
    scope: dict[str, Any] = {"UTC": UTC}
    # The generated source only contains names of our own models.
    exec("\n".join(("def look(value):", *_lines(schema, test, "value", " "), " return True")), scope)
    look: _Look = scope["look"]
    return look


def _lines(node: inspect.Type, test: _Test, place: str, indent: str) -> list[str]:
    """Return lines that check a node and everything below it and return False on failure; none without a condition."""
    found = test(node, place)
    if found is not None:
        return [f"{indent}if not {found}: return False"]
    name = f"{place.replace('.', '_')}_"
    match node:
        case inspect.Metadata(type=inner):
            return _lines(inner, test, place, indent)
        case inspect.VarTupleType(item_type=inner):
            return _below(f"{indent}for {name} in {place}:", _lines(inner, test, name, f"{indent} "))
        case inspect.UnionType(types=types):
            present = next(member for member in types if not isinstance(member, inspect.NoneType))
            return _below(f"{indent}if {place} is not None:", _lines(present, test, place, f"{indent} "))
        case inspect.DataclassType(fields=fields):
            return [line for each in fields for line in _lines(each.type, test, f"{place}.{each.name}", indent)]
    return []


def _below(head: str, lines: list[str]) -> list[str]:
    return [head, *lines] if lines else []
