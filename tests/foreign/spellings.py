"""One object in two spellings: what a case changes in a sample, by JSON Pointer; ``@...`` spells what is there anew."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from copy import deepcopy
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

from ocpi_emsp.testing.cpo.wire import parse_timestamp
from sync.support import Document, cdr, location, session, tariff

SAMPLES: Mapping[str, Callable[[], Document]] = {
    "location": lambda: location(1, opening_times={"twentyfourseven": True}),
    "session": lambda: _without_meter(session(1)),
    "cdr": lambda: _without_meter(cdr(1, tariffs=[tariff(1)])),
    "tariff": lambda: tariff(1),
}


def _without_meter(document: Document) -> Document:
    return {name: value for name, value in document.items() if name != "meter_id"}


def _moment(value: str) -> datetime:
    return parse_timestamp(value).astimezone(UTC)


_SPELLINGS: Mapping[str, Callable[[Any], Any]] = {
    "@.000Z": lambda value: _moment(value).strftime("%Y-%m-%dT%H:%M:%S.000Z"),
    "@+02:00": lambda value: _moment(value).astimezone(timezone(timedelta(hours=2))).isoformat(),
    "@naive": lambda value: _moment(value).strftime("%Y-%m-%dT%H:%M:%S"),
    "@text": lambda value: json.dumps(value, default=str).strip('"'),
    "@zeros": lambda value: Decimal(f"{Decimal(value):f}" + ("00" if "." in str(value) else ".00")),
    "@exponent": lambda value: Decimal(f"{Decimal(value):E}"),
    "@lower": str.lower,
    "@number": Decimal,
    "@zeros-behind": lambda value: value + "0",
    "@zero-before": lambda value: "0" + value,
}


def respelled(document: Document, changes: Mapping[str, Any]) -> Document:
    """The document with the changes of a case."""
    changed = deepcopy(document)
    for pointer, value in changes.items():
        *above, last = pointer.split("/")[1:]
        place: Any = changed
        for step in above:
            place = place[int(step) if isinstance(place, list) else step]
        spell = _SPELLINGS.get(value) if isinstance(value, str) else None
        place[last] = value if spell is None else spell(place[last])
    return changed
