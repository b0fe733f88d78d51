"""Takes a pulled location apart before it is compared with anything.

Rules of this module:
- this happens when the location is stored. Done while its page was fetched, beside the storing of the previous page, it
  made a sync into a database a tenth to a third slower, since both need the interpreter;
- of a location with the stored bytes only its own members are checked, and nothing else is read; a location of which
  nothing is stored is fully read, into structs, from which no models are made;
- any other location, one that the strict lane rejects, and one that repeats a member, is read like a push (pushed.py).
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


@define  # created for each location
class Apart:
    """The document of a location, cut."""

    shell: bytes
    """The location without its EVSEs."""
    listed: bytes
    """The EVSEs, as a list."""
    evses: list[bytes]

    def as_stored(self, old: Record, stored: Sequence[Record]) -> Any:
        """Return a struct of the location without its EVSEs, if it is accepted and equals the stored one byte for
        byte.
        """
        if self.shell != old.document or self.evses != [each.document for each in stored]:
            return None
        if any(each.missing_since is not None for each in stored):
            return None
        location = read_struct(Location, self.shell)
        return location if location is not None and location.last_updated <= old.last_updated else None

    def pushed(self, incoming: Incoming) -> Pushed | None:
        """Return it as a new location, with nothing stored yet; None if it is not accepted."""
        location = read_struct(Location, self.shell)
        read = read_struct(_EVSES, self.listed) if self.evses else ()
        if location is None or read is None:
            return None
        key = incoming.location_key
        pairs = zip(read, self.evses, strict=True)
        records = [evse_record(incoming, key, evse, document) for evse, document in pairs]
        return Pushed(location.id, location.last_updated, location, self.shell, records)


def read_struct(kind: Any, document: bytes) -> Any:
    """Return a struct if the strict lane accepts the document, otherwise None."""
    try:
        return decode_struct(kind, document)
    except NotJson:
        return None


def cut_apart(document: bytes) -> Apart | None:
    """Return a location without its EVSEs, and these; None if it is not a location, or repeats a member."""
    try:
        parts = members(document)
        if not has_each_once(document, parts):
            return None
        listed = bytes(parts.pop("evses", _NULL))
        return Apart(join(parts), listed, list(map(bytes, items(listed))))
    except (NotJson, InvalidObject):
        return None


def apart_of(incoming: Incoming) -> Apart | None:
    """Return the location of a pulled body, taken apart; None if it is read in another way."""
    return cut_apart(incoming.request.body) if is_read_strictly(incoming) else None


def is_read_strictly(incoming: Incoming) -> bool:
    """Return True if a pulled object is accepted whenever the strict lane accepts it: the policy requires no more."""
    return incoming.pulled and not incoming.policy.needs_rules
