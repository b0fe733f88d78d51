"""The eMSP interface of the sessions module (mod_sessions.md 2.2). The rules are in upsert.py.

Beside those (docs/spec-choices.md row 15): COMPLETED and INVALID are final. A later document with another status is
ignored; one with the same status is stored, since a late cost or meter value would be lost otherwise. A new session is
linked to the command that brought it about (session_link.py).
"""

from __future__ import annotations

import msgspec
from attrs import evolve

from ocpi_emsp.codec import decode
from ocpi_emsp.codec.patch import Members, items, members
from ocpi_emsp.errors import UnknownObject
from ocpi_emsp.events import SessionReceived
from ocpi_emsp.flows.commands.session_link import link
from ocpi_emsp.flows.inbound.request import Incoming, Outcome, Stored
from ocpi_emsp.flows.inbound.upsert import get_object, known, patched, store_object, updated_at
from ocpi_emsp.models import Session, SessionStatus
from ocpi_emsp.ports import Key, Kind, Record, Transaction
from ocpi_emsp.wire import Response

FINAL = frozenset({SessionStatus.COMPLETED, SessionStatus.INVALID})


async def get(incoming: Incoming) -> Response:
    """A session as stored."""
    return await get_object(incoming, _key(incoming))


async def put(incoming: Incoming) -> Response:
    """A new or replaced session."""
    async with incoming.context.store.transaction() as tx:
        return incoming.reply(await store(incoming, tx))


async def store(incoming: Incoming, tx: Transaction) -> Stored:
    """Insert or replace the session that the body holds. Raises NotJson, InvalidObject before anything is written."""
    session = incoming.accept(Session)
    incoming.require_id("id", session.id, incoming.params["session_id"])
    new = _record(incoming, incoming.request.body, session)
    return await _store(incoming, tx, await tx.get(new.key), session, new)


async def patch(incoming: Incoming) -> Response:
    """Changes of a known session; ``charging_periods`` are replaced, or added (``Profile.append_charging_periods``)."""
    key = _key(incoming)
    async with incoming.context.store.transaction() as tx:
        record = await known(incoming, tx, key)
        if record is not None:
            changes = members(incoming.request.body)
            if incoming.party.profile.append_charging_periods:
                changes = _appended(record, changes)
            document = patched(record, changes)
            session = incoming.accept(Session, document)
            incoming.require_id("id", session.id, key.id)
            moment = updated_at(incoming, record, changes, session.last_updated)
            new = evolve(_record(incoming, document, session), last_updated=moment)
            return incoming.reply(await _store(incoming, tx, record, session, new))
    raise UnknownObject(f"session {key.id!r} is not known")


async def _store(incoming: Incoming, tx: Transaction, old: Record | None, session: Session, new: Record) -> Stored:
    if old is not None:
        status = decode(Session, old.document).status
        if status in FINAL and session.status != status:
            return Stored(Outcome.STALE, f"the session is {status}, which is final", old)
    stored = await store_object(incoming, tx, old, new, SessionReceived)
    if old is None and incoming.pulled:
        incoming.fresh.append(session)
    elif old is None:
        await link(incoming, tx, session)
    return stored


def _appended(record: Record, changes: Members) -> Members:
    periods = changes.get("charging_periods")
    if periods is None:
        return changes
    stored = members(record.document).get("charging_periods", msgspec.Raw(b"null"))
    return {**changes, "charging_periods": msgspec.Raw(msgspec.json.encode([*items(stored), *items(periods)]))}


def _record(incoming: Incoming, document: bytes, session: Session) -> Record:
    key, correlation_id = _key(incoming), incoming.correlation_id
    return Record(key, document, session.last_updated, incoming.now, session, correlation_id=correlation_id)


def _key(incoming: Incoming) -> Key:
    return incoming.key(Kind.SESSION, incoming.params["session_id"])
