"""Parts of a location without a time of their own take that of the surrounding part (docs/spec-choices.md row 4)."""

from __future__ import annotations

from datetime import datetime

import msgspec

from ocpi_emsp.codec.moments import Around, timed
from ocpi_emsp.codec.patch import Members, as_items, identity, is_listed, join, members
from ocpi_emsp.models import Evse

KEYED = {"evses": "uid", "connectors": "id"}
"""The lists of a location and of an EVSE, and the member that identifies their items."""
_NULL = msgspec.Raw(b"null")


class _Dated(msgspec.Struct, gc=False):
    last_updated: datetime


class _DatedEvse(msgspec.Struct, gc=False):
    connectors: tuple[_Dated, ...] = ()


_DATED = msgspec.json.Decoder(_DatedEvse)


def dated_evse(evse: Evse, document: bytes) -> bytes:
    """Return an EVSE as received; a connector without a time takes that of the EVSE."""
    try:
        _DATED.decode(document)  # nearly all have a time, which takes half a microsecond to see
    except msgspec.ValidationError:
        return _dated_connectors(document) if evse.connectors else document
    return document


def _dated_connectors(document: bytes) -> bytes:
    parts = members(document)
    listed = [bytes(each) for each in as_items(parts["connectors"])]
    around = Around.of(document)
    dated = [timed(each, around) for each in listed]
    if dated == listed:  # such as one connector in place of a list, or a time in another spelling
        return document
    return join({**parts, "connectors": _list([msgspec.Raw(each) for each in dated])})


def dated_changes(changes: Members, stored: bytes) -> Members:
    """Return the members of a PATCH of a stored location or EVSE; a part in it without a time takes that of the PATCH.
    If that has none and the part is new, it takes the time of the object that it is added to.
    """
    if KEYED.keys().isdisjoint(changes):
        return changes
    parts = dict(changes)
    for name, key in KEYED.items():
        if name in parts and is_listed(bytes(parts[name]), key):
            known = {identity(each, key): bytes(each) for each in as_items(members(stored).get(name, _NULL))}
            items = [bytes(each) for each in as_items(parts[name])]
            around = Around.of(join(changes)), Around.of(stored)
            parts[name] = _list([_dated_item(each, *around, known.get(identity(each, key))) for each in items])
    return parts


def _dated_item(item: bytes, patch: Around, stored: Around, old: bytes | None) -> msgspec.Raw:
    dated = timed(item, patch)
    if old is None:
        dated = timed(dated, stored)
    return msgspec.Raw(join(dated_changes(members(dated), old or b"{}")))


def _list(items: list[msgspec.Raw]) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(items))
