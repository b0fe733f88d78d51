"""The eMSP interface of the locations module (mod_locations.md 2.2): Location, EVSE and Connector.

Rules of this module (docs/spec-choices.md rows 4, 6; store.py has the rules of storing):
- a PATCH is merged into the stored document, and then handled like a PUT; dated.py sets missing times of its parts;
- an EVSE or connector of an unknown location is 404 / 2003, one of an unknown EVSE 404 / 2000; the next sync pulls it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from attrs import evolve

from ocpi_emsp.codec.newer import as_location_patch
from ocpi_emsp.codec.patch import Members, as_items, identity, members, merge_members
from ocpi_emsp.codec.readings import shown
from ocpi_emsp.codec.repeated import repetitions
from ocpi_emsp.errors import UnknownLocation, UnknownObject
from ocpi_emsp.flows.inbound.evses import evses_of, find_evse, parts_of, taken_apart
from ocpi_emsp.flows.inbound.merging import leave_if_large, merged, merges_aside
from ocpi_emsp.flows.inbound.request import Incoming, Outcome, Stored
from ocpi_emsp.flows.inbound.stored import current
from ocpi_emsp.flows.inbound.twins import (
    has_as_many,
    name_connectors,
    name_members,
    name_other_members,
    name_patched,
    store_repeated,
)
from ocpi_emsp.flows.inbound.upsert import known, request_resync_of, require_size, updated_at
from ocpi_emsp.flows.locations.apart import apart_of
from ocpi_emsp.flows.locations.dated import KEYED, dated_changes, dated_evse
from ocpi_emsp.flows.locations.moves import location_at
from ocpi_emsp.flows.locations.pushed import Pushed, evse_record, is_unchanged, read, read_strictly
from ocpi_emsp.flows.locations.read import assemble, joined
from ocpi_emsp.flows.locations.room import require_evses
from ocpi_emsp.flows.locations.store import (
    still_left_out,
    store_connector,
    store_evse,
    store_location,
    store_new_location,
)
from ocpi_emsp.flows.locations.whole import store_whole
from ocpi_emsp.models import Connector, Evse, Location
from ocpi_emsp.ports import Key, Kind, Record, Transaction, prefetch
from ocpi_emsp.routes import incoming as incoming_route
from ocpi_emsp.wire import Response

_NULL = msgspec.Raw(b"null")
_PUT_LOCATION = incoming_route("locations.put_location")


# --- GET ------------------------------------------------------------------------------------------------------------


async def get_location(incoming: Incoming) -> Response:
    """Return a location as stored, with its EVSEs."""
    async with incoming.context.store.transaction(read_only=True) as tx:
        location = await _location(incoming, tx)
        return incoming.answer(assemble(location, await evses_of(tx, location)))


async def get_evse(incoming: Incoming) -> Response:
    """Return an EVSE as stored."""
    async with incoming.context.store.transaction(read_only=True) as tx:
        return incoming.answer(current(await _evse(incoming, tx)))


async def get_connector(incoming: Incoming) -> Response:
    """Return a connector as stored."""
    async with incoming.context.store.transaction(read_only=True) as tx:
        connector = _find_connector(incoming, await _evse(incoming, tx))
    if connector is None:
        raise _unknown_connector(incoming)
    return incoming.answer(bytes(connector))


# --- PUT ------------------------------------------------------------------------------------------------------------


async def put_location(incoming: Incoming) -> Response:
    """Create or replace a location."""
    async with incoming.context.store.transaction() as tx:
        return incoming.reply(await store(incoming, tx))


def read_ahead(incoming: Incoming) -> None:
    """Read the location in the body before its flow."""
    ahead, body = incoming.ahead, incoming.request.body
    assert ahead is not None
    if ahead.read(Pushed, body, lambda: read_strictly(incoming, None, ()) or read(incoming, body, is_whole=True)):
        ahead.read(repetitions, body, lambda: repetitions(body))


async def store(incoming: Incoming, tx: Transaction) -> Stored:
    """Insert or replace the location in the body. Raises NotJson, InvalidObject before anything is written."""
    key = incoming.location_key
    old = await location_at(incoming, tx, incoming.request.body)
    if (found := await store_whole(incoming, tx, old)) is not None:
        return found
    stored: Sequence[Record] = ()
    if old is not None:
        old, stored = await parts_of(tx, old)
    if (found := await _store_apart(incoming, tx, old, stored)) is not None:
        return found
    body = incoming.request.body
    pushed = None if incoming.ahead is None else incoming.ahead.find(Pushed, body)
    pushed = pushed or read_strictly(incoming, old, stored) or read(incoming, body, is_whole=True)
    incoming.require_id("id", pushed.id, key.id)
    if incoming.pulled and is_unchanged(pushed, old, stored):
        return Stored(Outcome.UNCHANGED, record=old)
    if pushed.repeats:
        await store_repeated(incoming, tx, _PUT_LOCATION, body)
    elif _may_repeat(incoming, old, stored, pushed):
        name_members(incoming, body, Location)
    if old is None:
        return await store_new_location(incoming, tx, pushed)
    return await store_location(incoming, tx, old, stored, pushed, pushed.last_updated)


async def _store_apart(
    incoming: Incoming, tx: Transaction, old: Record | None, stored: Sequence[Record]
) -> Stored | None:
    """Store a pulled location that is new or equal to the stored one; return None if it must be read like a push."""
    apart = apart_of(incoming)
    if apart is None:
        return None
    if old is None:
        pushed = apart.pushed(incoming)
        if pushed is None:
            return None
        incoming.require_id("id", pushed.id, incoming.location_key.id)
        return await store_new_location(incoming, tx, pushed)
    location = apart.as_stored(old, stored)
    if location is None:
        return None
    incoming.require_id("id", location.id, incoming.location_key.id)
    return Stored(Outcome.UNCHANGED, record=old)


def _may_repeat(incoming: Incoming, old: Record | None, stored: Sequence[Record], pushed: Pushed) -> bool:
    """Return True if new members may be repeated: what is stored byte for byte is not examined again."""
    if old is None:
        return not incoming.pulled
    listed = [evse for evse in stored if evse.missing_since is None]
    if len(listed) != len(pushed.evses) or not has_as_many(old.document, pushed.shell):
        return True
    for place, (before, evse) in enumerate(zip(listed, pushed.evses, strict=True)):
        is_seen = before is evse or (place in pushed.restated and before.key == evse.key)
        if not is_seen and not _is_of_as_many(before, evse):
            return True
    return False


def _is_of_as_many(before: Record, evse: Record) -> bool:
    return before.key == evse.key and has_as_many(before.document, evse.document)


async def put_evse(incoming: Incoming) -> Response:
    """Create or replace an EVSE of a known location."""
    evse = incoming.accept(Evse)
    incoming.require_id("uid", evse.uid, incoming.params["evse_uid"])
    name_connectors(incoming, evse)
    async with incoming.context.store.transaction() as tx:
        location = await _location_of_evse(incoming, tx)
        if location is not None:
            new = evse_record(incoming, location.key, evse, dated_evse(evse, incoming.request.body))
            old = await tx.get(new.key)
            name_other_members(incoming, incoming.request.body, [] if old is None else [old.document], Evse)
            return incoming.reply(await store_evse(incoming, tx, location, old, new))
        await request_resync_of(incoming, tx, incoming.location_key)
    raise _unknown_location(incoming)


async def _location_of_evse(incoming: Incoming, tx: Transaction) -> Record | None:
    """Return the location that the URL names, taken apart; its EVSE in the URL is read with it."""
    await prefetch(tx, [incoming.location_key, _evse_key(incoming)])
    location = await location_at(incoming, tx)
    return None if location is None else await taken_apart(tx, location)


async def put_connector(incoming: Incoming) -> Response:
    """Create or replace a connector of a known EVSE."""
    connector = incoming.accept(Connector)
    incoming.require_id("id", connector.id, incoming.params["connector_id"])
    async with incoming.context.store.transaction() as tx:
        location = await _location_of_evse(incoming, tx)
        evse = await tx.get(_evse_key(incoming))
        if location is not None and evse is not None:
            document, moment = incoming.request.body, connector.last_updated
            name_members(incoming, document, Connector)
            return incoming.reply(await store_connector(incoming, tx, location, evse, connector, document, moment))
        await request_resync_of(incoming, tx, _evse_key(incoming))
        unknown = await _unknown_evse(incoming, tx)
    raise unknown


# --- PATCH ----------------------------------------------------------------------------------------------------------


@merges_aside
async def patch_location(incoming: Incoming) -> Response:
    """Change a known location; EVSEs merge by uid, connectors by id."""
    key = incoming.location_key
    async with incoming.context.store.transaction() as tx:
        await location_at(incoming, tx)
        record = await known(incoming, tx, key)
        if record is not None:
            record, stored = await parts_of(tx, record)
            whole = joined(record, stored)
            leave_if_large(incoming, whole, _merge_location)
            await name_patched(incoming, tx, incoming.parts)
            changes = as_location_patch(Location, incoming.parts)
            pushed = _patched(incoming, merged(incoming, whole, _merge_location), changes, stored)
            require_evses(incoming, len(stored), len(pushed.evses))
            incoming.require_id("id", pushed.id, key.id)
            moment = updated_at(incoming, record, changes, pushed.last_updated)
            return incoming.reply(await store_location(incoming, tx, record, stored, pushed, moment, is_whole=False))
    raise UnknownLocation(f"location {shown(key.id)} is not known")


@merges_aside
async def patch_evse(incoming: Incoming) -> Response:
    """Change a known EVSE, for example its status."""
    async with incoming.context.store.transaction() as tx:
        location = await _location_of_evse(incoming, tx)
        record = await known(incoming, tx, _evse_key(incoming))
        if location is not None and record is not None:
            leave_if_large(incoming, record.document, _merge_evse)
            changes = incoming.parts
            await name_patched(incoming, tx, changes)
            document, evse = merged(incoming, record.document, _merge_evse)
            incoming.require_id("uid", evse.uid, record.key.id)
            moment = updated_at(incoming, record, changes, evse.last_updated)
            new = evse_record(incoming, location.key, evse, document, moment)
            new = still_left_out(record, new, says_status="status" in changes)
            return incoming.reply(await store_evse(incoming, tx, location, record, new))
        unknown = await _unknown_evse(incoming, tx)
    raise unknown


async def patch_connector(incoming: Incoming) -> Response:
    """Change a known connector."""
    async with incoming.context.store.transaction() as tx:
        location = await _location_of_evse(incoming, tx)
        record = await known(incoming, tx, _evse_key(incoming))
        stored = _find_connector(incoming, record) if record is not None else None
        if location is not None and record is not None and stored is not None:
            changes = as_location_patch(Connector, incoming.parts)
            document = merge_members(bytes(stored), changes)
            connector = incoming.accept(Connector, document)
            incoming.require_id("id", connector.id, incoming.params["connector_id"])
            moment = updated_at(incoming, record, changes, connector.last_updated)
            return incoming.reply(await store_connector(incoming, tx, location, record, connector, document, moment))
        if record is not None:
            await request_resync_of(incoming, tx, record.key)
        unknown = await _unknown_evse(incoming, tx) if record is None else _unknown_connector(incoming)
    raise unknown


def _merge_location(incoming: Incoming, whole: bytes) -> Pushed:
    return read(incoming, _merge(incoming, Location, whole))


def _merge_evse(incoming: Incoming, stored: bytes) -> tuple[bytes, Evse]:
    document = _merge(incoming, Evse, stored)
    return document, incoming.accept(Evse, document)


def _merge(incoming: Incoming, kind: type[Any], stored: bytes) -> bytes:
    """Return the stored document with the changes of the body. Raises InvalidObject if it is too large."""
    changes = as_location_patch(kind, incoming.parts)
    document = merge_members(stored, dated_changes(changes, stored), KEYED)
    require_size(incoming, len(stored), len(document))
    return document


def _patched(incoming: Incoming, pushed: Pushed, changes: Members, stored: Sequence[Record]) -> Pushed:
    """Return the patched location; an EVSE that is changed without a ``last_updated`` was updated on receipt."""
    items = {identity(item, "uid"): members(item) for item in as_items(changes.get("evses", _NULL))}
    known = {record.key: record for record in stored}
    evses = []
    for evse in pushed.evses:
        item, old = items.get(evse.key.id, {}), known.get(evse.key)
        if item and not {"last_updated"} & {*item, *changes}:
            evse = evolve(evse, last_updated=max(incoming.now, evse.last_updated))
        evses.append(evse if old is None else still_left_out(old, evse, says_status="status" in item))
    return evolve(pushed, evses=evses)


# --- reading --------------------------------------------------------------------------------------------------------


async def _location(incoming: Incoming, tx: Transaction) -> Record:
    key = incoming.location_key
    record = await tx.get(key)
    if record is None:
        raise _unknown_location(incoming)
    return record


def _unknown_location(incoming: Incoming) -> UnknownLocation:
    return UnknownLocation(f"location {shown(incoming.params['location_id'])} is not known")


async def _evse(incoming: Incoming, tx: Transaction) -> Record:
    record = await find_evse(tx, _evse_key(incoming))
    if record is None:
        raise await _unknown_evse(incoming, tx)
    return record


def _find_connector(incoming: Incoming, evse: Record) -> msgspec.Raw | None:
    wanted, stored = incoming.params["connector_id"], as_items(members(evse.document).get("connectors", _NULL))
    return next((connector for connector in reversed(stored) if identity(connector, "id") == wanted), None)


def _unknown_connector(incoming: Incoming) -> UnknownObject:
    connector_id, evse_uid = incoming.params["connector_id"], incoming.params["evse_uid"]
    return UnknownObject(f"connector {shown(connector_id)} of EVSE {shown(evse_uid)} is not known")


async def _unknown_evse(incoming: Incoming, tx: Transaction) -> UnknownObject:
    """Return the error for an unknown EVSE: its location is unknown, or only the EVSE."""
    key = incoming.location_key
    if await tx.get(key) is None:
        return UnknownLocation(f"location {shown(key.id)} is not known")
    return UnknownObject(f"EVSE {shown(incoming.params['evse_uid'])} is not known")


def _evse_key(incoming: Incoming) -> Key:
    return incoming.key(Kind.EVSE, incoming.params["evse_uid"], incoming.params["location_id"])
