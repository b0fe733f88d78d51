"""Stores audits and reads them again.

Rules of this module:
- the stored form is the public JSON of an audit, so a database query reads the same as a program;
- of an audit with more lines than :data:`MAX_LINES` the first are stored, with the number of the omitted ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import msgspec

from ocpi_emsp.errors import InvalidObject
from ocpi_emsp.pricing.readings import Readings
from ocpi_emsp.pricing.result import Audit, Explanation, Line, Reason, Verdict

MAX_LINES: Final = 1000
"""Lines that are stored; bills that people read have fewer, and a CDR of 10,000 periods would take megabytes."""


class _Line(msgspec.Struct, rename={"start": "from", "end": "to"}):
    dimension: str
    period: int | None
    start: datetime
    end: datetime
    measured: Decimal
    billed: Decimal
    unit: str
    price: Decimal | None
    step_size: int | None
    cost: Decimal | None
    low: Decimal | None
    high: Decimal | None
    tariff_id: str | None
    element: int | None
    component: int | None
    why: str


class _Reason(msgspec.Struct):
    code: str
    pointer: str
    message: str


class _Explanation(msgspec.Struct):
    code: str
    message: str
    settings: dict[str, str]


class _Audit(msgspec.Struct):
    cdr: str
    verdict: Verdict
    claimed: Decimal
    expected: Decimal | None
    low: Decimal | None
    high: Decimal | None
    difference: Decimal | None
    at_least: bool
    currency: str
    lines: tuple[_Line, ...]
    reasons: tuple[_Reason, ...]
    assumptions: tuple[str, ...]
    explanations: tuple[_Explanation, ...]
    readings: dict[str, str | None]
    lines_left_out: int = 0


def to_document(audit: Audit) -> bytes:
    """Return the audit as JSON in UTF-8."""
    written = audit.as_json()
    left_out = len(written["lines"]) - MAX_LINES
    if left_out > 0:
        written |= {"lines": written["lines"][:MAX_LINES], "lines_left_out": left_out}
    return msgspec.json.encode(written)


def of_document(document: bytes) -> tuple[Audit, int]:
    """Return the audit of a stored document, and the number of its omitted lines. Raises InvalidObject."""
    try:
        read = msgspec.json.decode(document, type=_Audit)
        return _audit(read), read.lines_left_out
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise InvalidObject(f"the stored audit cannot be read: {error}") from None


def _audit(read: _Audit) -> Audit:
    values = _members(read)
    left_out, settings = values.pop("lines_left_out"), values.pop("readings")
    del left_out
    return Audit(
        **values
        | {
            "lines": tuple(Line(**_members(each)) for each in read.lines),
            "reasons": tuple(Reason(**_members(each)) for each in read.reasons),
            "explanations": tuple(Explanation(**_members(each)) for each in read.explanations),
            "readings": Readings.of(_chosen(settings)),
        }
    )


def _members(struct: msgspec.Struct) -> dict[str, Any]:
    return {name: getattr(struct, name) for name in struct.__struct_fields__}


def _chosen(settings: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in settings.items() if value is not None}
