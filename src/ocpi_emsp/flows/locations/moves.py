"""Moves a location that was stored as a hub's own to its owner. The rules are in inbound/moves.py.

Rules of this module: its EVSEs are moved with it; if the owner has the location too, the latest version of each part
stays, and an EVSE that only one of the two has stays, too.
"""

from __future__ import annotations

from collections.abc import Sequence

from attrs import evolve

from ocpi_emsp.codec.moments import said_at
from ocpi_emsp.flows.inbound.evses import evses_of, parts_of, without_evses
from ocpi_emsp.flows.inbound.moves import hubs_copy, is_the_same, name_other_owner, stays_at_home, tell_moved
from ocpi_emsp.flows.inbound.request import Incoming
from ocpi_emsp.flows.inbound.upsert import onward
from ocpi_emsp.flows.locations.pushed import read
from ocpi_emsp.flows.locations.read import assemble, joined
from ocpi_emsp.flows.locations.store import merged
from ocpi_emsp.ports import Key, Record, Transaction


async def location_at(incoming: Incoming, tx: Transaction, received: bytes = b"") -> Record | None:
    """Return the record of the location in the URL, moved there first if necessary. ``received`` is the whole location.

    Raises NotJson, InvalidObject before anything is written.
    """
    key = incoming.location_key
    record = await tx.get(key)
    if stays_at_home(incoming, record):
        return record
    copy = await hubs_copy(incoming, tx, key)
    if record is None:
        await name_other_owner(incoming, tx, key, received)
    if copy is None:
        return record
    evses = await evses_of(tx, copy)
    if not is_the_same(incoming, copy, joined(copy, evses), received):
        return record
    if received:
        read(evolve(incoming, deviations=[]), received, is_whole=True)  # a rejected location moves nothing
    await _move(tx, without_evses(copy), evses, record, key)
    await tell_moved(incoming, tx, copy, key, assemble(copy, evses))
    return await tx.get(key)


async def _move(tx: Transaction, copy: Record, evses: Sequence[Record], record: Record | None, key: Key) -> None:
    known = dict[str, Record]()
    if record is not None:
        record, stored = await parts_of(tx, record)
        known = {evse.key.id: evse for evse in stored}
    stands = []
    for evse in evses:
        here = evolve(evse, key=evse.key._replace(country_code=key.country_code, party_id=key.party_id))
        old = known.get(evse.key.id)
        stands.append(here if old is None else merged(old, here))
    location = record
    if location is None or said_at(copy.document) > said_at(location.document):
        location = onward(record, evolve(copy, key=key))
    latest = max([location.last_updated, *(each.last_updated for each in stands)])
    if location is not record or latest > location.last_updated:
        await tx.put(evolve(location, last_updated=latest))
    for each in stands:
        await tx.put(each)
    await tx.delete(copy.key)
