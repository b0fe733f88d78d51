"""Timestamps without a zone of a partner that writes them in its own: the zone is written beside them.

Rules of this module (types.md 1.2 says UTC; docs/spec-choices.md row 2):
- only the members that are a DateTime in one of our models are looked at, wherever they stand; everything else keeps
  its bytes, and so do the digits of the timestamp: the offset that its zone had then is put behind them;
- a time that the zone had twice is the first of the two (summer time); one that it skipped is read with the offset
  before the gap: both are what ``fold=0`` means (PEP 495);
- zones are those of python-dateutil, which brings the IANA database along: the machine may have none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta, tzinfo
from functools import cache
from typing import Any
from urllib.parse import parse_qsl, urlencode

import msgspec
from attrs import frozen
from msgspec import inspect

from ocpi_emsp.codec.readings import UNREADABLE, read_datetime, time_zones
from ocpi_emsp.codec.rules import DATETIME_ZONE
from ocpi_emsp.findings import Finding, counted
from ocpi_emsp.models import Cdr, Location, Session, Tariff


@frozen
class Zoned:
    """A document whose timestamps all have a zone, and how many of them had none."""

    document: bytes
    added: int = 0


def in_zone(data: bytes | msgspec.Raw, time_zone: str | None) -> Zoned:
    """The document with the offset of ``time_zone`` behind each timestamp that has none; as it is without a zone."""
    document = bytes(data)
    if time_zone is None:
        return Zoned(document)
    zone, added = zone_of(time_zone), 0

    def zoned(found: re.Match[bytes]) -> bytes:
        nonlocal added
        text = _with_offset(found[2], zone)
        added += text != found[2]
        return found[1] + text + b'"'

    return Zoned(_naive().sub(zoned, document), added)


def zone_finding(added: int, time_zone: str) -> Finding:
    """Return the finding of a document whose timestamps were given a zone."""
    message = f"{counted(added, 'timestamp')} without a zone designator, read in {time_zone}"
    return Finding.of(DATETIME_ZONE, "", message)


def naive_timestamps(document: bytes) -> int:
    """How many timestamps of a document have no zone."""
    return sum(1 for _ in _naive().finditer(document))


def query_in_zone(query: str, time_zone: str) -> str:
    """The query of a list with the offset of the zone behind a ``date_from`` and ``date_to`` that have none."""
    given = parse_qsl(query, keep_blank_values=True)
    return urlencode([(name, _offset_in(text, time_zone) if name in _DATES else text) for name, text in given])


_DATES = frozenset({"date_from", "date_to"})


@cache
def zone_of(time_zone: str) -> tzinfo:
    """Return the zone of an IANA name. Raises ValueError if the name is unknown."""
    from dateutil import tz

    zone = tz.gettz(time_zone) if time_zone in time_zones() else None
    if zone is None:
        raise ValueError(f"invalid time zone '{time_zone}': expected an IANA name, for example Europe/Amsterdam")
    return zone


def _offset_in(text: str, time_zone: str) -> str:
    data = text.encode()
    return _with_offset(data, zone_of(time_zone)).decode() if _TEXT.fullmatch(data) else text


def _with_offset(text: bytes, zone: tzinfo) -> bytes:
    read = read_datetime(text.decode(), lambda _rule, _message: None)
    if read is UNREADABLE:
        return text  # such as the 31st of February: the codec refuses it
    assert isinstance(read, datetime)
    moment = read.replace(tzinfo=None)
    offset = moment.replace(tzinfo=zone).utcoffset() or timedelta()
    try:
        utc = moment - offset
    except OverflowError:
        return text  # the last hours of the year 9999, which stand for never: UTC is as good
    if offset % timedelta(minutes=1):  # local mean time, before there were zones: no offset of RFC 3339 says it
        return utc.isoformat().encode() + b"Z"
    sign, minutes = ("-" if offset < timedelta() else "+"), abs(offset) // timedelta(minutes=1)
    return text.rstrip() + f"{sign}{minutes // 60:02}:{minutes % 60:02}".encode()


def _members(node: inspect.Type, name: str = "") -> Iterator[str]:
    """The names of the members below a node that are timestamps."""
    match node:
        case inspect.DateTimeType():
            yield name
        case inspect.Metadata(type=inner):
            yield from _members(inner, name)
        case inspect.VarTupleType(item_type=inner):
            yield from _members(inner, name)
        case inspect.UnionType(types=types):
            for member in types:
                yield from _members(member, name)
        case inspect.DataclassType(fields=fields):
            for field in fields:
                yield from _members(field.type, field.name)


def _names(*kinds: type[Any]) -> list[str]:
    return sorted({name for kind in kinds for name in _members(inspect.type_info(kind))})


_MOMENT = rb"\s?\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?\s?"
_TEXT = re.compile(_MOMENT)


@cache
def _naive() -> re.Pattern[bytes]:
    """Find timestamps without a zone; made when it is first needed, since few partners leave out zones."""
    names = "|".join(_names(Location, Session, Cdr, Tariff)).encode()
    # A quote inside a text has a backslash before it: such a "member" is part of a text, and no member.
    return re.compile(rb'((?<!\\)"(?:' + names + rb')"\s*:\s*")(' + _MOMENT + rb')"')
