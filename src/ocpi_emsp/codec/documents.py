"""JSON bytes to an untyped document and back, exactly.

Rules of this module (RFC 8259, status_codes.md):
- bytes that are no JSON raise :class:`~ocpi_emsp.errors.NotJson`, whatever is wrong with them: encoding, syntax, NaN,
  lone surrogates, nesting that no object of OCPI has, numbers that nothing can hold;
- numbers with a fraction or exponent become ``Decimal``; nothing is rounded;
- where a member is repeated the last one counts, as in every JSON library in use, and the repetition is remembered.
"""

from __future__ import annotations

import json
import re
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
        text = data if isinstance(data, str) else str(data, "utf-8")
        document = json.loads(
            text, parse_float=Decimal, parse_constant=_refuse_constant, object_pairs_hook=_remember_repeated
        )
        if _SURROGATE.search(text):
            msgspec.json.decode(text)
    except UnicodeDecodeError as error:
        raise NotJson(f"not UTF-8: {error.reason} at byte {error.start}") from None
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


def dump(document: Any) -> bytes:
    """The compact JSON of an untyped document; a Decimal is written as the number it is."""
    return _ENCODER.encode(document)


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


def _remember_repeated(pairs: list[tuple[str, Any]]) -> JsonObject:
    members = JsonObject(pairs)
    members.repeated = ()
    if len(members) != len(pairs):
        names = [name for name, _ in pairs]
        members.repeated = tuple(name for name in members if names.count(name) > 1)
    return members
