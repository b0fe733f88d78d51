"""The value at a pointer, in the short form that a report quotes.

Rules of this module:
- an object or a list is quoted by its size, a text by its beginning; never more than ``MAX_SAMPLE`` characters;
- a token of Credentials is a secret and is never quoted (transport_and_format.md, authorization header).
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from attrs import define, field

from ocpi_emsp.codec import untyped
from ocpi_emsp.errors import InvalidObject, NotJson

MAX_SAMPLE = 80
"""Characters of a sample: enough to recognise a value, short enough for a table."""
HIDDEN = "(hidden)"
_RAW = 400
_MISSING = object()


def sample_at(document: Any, pointer: str, kind: str) -> str | None:
    """Return the value at an RFC 6901 pointer of ``document`` (bytes, str or parsed JSON) in short; None if missing."""
    return Quoted(document, kind).at(pointer)


@define
class Quoted:
    """A document (bytes, str or parsed JSON; None if unknown) that is parsed when it is first quoted."""

    _document: Any
    _kind: str
    _parsed: Any = field(default=_MISSING, init=False)

    def at(self, pointer: str) -> str | None:
        """Return the value at an RFC 6901 pointer in short; None if there is none."""
        if self._document is None:
            return None
        if self._kind == "Credentials" and pointer == "/token":
            return HIDDEN
        try:
            value = _resolved(self._whole(), pointer)
        except (InvalidObject, NotJson):
            return HIDDEN if self._kind == "Credentials" else _raw(self._document)
        return None if value is _MISSING else shortened(value)

    def _whole(self) -> Any:
        if self._parsed is _MISSING:
            data = self._document
            is_text = isinstance(data, bytes | bytearray | memoryview | str)
            self._parsed = untyped(data if isinstance(data, str) else bytes(data)) if is_text else data
        return self._parsed


def shortened(value: Any) -> str:
    """Return a value as JSON on one line, at most :data:`MAX_SAMPLE` characters of it."""
    if isinstance(value, dict):
        return f"{{{len(value)} members}}" if value else "{}"
    if isinstance(value, list | tuple):
        return f"[{len(value)} items]" if value else "[]"
    if isinstance(value, Decimal):
        return cut(str(value))
    if isinstance(value, str):
        return cut(json.dumps(value[:_RAW], ensure_ascii=False))
    return cut(json.dumps(value, default=str))


def cut(text: str, most: int = MAX_SAMPLE) -> str:
    """Return at most ``most`` characters of a text; three dots replace the rest."""
    return text if len(text) <= most else text[: most - 3] + "..."


def _raw(document: bytes | bytearray | memoryview | str) -> str:
    start = document[:_RAW]
    text = start if isinstance(start, str) else bytes(start).decode("utf-8", "backslashreplace")
    return cut(text)


def _resolved(document: Any, pointer: str) -> Any:
    value = document
    for step in pointer.split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict) and name in value:
            value = value[name]
        elif isinstance(value, list) and name.isdecimal() and int(name) < len(value):
            value = value[int(name)]
        else:
            return _MISSING
    return value
