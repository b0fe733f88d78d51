"""Whether two documents with one id, of two owners, describe the same object, judged by their content.

Rules of this module (docs/spec-choices.md row 10; an id is only unique within one CPO, so it proves nothing):
- locations are the same if they are at the same place (100 m), have the same address, or share an EVSE-ID; a shared
  EVSE uid counts as well, unless their coordinates are far apart;
- sessions and CDRs are the same for the same driver and the same start; tariffs for the same content apart from time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Final, Literal

import msgspec

from ocpi_emsp.codec.content import same_content
from ocpi_emsp.codec.patch import as_items, join, members
from ocpi_emsp.codec.readings import read_datetime
from ocpi_emsp.errors import InvalidObject, NotJson
from ocpi_emsp.flows.parties.owner_evidence import text_at
from ocpi_emsp.ports import Kind, Record, Transaction

_NEAR: Final = Decimal("0.001")
_FAR: Final = Decimal("0.01")
"""Degrees: about 100 m and 1 km of latitude."""
_STARTS = ("start_datetime", "start_date_time")
_NULL = msgspec.Raw(b"null")


def same_object(kind: str, one: bytes, other: bytes) -> bool:
    """Return True if both describe the same object."""
    try:
        return _COMPARED[kind](one, other)
    except (InvalidObject, NotJson):
        return False


async def is_stored_object(tx: Transaction, stored: Record, received: bytes) -> bool:
    """Return True if the stored and the received object are the same; a location is compared with its EVSEs."""
    kind, document = stored.key.kind, stored.document
    evses = await tx.children(stored.key) if kind == Kind.LOCATION else ()  # otherwise its document contains them
    try:
        if evses:
            listed = msgspec.Raw(b"[%b]" % b",".join([each.document for each in evses]))
            document = join({**members(document), "evses": listed})
    except (InvalidObject, NotJson):
        return False
    return same_object(kind, document, received)


def _same_location(one: bytes, other: bytes) -> bool:
    apart = _apart(one, other)
    if apart == "near" or _address(one) == _address(other) != ("", ""):
        return True
    if _of_evses(one, "evse_id") & _of_evses(other, "evse_id"):
        return True
    return apart != "far" and bool(_of_evses(one, "uid") & _of_evses(other, "uid"))


def _apart(one: bytes, other: bytes) -> Literal["near", "far", "unknown"]:
    try:
        pairs = [[Decimal(text_at(each, "coordinates", axis)) for each in (one, other)] for axis in _AXES]
        apart = max(abs(first - second) for first, second in pairs)
        return "near" if apart <= _NEAR else "far" if apart > _FAR else "unknown"
    except InvalidOperation:
        return "unknown"


_AXES = ("latitude", "longitude")


def _address(location: bytes) -> tuple[str, str]:
    address, city = (text_at(location, name).strip().casefold() for name in ("address", "city"))
    return (address, city) if address and city else ("", "")


def _of_evses(location: bytes, name: str) -> set[str]:
    evses = as_items(members(location).get("evses", _NULL))
    return {text_at(bytes(evse), name).upper() for evse in evses} - {""}


def _same_charging(one: bytes, other: bytes) -> bool:
    driver = text_at(one, "auth_id")
    return bool(driver) and driver == text_at(other, "auth_id") and _start(one) == _start(other)


def _start(document: bytes) -> object:
    said = next(filter(None, (text_at(document, name) for name in _STARTS)), "")
    return read_datetime(said, lambda _rule, _message: None)


def _same_tariff(one: bytes, other: bytes) -> bool:
    return same_content(one, other, Kind.TARIFF)


_COMPARED: Mapping[str, Callable[[bytes, bytes], bool]] = {
    Kind.LOCATION: _same_location,
    Kind.SESSION: _same_charging,
    Kind.CDR: _same_charging,
    Kind.TARIFF: _same_tariff,
}
