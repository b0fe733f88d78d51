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


def same_content(one: bytes, other: bytes) -> bool:
    """True where both JSON documents say the same."""
    return one == other or _content(one) == _content(other)


def content_hash(document: bytes) -> str:
    """A hash that two documents share where they say the same."""
    return hashlib.blake2b(_ENCODER.encode(_normal(_content(document))), digest_size=16).hexdigest()


def _content(document: bytes) -> Any:
    return _without_last_updated(_DECODER.decode(document))


def _without_last_updated(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_last_updated(item) for name, item in value.items() if name != "last_updated"}
    if isinstance(value, list):
        return [_without_last_updated(item) for item in value]
    return value


def _normal(value: Any) -> Any:
    """Numbers in one spelling, so that equal ones have equal bytes."""
    if isinstance(value, dict):
        return {name: _normal(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_normal(item) for item in value]
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return value
    return f"{Decimal(value).normalize()}"
