"""The strict lane: bytes straight into a model at C speed, or no answer.

Rules of this module:
- what it accepts is valid by the schema, and no finding above ``note`` exists for it;
- what it does not accept may still be usable: the diagnosing lane decides, this lane never explains;
- msgspec reads four things more freely than this library; they are looked at after decoding: text that is not UTF-8
  in a member that is no field, a timestamp with an offset (the view is UTC), a non-finite number written as a string,
  a restriction of a tariff that the specification does not know.

Numbers and timestamps are listed by comprehensions compiled from the schema, the fastest walk that Python has; the
timestamps only where the bytes have a character that an offset needs, which a search tells for a tenth of the time of
decoding.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypeAlias, TypeVar

import msgspec
from attrs import fields_dict
from msgspec import inspect

from ocpi_emsp.codec.documents import malformed, require_utf8
from ocpi_emsp.models import Cdr, Tariff, TariffElement, TariffRestrictions

T = TypeVar("T")


def decode_strict(kind: type[T], data: bytes) -> T | None:
    """Return the model, or None if the diagnosing lane is needed. Raises NotJson if the bytes are not JSON."""
    require_utf8(data)
    value = decode_part(kind, data)
    if value is not None and may_have_offset(data):
        timestamps = _DECODERS[kind][2]
        if timestamps is not None and not all(map(_is_utc, timestamps(value))):
            return None
    return value


def decode_part(kind: type[T], data: bytes) -> T | None:
    """:func:`decode_strict` for a part of bytes that are known to be UTF-8 without an offset in a timestamp."""
    decoder, numbers, _ = _DECODERS.get(kind) or _compile(kind)
    try:
        value: T = decoder.decode(data)
    except msgspec.ValidationError:
        return None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise malformed(error) from None
    if numbers is not None and not all(map(Decimal.is_finite, numbers(value))):
        return None
    if kind in _RESTRICTED and _may_restrict(kind, data) and not _knows_restrictions(kind, data):
        return None
    return value


def _may_restrict(kind: type[Any], data: bytes) -> bool:
    """False if it has no restrictions; an escape may hide their name."""
    return kind is TariffRestrictions or b"restrictions" in data or b"\\u" in data


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
"""By model that has restrictions: what reads them alone, and refuses one that the specification does not know."""


def _knows_restrictions(kind: type[Any], data: bytes) -> bool:
    try:
        _RESTRICTED[kind].decode(data)
    except msgspec.ValidationError:
        return False
    return True


_NEGATIVE_OFFSET = re.compile(rb"-\d\d[:\d]")


def may_have_offset(data: bytes) -> bool:
    """False if no timestamp has an offset; an escape may hide one."""
    return b"+" in data or _NEGATIVE_OFFSET.search(data) is not None or b"\\" in data


def _is_utc(moment: datetime) -> bool:
    return moment.tzinfo is UTC


_Leaves: TypeAlias = Callable[[Any], Iterable[Any]]
_Compiled: TypeAlias = tuple[msgspec.json.Decoder[Any], _Leaves | None, _Leaves | None]
_DECODERS: dict[type[Any], _Compiled] = {}


def _compile(kind: type[Any]) -> _Compiled:
    """The decoder of a model, and what lists its numbers and its timestamps; compiled once."""
    schema = inspect.type_info(kind)
    compiled = msgspec.json.Decoder(kind), _leaves(schema, inspect.DecimalType), _leaves(schema, inspect.DateTimeType)
    return _DECODERS.setdefault(kind, compiled)


def _leaves(schema: inspect.Type, leaf: type[inspect.Type]) -> _Leaves | None:
    """A function that lists every leaf of one type in a value of ``schema``; None if the schema has none.

    For the numbers of a CDR: ``lambda v: (v.total_cost, *[x1.volume for x0 in v.charging_periods for x1 ...], ...)``.
    """
    columns = [f"*[{place}{loops}]" if loops else place for place, loops in _columns(schema, leaf, "v", "")]
    # The text holds nothing but names of our own models.
    return eval(f"lambda v: ({', '.join(columns)},)") if columns else None


def _columns(node: inspect.Type, leaf: type[inspect.Type], place: str, loops: str) -> Iterator[tuple[str, str]]:
    """Where the leaves are: an expression, and the loops around it."""
    item = f"x{loops.count(' for ')}"
    match node:
        case _ if isinstance(node, leaf):
            yield place, loops
        case inspect.Metadata(type=inner):
            yield from _columns(inner, leaf, place, loops)
        case inspect.VarTupleType(item_type=inner):
            yield from _columns(inner, leaf, item, f"{loops} for {item} in {place}")
        case inspect.UnionType(types=types):
            present = next(member for member in types if not isinstance(member, inspect.NoneType))
            yield from _columns(present, leaf, item, f"{loops} for {item} in ({place},) if {item} is not None")
        case inspect.DataclassType(fields=fields):
            for field in fields:
                yield from _columns(field.type, leaf, f"{place}.{field.name}", loops)
