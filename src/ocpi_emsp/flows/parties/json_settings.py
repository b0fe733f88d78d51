"""Settings of a profile that are stored as a JSON object of the differences from the default."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def given_settings(value: Any, expected: str) -> Mapping[str, Any]:
    """Return the settings by name, from a mapping or a JSON object. Raises ValueError with ``expected`` for anything
    else.
    """
    if isinstance(value, str):
        try:
            value = json.loads(value, parse_float=str)  # a number keeps its digits
        except (ValueError, RecursionError):
            raise ValueError(expected) from None
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        raise ValueError(expected)
    return value


def settings_text(settings: Mapping[str, Any]) -> str | None:
    """Return the JSON object to store; None if nothing differs."""
    return json.dumps(dict(settings), ensure_ascii=False) if settings else None
