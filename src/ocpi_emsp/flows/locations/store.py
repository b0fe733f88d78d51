"""Stores a location, its EVSEs and its connectors.

Rules of this module (docs/spec-choices.md rows 4, 15, 18; the shared ones are in inbound/upsert.py):
- EVSEs are records of their own, so that a status change rewrites one EVSE;
- each part is compared with the partner's last version of that part: a location with the location, an EVSE with the
  EVSE, a connector with the connector. A newer part in an older object is stored, and the reverse;
- a change of a part moves the ``last_updated`` of every surrounding record forward, never back, and does not change
  their documents;
- an EVSE that a PUT of its location leaves out becomes REMOVED, with an event; it retains its own ``last_updated``, so
  that it returns once it is listed again. An EVSE that was received later, with a later time, stays.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from datetime import datetime

import msgspec
from attrs import define, evolve, field

from ocpi_emsp.codec import decode, merge_patch, wire_time
from ocpi_emsp.codec.moments import EARLIEST, said_at, timed
from ocpi_emsp.codec.patch import as_items, join, members
from ocpi_emsp.codec.readings import shown
from ocpi_emsp.codec.restated import Restated
from ocpi_emsp.events import EvseReceived, EvseRemoved, LocationReceived
from ocpi_emsp.flows.inbound.evses import parts_of
from ocpi_emsp.flows.inbound.request import Incoming, Outcome, Stored
from ocpi_emsp.flows.inbound.stored import current
from ocpi_emsp.flows.inbound.twins import EVSES, has_twins, name_connectors, repeated_places, store_beside
from ocpi_emsp.flows.inbound.upsert import differs, in_order, is_older, is_undated, older, onward, require_size
from ocpi_emsp.flows.locations.connectors import (
    follows,
    is_onward,
    newest_connectors,
    place_of,
    placed,
    undated_connectors,
)
from ocpi_emsp.flows.locations.older import counts_older, name_older, note_older
from ocpi_emsp.flows.locations.pushed import Pushed, evse_record
from ocpi_emsp.flows.locations.read import assemble
from ocpi_emsp.flows.locations.room import require_room_for_evse, room_for_location
from ocpi_emsp.models import Connector, Evse, Location, Status
from ocpi_emsp.ports import Record, Transaction
from ocpi_emsp.routes import incoming as incoming_route

_PUT_EVSE = incoming_route("locations.put_evse")
_NULL = msgspec.Raw(b"null")
_REMOVED = join({"status": msgspec.Raw(b'"REMOVED"')})


async def store_new_location(incoming: Incoming, tx: Transaction, pushed: Pushed) -> Stored:
    """Insert a location and its EVSEs; nothing is compared, since nothing of it is stored."""
    if len({evse.key.id for evse in pushed.evses}) < len(pushed.evses):
        pushed = await _without_twins(incoming, tx, pushed)
    evses, key = pushed.evses, incoming.location_key
    latest = max([pushed.last_updated, *(evse.last_updated for evse in evses)])
    record = Record(key, pushed.shell, latest, incoming.now, pushed.view, correlation_id=incoming.correlation_id)
    await room_for_location(incoming, tx, 1 + len(evses), (), (record, *evses), ())
    for place, evse in enumerate(evses):
        if has_twins(evse.view):
            name_connectors(incoming, evse.view, f"/evses/{place}")
        await tx.put(evse)
    await tx.put(record)
    if incoming.context.has_receiver(LocationReceived):
        await incoming.emit(tx, LocationReceived, key, assemble(record, evses), created=True)
    return Stored.over(None)


async def store_location(
    incoming: Incoming,
    tx: Transaction,
    old: Record,
    stored: Sequence[Record],
    pushed: Pushed,
    moment: datetime,
    *,
    is_whole: bool = True,
) -> Stored:
    """Replace a location, changed at ``moment``, and its EVSEs: all of them if ``is_whole``."""
    key, correlation_id = incoming.location_key, incoming.correlation_id
    known = {evse.key.id: evse for evse in stored}
    listed = {evse.key.id for evse in pushed.evses}
    if len(listed) < len(pushed.evses):
        pushed = await _without_twins(incoming, tx, pushed.as_received(incoming))
    record = Record(key, pushed.shell, moment, incoming.now, pushed.view, correlation_id=correlation_id)
    others = [] if known.keys() <= listed else [evse for uid, evse in known.items() if uid not in listed]
    count = len(listed) + len(others) - len(known)
    gone = await room_for_location(incoming, tx, count, (old, *stored), (record, *pushed.evses), others)
    stays = old if is_older(old, record) else None
    evses = _Evses(incoming, tx, known, moment, stays is not None, is_whole)
    await evses.store(pushed)
    if stays is None:
        await evses.remove_others(pushed, listed, old, is_undated(record))
        record = in_order(old, record)
    elif not evses.written and not gone:
        return older(stays)
    else:
        record = stays
        stands = f"the location was last updated {wire_time(said_at(stays.document))}, the received one is older"
        message = f"{stands}; only what is newer in it is stored"
        incoming.note("/last_updated", "location.older", message, Location.clause)
    for left_out in gone:
        await tx.delete(left_out)
    latest = max(old.last_updated, *evses.latest)
    if (record.last_updated, record.correlation_id) != (latest, correlation_id):
        record = record.updated(latest, correlation_id)
    says_the_same = old.document == record.document and record.last_updated <= old.last_updated
    if incoming.pulled and says_the_same and not evses.changed:
        return Stored(Outcome.UNCHANGED, record=old)
    await tx.put(record)
    if not incoming.compares(LocationReceived):
        return Stored.over(old)
    if not evses.changed and not differs(old, record):
        return Stored(Outcome.UNCHANGED, record=record)
    if incoming.context.has_receiver(LocationReceived):
        whole = assemble(record, [each for each in evses.known.values() if each.key not in gone])
        await incoming.emit(tx, LocationReceived, key, whole, created=False)
    return Stored.over(old)


async def _without_twins(incoming: Incoming, tx: Transaction, pushed: Pushed) -> Pushed:
    """Return the location with one EVSE per uid, the one with the latest time; the others are stored among the
    rejections.
    """
    lost = set[int]()
    for uid, places in repeated_places(record.key.id for record in pushed.evses).items():
        counts = max(places, key=lambda place: (pushed.evses[place].last_updated, place))
        others = f"the {'other is' if len(places) == 2 else 'others are'} among the rejections"
        message = f"{len(places)} EVSEs have the uid {shown(uid)}; the one that was updated last is stored, {others}"
        incoming.note(f"/evses/{places[-1]}/uid", EVSES, message, Evse.clause)
        of_evse = evolve(incoming, params={**incoming.params, "evse_uid": uid})
        for place in sorted({*places} - {counts}):
            document = pushed.evses[place].document
            await store_beside(of_evse, tx, _PUT_EVSE, document, rule=EVSES, message=message, clause=Evse.clause)
            lost.add(place)
    evses = [record for place, record in enumerate(pushed.evses) if place not in lost]
    return evolve(pushed, evses=evses)


@define
class _Evses:
    """Updates the EVSEs of a location to the received ones."""

    incoming: Incoming
    tx: Transaction
    known: dict[str, Record]
    """The stored EVSEs by uid."""
    moment: datetime
    """When the location was changed."""
    is_older: bool
    """True if the location is older than the stored one: its parts count as older, too, unless their times say
    otherwise.
    """
    is_whole: bool
    """True if the location lists all its EVSEs; a PATCH names some."""
    latest: list[datetime] = field(factory=list)
    """When each EVSE was updated last."""
    written: list[str] = field(factory=list)
    changed: list[str] = field(factory=list)
    """EVSEs with changed content, as far as that matters; the others are not compared."""

    async def store(self, pushed: Pushed) -> None:
        """Store the EVSEs that are new, or at least as new as the stored ones."""
        known, latest, put = self.known, self.latest, self.tx.put
        latest.append(self.moment)
        compares = self.incoming.compares(LocationReceived)
        for place, received in enumerate(pushed.evses):
            uid = received.key.id
            old = known.get(uid)
            if old is not None and old.document == received.document:
                latest.append(received.last_updated)
                if place in pushed.older and not pushed.older[place].stored.is_same:
                    self._name_older(uid, pushed.older[place].stored.said, place)
                continue
            record = received
            if old is None or not self._is_next(old, received, pushed.restated.get(place)):
                record = self._standing(old, received, place)
            latest.append(record.last_updated)
            if old is not None and (old is record or old.document == record.document):
                continue
            if compares and not self.changed and differs(old, record):
                self.changed.append(uid)
            known[uid] = record
            self.written.append(uid)
            await put(record)

    def _name_older(self, uid: str, said: datetime, place: int) -> None:
        if not counts_older(self.incoming):
            note_older(self.incoming, uid, said, f"/evses/{place}")

    def _is_next(self, old: Record, received: Record, seen: Restated | None) -> bool:
        """Return True if a received EVSE replaces the stored one unchanged."""
        return not self.is_older and (follows(old, received) if seen is None else is_onward(old, received))

    def _standing(self, old: Record | None, received: Record, place: int) -> Record:
        """Return the resulting EVSE, if it is new or partly older than stored; older parts are reported."""
        pointer = f"/evses/{place}"
        name_connectors(self.incoming, received.view or decode(Evse, received.document), pointer)
        record = received if old is None else self._merged(old, received)
        if not self.is_older:  # otherwise the location is reported, or is not stored
            name_older(self.incoming, received, record, pointer)
        return record

    def _merged(self, old: Record, received: Record) -> Record:
        if old.missing_since is None or self.is_older or not self.is_whole or is_undated(received):
            return merged(old, received, in_older=self.is_older)
        # It is REMOVED because it was not listed, not because its partner said so.
        return onward(old, evolve(received, document=newest_connectors(received.document, old.document)))

    async def remove_others(self, pushed: Pushed, listed: Set[str], location: Record, is_undated: bool) -> None:
        """Mark the EVSEs that were not received, if the location implies that they are removed."""
        if len(listed) == len(self.known):
            return
        left_out = [record for uid, record in self.known.items() if uid not in listed]
        moment = max([pushed.last_updated, *_said(pushed)])
        for record in left_out:
            self.latest.append(record.last_updated)
            is_later = record.received_at > location.received_at and said_at(record.document) > moment
            removed = None if is_later and not is_undated else await _remove(self.incoming, self.tx, record)
            if removed is not None:
                uid = record.key.id
                self.known[uid] = removed
                self.written.append(uid)
                self.changed.extend([uid] if self.incoming.compares(LocationReceived) else [])


def _said(pushed: Pushed) -> Iterator[datetime]:
    """Yield the ``last_updated`` of each EVSE of a location, as received."""
    for place, evse in enumerate(pushed.evses):
        older = pushed.older.get(place)
        yield said_at(evse.document) if older is None else older.last_updated


async def remove_evses(incoming: Incoming, tx: Transaction, location: Record) -> int:
    """Mark the EVSEs of a location that its CPO no longer lists; return how many were not marked before."""
    _, evses = await parts_of(tx, location)
    return sum([await _remove(incoming, tx, record) is not None for record in evses])


async def _remove(incoming: Incoming, tx: Transaction, record: Record) -> Record | None:
    """Mark an EVSE that its location does not list as REMOVED and missing; None if it is already REMOVED."""
    if incoming.accept(Evse, record.document).status == Status.REMOVED:
        return None
    removed = Record(
        record.key,
        merge_patch(record.document, _REMOVED),
        record.last_updated,
        incoming.now,
        missing_since=incoming.now,
        correlation_id=incoming.correlation_id,
    )
    await tx.put(removed)
    await incoming.emit(tx, EvseRemoved, record.key, current(removed), location_id=record.key.parent)
    return removed


def merged(old: Record, new: Record, *, in_older: bool = False) -> Record:
    """Return the resulting EVSE: the received one or, if that is older, the stored one, with the newest of each
    connector. Return the stored record itself if nothing is newer.

    ``in_older``: the EVSE is part of an older location, which adds nothing under the stored time.
    """
    if not in_older and follows(old, new):
        return new
    if is_undated(new):
        return onward(old, evolve(new, document=undated_connectors(new.document, old.document)))
    if is_older(old, new) or (in_older and said_at(new.document) == said_at(old.document)):
        document = newest_connectors(old.document, new.document)
        if document == old.document:
            return old
        changed = evolve(new, document=document, view=None)
        return still_left_out(old, onward(old, changed), says_status=False)
    document = newest_connectors(new.document, old.document)
    return onward(old, new if document == new.document else evolve(new, document=document, view=None))


def still_left_out(old: Record, new: Record, *, says_status: bool) -> Record:
    """Return a changed EVSE: it stays REMOVED if its location left it out, unless the change has another status."""
    if says_status or old.missing_since is None:
        return new
    return evolve(new, missing_since=old.missing_since, missed=old.missed)


async def store_evse(
    incoming: Incoming, tx: Transaction, location: Record, old: Record | None, received: Record
) -> Stored:
    """Insert or replace an EVSE of a location, and move the location's time with it."""
    record = received if old is None else merged(old, received)
    if old is not None and record is old:
        return older(old)
    name_older(incoming, received, record)
    return await _put_evse(incoming, tx, location, old, record)


async def _put_evse(
    incoming: Incoming, tx: Transaction, location: Record, old: Record | None, record: Record
) -> Stored:
    key = record.key
    await require_room_for_evse(incoming, tx, location, old, record)
    await tx.put(record)
    if record.last_updated > location.last_updated:
        await tx.put(location.updated(record.last_updated, incoming.correlation_id))
    if incoming.context.has_receiver(EvseReceived) and differs(old, record):
        created = old is None
        await incoming.emit(tx, EvseReceived, key, current(record), location_id=key.parent, created=created)
    return Stored.over(old)


async def store_connector(
    incoming: Incoming,
    tx: Transaction,
    location: Record,
    evse: Record,
    connector: Connector,
    document: bytes,
    moment: datetime,
) -> Stored:
    """Insert or replace a connector of an EVSE, changed at ``moment``."""
    parts = members(evse.document)
    listed = as_items(parts.get("connectors", _NULL))
    at = place_of(listed, connector.id)
    if at is not None:
        old = bytes(listed[at])
        if EARLIEST < said_at(document) < said_at(old):
            return older(evse, said_at(old))
        document = timed(document, old)
    parts["connectors"] = msgspec.Raw(msgspec.json.encode(placed(listed, at, msgspec.Raw(document))))
    whole = join(parts)
    require_size(incoming, len(evse.document), len(whole))
    latest = max(evse.last_updated, moment)
    record = evse_record(incoming, location.key, incoming.accept(Evse, whole), whole, latest)
    stored = await _put_evse(incoming, tx, location, evse, still_left_out(evse, record, says_status=False))
    return Stored(Outcome.CREATED) if at is None else stored
