"""The eMSP interface of the sessions module (mod_sessions.md 2.2). The rules are in upsert.py.

Additional rules (docs/spec-choices.md rows 6 and 15):
- COMPLETED and INVALID are final: a later document with another status is ignored, except INVALID after COMPLETED; one
  with the same status is stored, since a late cost or meter value would be lost otherwise;
- a session that revokes earlier values (COMPLETED by INVALID, a lower kWh) is stored, with a finding and an event of
  its own;
- appended periods are merged by their start, so that a repeated PATCH changes nothing;
- a new session, and one that gets its authorization_id later, is linked to the command that caused it
  (session_link.py).
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import msgspec
from attrs import evolve

from ocpi_emsp.codec import decode, rules
from ocpi_emsp.codec.moments import EARLIEST
from ocpi_emsp.codec.newer import as_patch
from ocpi_emsp.codec.patch import Members, as_items, identity, members
from ocpi_emsp.codec.readings import read_datetime, shown
from ocpi_emsp.errors import UnknownObject
from ocpi_emsp.events import SessionEnergyDecreased, SessionInvalidated, SessionReceived
from ocpi_emsp.flows.commands.session_link import link
from ocpi_emsp.flows.inbound.merging import leave_if_large, merged, merges_aside
from ocpi_emsp.flows.inbound.moves import stored_at
from ocpi_emsp.flows.inbound.request import Incoming, NewSession, Outcome, Stored, note
from ocpi_emsp.flows.inbound.stored import current
from ocpi_emsp.flows.inbound.upsert import get_object, known, patched, store_object, updated_at
from ocpi_emsp.models import Session, SessionStatus
from ocpi_emsp.ports import Key, Kind, Record, Transaction
from ocpi_emsp.wire import Response

FINAL = frozenset({SessionStatus.COMPLETED, SessionStatus.INVALID})
_STATUS_CLAUSE = "mod_sessions.md#41-sessionstatus-enum"
_NOT_CLEARED = "no period to add: the stored ones stay, since this party's periods are appended"


async def get(incoming: Incoming) -> Response:
    """Return a session as stored."""
    return await get_object(incoming, _key(incoming))


async def put(incoming: Incoming) -> Response:
    """Create or replace a session."""
    async with incoming.context.store.transaction() as tx:
        return incoming.reply(await store(incoming, tx))


async def store(incoming: Incoming, tx: Transaction) -> Stored:
    """Insert or replace the session in the body. Raises NotJson, InvalidObject before anything is written."""
    session = incoming.accept(Session)
    incoming.require_id("id", session.id, incoming.params["session_id"])
    new = _record(incoming, incoming.request.body, session)
    old = await stored_at(incoming, tx, new.key, new.document)
    return await _store(incoming, tx, old, session, new)


@merges_aside
async def patch(incoming: Incoming) -> Response:
    """Change a known session; ``charging_periods`` are replaced, or added (``Profile.append_charging_periods``)."""
    key = _key(incoming)
    async with incoming.context.store.transaction() as tx:
        await stored_at(incoming, tx, key)
        record = await known(incoming, tx, key)
        if record is not None:
            leave_if_large(incoming, record.document, _merge)
            document, session = merged(incoming, record.document, _merge)
            incoming.require_id("id", session.id, key.id)
            changes = as_patch(Session, incoming.parts)
            moment = updated_at(incoming, record, changes, session.last_updated)
            new = evolve(_record(incoming, document, session), last_updated=moment)
            return incoming.reply(await _store(incoming, tx, record, session, new))
    raise UnknownObject(f"session {shown(key.id)} is not known")


async def _store(incoming: Incoming, tx: Transaction, old: Record | None, session: Session, new: Record) -> Stored:
    before = None if old is None else _before(old, session, new)
    if before is not None and _is_final(before.status, session.status):
        return Stored(Outcome.STALE, f"the session is {before.status}, which is final", old)
    stored = await store_object(incoming, tx, old, new, SessionReceived)
    if before is not None and stored.outcome is Outcome.UPDATED:
        await _name_setbacks(incoming, tx, before, session, new)
    if old is None:
        found: NewSession | None = NewSession.of(session, new.document)
    else:
        is_stored = stored.outcome in (Outcome.CREATED, Outcome.UPDATED)
        found = NewSession.late(session, old.document, new.document) if is_stored else None
    if found is not None and incoming.pulled:
        incoming.fresh.append(found)
    elif found is not None:
        await link(incoming, tx, found)
    return stored


class _Before(msgspec.Struct, gc=False):
    """The values of a stored session that a later one is compared with."""

    status: SessionStatus
    kwh: Decimal


_BEFORE = msgspec.json.Decoder(_Before)


def _before(old: Record, session: Session, new: Record) -> _Before | Session:
    """Return the stored session, which is not read again if the received one has its bytes: two of its members, or all
    if these have another spelling.
    """
    if old.document == new.document:
        return session
    try:
        found = _BEFORE.decode(old.document)
    except msgspec.ValidationError:
        return decode(Session, old.document, updated=old.last_updated)
    return found if found.kwh.is_finite() else decode(Session, old.document, updated=old.last_updated)


def _is_final(before: SessionStatus, after: SessionStatus) -> bool:
    """Return True if the status cannot change: only INVALID may follow COMPLETED."""
    may_follow = (before, SessionStatus.INVALID if before == SessionStatus.COMPLETED else before)
    return before in FINAL and after not in may_follow


async def _name_setbacks(
    incoming: Incoming, tx: Transaction, before: _Before | Session, session: Session, record: Record
) -> None:
    """Report what a session revokes of its earlier values."""
    if before.status != session.status == SessionStatus.INVALID and before.status == SessionStatus.COMPLETED:
        message = "the session was COMPLETED, and is INVALID now"
        incoming.note("/status", "session.invalidated", message, _STATUS_CLAUSE)
        await incoming.emit(tx, SessionInvalidated, record.key, current(record))
    if session.kwh < before.kwh:
        message = f"the session had {shown(before.kwh)} kWh, and has {shown(session.kwh)} now"
        incoming.note("/kwh", "session.kwh.decreased", message, Session.clause)
        details = {"previous_kwh": str(before.kwh)}
        await incoming.emit(tx, SessionEnergyDecreased, record.key, current(record), **details)


def _merge(incoming: Incoming, stored: bytes) -> tuple[bytes, Session]:
    changes = as_patch(Session, incoming.parts)
    if incoming.party.profile.append_charging_periods:
        changes = _appended(incoming, stored, changes)
    document = patched(incoming, stored, changes)
    return document, incoming.accept(Session, document)


def _appended(incoming: Incoming, document: bytes, changes: Members) -> Members:
    """Return the changes with the earlier periods; those with the start of a received one are replaced by it."""
    periods = changes.get("charging_periods")
    if periods is None:
        return changes
    if bytes(periods).startswith(b"{"):
        incoming.note("/charging_periods", rules.ARRAY_SINGLE.id, "expected a list, found an object", Session.clause)
    received = [(_start(each), each) for each in as_items(periods)]
    starts = {start for start, _ in received}
    stored = as_items(members(document).get("charging_periods", msgspec.Raw(b"null")))
    if stored and not received:
        incoming.deviations.append(note("/charging_periods", "patch.charging_periods", _NOT_CLEARED, Session.clause))
    others = [(start, each) for each in stored if (start := _start(each)) not in starts]
    merged = [each for _, each in sorted([*others, *received], key=lambda period: period[0])]
    return {**changes, "charging_periods": msgspec.Raw(msgspec.json.encode(merged))}


def _start(period: msgspec.Raw) -> datetime:
    """Return when a period starts; an unreadable period is rejected together with the resulting session."""
    moment = read_datetime(identity(period, "start_date_time"), lambda _rule, _message: None)
    return moment if isinstance(moment, datetime) else EARLIEST


def _record(incoming: Incoming, document: bytes, session: Session) -> Record:
    key, correlation_id = _key(incoming), incoming.correlation_id
    return Record(key, document, session.last_updated, incoming.now, session, correlation_id=correlation_id)


def _key(incoming: Incoming) -> Key:
    return incoming.key(Kind.SESSION, incoming.params["session_id"])
