"""The strict lane: bytes straight into a model at C speed, or no answer.

Rules of this module:
- what it accepts is valid by the schema, and no finding above ``note`` exists for it;
- what it does not accept may still be usable: the diagnosing lane decides, this lane never explains;
- msgspec reads three things more freely than this library; they are looked at after decoding: text that is not UTF-8
  in a member that is no field, a timestamp with an offset (the view is UTC), a non-finite number written as a string.

The numbers and timestamps of a value are walked column by column with C-level iterators: a search of the bytes costs
more, and misses what JSON escapes hide.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC
from decimal import Decimal
from functools import partial
from itertools import chain, filterfalse
from operator import attrgetter, is_
from typing import Any, TypeAlias, TypeVar

import msgspec
from msgspec import inspect

from ocpi_emsp.codec.documents import require_utf8
from ocpi_emsp.errors import NotJson

T = TypeVar("T")


def decode_strict(kind: type[T], data: bytes) -> T | None:
    """The model, or None where the diagnosing lane has to look. Raises NotJson for bytes that are no JSON."""
    decoder, check = _DECODERS.get(kind) or _compile(kind)
    require_utf8(data)
    try:
        value: T = decoder.decode(data)
    except msgspec.ValidationError:
        return None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise NotJson(f"not JSON: {error}") from None
    except RecursionError:
        raise NotJson("not readable: nested too deeply") from None
    return value if check is None or all(check((value,))) else None


_Check: TypeAlias = Callable[[Iterable[Any]], Iterable[bool]]
"""Takes values of one node of the schema; says of each number and timestamp below them whether a model may hold it."""

_DECODERS: dict[type[Any], tuple[msgspec.json.Decoder[Any], _Check | None]] = {}


def _compile(kind: type[Any]) -> tuple[msgspec.json.Decoder[Any], _Check | None]:
    """The decoder of a model and the check of what it decodes; compiled once."""
    return _DECODERS.setdefault(kind, (msgspec.json.Decoder(kind), _check(inspect.type_info(kind))))


_is_none = partial(is_, None)
_is_utc = partial(is_, UTC)
_zone = attrgetter("tzinfo")


def _check(node: inspect.Type) -> _Check | None:
    """The check of one node of the schema; None where no number and no timestamp is below it."""
    match node:
        case inspect.DecimalType():
            return lambda values: map(Decimal.is_finite, values)
        case inspect.DateTimeType():
            return lambda values: map(_is_utc, map(_zone, values))
        case inspect.Metadata(type=inner):
            return _check(inner)
        case inspect.VarTupleType(item_type=inner):
            items = _check(inner)
            return items and (lambda values: items(chain.from_iterable(values)))
        case inspect.UnionType(types=types):
            present = _check(next(member for member in types if not isinstance(member, inspect.NoneType)))
            return present and (lambda values: present(filterfalse(_is_none, values)))
        case inspect.DataclassType(fields=fields):
            return _check_object(fields)
    return None


def _check_object(fields: Iterable[inspect.Field]) -> _Check | None:
    columns = [(attrgetter(field.name), check) for field in fields if (check := _check(field.type))]

    def check_columns(values: Iterable[Any]) -> Iterable[bool]:
        objects = tuple(values)
        return chain.from_iterable([check(map(get, objects)) for get, check in columns]) if objects else ()

    return check_columns if columns else None
