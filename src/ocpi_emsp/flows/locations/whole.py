"""Stores a pulled location whole: as one record, byte for byte as received.

Rules of this module:
- the location is new, the strict lane accepts it, and none of its EVSEs or of its own members is repeated; one with
  more than MOST EVSEs is taken apart at once, since its first change would do so (inbound/evses.py);
- a location that is received again unchanged is not examined: it cannot have findings.
"""

from __future__ import annotations

from ocpi_emsp.codec.patch import has_each_once, members
from ocpi_emsp.errors import InvalidObject, NotJson
from ocpi_emsp.events import LocationReceived
from ocpi_emsp.flows.inbound.evses import MOST, evses_in, is_whole, may_be_whole
from ocpi_emsp.flows.inbound.request import Incoming, Outcome, Stored
from ocpi_emsp.flows.inbound.twins import has_twins, name_connectors
from ocpi_emsp.flows.locations.apart import is_read_strictly, read_struct
from ocpi_emsp.flows.locations.read import assemble
from ocpi_emsp.flows.locations.room import require_room_for_new
from ocpi_emsp.models import Location
from ocpi_emsp.ports import Record, Transaction


async def store_whole(incoming: Incoming, tx: Transaction, old: Record | None) -> Stored | None:
    """Store a pulled location that is new or equal to the stored one; return None if it must be taken apart."""
    document = incoming.request.body
    if not is_read_strictly(incoming) or not may_be_whole(document):
        return None
    if old is not None:
        return Stored(Outcome.UNCHANGED, record=old) if old.document == document and is_whole(old) else None
    location = _read(document)
    if location is None:
        return None
    key, evses = incoming.location_key, location.evses
    incoming.require_id("id", location.id, key.id)
    latest = max([location.last_updated, *[evse.last_updated for evse in evses]])
    record = Record(key, document, latest, incoming.now, location, correlation_id=incoming.correlation_id)
    await require_room_for_new(incoming, tx, 1, len(document))
    if any(map(has_twins, evses)):
        for place, evse in enumerate(evses):
            name_connectors(incoming, evse, f"/evses/{place}")
    await tx.put(record)
    if incoming.context.has_receiver(LocationReceived):
        await incoming.emit(tx, LocationReceived, key, assemble(record, evses_in(record)), created=True)
    return Stored.over(None)


def _read(document: bytes) -> Location | None:
    """Return a struct of a location that can be stored whole."""
    try:
        if not has_each_once(document, members(document)):
            return None
    except (NotJson, InvalidObject):
        return None
    location: Location | None = read_struct(Location, document)
    if location is None or not 0 < len({evse.uid for evse in location.evses}) == len(location.evses) <= MOST:
        return None
    return location
