"""Compare the content of two documents, ignoring ``last_updated``.

Rules of this module (docs/spec-choices.md rows 9, 18):
- values are compared as they are read: all spellings of one value are equal, for the members of the specification. An
  absent member, null, an empty list, an empty text and an object of only such values are equal. Numbers are compared
  exactly, times as instants, language, currency and country codes case-insensitively;
- a name of OCPI 2.2 equals its 2.1.1 name where both carry the same information; VAT and a token's uid carry more;
- ``last_updated``, spelling and member order are ignored at every depth;
- of a CDR, only what affects the bill is compared: of the location copy, the ids of location, EVSE and connector, not
  their state; the order of its EVSEs and of a period's dimensions is ignored.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, TypeAlias

import msgspec
from attrs import frozen
from msgspec import inspect

from ocpi_emsp.codec import newer
from ocpi_emsp.codec.readings import (
    UNREADABLE,
    read_boolean,
    read_datetime,
    read_enum,
    read_number,
    read_string,
)
from ocpi_emsp.models import Cdr, CdrDimension, ChargingPeriod, Evse, Location, Session, Tariff, Token

_DIGITS = 4000
"""Longest whole number, in digits, that is written digit by digit; Python's int accepts little more from text."""

_MODELS: Final[Mapping[str, type[Any]]] = {
    "location": Location,
    "evse": Evse,
    "session": Session,
    "tariff": Tariff,
    "tariff_version": Tariff,
    "cdr": Cdr,
    "cdr_conflict": Cdr,
    "token": Token,
}
"""Model by record kind; a kind without a model is compared without readings."""


def same_content(one: bytes, other: bytes, kind: str = "") -> bool:
    """Return True if both JSON documents, of objects of this kind, have the same content."""
    if one == other:
        return True
    one, other = _apart(one, other)
    return one == other or _content(one, kind) == _content(other, kind)


def content_hash(document: bytes, kind: str = "") -> str:
    """Return a hash that is equal for documents with the same content; ``kind`` is the kind of the record."""
    return hashlib.blake2b(_content(document, kind), digest_size=16).hexdigest()


def _apart(one: bytes, other: bytes) -> tuple[bytes, bytes]:
    """Return both documents without ``last_updated`` and without members that are equal byte for byte.

    Most members are equal, and need no further reading.
    """
    try:
        first, second = _MEMBERS.decode(one), _MEMBERS.decode(other)
    except (RecursionError, msgspec.DecodeError):
        return one, other
    same = {name for name, value in first.items() if name in second and bytes(value) == bytes(second[name])}
    same.add("last_updated")
    return _without(first, same), _without(second, same)


def _without(members: Mapping[str, msgspec.Raw], names: set[str]) -> bytes:
    return msgspec.json.encode({name: value for name, value in members.items() if name not in names})


def _content(document: bytes, kind: str) -> bytes:
    """Return bytes that are equal for documents with the same content.

    Returns the document's own bytes if it is nested too deeply or has a number of thousands of digits.
    """
    model = _MODELS.get(kind)
    try:
        value = _DECODER.decode(document)
        if model is None:
            return _ENCODER.encode(_plain(value))
        if newer.has_names(model, value):  # reading them costs a copy, which few objects need
            value = newer.same(model, value)
        return _ENCODER.encode(_reading(model)(value))
    except (RecursionError, msgspec.DecodeError, OverflowError):
        return document


_Read: TypeAlias = Callable[[Any], Any]
"""Converts an untyped value to a form that all of its spellings share; None if the value counts as absent."""
_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_DECODER = msgspec.json.Decoder(float_hook=Decimal)
_ENCODER = msgspec.json.Encoder(order="sorted")


def _plain(value: Any) -> Any:
    """Return a value whose type has only one spelling."""
    kind = type(value)
    if kind is dict:
        below = {name: _plain(each) for name, each in value.items() if each is not None and name != "last_updated"}
        return {name: each for name, each in below.items() if each != []}
    if kind is list:
        return [_plain(each) for each in value]
    return _number(value) if kind is Decimal else value


def _number(number: Decimal) -> Any:
    """Return a number in one spelling: a whole number as int, any other by digits and exponent.

    ``Decimal.normalize`` would round to 28 digits.
    """
    sign, digits, exponent = _parts(number)
    kept = digits.rstrip("0")
    power = exponent + len(digits) - len(kept)
    if not kept:
        return 0
    if power >= 0 and len(kept) + power <= _DIGITS:
        return int(kept) * 10**power * (-1 if sign else 1)
    return {"": [sign, kept, power]}


def _parts(number: Decimal) -> tuple[int, str, int]:
    """Return sign, digits and exponent, parsed from the text; ``Decimal.as_tuple`` takes three times as long."""
    text = str(number)
    sign = int(text[0] == "-")
    whole, _, power = text[sign:].partition("E")
    before, _, after = whole.partition(".")
    return sign, (before + after).lstrip("0"), int(power or 0) - len(after)


# --- by the schema --------------------------------------------------------------------------------------------------


@frozen
class _Object:
    """Reads an object of a model. ``texts`` are its plain text members, ``fields`` all others.

    An object without content counts as absent.
    """

    fields: Mapping[str, _Read]
    texts: frozenset[str] = frozenset()
    only: frozenset[str] | None = None
    """The members that are compared; None if all are."""

    def __call__(self, value: Any) -> Any:
        if type(value) is list and len(value) == 1:  # a list of one object
            value = value[0]
        if not isinstance(value, dict):
            return _plain(value)
        fields, only, content = self.fields, self.only, {}
        for name, each in value.items():
            if name == "last_updated" or (only is not None and name not in only):
                continue
            if not each and (each is None or (each == "" and (name in fields or name in self.texts))):
                continue
            read = fields.get(name)
            if read is not None:
                found = read(each)
            elif type(each) is str:
                content[name] = each
                continue
            else:
                found = str(each) if name in self.texts and type(each) in (int, Decimal) else _plain(each)
            if found is not None and found != []:
                content[name] = found
        return content or None


@frozen
class _List:
    item: _Read

    def __call__(self, value: Any) -> Any:
        return [self.item(each) for each in value] if type(value) is list else [self.item(value)]


@frozen
class _Unordered:
    """A list whose order is ignored."""

    listed: _List

    def __call__(self, value: Any) -> Any:
        found = self.listed(value)
        return found if len(found) < 2 else sorted(found, key=_ENCODER.encode)


def _reading(model: type[Any]) -> _Read:
    """Return the reader for objects of this model."""
    found = _READINGS.get(model)
    if found is None:
        found = _READINGS.setdefault(model, _node(inspect.type_info(model)))
    return found


_READINGS: dict[type[Any], _Read] = {}
_READ_TEXTS: Final = frozenset({"coordinate", "country", "time_of_day"})
"""Readings of texts that have several spellings."""
_CODES: Final = frozenset({"language", "currency", "country"})
"""Members whose text is a code."""


def _node(node: inspect.Type, reading: str | None = None) -> _Read:
    match node:
        case inspect.Metadata(type=inner, extra=extra):
            return _node(inner, (extra or {}).get("reading"))
        case inspect.UnionType(types=types):
            return _node(next(each for each in types if not isinstance(each, inspect.NoneType)), reading)
        case inspect.DataclassType(cls=cls):
            return _of_cdr(node) if cls is Cdr else _object(node)
        case inspect.VarTupleType(item_type=item):
            return _List(_node(item))
        case inspect.DateTimeType():
            return _moment
        case inspect.DecimalType() | inspect.IntType():
            return _counted
        case inspect.BoolType():
            return _boolean
        case inspect.EnumType(cls=enum):
            return _enum(enum)
        case inspect.StrType():
            return _text(node, reading)
    return _plain


def _object(node: inspect.DataclassType) -> _Object:
    texts = frozenset(each.name for each in node.fields if each.name not in _CODES and _is_text(each.type))
    fields = {each.name: _node(each.type) for each in node.fields if each.name not in texts}
    codes = {name: _code(read) for name, read in fields.items() if name in _CODES}
    return _Object({**fields, **codes}, texts)


def _code(read: _Read) -> _Read:
    def upper(value: Any) -> Any:
        found = read(value)
        return found.upper() if type(found) is str else found

    return upper


def _is_text(node: inspect.Type, reading: str | None = None) -> bool:
    """Return True if a member is a text without a reading of its own."""
    match node:
        case inspect.Metadata(type=inner, extra=extra):
            return _is_text(inner, (extra or {}).get("reading"))
        case inspect.UnionType(types=types):
            return _is_text(next(each for each in types if not isinstance(each, inspect.NoneType)), reading)
    return isinstance(node, inspect.StrType) and reading not in _READ_TEXTS


def _of_cdr(node: inspect.DataclassType) -> _Object:
    """Return the reader of a CDR: the location copy by its ids, the dimensions of a period in any order."""
    connector = _Object({}, frozenset({"id"}), frozenset({"id"}))
    evse = _Object({"connectors": _Unordered(_List(connector))}, frozenset({"uid"}), frozenset({"uid", "connectors"}))
    location = _Object({"evses": _Unordered(_List(evse))}, frozenset({"id"}), frozenset({"id", "evses"}))
    whole = _object(node)
    period = _object(_dataclass(ChargingPeriod))
    dimensions = _Unordered(_List(_object(_dataclass(CdrDimension))))
    periods = _List(_Object({**period.fields, "dimensions": dimensions}, period.texts))
    return _Object({**whole.fields, "location": location, "charging_periods": periods}, whole.texts)


def _dataclass(model: type[Any]) -> inspect.DataclassType:
    node = inspect.type_info(model)
    assert isinstance(node, inspect.DataclassType)
    return node


def _unreported(_rule: Any, _message: str) -> None:
    """Ignore the deviation: it was reported when the document was received."""


def _text(node: inspect.StrType, reading: str | None) -> _Read:
    if reading not in _READ_TEXTS:
        return lambda value: str(value) if type(value) in (int, Decimal) else _plain(value)

    def read(value: Any) -> Any:
        found = read_string(value, node, reading, _unreported)
        return _or_absent(value) if found is UNREADABLE else found

    return read


def _moment(value: Any) -> Any:
    if type(value) is str and len(value) == 20 and value[10] == "T" and value[19] == "Z":
        return value
    moment = read_datetime(value, _unreported)
    return moment.isoformat().replace("+00:00", "Z") if isinstance(moment, datetime) else _or_absent(value)


def _counted(value: Any) -> Any:
    if type(value) is int:
        return value
    if type(value) is Decimal:
        return _number(value)
    number = read_number(value, _unreported)
    return _number(number) if isinstance(number, Decimal) else _or_absent(value)


def _boolean(value: Any) -> Any:
    found = read_boolean(value, _unreported)
    return _or_absent(value) if found is UNREADABLE else found


def _or_absent(value: Any) -> Any:
    """Return a value without a reading; a blank text counts as absent."""
    return None if isinstance(value, str) and not value.strip() else _plain(value)


def _enum(enum: Any) -> _Read:
    listed = frozenset(each.value for each in enum)

    def read(value: Any) -> Any:
        if type(value) is not str:
            return _plain(value)
        return (
            value
            if value in listed
            else _or_absent(value)
            if value.isspace()
            else str(read_enum(value, enum, _unreported).value)
        )

    return read
