"""Timestamps without a zone, from a partner that writes its local time: the offset of its zone is added.

Rules of this module (types.md 1.2 says UTC; docs/spec-choices.md row 2):
- only members that are a DateTime in one of our models are changed, at any depth; everything else keeps its bytes. The
  timestamp keeps its digits: the offset that its zone had at that time is appended;
- a time that occurred twice in the zone is the first of the two (summer time); a skipped time gets the offset before
  the gap: both as ``fold=0`` means (PEP 495);
- zones are those of python-dateutil, which includes the IANA database: the machine may have none.
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
    """A document whose timestamps all have a zone, and the number of those that had none."""

    document: bytes
    added: int = 0


def in_zone(data: bytes | msgspec.Raw, time_zone: str | None) -> Zoned:
    """Return the document with the offset of ``time_zone`` added to each timestamp without one; unchanged without a
    zone.
    """
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
    """Return the finding for a document whose timestamps were given a zone."""
    message = f"{counted(added, 'timestamp')} without a zone designator, read in {time_zone}"
    return Finding.of(DATETIME_ZONE, "", message)


def naive_timestamps(document: bytes) -> int:
    """Return the number of timestamps without a zone."""
    return sum(1 for _ in _naive().finditer(document))


def query_in_zone(query: str, time_zone: str) -> str:
    """Return the query of a list with the zone's offset added to a ``date_from`` and ``date_to`` without one."""
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
        return text  # such as 31 February: the codec rejects it
    assert isinstance(read, datetime)
    moment = read.replace(tzinfo=None)
    offset = moment.replace(tzinfo=zone).utcoffset() or timedelta()
    try:
        utc = moment - offset
    except OverflowError:
        return text  # the last hours of the year 9999, which stand for never: UTC serves as well
    if offset % timedelta(minutes=1):  # local mean time, before zones existed: RFC 3339 cannot express its offset
        return utc.isoformat().encode() + b"Z"
    sign, minutes = ("-" if offset < timedelta() else "+"), abs(offset) // timedelta(minutes=1)
    return text.rstrip() + f"{sign}{minutes // 60:02}:{minutes % 60:02}".encode()


def _members(node: inspect.Type, name: str = "") -> Iterator[str]:
    """Yield the names of the timestamp members below a node."""
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
    """Return the pattern of timestamps without a zone; compiled on first use, since few partners omit zones."""
    names = "|".join(_names(Location, Session, Cdr, Tariff)).encode()
    # A quote inside a text has a backslash before it: such a "member" is part of a text, not a member.
    return re.compile(rb'((?<!\\)"(?:' + names + rb')"\s*:\s*")(' + _MOMENT + rb')"')
