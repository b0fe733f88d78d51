"""What sessions and tariffs share: client owned objects that are one record each.

Rules of this module (docs/spec-choices.md rows 4, 5, 6, 15, 18):
- an object older than stored is ignored; the same content under a new ``last_updated`` is stored without an event;
- a PATCH without ``last_updated`` gets the receipt time, and never moves an object back;
- a PATCH of an unknown object is 404, and the next sync pulls that object.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from ocpi_emsp.codec import merge_patch, wire_time
from ocpi_emsp.codec.patch import Members, join, members
from ocpi_emsp.errors import UnknownObject
from ocpi_emsp.events import Event, ResyncRequested
from ocpi_emsp.flows.inbound.request import Incoming, Outcome, Stored
from ocpi_emsp.flows.inbound.stored import find
from ocpi_emsp.flows.parties.pending_resync import request_resync
from ocpi_emsp.ports import Key, Kind, Record, Transaction
from ocpi_emsp.wire import Response


async def get_object(incoming: Incoming, key: Key) -> Response:
    """The document as stored."""
    record = await find(incoming.context, key)
    if record is None:
        raise UnknownObject(f"{key.kind} {key.id!r} is not known")
    return incoming.answer(record.document)


async def store_object(
    incoming: Incoming, tx: Transaction, old: Record | None, new: Record, event: type[Event]
) -> Stored:
    """Insert or replace one record, with its event where its content changed."""
    if old is not None and new.last_updated < old.last_updated:
        return older(old, old.last_updated)
    if old is not None and incoming.pulled and old.document == new.document:
        return Stored(Outcome.UNCHANGED, record=old)
    await tx.put(new)
    if incoming.compares(event):
        if not differs(old, new):
            return Stored(Outcome.UNCHANGED, record=new)
        await incoming.emit(tx, event, new.key, new.document, created=old is None)
    return Stored.over(old)


def older(old: Record, stored: datetime) -> Stored:
    """What was received is older than what is stored, which stays."""
    return Stored(Outcome.STALE, f"it was last updated {wire_time(stored)}, the received one is older", old)


def differs(old: Record | None, new: Record) -> bool:
    """True where a record is new or has another content."""
    return old is None or (old.document != new.document and old.content_hash != new.content_hash)


async def known(incoming: Incoming, tx: Transaction, key: Key) -> Record | None:
    """The record that a PATCH is about; where there is none, a resync is requested."""
    record = await tx.get(key)
    if record is None:
        await request_resync_of(incoming, tx, key)
    return record


async def request_resync_of(incoming: Incoming, tx: Transaction, key: Key) -> None:
    """Request a pull of the object, or of the location that it belongs to."""
    module = "locations" if key.kind in (Kind.LOCATION, Kind.EVSE) else f"{key.kind}s"
    object_id = key.parent or key.id
    await request_resync(tx, incoming.party.owner, module, object_id, incoming.now, incoming.owner)
    await incoming.emit(tx, ResyncRequested, key, module=module, id=object_id)


def stamped(patch: bytes | msgspec.Raw, moment: datetime) -> Members:
    """The members of a patch, with a ``last_updated``. Raises NotJson, InvalidObject."""
    changes = members(patch)
    changes.setdefault("last_updated", raw_time(moment))
    return changes


def raw_time(moment: datetime) -> msgspec.Raw:
    """A timestamp as undecoded JSON."""
    return msgspec.Raw(f'"{wire_time(moment)}"'.encode())


def patched(record: Record, changes: Members) -> bytes:
    """The record's document with changes merged in."""
    return merge_patch(record.document, join(changes))


def receipt(incoming: Incoming, record: Record) -> datetime:
    """The time that stamps a change of ``record``: now, or later where the record is ahead of our clock."""
    return max(incoming.now, record.last_updated)
