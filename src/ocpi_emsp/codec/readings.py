"""Readings: one scalar of an untyped document becomes a value of the typed view, or a finding.

Rules of this module (docs/spec-choices.md, rows 2, 3, 11, 12, 14, 20):
- a value with one obvious reading is accepted and reported; no value is invented; a value without a reading gives
  :data:`UNREADABLE`;
- a value that already fits its type gives no finding, or a note at most.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from functools import cache, lru_cache
from json import dumps
from typing import Any

import msgspec
from msgspec import inspect

from ocpi_emsp.codec import rules
from ocpi_emsp.codec.iso3166 import ALPHA3
from ocpi_emsp.findings import Rule
from ocpi_emsp.scalars import OpenEnum


class Unreadable:
    """The type of :data:`UNREADABLE`."""


UNREADABLE = Unreadable()
"""Stands for a value that has no reading; its error finding has been reported."""


class Unsaid(int):
    """The type of :data:`UNSAID`."""


UNSAID = Unsaid(0)
"""Stands for a missing required number in the copy of a location."""

Report = Callable[[Rule, str], None]
"""Takes the broken rule and a sentence that quotes the value."""

TIMESTAMP = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?\s?(?P<zone>[Zz]|[+-]\d\d(?::?\d\d)?)?", re.ASCII
)
_CANONICAL = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)?", re.ASCII)
_TIME = re.compile(r"(\d{1,2}):(\d\d)(?::\d\d)?", re.ASCII)
_SURROGATE = re.compile("[\ud800-\udfff]")
_MAX_SHOWN = 60
_LOOKED_AT = 10_000
"""Characters of a text that are searched for unprintable ones; no valid text of OCPI is longer."""
_ENCODER = msgspec.json.Encoder(decimal_format="number")


def shown(value: Any) -> str:
    """Return a value as messages quote it: short, on one line; a text in quotes, anything else as JSON."""
    text = f"'{_printable(value)}'" if isinstance(value, str) else _printable(_as_json(value))
    return text if len(text) <= _MAX_SHOWN else text[: _MAX_SHOWN - 3] + "..."


def _printable(text: str) -> str:
    """Return the beginning of a text, with unprintable characters as JSON escapes."""
    start = text[:_MAX_SHOWN]
    return (
        start if start.isprintable() else "".join(each if each.isprintable() else dumps(each)[1:-1] for each in start)
    )


def _as_json(value: Any) -> str:
    """Return the JSON of a value of a document; a number by its digits."""
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return str(Decimal(value))
    try:
        return _ENCODER.encode(value).decode()
    except (TypeError, ValueError, RecursionError):
        return type_name(value)


def type_name(value: Any) -> str:
    """Return the JSON name of a value's type."""
    names = {dict: "an object", list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    names |= {int: "a number", Decimal: "a number", float: "a number"}
    found = next((name for kind, name in names.items() if isinstance(value, kind)), None)
    return found or f"a Python object of type {type(value).__name__}"


def read_string(value: Any, node: inspect.StrType, reading: str | None, report: Report) -> Any:
    """Read a text; a number becomes its digits. ``reading`` names an alternative meaning if a constraint is broken."""
    if reading == "coordinate":
        return _read_coordinate(value, node, report)
    if not isinstance(value, str):
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            return _wrong_type(value, "a string", report)
        report(rules.STRING_NUMBER, f"expected a string, found the number {shown(value)}")
        value = str(value)
    if not value.isascii() or not value[:_LOOKED_AT].isprintable():
        if _SURROGATE.search(value):
            return _wrong_type(value, "Unicode text", report)
        report(rules.NOT_ASCII, f"{shown(value)} contains characters outside printable ASCII")
    if reading == "country":
        return _read_country(value, report)
    if reading == "time_of_day":
        return _read_time_of_day(value, node, report)
    if node.max_length is not None and len(value) > node.max_length:
        report(rules.LENGTH, f"{shown(value)} has {len(value)} characters, at most {node.max_length} are allowed")
    return value


def read_integer(value: Any, node: inspect.IntType, report: Report) -> Any:
    """Read an int; digits in a string and a fraction of zero are accepted."""
    if isinstance(value, str) and len(value) <= _MAX_SHOWN and re.fullmatch(r"\s*[+-]?\d{1,18}\s*", value, re.ASCII):
        report(rules.INTEGER_STRING, f"the integer {shown(value)} is written as a string")
        value = int(value)
    elif isinstance(value, Decimal) and value.adjusted() < 18 and value == value.to_integral_value():
        report(rules.INTEGER_FRACTION, f"the integer {shown(value)} is written with a fraction or exponent")
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        return _wrong_type(value, "an integer", report)
    if (node.ge is not None and value < node.ge) or (node.le is not None and value > node.le):
        report(rules.INTEGER_RANGE, f"{shown(value)} is outside {node.ge} to {node.le}")
    return value


def read_number(value: Any, report: Report) -> Any:
    """Read a Decimal; a number in a string is accepted."""
    if isinstance(value, str):
        try:
            number = Decimal(value)
        except InvalidOperation:
            return _wrong_type(value, "a number", report)
        if not number.is_finite():
            return _wrong_type(value, "a number", report)
        report(rules.NUMBER_STRING, f"the number {shown(value)} is written as a string")
        return number
    if isinstance(value, bool) or not isinstance(value, int | Decimal) or not Decimal(value).is_finite():
        return _wrong_type(value, "a number", report)
    return Decimal(value)


def read_boolean(value: Any, report: Report) -> Any:
    """Read a bool; ``"true"`` and ``"false"`` in any case are accepted."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in ("true", "false"):
        report(rules.BOOLEAN_STRING, f"the boolean {shown(value)} is written as a string")
        return value.strip().lower() == "true"
    return _wrong_type(value, "a boolean", report)


def read_enum(value: Any, enum: type[OpenEnum], report: Report) -> Any:
    """Read an enum member: listed, listed in another case, or unlisted with its text."""
    if not isinstance(value, str):
        return _wrong_type(value, f"a {enum.__name__}", report)
    read = _read_text if len(value) <= _MAX_SHOWN else _read_text.__wrapped__
    member, rule, message = read(value, enum)
    if rule is not None:
        report(rule, message)
    return member


@lru_cache(maxsize=1024)
def _read_text(value: str, enum: type[OpenEnum]) -> tuple[OpenEnum, Rule | None, str]:
    """Return the member and the deviation; cached, since one value may occur in each of thousands of EVSEs."""
    member = enum.of(value)
    if member.known:
        return member, None, ""
    listed = _by_lower_case(enum).get(value.lower())
    if listed is not None:
        message = f"{shown(value)} differs in case: expected {listed.value} of {enum.__name__}"
        return listed, rules.ENUM_CASE, message
    return member, rules.ENUM_UNKNOWN, f"{shown(value)} is not a value of {enum.__name__}"


@cache
def _by_lower_case(enum: type[OpenEnum]) -> dict[str, OpenEnum]:
    return {listed.value.lower(): listed for listed in reversed(enum)}


def read_datetime(value: Any, report: Report) -> Any:
    """Read an aware UTC datetime; a missing zone means UTC, an offset is converted."""
    if not isinstance(value, str):
        return _wrong_type(value, "a timestamp", report)
    text = value.strip()
    match = TIMESTAMP.fullmatch(text)
    strict = _strict_moment(text)
    try:
        moment = strict or (_lenient_moment(text) if match else None)
        moment = moment and (moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC))
    except (ValueError, OverflowError):
        moment = None
    if match is None or moment is None:
        report(rules.DATETIME_UNREADABLE, f"{shown(value)} is not a timestamp: expected YYYY-MM-DDTHH:MM:SSZ")
        return UNREADABLE
    zone = match["zone"]
    if zone is None:
        report(rules.DATETIME_ZONE, f"{shown(value)} has no zone designator; read as UTC")
    elif zone not in "Zz":
        report(rules.DATETIME_OFFSET, f"{shown(value)} has an offset; read as {moment:%Y-%m-%dT%H:%M:%SZ}")
    if strict is None or not _CANONICAL.fullmatch(value):
        report(rules.DATETIME_FORM, f"{shown(value)} is not written as YYYY-MM-DDTHH:MM:SSZ")
    return moment


def _strict_moment(text: str) -> datetime | None:
    """Parse with the strict lane's own parser first, so that both lanes round a fraction alike."""
    try:
        return msgspec.convert(text, datetime)
    except msgspec.ValidationError:
        return None


def _lenient_moment(text: str) -> datetime:
    """Parse date and time of the shape of ``TIMESTAMP``, with any ``T``, ``Z`` and spaces around them."""
    from dateutil import parser as dateutil_parser  # only needed for what the strict lane rejects

    return dateutil_parser.isoparse(text[:10] + "T" + "".join(text[11:].split()).upper())


@cache
def time_zones() -> frozenset[str]:
    """Return the names of the IANA database, as python-dateutil knows them (from the tzdata package and the system)."""
    from dateutil import tz

    return frozenset(tz.available_iana_timezones())  # type: ignore[attr-defined]  # the stubs are those of 2.9


def _read_country(value: str, report: Report) -> str:
    if len(value) == 3:
        return value
    alpha3 = ALPHA3.get(value.strip().upper(), value)
    reads = f"; read as {alpha3}" if alpha3 != value else ""
    report(rules.COUNTRY_ALPHA2, f"the country {shown(value)} is not an ISO 3166-1 alpha-3 code{reads}")
    return alpha3


def _read_coordinate(value: Any, node: inspect.StrType, report: Report) -> Any:
    if isinstance(value, str) and node.pattern and re.search(node.pattern, value):
        return value
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        return _wrong_type(value, "a coordinate", report)
    try:
        degrees = Decimal(value.strip().replace(",", ".") if isinstance(value, str) else value)
        text = f"{degrees.quantize(Decimal('1.000000'), ROUND_HALF_EVEN):f}"
    except InvalidOperation:
        return _wrong_type(value, "a coordinate", report)
    if not re.search(node.pattern or "", text):
        return _wrong_type(value, "a coordinate", report)
    report(rules.COORDINATE_FORM, f"the coordinate {shown(value)} is not text with six decimals; read as {text}")
    return text


def _read_time_of_day(value: str, node: inspect.StrType, report: Report) -> Any:
    if node.pattern and re.search(node.pattern, value):
        return value
    match = _TIME.fullmatch(value.strip())
    text = f"{int(match[1]) % 24:02}:{match[2]}" if match and (int(match[1]) < 24 or match[2] == "00") else ""
    if not match or not re.search(node.pattern or "", text) or int(match[1]) > 24:
        return _wrong_type(value, "a time of day", report)
    report(rules.TIME_OF_DAY_FORM, f"the time {shown(value)} is not written as HH:MM; read as {text}")
    return text


def _wrong_type(value: Any, wanted: str, report: Report) -> Unreadable:
    found = type_name(value)
    quoted = "" if value is None or "Python" in found else f" {shown(value)}"
    report(rules.TYPE, f"expected {wanted}, found {found}{quoted}")
    return UNREADABLE
