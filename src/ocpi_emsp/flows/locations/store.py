"""Storing a location, its EVSEs and its connectors.

Rules of this module (docs/spec-choices.md rows 4, 15, 18; the shared ones are in inbound/upsert.py):
- EVSEs are records of their own, so that a status change rewrites one EVSE;
- each part is compared with what the partner said of that part last: a location with the location, an EVSE with the
  EVSE, a connector with the connector; what is newer in an object that is older is stored, and the other way round;
- a change of a part moves the record's ``last_updated`` of everything around it forward, never back, and not what
  their documents say;
- an EVSE that a PUT of its location leaves out becomes REMOVED, with an event; it keeps its own ``last_updated``, so
  that it is back once it is listed again. One that was received since, of a later time, stays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from datetime import datetime

import msgspec
from attrs import define, evolve, field, frozen

from ocpi_emsp.codec import merge_patch, wire_time
from ocpi_emsp.codec.cutting import cut
from ocpi_emsp.codec.moments import EARLIEST, Around, said_at, timed
from ocpi_emsp.codec.patch import as_items, has_each_once, join, members
from ocpi_emsp.codec.readings import shown
from ocpi_emsp.codec.restated import Restated, restated
from ocpi_emsp.codec.strict import decode_part
from ocpi_emsp.errors import InvalidObject
from ocpi_emsp.events import EvseReceived, EvseRemoved, LocationReceived
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
from ocpi_emsp.flows.locations.dated import dated_evse
from ocpi_emsp.flows.locations.older import counts_older, name_older, note_older
from ocpi_emsp.flows.locations.read import assemble
from ocpi_emsp.flows.locations.room import require_room_for_evse, room_for_location
from ocpi_emsp.models import Connector, Evse, Location, Status
from ocpi_emsp.ports import Key, Kind, Record, Transaction
from ocpi_emsp.routes import incoming as incoming_route

_EVSES = tuple[Evse, ...]
_AT_ONCE = 200
_PUT_EVSE = incoming_route("locations.put_evse")
_NULL = msgspec.Raw(b"null")
_REMOVED = join({"status": msgspec.Raw(b'"REMOVED"')})


@frozen
class Pushed:
    """A location as received, split: its document without EVSEs, and a record for each EVSE."""

    location: Location
    shell: bytes
    evses: list[Record]
    repeats: bool = False
    """Whether a member of the location itself is repeated, so that not all of it is in these parts."""
    restated: Mapping[int, Restated] = {}
    """By place: the EVSEs that differ from what is stored in their status and their time at most."""


def read(incoming: Incoming, document: bytes, *, is_whole: bool = False) -> Pushed:
    """Take a location apart; what has no time in one that ``is_whole`` has that of what it is in.

    Raises NotJson, InvalidObject with every finding.
    """
    location = incoming.accept(Location, document)
    parts = members(document)
    repeats = not has_each_once(document, parts)
    evses = parts.pop("evses", _NULL)
    documents = [bytes(each) for each in as_items(evses)] if location.evses else []
    if is_whole:
        around = Around.of(document)
        documents = [timed(each, around) for each in documents]
        documents = [dated_evse(*each) for each in zip(location.evses, documents, strict=True)]
    pairs = zip(location.evses, documents, strict=True)
    key = incoming.location_key
    records = [evse_record(incoming, key, evse, evse_document) for evse, evse_document in pairs]
    return Pushed(location, join(parts), records, repeats)


def read_strictly(incoming: Incoming, stored: Sequence[Record]) -> Pushed | None:
    """Take apart what the strict lane accepts, or None; an EVSE whose bytes are stored already is not read again."""
    body = incoming.request.body
    if incoming.policy.needs_rules:
        return None
    try:
        found = cut(body, "evses", [each.document for each in stored])
    except InvalidObject:
        return None
    shell = join(found.parts)
    location = decode_part(Location, shell)
    new = _decoded([each for each in found.items if isinstance(each, bytes)])
    if location is None or new is None:
        return None
    evses, seen = _received(incoming, found.items, new, stored)
    return Pushed(location, shell, evses, not found.is_plain, seen)


def _received(
    incoming: Incoming, items: Sequence[int | bytes], new: Sequence[Evse], stored: Sequence[Record]
) -> tuple[list[Record], dict[int, Restated]]:
    """The records of EVSEs, each as its place among the ``stored`` or in its bytes, those read as ``new``; and by place
    the ones that differ from what is stored in status and time at most."""
    evses, seen, unread, location = list[Record](), dict[int, Restated](), iter(new), incoming.location_key
    known = {each.key.id: each for each in stored} if new else {}
    now, correlation_id = incoming.now, incoming.correlation_id
    for place, each in enumerate(items):
        if not isinstance(each, bytes):
            evses.append(stored[each])
            continue
        evse = next(unread)
        old = known.get(evse.uid)
        key = _evse_key(location, evse.uid) if old is None else old.key
        evses.append(Record(key, each, evse.last_updated, now, evse, correlation_id=correlation_id))
        differing = None if old is None else restated(old.document, each, evse)
        if differing is not None:
            seen[place] = differing
    return evses, seen


def _decoded(documents: Sequence[bytes]) -> list[Evse] | None:
    """EVSEs by the strict lane, some at a time: a step of thousands would hold the interpreter meanwhile."""
    found = list[Evse]()
    for start in range(0, len(documents), _AT_ONCE):
        some = _decode(b"[" + b",".join(documents[start : start + _AT_ONCE]) + b"]")
        if some is None:
            return None
        found += some
    return found


def _decode(documents: bytes) -> _EVSES | None:
    return decode_part(_EVSES, documents)


def evse_record(
    incoming: Incoming, location: Key, evse: Evse, document: bytes, moment: datetime | None = None
) -> Record:
    """The record of an EVSE as received, changed at ``moment``, or as it says itself."""
    key, correlation_id = _evse_key(location, evse.uid), incoming.correlation_id
    return Record(key, document, moment or evse.last_updated, incoming.now, evse, correlation_id=correlation_id)


def _evse_key(location: Key, uid: str) -> Key:
    return Key(Kind.EVSE, location.country_code, location.party_id, uid, location.id)


def is_unchanged(pushed: Pushed, old: Record | None, stored: Sequence[Record]) -> bool:
    """Whether what was received is what is stored, byte for byte."""
    if old is None or pushed.shell != old.document or pushed.repeats or len(pushed.evses) != len(stored):
        return False
    if pushed.location.last_updated > old.last_updated:
        return False
    pairs = zip(pushed.evses, stored, strict=True)
    return all(new is known and known.missing_since is None for new, known in pairs)


async def store_new_location(incoming: Incoming, tx: Transaction, pushed: Pushed) -> Stored:
    """Insert a location and its EVSEs: with nothing of it stored, nothing is compared."""
    if len({evse.key.id for evse in pushed.evses}) < len(pushed.evses):
        pushed = await _without_twins(incoming, tx, pushed)
    evses, key, view = pushed.evses, incoming.location_key, pushed.location
    latest = max([view.last_updated, *(evse.last_updated for evse in evses)])
    record = Record(key, pushed.shell, latest, incoming.now, view, correlation_id=incoming.correlation_id)
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
    """Replace a location, changed at ``moment``, and its EVSEs: all that it has where it ``is_whole``."""
    key, correlation_id = incoming.location_key, incoming.correlation_id
    known = {evse.key.id: evse for evse in stored}
    listed = {evse.key.id for evse in pushed.evses}
    if len(listed) < len(pushed.evses):
        pushed = await _without_twins(incoming, tx, pushed)
    record = Record(key, pushed.shell, moment, incoming.now, pushed.location, correlation_id=correlation_id)
    others = [] if known.keys() <= listed else [evse for uid, evse in known.items() if uid not in listed]
    count = len(listed) + len(others) - len(known)
    gone = await room_for_location(incoming, tx, count, (old, *stored), (record, *pushed.evses), others)
    stays = old if is_older(old, record) else None
    evses = _Evses(incoming, tx, known, moment, stays is not None, is_whole)
    await evses.store(pushed.evses, pushed.restated)
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
    """The location with one EVSE of each uid, that of the latest time; the others are stored among the rejections."""
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
    return evolve(pushed, evses=evses, restated={})


@define
class _Evses:
    """The EVSEs of a location on their way to what was received."""

    incoming: Incoming
    tx: Transaction
    known: dict[str, Record]
    """By their uids."""
    moment: datetime
    """When the location was changed."""
    is_older: bool
    """Whether the location is older than stored: what is in it was said before, where no time says more."""
    is_whole: bool
    """Whether the location lists its EVSEs; a PATCH names some."""
    latest: list[datetime] = field(factory=list)
    """When each was updated last."""
    written: list[str] = field(factory=list)
    changed: list[str] = field(factory=list)
    """One whose content changed, where that matters; the others are not compared."""

    async def store(self, pushed: Sequence[Record], restated: Mapping[int, Restated]) -> None:
        """Store those that are new, or as new as what is stored of them; ``restated``: what is known of some places."""
        known, latest, put = self.known, self.latest, self.tx.put
        latest.append(self.moment)
        compares = self.incoming.compares(LocationReceived)
        for place, received in enumerate(pushed):
            uid = received.key.id
            old, seen = known.get(uid), restated.get(place)
            if old is not None and old.document == received.document:
                latest.append(received.last_updated)
                continue
            if old is not None and seen is not None and self._stays(old, received, seen, place):
                latest.append(old.last_updated)
                continue
            record = received
            if old is None or not self._is_next(old, received, seen):
                record = self._standing(old, received, place)
            latest.append(record.last_updated)
            if old is not None and (old is record or old.document == record.document):
                continue
            if compares and not self.changed and differs(old, record):
                self.changed.append(uid)
            known[uid] = record
            self.written.append(uid)
            await put(record)

    def _stays(self, old: Record, received: Record, seen: Restated, place: int) -> bool:
        """Whether a stored EVSE stays as it is, since it is newer than the received one, which is named; by no more
        than what differs, which is no connector."""
        if self.is_older or old.missing_since is not None:
            return False
        if not EARLIEST < received.last_updated < min(seen.said, old.last_updated):
            return False
        if has_twins(received.view):
            name_connectors(self.incoming, received.view, f"/evses/{place}")
        if not seen.is_same and not counts_older(self.incoming):
            note_older(self.incoming, received.key.id, seen.said, f"/evses/{place}")
        return True

    def _is_next(self, old: Record, received: Record, seen: Restated | None) -> bool:
        """Whether a received EVSE takes the place of the stored one as it is."""
        return not self.is_older and (follows(old, received) if seen is None else is_onward(old, received))

    def _standing(self, old: Record | None, received: Record, place: int) -> Record:
        """What stands of an EVSE that is new, or of which some is older than stored, which is named."""
        pointer = f"/evses/{place}"
        name_connectors(self.incoming, received.view, pointer)
        record = received if old is None else self._merged(old, received)
        if not self.is_older:  # else the location is named, or is not stored
            name_older(self.incoming, received, record, pointer)
        return record

    def _merged(self, old: Record, received: Record) -> Record:
        if old.missing_since is None or self.is_older or not self.is_whole or is_undated(received):
            return merged(old, received, in_older=self.is_older)
        # It is REMOVED since it was not listed, and not by a word of its partner's.
        return onward(old, evolve(received, document=newest_connectors(received.document, old.document)))

    async def remove_others(self, pushed: Pushed, listed: Set[str], location: Record, is_undated: bool) -> None:
        """Mark the EVSEs that were not received, as far as the location says that they are gone."""
        if len(listed) == len(self.known):
            return
        left_out = [record for uid, record in self.known.items() if uid not in listed]
        moment = max([pushed.location.last_updated, *(said_at(evse.document) for evse in pushed.evses)])
        for record in left_out:
            self.latest.append(record.last_updated)
            is_later = record.received_at > location.received_at and said_at(record.document) > moment
            removed = None if is_later and not is_undated else await _remove(self.incoming, self.tx, record)
            if removed is not None:
                uid = record.key.id
                self.known[uid] = removed
                self.written.append(uid)
                self.changed.extend([uid] if self.incoming.compares(LocationReceived) else [])


async def remove_evses(incoming: Incoming, tx: Transaction, location: Key) -> int:
    """Mark the EVSEs of a location that its CPO does not list any more; how many were not marked yet."""
    return sum([await _remove(incoming, tx, record) is not None for record in await tx.children(location)])


async def _remove(incoming: Incoming, tx: Transaction, record: Record) -> Record | None:
    """Mark an EVSE that its location does not list as REMOVED and missing; None where it is REMOVED already."""
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
    """What stands of an EVSE: the received one or, where that is older, the stored one, each with the newest of every
    connector; the stored record itself where nothing is newer.

    ``in_older``: it was received in an older location, which says nothing new under the time that is stored.
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
    """A changed EVSE: it stays REMOVED where its location left it out, unless the change says another status."""
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
