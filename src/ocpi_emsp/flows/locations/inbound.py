"""The eMSP interface of the locations module (mod_locations.md 2.2): Location, EVSE and Connector.

Rules of this module (docs/spec-choices.md rows 4, 6, 15, 18; the shared ones are in inbound/upsert.py):
- EVSEs are records of their own, so that a status change rewrites one EVSE; a location is assembled when it is read;
- a change of an EVSE or connector moves the ``last_updated`` of everything around it forward, never back;
- a location is as new as its newest EVSE, as stored and as received: not every CPO moves the one with the other;
- an EVSE that a PUT of its location leaves out becomes REMOVED as of that PUT, with an event; a later one stays;
- an EVSE or connector of an unknown location is 404 / 2003.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec
from attrs import evolve, frozen

from ocpi_emsp.codec import decode, merge_patch
from ocpi_emsp.codec.patch import Members, identity, items, join, members
from ocpi_emsp.codec.strict import decode_part, may_have_offset
from ocpi_emsp.errors import InvalidObject, UnknownLocation, UnknownObject
from ocpi_emsp.events import EvseReceived, EvseRemoved, LocationReceived
from ocpi_emsp.flows.inbound.request import Incoming, Outcome, Stored
from ocpi_emsp.flows.inbound.upsert import differs, known, older, raw_time, receipt, request_resync_of, stamped
from ocpi_emsp.models import Connector, Evse, Location, Status
from ocpi_emsp.ports import Key, Kind, Record, Transaction
from ocpi_emsp.wire import Response

_EVSES = tuple[Evse, ...]
_KEYED = {"evses": "uid", "connectors": "id"}
_NULL = msgspec.Raw(b"null")


# --- GET ------------------------------------------------------------------------------------------------------------


async def get_location(incoming: Incoming) -> Response:
    """A location as stored, with its EVSEs."""
    async with incoming.context.store.transaction(read_only=True) as tx:
        location = await _location(incoming, tx)
        return incoming.answer(assemble(location, await tx.children(location.key)))


async def get_evse(incoming: Incoming) -> Response:
    """An EVSE as stored."""
    async with incoming.context.store.transaction(read_only=True) as tx:
        return incoming.answer((await _evse(incoming, tx)).document)


async def get_connector(incoming: Incoming) -> Response:
    """A connector as stored."""
    async with incoming.context.store.transaction(read_only=True) as tx:
        connector = _find_connector(incoming, await _evse(incoming, tx))
    if connector is None:
        raise _unknown_connector(incoming)
    return incoming.answer(bytes(connector))


# --- PUT ------------------------------------------------------------------------------------------------------------


async def put_location(incoming: Incoming) -> Response:
    """A new or replaced location."""
    async with incoming.context.store.transaction() as tx:
        return incoming.reply(await store(incoming, tx))


async def store(incoming: Incoming, tx: Transaction) -> Stored:
    """Insert or replace the location that the body holds. Raises NotJson, InvalidObject before anything is written."""
    key = _location_key(incoming)
    old = await tx.get(key)
    stored = await tx.children(key) if old is not None else ()
    pushed = _read_strictly(incoming, stored) or _read(incoming, incoming.request.body)
    incoming.require_id("id", pushed.location.id, key.id)
    return await _store_location(incoming, tx, old, stored, pushed)


async def put_evse(incoming: Incoming) -> Response:
    """A new or replaced EVSE of a known location."""
    evse = incoming.accept(Evse)
    incoming.require_id("uid", evse.uid, incoming.params["evse_uid"])
    async with incoming.context.store.transaction() as tx:
        location = await _location(incoming, tx)
        old = await tx.get(_evse_key(incoming, evse.uid))
        return incoming.reply(await _store_evse(incoming, tx, location, old, evse, incoming.request.body))


async def put_connector(incoming: Incoming) -> Response:
    """A new or replaced connector of a known EVSE."""
    connector = incoming.accept(Connector)
    incoming.require_id("id", connector.id, incoming.params["connector_id"])
    async with incoming.context.store.transaction() as tx:
        location = await _location(incoming, tx)
        evse = await _evse(incoming, tx)
        return incoming.reply(await _store_connector(incoming, tx, location, evse, connector, incoming.request.body))


# --- PATCH ----------------------------------------------------------------------------------------------------------


async def patch_location(incoming: Incoming) -> Response:
    """Changes of a known location; EVSEs merge by uid, connectors by id."""
    key = _location_key(incoming)
    async with incoming.context.store.transaction() as tx:
        record = await known(incoming, tx, key)
        if record is not None:
            changes = _stamped_below(incoming.request.body, receipt(incoming, record))
            stored = await tx.children(key)
            pushed = _read(incoming, merge_patch(assemble(record, stored), join(changes), _KEYED))
            incoming.require_id("id", pushed.location.id, key.id)
            return incoming.reply(await _store_location(incoming, tx, record, stored, pushed))
    raise UnknownLocation(f"location {key.id!r} is not known")


async def patch_evse(incoming: Incoming) -> Response:
    """Changes of a known EVSE, such as its status."""
    async with incoming.context.store.transaction() as tx:
        location = await tx.get(_location_key(incoming))
        record = await known(incoming, tx, _evse_key(incoming))
        if location is not None and record is not None:
            changes = _stamped_below(incoming.request.body, receipt(incoming, record))
            document = merge_patch(record.document, join(changes), _KEYED)
            evse = incoming.accept(Evse, document)
            incoming.require_id("uid", evse.uid, record.key.id)
            return incoming.reply(await _store_evse(incoming, tx, location, record, evse, document))
        unknown = await _unknown_evse(incoming, tx)
    raise unknown


async def patch_connector(incoming: Incoming) -> Response:
    """Changes of a known connector."""
    async with incoming.context.store.transaction() as tx:
        location = await tx.get(_location_key(incoming))
        record = await known(incoming, tx, _evse_key(incoming))
        stored = _find_connector(incoming, record) if record is not None else None
        if location is not None and record is not None and stored is not None:
            changes = stamped(incoming.request.body, receipt(incoming, record))
            document = merge_patch(bytes(stored), join(changes))
            connector = incoming.accept(Connector, document)
            incoming.require_id("id", connector.id, incoming.params["connector_id"])
            return incoming.reply(await _store_connector(incoming, tx, location, record, connector, document))
        if record is not None:
            await request_resync_of(incoming, tx, record.key)
        unknown = await _unknown_evse(incoming, tx) if record is None else _unknown_connector(incoming)
    raise unknown


def _stamped_below(patch: bytes | msgspec.Raw, moment: datetime) -> Members:
    """A patch whose every object has a ``last_updated``: its own, or ``moment``."""
    changes = stamped(patch, moment)
    for name in _KEYED:
        if name in changes and bytes(changes[name]).startswith(b"["):
            below = [msgspec.Raw(join(_stamped_below(item, moment))) for item in items(changes[name])]
            changes[name] = msgspec.Raw(msgspec.json.encode(below))
    return changes


# --- storing --------------------------------------------------------------------------------------------------------


@frozen
class _Pushed:
    """A location as received, split: its document without EVSEs, and a record for each EVSE."""

    location: Location
    shell: bytes
    evses: list[Record]


def _read(incoming: Incoming, document: bytes) -> _Pushed:
    """Take a whole location apart. Raises NotJson, InvalidObject with every finding."""
    location = incoming.accept(Location, document)
    parts = members(document)
    documents = map(bytes, items(parts.pop("evses", _NULL)))
    pairs = zip(location.evses, documents, strict=True)
    key = _location_key(incoming)
    evses = [_evse_record(incoming, key, evse, evse_document) for evse, evse_document in pairs]
    return _Pushed(location, join(parts), evses)


def _read_strictly(incoming: Incoming, stored: Sequence[Record]) -> _Pushed | None:
    """Take apart what the strict lane accepts, or None; an EVSE whose bytes are stored already is not read again."""
    body = incoming.request.body
    if incoming.policy.needs_rules or may_have_offset(body):
        return None
    try:
        parts = members(body)
        documents = items(parts.pop("evses", _NULL))
    except InvalidObject:
        return None
    shell = join(parts)
    location = decode_part(Location, shell)
    evses: list[Record | bytes] = [bytes(raw) for raw in documents]
    for place, old in enumerate(stored[: len(evses)]):
        if evses[place] == old.document:
            evses[place] = old
    new = decode_part(_EVSES, b"[" + b",".join(evse for evse in evses if isinstance(evse, bytes)) + b"]")
    if location is None or new is None:
        return None
    unread = iter(new)
    key = _location_key(incoming)
    return _Pushed(
        location,
        shell,
        [_evse_record(incoming, key, next(unread), evse) if isinstance(evse, bytes) else evse for evse in evses],
    )


def _evse_record(incoming: Incoming, location: Key, evse: Evse, document: bytes) -> Record:
    key = Key(Kind.EVSE, location.country_code, location.party_id, evse.uid, location.id)
    correlation_id = incoming.correlation_id
    return Record(key, document, evse.last_updated, incoming.now, evse, correlation_id=correlation_id)


async def _store_location(
    incoming: Incoming, tx: Transaction, old: Record | None, stored: Sequence[Record], pushed: _Pushed
) -> Stored:
    key = _location_key(incoming)
    moment = max((evse.last_updated for evse in pushed.evses), default=pushed.location.last_updated)
    moment = max(moment, pushed.location.last_updated)
    if old is not None and moment < old.last_updated:
        return older(old, old.last_updated)
    changed, latest = await _store_evses(incoming, tx, stored, pushed.evses, moment)
    correlation_id = incoming.correlation_id
    record = Record(key, pushed.shell, latest, incoming.now, pushed.location, correlation_id=correlation_id)
    says_the_same = old is not None and old.document == record.document and latest <= old.last_updated
    if incoming.pulled and says_the_same and not changed:
        return Stored(Outcome.UNCHANGED, record=old)
    await tx.put(record)
    if not incoming.compares(LocationReceived):
        return Stored.over(old)
    if not changed and not differs(old, record):
        return Stored(Outcome.UNCHANGED, record=record)
    if incoming.context.has_receiver(LocationReceived):
        whole = assemble(record, await tx.children(key))
        await incoming.emit(tx, LocationReceived, key, whole, created=old is None)
    return Stored.over(old)


async def _store_evses(
    incoming: Incoming, tx: Transaction, stored: Sequence[Record], pushed: Sequence[Record], moment: datetime
) -> tuple[bool, datetime]:
    """Bring a location's EVSEs to what was received as of ``moment``.

    Gives whether the content of one changed, where that matters, and when the latest EVSE changed.
    """
    known_evses = {record.key: record for record in stored}
    left_out, latest, changed = dict(known_evses), moment, False
    compares = incoming.compares(LocationReceived)
    for record in pushed:
        left_out.pop(record.key, None)
        old = known_evses.get(record.key)
        if old is not None and (old.document == record.document or record.last_updated < old.last_updated):
            latest = max(latest, old.last_updated)
            continue
        changed = changed or (compares and differs(old, record))
        known_evses[record.key] = record
        await tx.put(record)
    for record in left_out.values():
        removed = await _remove(incoming, tx, record, moment)
        changed = changed or (compares and removed)
        latest = max(latest, record.last_updated)
    return changed, latest


_EARLIEST = datetime.fromisoformat("0001-01-01T00:00:00+00:00")


async def remove_evses(incoming: Incoming, tx: Transaction, location: Key) -> int:
    """Mark the EVSEs of a location that its CPO does not list any more; how many were not marked yet.

    Their ``last_updated`` stays, so that the CPO's own word counts again once it lists them.
    """
    return sum([await _remove(incoming, tx, record, record.last_updated) for record in await tx.children(location)])


async def _remove(incoming: Incoming, tx: Transaction, record: Record, moment: datetime) -> bool:
    """Mark an EVSE that its location, as of ``moment``, does not list; False where it is marked already."""
    if incoming.accept(Evse, record.document).status == Status.REMOVED:
        return False
    moment = max(moment, record.last_updated)
    changes = {"status": msgspec.Raw(b'"REMOVED"'), "last_updated": raw_time(moment)}
    document = merge_patch(record.document, join(changes))
    await tx.put(Record(record.key, document, moment, incoming.now, correlation_id=incoming.correlation_id))
    await incoming.emit(tx, EvseRemoved, record.key, document, location_id=record.key.parent)
    return True


async def _store_evse(
    incoming: Incoming, tx: Transaction, location: Record, old: Record | None, evse: Evse, document: bytes
) -> Stored:
    if old is not None and evse.last_updated < old.last_updated:
        return older(old, old.last_updated)
    record = _evse_record(incoming, location.key, evse, document)
    key = record.key
    await tx.put(record)
    if evse.last_updated > location.last_updated:
        await tx.put(evolve(location, last_updated=evse.last_updated, correlation_id=incoming.correlation_id))
    if incoming.context.has_receiver(EvseReceived) and differs(old, record):
        created = old is None
        await incoming.emit(tx, EvseReceived, key, document, location_id=key.parent, created=created)
    return Stored.over(old)


async def _store_connector(
    incoming: Incoming, tx: Transaction, location: Record, evse: Record, connector: Connector, document: bytes
) -> Stored:
    parts = members(evse.document)
    connectors = {identity(item, "id"): item for item in items(parts.get("connectors", _NULL))}
    old = connectors.get(connector.id)
    known_at = decode(Connector, old).last_updated if old is not None else _EARLIEST
    if connector.last_updated < known_at:
        return older(evse, known_at)
    connectors[connector.id] = msgspec.Raw(document)
    parts["connectors"] = msgspec.Raw(msgspec.json.encode(list(connectors.values())))
    parts["last_updated"] = raw_time(max(evse.last_updated, connector.last_updated))
    whole = join(parts)
    stored = await _store_evse(incoming, tx, location, evse, incoming.accept(Evse, whole), whole)
    return Stored(Outcome.CREATED) if old is None else stored


# --- reading --------------------------------------------------------------------------------------------------------


def assemble(location: Record, evses: Sequence[Record]) -> bytes:
    """The location's document with its EVSEs and the ``last_updated`` that it has by now."""
    parts = members(location.document)
    if evses:
        parts["evses"] = msgspec.Raw(b"[" + b",".join(evse.document for evse in evses) + b"]")
    parts["last_updated"] = raw_time(location.last_updated)
    return join(parts)


async def _location(incoming: Incoming, tx: Transaction) -> Record:
    key = _location_key(incoming)
    record = await tx.get(key)
    if record is None:
        raise UnknownLocation(f"location {key.id!r} is not known")
    return record


async def _evse(incoming: Incoming, tx: Transaction) -> Record:
    record = await tx.get(_evse_key(incoming))
    if record is None:
        raise await _unknown_evse(incoming, tx)
    return record


def _find_connector(incoming: Incoming, evse: Record) -> msgspec.Raw | None:
    wanted, stored = incoming.params["connector_id"], items(members(evse.document).get("connectors", _NULL))
    return next((connector for connector in stored if identity(connector, "id") == wanted), None)


def _unknown_connector(incoming: Incoming) -> UnknownObject:
    connector_id, evse_uid = incoming.params["connector_id"], incoming.params["evse_uid"]
    return UnknownObject(f"connector {connector_id!r} of EVSE {evse_uid!r} is not known")


async def _unknown_evse(incoming: Incoming, tx: Transaction) -> UnknownObject:
    """What an EVSE that is not known is answered with: its location is not known, or only the EVSE."""
    key = _location_key(incoming)
    if await tx.get(key) is None:
        return UnknownLocation(f"location {key.id!r} is not known")
    return UnknownObject(f"EVSE {incoming.params['evse_uid']!r} is not known")


def _location_key(incoming: Incoming) -> Key:
    return incoming.key(Kind.LOCATION, incoming.params["location_id"])


def _evse_key(incoming: Incoming, uid: str | None = None) -> Key:
    wanted = incoming.params["evse_uid"] if uid is None else uid
    return incoming.key(Kind.EVSE, wanted, incoming.params["location_id"])
