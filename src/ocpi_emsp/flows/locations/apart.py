"""A pulled location, taken apart before it is compared with anything.

Rules of this module:
- this is done where the location is stored: done where its page was fetched, beside the store of the page before, it
  made a sync into a database a tenth to a third slower, since both want the interpreter;
- of a location whose bytes are those that are stored its own members are checked, and no more of it is read; of one of
  which nothing is stored all is read, into structs: they are all that is made of it;
- what is neither, what the strict lane refuses, and what repeats a member, is read as a push is (pushed.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from attrs import define

from ocpi_emsp.codec.patch import has_each_once, items, join, members
from ocpi_emsp.codec.strict import decode_struct
from ocpi_emsp.errors import InvalidObject, NotJson
from ocpi_emsp.flows.inbound.request import Incoming
from ocpi_emsp.flows.locations.pushed import Pushed, evse_record
from ocpi_emsp.models import Evse, Location
from ocpi_emsp.ports import Record

_NULL = msgspec.Raw(b"null")
_EVSES = tuple[Evse, ...]


@define  # one is made for each location
class Apart:
    """The document of a location, cut."""

    shell: bytes
    """It without its EVSEs."""
    listed: bytes
    """These, as a list."""
    evses: list[bytes]

    def as_stored(self, old: Record, stored: Sequence[Record]) -> Any:
        """A struct of the location without its EVSEs, where it is accepted, and is what is stored byte for byte."""
        if self.shell != old.document or self.evses != [each.document for each in stored]:
            return None
        if any(each.missing_since is not None for each in stored):
            return None
        location = read_struct(Location, self.shell)
        return location if location is not None and location.last_updated <= old.last_updated else None

    def pushed(self, incoming: Incoming) -> Pushed | None:
        """It as a location of which nothing is stored; None where it is not accepted."""
        location = read_struct(Location, self.shell)
        read = read_struct(_EVSES, self.listed) if self.evses else ()
        if location is None or read is None:
            return None
        key = incoming.location_key
        pairs = zip(read, self.evses, strict=True)
        records = [evse_record(incoming, key, evse, document) for evse, document in pairs]
        return Pushed(location.id, location.last_updated, location, self.shell, records)


def read_struct(kind: Any, document: bytes) -> Any:
    """A struct of what the strict lane accepts, or None."""
    try:
        return decode_struct(kind, document)
    except NotJson:
        return None


def cut_apart(document: bytes) -> Apart | None:
    """A location without its EVSEs, and these; None for what is none, or repeats a member."""
    try:
        parts = members(document)
        if not has_each_once(document, parts):
            return None
        listed = bytes(parts.pop("evses", _NULL))
        return Apart(join(parts), listed, list(map(bytes, items(listed))))
    except (NotJson, InvalidObject):
        return None


def apart_of(incoming: Incoming) -> Apart | None:
    """The location of a pulled body taken apart; None for one that is read otherwise."""
    return cut_apart(incoming.request.body) if is_read_strictly(incoming) else None


def is_read_strictly(incoming: Incoming) -> bool:
    """Whether what is pulled is accepted where the strict lane accepts it: no policy asks for more."""
    return incoming.pulled and not incoming.policy.needs_rules
