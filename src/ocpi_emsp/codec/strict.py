"""The strict lane: bytes straight into a model at C speed, or no answer.

Rules of this module:
- what it accepts is valid by the schema, and no finding above ``note`` exists for it;
- what it does not accept may still be usable: the diagnosing lane decides, this lane never explains;
- msgspec reads two things more freely than the models allow; both are looked for in the bytes: a timestamp with an
  offset (the view is UTC) and a non-finite number written as a string.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product
from typing import Any, TypeVar

import msgspec
from msgspec import inspect

from ocpi_emsp.errors import NotJson

T = TypeVar("T")

_MAYBE_OFFSET = re.compile(rb"-\d\d:")
_OFFSET = re.compile(rb'[+-]\d\d:?\d\d"')
_MAYBE_NOT_FINITE = tuple(
    "".join(letters).encode()
    for word in ("nan", "inf")
    for letters in product(*((letter, letter.upper()) for letter in word))
)
_NOT_FINITE = re.compile(rb'"\s*[+-]?(?:s?nan\d*|inf(?:inity)?)\s*"', re.IGNORECASE)


def decode_strict(kind: type[T], data: bytes) -> T | None:
    """The model, or None where the diagnosing lane has to look. Raises NotJson for bytes that are no JSON."""
    decoder, has_numbers = _DECODERS.get(kind) or _compile(kind)
    try:
        value: T = decoder.decode(data)
    except msgspec.ValidationError:
        return None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise NotJson(f"not JSON: {error}") from None
    except RecursionError:
        raise NotJson("not readable: nested too deeply") from None
    if (b"+" in data or _MAYBE_OFFSET.search(data)) and _OFFSET.search(data):
        return None
    if has_numbers and any(map(data.__contains__, _MAYBE_NOT_FINITE)) and _NOT_FINITE.search(data):
        return None
    return value


_DECODERS: dict[type[Any], tuple[msgspec.json.Decoder[Any], bool]] = {}


def _compile(kind: type[Any]) -> tuple[msgspec.json.Decoder[Any], bool]:
    """The decoder of a model and whether it holds numbers; compiled once."""
    return _DECODERS.setdefault(kind, (msgspec.json.Decoder(kind), any(_numbers(inspect.type_info(kind)))))


def _numbers(node: inspect.Type) -> Iterator[Any]:
    """Every ``number`` in the schema below this node."""
    match node:
        case inspect.DecimalType():
            yield node
        case inspect.Metadata(type=inner) | inspect.VarTupleType(item_type=inner):
            yield from _numbers(inner)
        case inspect.UnionType(types=types):
            for member in types:
                yield from _numbers(member)
        case inspect.DataclassType(fields=fields):
            for field in fields:
                yield from _numbers(field.type)
