"""JSON bytes to an untyped document and back, exactly.

Rules of this module (RFC 8259, status_codes.md):
- bytes that are not JSON raise :class:`~ocpi_emsp.errors.NotJson`, whatever the reason: encoding, syntax, NaN, lone
  surrogates, nesting deeper than any OCPI object, numbers too large to represent;
- numbers with a fraction or exponent become ``Decimal``, as do integers with too many digits for Python's int; nothing
  is rounded;
- the last of repeated members counts, as in all common JSON libraries, and the repetition is recorded;
- values that JSON cannot hold (NaN, a lone surrogate, a Python object) are never written, even where msgspec would.
"""

from __future__ import annotations

import codecs
import json
import re
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import msgspec

from ocpi_emsp.codec import rules
from ocpi_emsp.errors import InvalidObject, NotJson
from ocpi_emsp.findings import Finding, pointer

_BOM = "\ufeff"
"""Some libraries write a byte order mark before JSON; RFC 8259 8.1 lets a reader ignore it."""
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_ENCODER = msgspec.json.Encoder(decimal_format="number")
GZIP: Final = b"\x1f\x8b"
"""First bytes of a body that is compressed with gzip."""
_START: Final = 256
"""Length in bytes of the beginning that is examined when nothing can be read."""
_STARTS: Final = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
    (GZIP, "compressed with gzip"),
)
"""First bytes of other encodings, the longest first."""


class JsonObject(dict[str, Any]):
    """A JSON object that records which of its members were repeated."""

    __slots__ = ("repeated",)

    repeated: tuple[str, ...]


def parse(data: bytes | str) -> Any:
    """Return the untyped document: JsonObject, list, str, int, Decimal, bool or None. Raises NotJson."""
    try:
        text = str(data.encode() if isinstance(data, str) else data, "utf-8")
        document = json.loads(
            text.removeprefix(_BOM),
            parse_float=Decimal,
            parse_int=_integer,
            parse_constant=_refuse_constant,
            object_pairs_hook=_remember_repeated,
        )
        if _SURROGATE.search(text):
            msgspec.json.decode(text, type=msgspec.Raw)
    except UnicodeDecodeError as error:
        raise _of_another_kind(data, f"{error.reason} at byte {error.start}") from None
    except UnicodeEncodeError as error:
        raise NotJson(f"invalid UTF-8: {error.reason} at character {error.start}") from None
    except (
        ValueError,
        InvalidOperation,
        RecursionError,
        msgspec.DecodeError,
    ) as error:  # msgspec 0.20
        raise malformed(error, data) from None
    return document


def longest_number(data: bytes, digits: int) -> int:
    """Return the length of the first number with more than ``digits`` digits; 0 if there is none. Digits in texts count
    too.
    """
    marked = data.translate(_DIGIT)
    start = marked.find(b"0" * (digits + 1))
    return 0 if start < 0 else len(marked[start:].partition(b" ")[0])


_DIGIT: Final = bytes(48 if 48 <= each <= 57 else 32 for each in range(256))


def malformed(error: Exception, data: bytes | str | None = None) -> NotJson:
    """Return the NotJson for a parser's error; ``data``, if given, is what the parser read and allows a better
    message.
    """
    if data is not None:
        start = data[:_START].lstrip()
        if not start and len(data) <= _START:
            return NotJson("invalid JSON: the document is empty")
        if start[:1] in (b"<", "<"):
            return NotJson("invalid JSON: the document begins with '<', as HTML and XML do")
    match error:
        case RecursionError():
            return NotJson("invalid JSON: nested too deeply")
        case InvalidOperation():  # its own message is a list of classes
            return NotJson("invalid JSON: a number is out of range")
    return NotJson(f"invalid JSON: {str(error).removeprefix('JSON is malformed: ')}")


def dumped(value: Any) -> bytes:
    """Return the bytes of parsed JSON; a float is written as its shortest decimal. Raises NotJson."""
    try:
        json.dumps(value, allow_nan=False, default=str)
        return dump(value)
    except InvalidObject as error:
        raise NotJson(error.message) from None
    except (TypeError, ValueError, RecursionError) as error:
        raise malformed(error) from None


def _of_another_kind(data: bytes | str, reason: str) -> NotJson:
    """Return the NotJson for bytes that are not UTF-8, naming the format if the first bytes identify it."""
    found = () if isinstance(data, str) else (named for start, named in _STARTS if data.startswith(start))
    named = next(iter(found), None)
    return NotJson(f"the body is {named}, expected UTF-8" if named else f"invalid UTF-8: {reason}")


def require_utf8(data: bytes) -> None:
    """Raise NotJson for bytes that are not UTF-8; msgspec does not check what it skips."""
    try:
        data.isascii() or str(data, "utf-8")
    except UnicodeDecodeError as error:
        raise _of_another_kind(data, f"{error.reason} at byte {error.start}") from None


def require_json(data: bytes) -> None:
    """Raise NotJson for bytes that are not JSON, before any other fault is reported."""
    if not is_readable_json(data):
        raise malformed(RecursionError(), data)


def is_readable_json(data: bytes) -> bool:
    """Return False if the JSON nests too deeply for the parser of this Python. Raises NotJson if it is not JSON."""
    try:
        msgspec.json.decode(data, type=msgspec.Raw)
    except RecursionError:
        return False
    except msgspec.DecodeError as error:
        raise malformed(error, data) from None
    return True


def dump(document: Any) -> bytes:
    """Return the compact JSON of an untyped document; a Decimal is written as a JSON number.

    Raises InvalidObject with a finding for each value that JSON cannot hold.
    """
    try:
        data = _ENCODER.encode(document)
    except RecursionError:
        raise InvalidObject("cannot be written as JSON: nested too deeply") from None
    except (TypeError, ValueError) as error:
        raise _not_writable(document) or error from None
    refused = _not_writable(document) if b"NaN" in data or b"Infinity" in data else None
    if refused:  # msgspec before 0.23 writes these numbers
        raise refused
    return data


def _not_writable(document: Any) -> InvalidObject | None:
    """Return the error for a document that JSON cannot hold, or None."""
    try:
        findings = tuple(_unwritable(document))
    except RecursionError:  # msgspec accepts deeper nesting than Python code
        return InvalidObject("cannot be written as JSON: nested too deeply")
    places = [finding.message + (f" at {finding.pointer}" if finding.pointer else "") for finding in findings]
    return InvalidObject(f"cannot be written as JSON: {places[0]}", findings=findings) if findings else None


def _unwritable(document: Any, path: tuple[str | int, ...] = ()) -> Iterator[Finding]:
    """Yield a finding for each value of a document that JSON cannot hold."""
    if isinstance(document, dict):
        for name, value in document.items():
            yield from _unwritable(name, (*path, str(name)))
            yield from _unwritable(value, (*path, str(name)))
    elif isinstance(document, list | tuple):
        for index, value in enumerate(document):
            yield from _unwritable(value, (*path, index))
    elif message := _why_unwritable(document):
        yield Finding.of(rules.TYPE, pointer(path), message, rules.FORMAT)


def _why_unwritable(value: Any) -> str | None:
    if isinstance(value, Decimal):
        return None if value.is_finite() else f"a finite number is required, found {value}"
    try:
        _ENCODER.encode(value)
    except UnicodeEncodeError as error:
        return f"Unicode text is required, found the lone surrogate U+{ord(error.object[error.start]):X}"
    except TypeError:
        return f"a JSON value is required, found a Python object of type {type(value).__name__}"
    except ValueError:  # sys.set_int_max_str_digits
        return "an integer of at most 4300 digits is required"
    return None


def _integer(digits: str) -> int | Decimal:
    """Return an int, or a Decimal if there are more digits than Python converts (sys.set_int_max_str_digits)."""
    try:
        return int(digits)
    except ValueError:
        return Decimal(digits)


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a number")


def _remember_repeated(pairs: list[tuple[str, Any]]) -> JsonObject:
    members = JsonObject(pairs)
    members.repeated = ()
    if len(members) != len(pairs):
        counts = Counter(name for name, _ in pairs)
        members.repeated = tuple(name for name, count in counts.items() if count > 1)
    return members
