"""Whether two documents say the same, leaving aside when they were last updated.

Rules of this module (docs/spec-choices.md row 18): ``last_updated`` counts at no depth, spelling and order of members
do not count, numbers are compared exactly.
"""

from __future__ import annotations

import hashlib
from decimal import Decimal
from typing import Any

import msgspec

_DECODER = msgspec.json.Decoder(float_hook=Decimal)
_ENCODER = msgspec.json.Encoder(order="sorted")
_NOT_COMPARABLE = (RecursionError, msgspec.DecodeError)
"""Nested too deeply, or with a number of thousands of digits: only the same bytes are the same then."""


def same_content(one: bytes, other: bytes) -> bool:
    """True where both JSON documents say the same."""
    try:
        return one == other or _same(_DECODER.decode(one), _DECODER.decode(other))
    except _NOT_COMPARABLE:
        return False


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        names = one.keys() | other.keys()
        names.discard("last_updated")
        return all(name in one and name in other and _same(one[name], other[name]) for name in names)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)


def content_hash(document: bytes) -> str:
    """A hash that two documents share where they say the same."""
    try:
        content = _ENCODER.encode(_normal(_DECODER.decode(document)))
    except _NOT_COMPARABLE:
        content = document
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def _normal(value: Any) -> Any:
    """Without ``last_updated``, and numbers in one spelling, so that equal ones have equal bytes."""
    if isinstance(value, dict):
        return {name: _normal(item) for name, item in value.items() if name != "last_updated"}
    if isinstance(value, list):
        return [_normal(item) for item in value]
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return value
    return {"": _digits(Decimal(value))}


def _digits(number: Decimal) -> str:
    """All digits of a number in one spelling; ``Decimal.normalize`` would round to 28 of them."""
    sign, digits, exponent = number.as_tuple()
    text = "".join(map(str, digits))
    kept = text.rstrip("0")
    return f"{'-' if sign and kept else ''}{kept}e{int(exponent) + len(text) - len(kept)}" if kept else "0"
