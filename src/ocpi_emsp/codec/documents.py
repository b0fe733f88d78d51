"""JSON bytes to an untyped document and back, exactly.

Rules of this module (RFC 8259, status_codes.md):
- bytes that are no JSON raise :class:`~ocpi_emsp.errors.NotJson`, whatever is wrong with them: encoding, syntax, NaN,
  lone surrogates, nesting that no object of OCPI has, numbers that nothing can hold;
- numbers with a fraction or exponent become ``Decimal``, as do integers of too many digits for Python's int; nothing is
  rounded;
- where a member is repeated the last one counts, as in every JSON library in use, and the repetition is remembered.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from ocpi_emsp.errors import NotJson

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_ENCODER = msgspec.json.Encoder(decimal_format="number")


class JsonObject(dict[str, Any]):
    """A JSON object that knows which of its members were repeated."""

    __slots__ = ("repeated",)

    repeated: tuple[str, ...]


def parse(data: bytes | str) -> Any:
    """The untyped document: JsonObject, list, str, int, Decimal, bool or None. Raises NotJson."""
    try:
        text = str(data.encode() if isinstance(data, str) else data, "utf-8")
        document = json.loads(
            text,
            parse_float=Decimal,
            parse_int=_integer,
            parse_constant=_refuse_constant,
            object_pairs_hook=_remember_repeated,
        )
        if _SURROGATE.search(text):
            msgspec.json.decode(text, type=msgspec.Raw)
    except UnicodeDecodeError as error:
        raise NotJson(f"not UTF-8: {error.reason} at byte {error.start}") from None
    except UnicodeEncodeError as error:
        raise NotJson(f"not UTF-8: {error.reason} at character {error.start}") from None
    except (json.JSONDecodeError, msgspec.DecodeError) as error:
        raise NotJson(f"not JSON: {error}") from None
    except RecursionError:
        raise NotJson("not readable: nested too deeply") from None
    except (ValueError, InvalidOperation) as error:
        raise NotJson(f"not readable: {error}") from None
    return document


def parsed(value: Any) -> Any:
    """The untyped document of JSON that someone parsed already; a float stands for its shortest digits."""
    try:
        json.dumps(value, allow_nan=False, default=str)
        return parse(dump(value))
    except (TypeError, ValueError, RecursionError) as error:
        raise NotJson(f"not JSON: {error}") from None


def require_utf8(data: bytes) -> None:
    """Raises NotJson for bytes that are not UTF-8; msgspec itself does not look into what it skips."""
    try:
        data.isascii() or str(data, "utf-8")
    except UnicodeDecodeError as error:
        raise NotJson(f"not UTF-8: {error.reason} at byte {error.start}") from None


def dump(document: Any) -> bytes:
    """The compact JSON of an untyped document; a Decimal is written as the number it is."""
    return _ENCODER.encode(document)


def _integer(digits: str) -> int | Decimal:
    """An int, or a Decimal of more digits than Python converts (sys.set_int_max_str_digits)."""
    try:
        return int(digits)
    except ValueError:
        return Decimal(digits)


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


def _remember_repeated(pairs: list[tuple[str, Any]]) -> JsonObject:
    members = JsonObject(pairs)
    members.repeated = ()
    if len(members) != len(pairs):
        counts = Counter(name for name, _ in pairs)
        members.repeated = tuple(name for name, count in counts.items() if count > 1)
    return members
