"""The connectors of an EVSE, each in the version that its partner sent last."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec

from ocpi_emsp.codec.moments import EARLIEST, said_at, timed
from ocpi_emsp.codec.patch import as_items, identity, join, member, members
from ocpi_emsp.ports import Record

_NULL = msgspec.Raw(b"null")


class _Connector(msgspec.Struct, gc=False):
    id: str
    last_updated: Annotated[datetime, msgspec.Meta(tz=True)]


class _Evse(msgspec.Struct, gc=False):
    connectors: tuple[_Connector, ...] = ()


_EVSE = msgspec.json.Decoder(_Evse)


def is_onward(old: Record, new: Record) -> bool:
    """Return True if ``new`` has its own time and is at least as new as ``old``."""
    return new.last_updated >= old.last_updated and old.missing_since is None and new.last_updated != new.received_at


def follows(old: Record, new: Record) -> bool:
    """Return True if ``new`` has its own times and is at least as new as ``old`` in all parts, by their views."""
    if not is_onward(old, new):
        return False
    try:
        earlier = (old.view or _EVSE.decode(old.document)).connectors
        later = (new.view or _EVSE.decode(new.document)).connectors
    except msgspec.ValidationError:
        return False
    if len(earlier) != len(later):
        return False
    for one, other in zip(earlier, later, strict=True):
        if one.last_updated > other.last_updated or one.id != other.id:
            return False
    return True


def newest_connectors(evse: bytes, other: bytes) -> bytes:
    """Return the document ``evse`` with the later connectors of ``other``, an older or newer document of the same EVSE.

    A connector that ``evse`` does not list is added if it is newer than everything in ``evse``.
    """
    if member(evse, "connectors") == member(other, "connectors"):
        return evse
    parts = members(evse)
    listed = as_items(parts.get("connectors", _NULL))
    moment = max([said_at(evse), *map(said_at, listed)])
    newer = False
    others = as_items(members(other).get("connectors", _NULL))
    places = _places(listed) if others else {}
    for item in others:
        at = places.get(identity(item, "id"))
        if said_at(item) > (moment if at is None else said_at(listed[at])):
            newer = True
            if at is None:
                places[identity(item, "id")] = len(listed)
                listed.append(item)
            else:
                listed[at] = item
    if not newer:
        return evse
    parts["connectors"] = msgspec.Raw(msgspec.json.encode(listed))
    return join(parts)


def undated_connectors(evse: bytes, old: bytes) -> bytes:
    """Return the document of an EVSE without a time, received now, with newer stored times and parts.

    It has the connectors that it lists; those without a time, and the EVSE itself, take the newest time that the
    partner sent before.
    """
    parts, stored = members(timed(evse, old)), as_items(members(old).get("connectors", _NULL))
    listed = as_items(parts.get("connectors", _NULL))
    places = _places(stored) if listed else {}
    for at, item in enumerate(listed):
        place = places.get(identity(item, "id"))
        if place is not None:
            before = stored[place]
            is_older = EARLIEST < said_at(item) < said_at(before)
            listed[at] = before if is_older else msgspec.Raw(timed(bytes(item), bytes(before)))
    return join({**parts, "connectors": msgspec.Raw(msgspec.json.encode(listed))} if listed else parts)


def _places(connectors: list[msgspec.Raw]) -> dict[str, int]:
    """Return the index of each connector; of several with one id, the last."""
    return {identity(item, "id"): at for at, item in enumerate(connectors)}


def place_of(connectors: list[msgspec.Raw], connector_id: str) -> int | None:
    """Return the index of a connector; of several with this id, the last, and the others stay."""
    places = [at for at, item in enumerate(connectors) if identity(item, "id") == connector_id]
    return places[-1] if places else None


def placed(connectors: list[msgspec.Raw], at: int | None, connector: msgspec.Raw) -> list[msgspec.Raw]:
    """Return the connectors with one of them replaced, or appended."""
    if at is None:
        return [*connectors, connector]
    return [connector if place == at else item for place, item in enumerate(connectors)]
