"""Whether two documents say the same, leaving aside when they were last updated.

Rules of this module (docs/spec-choices.md row 18): ``last_updated`` counts at no depth, spelling and order of members
do not count, numbers are compared exactly.
"""

from __future__ import annotations

import hashlib
from decimal import Decimal
from typing import Any

import msgspec

_DIGITS = 4000
"""A whole number of at most so many digits is spelled by them; Python's int takes little more from a text."""


def same_content(one: bytes, other: bytes) -> bool:
    """Return True if both JSON documents have the same content."""
    return one == other or _content(one) == _content(other)


def content_hash(document: bytes) -> str:
    """Return a hash that documents with the same content share."""
    return hashlib.blake2b(_content(document), digest_size=16).hexdigest()


def _content(document: bytes) -> bytes:
    """Equal for documents that say the same. One that is nested too deeply, or has a number of thousands of digits, is
    what its bytes are."""
    try:
        value = _DECODER.decode(document)
        _strip(value)
        return _ENCODER.encode(value)
    except (RecursionError, msgspec.DecodeError, OverflowError):
        return document


def _strip(value: Any) -> None:
    """Remove every ``last_updated``."""
    if type(value) is dict:
        value.pop("last_updated", None)
        value = value.values()
    elif type(value) is not list:
        return
    for item in value:
        if type(item) is dict or type(item) is list:
            _strip(item)


def _number(text: str) -> Any:
    """A number with a fraction or an exponent in one spelling: a whole one as int, any other by digits and exponent.

    ``Decimal.normalize`` would round to 28 digits.
    """
    sign, digits, exponent = Decimal(text).as_tuple()
    found = "".join(map(str, digits))
    kept = found.rstrip("0")
    power = int(exponent) + len(found) - len(kept)
    if not kept:
        return 0
    if power >= 0 and len(kept) + power <= _DIGITS:
        return int(kept) * 10**power * (-1 if sign else 1)
    return {"": [sign, kept, power]}


_DECODER = msgspec.json.Decoder(float_hook=_number)
_ENCODER = msgspec.json.Encoder(order="sorted")
