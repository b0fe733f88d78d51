"""Shared by sessions and tariffs: client owned objects that are one record each.

Rules of this module (docs/spec-choices.md rows 4, 5, 6, 15, 18):
- objects are ordered by the newest time that the partner itself sent (``said_at``): an object older than the stored one
  is ignored; the same content under a new ``last_updated`` is stored without an event;
- an object without ``last_updated`` is stored, with the newest time that the partner sent before: later objects are
  compared with that time;
- a record's ``last_updated`` is for lists by date and never goes back: after a PATCH without one it is the receipt
  time, beside the document, and does not order objects;
- a PATCH of an unknown object is answered with 404, and the next sync pulls that object.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TypeAlias

from attrs import evolve

from ocpi_emsp.codec import wire_time
from ocpi_emsp.codec.content import same_content
from ocpi_emsp.codec.moments import EARLIEST, said_at, timed
from ocpi_emsp.codec.patch import Members, merge_members
from ocpi_emsp.codec.readings import shown
from ocpi_emsp.errors import UnknownObject
from ocpi_emsp.events import Event, ResyncRequested
from ocpi_emsp.flows.inbound.doubled import name_doubled
from ocpi_emsp.flows.inbound.request import Incoming, Outcome, Stored, deviating
from ocpi_emsp.flows.inbound.stored import as_shown, current, find
from ocpi_emsp.flows.inbound.twins import name_other_members
from ocpi_emsp.flows.parties.pending_resync import request_resync
from ocpi_emsp.ports import Key, Kind, Record, Transaction
from ocpi_emsp.wire import Response

Succeed: TypeAlias = Callable[[Incoming, Transaction, "Record | None", Record, bool], Awaitable[Record]]
"""Stores the record that is replaced, if its content changed, and returns the record to put."""


async def get_object(incoming: Incoming, key: Key) -> Response:
    """Return the document as stored."""
    record = await find(incoming.context, key, as_shown)
    if record is None:
        raise UnknownObject(f"{key.kind} {shown(key.id)} is not known")
    return incoming.answer(record.document)


async def store_object(
    incoming: Incoming,
    tx: Transaction,
    old: Record | None,
    new: Record,
    event: type[Event],
    *,
    succeed: Succeed | None = None,
) -> Stored:
    """Insert or replace one record, with its event if its content changed; ``succeed`` handles the replaced record."""
    if old is not None and is_older(old, new):
        return older(old)
    new = in_order(old, new)
    if old is not None and incoming.pulled and old.document == new.document:
        return Stored(Outcome.UNCHANGED, record=old)
    name_other_members(incoming, new.document, [] if old is None else [old.document], type(new.view))
    name_doubled(incoming, new.view)
    new = onward(old, new)
    await incoming.require_room(tx, old, new.document)
    compares = incoming.compares(event)
    changed = differs(old, new) if compares or succeed is not None else True
    if succeed is not None:
        new = await succeed(incoming, tx, old, new, changed)
    await tx.put(new)
    if compares:
        if not changed:
            return Stored(Outcome.UNCHANGED, record=new)
        await incoming.emit(tx, event, new.key, current(new), created=old is None)
    return Stored.over(old)


def is_older(old: Record, new: Record) -> bool:
    """Return True if the partner's time of the object is earlier than its time of the stored one."""
    # A document's time is never later than its record's, which is cheaper to compare.
    return new.last_updated < old.last_updated and EARLIEST < said_at(new.document) < said_at(old.document)


def is_undated(new: Record) -> bool:
    """Return True if a received object has no time of its partner: its record has the time of its receipt."""
    return new.last_updated >= new.received_at and said_at(new.document) == EARLIEST


def in_order(old: Record | None, new: Record) -> Record:
    """Return the new record; without a time of its partner it takes the newest that the partner sent before."""
    if old is None or not is_undated(new):
        return new
    return evolve(new, document=timed(new.document, old.document))


def onward(old: Record | None, new: Record) -> Record:
    """Return the new record, with a ``last_updated`` not before that of the old one."""
    if old is None or old.last_updated <= new.last_updated:
        return new
    return evolve(new, last_updated=old.last_updated)


def older(old: Record, said: datetime | None = None) -> Stored:
    """Return that the received object is older than the stored one, which is retained; ``said`` is the time of that, if
    not its own.
    """
    moment = said_at(old.document) if said is None else said
    return Stored(Outcome.STALE, f"it was last updated {wire_time(moment)}, the received one is older", old)


def differs(old: Record | None, new: Record) -> bool:
    """Return True if a record is new or has other content."""
    return old is None or not same_content(old.document, new.document, new.key.kind)


async def known(incoming: Incoming, tx: Transaction, key: Key) -> Record | None:
    """Return the record of a PATCH; if there is none, request a resync."""
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


def updated_at(incoming: Incoming, record: Record, changes: Members, said: datetime) -> datetime:
    """Return when a patch updated a record: the time that the partner ``said``, or that of the receipt if the patch has
    none.
    """
    return said if "last_updated" in changes else max(incoming.now, record.last_updated)


def patched(incoming: Incoming, stored: bytes, changes: Members) -> bytes:
    """Return a stored document with changes merged in. Raises InvalidObject if it is too large."""
    document = merge_members(stored, changes)
    require_size(incoming, len(stored), len(document))
    return document


def require_size(incoming: Incoming, before: int, after: int) -> None:
    """Raise InvalidObject for an object that grows beyond the size limit of a PUT."""
    most = incoming.context.limits.http.request_body
    if after > max(most, before):
        message = f"it would have {after} bytes, a PUT may have {most} (HttpLimits.request_body)"
        raise deviating("the object is too large", "", TOO_LARGE, message, _SIZE_CLAUSE)


TOO_LARGE = "object.size"
_SIZE_CLAUSE = "transport_and_format.md#patch"
