"""The eMSP interface of the locations module (mod_locations.md 2.2): Location, EVSE and Connector.

Rules of this module (docs/spec-choices.md rows 4, 6, 15, 18; the shared ones are in objects.py):
- EVSEs are records of their own, so that a status change rewrites one EVSE; a location is assembled when it is read;
- a change of an EVSE or connector moves the ``last_updated`` of everything around it forward, never back;
- an EVSE that a PUT of its location leaves out becomes REMOVED, and says so; an older one is kept as stored;
- an EVSE or connector of an unknown location is 404 / 2003.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

import msgspec
from attrs import evolve

from ocpi_emsp.codec import merge_patch, wire_time
from ocpi_emsp.codec.content import same_content
from ocpi_emsp.codec.patch import Members, identity, items, join, members
from ocpi_emsp.errors import UnknownLocation, UnknownObject
from ocpi_emsp.events import EvseReceived, EvseRemoved, LocationReceived
from ocpi_emsp.flows.incoming import Incoming
from ocpi_emsp.flows.receive.objects import emit, known, raw_time, receipt, stamped
from ocpi_emsp.models import Connector, Evse, Location, Status
from ocpi_emsp.ports import Key, Kind, Record, Transaction
from ocpi_emsp.wire import Response

_KEYED = {"evses": "uid", "connectors": "id"}
_NULL = msgspec.Raw(b"null")


# --- GET ------------------------------------------------------------------------------------------------------------


async def get_location(incoming: Incoming) -> Response:
    """A location as stored, with its EVSEs."""
    async with incoming.context.store.transaction() as tx:
        location = await _location(incoming, tx)
        return incoming.answer(assemble(location, await tx.children(location.key)))


async def get_evse(incoming: Incoming) -> Response:
    """An EVSE as stored."""
    async with incoming.context.store.transaction() as tx:
        return incoming.answer((await _evse(incoming, tx)).document)


async def get_connector(incoming: Incoming) -> Response:
    """A connector as stored."""
    async with incoming.context.store.transaction() as tx:
        return incoming.answer(bytes(_connector(incoming, await _evse(incoming, tx))))


# --- PUT ------------------------------------------------------------------------------------------------------------


async def put_location(incoming: Incoming) -> Response:
    """A new or replaced location."""
    location = incoming.accept(Location)
    incoming.require_id("id", location.id, incoming.params["location_id"])
    async with incoming.context.store.transaction() as tx:
        return await _store_location(incoming, tx, location, incoming.request.body)


async def put_evse(incoming: Incoming) -> Response:
    """A new or replaced EVSE of a known location."""
    evse = incoming.accept(Evse)
    incoming.require_id("uid", evse.uid, incoming.params["evse_uid"])
    async with incoming.context.store.transaction() as tx:
        location = await _location(incoming, tx)
        old = await tx.get(_evse_key(incoming, evse.uid))
        return await _store_evse(incoming, tx, location, old, evse, incoming.request.body)


async def put_connector(incoming: Incoming) -> Response:
    """A new or replaced connector of a known EVSE."""
    connector = incoming.accept(Connector)
    incoming.require_id("id", connector.id, incoming.params["connector_id"])
    async with incoming.context.store.transaction() as tx:
        location, evse = await _location(incoming, tx), await _evse(incoming, tx)
        parts = members(evse.document)
        connectors = {identity(item, "id"): item for item in items(parts.get("connectors", _NULL))}
        created = connector.id not in connectors
        connectors[connector.id] = msgspec.Raw(incoming.request.body)
        parts["connectors"] = msgspec.Raw(msgspec.json.encode(list(connectors.values())))
        parts["last_updated"] = raw_time(max(evse.last_updated, connector.last_updated))
        document = join(parts)
        response = await _store_evse(incoming, tx, location, evse, incoming.accept(Evse, document), document)
        return incoming.stored(created=True) if created else response


# --- PATCH ----------------------------------------------------------------------------------------------------------


async def patch_location(incoming: Incoming) -> Response:
    """Changes of a known location; EVSEs merge by uid, connectors by id."""
    key = _location_key(incoming)
    async with incoming.context.store.transaction() as tx:
        record = await known(incoming, tx, key)
        if record is not None:
            changes = _stamped_below(incoming.request.body, receipt(incoming, record))
            document = merge_patch(assemble(record, await tx.children(key)), join(changes), _KEYED)
            location = incoming.accept(Location, document)
            incoming.require_id("id", location.id, key.id)
            return await _store_location(incoming, tx, location, document)
    raise UnknownLocation(f"location {key.id!r} is not known")


async def patch_evse(incoming: Incoming) -> Response:
    """Changes of a known EVSE, such as its status."""
    async with incoming.context.store.transaction() as tx:
        record = await known(incoming, tx, _evse_key(incoming))
        if record is not None:
            return await _patch_evse(incoming, tx, record, incoming.request.body)
    raise _unknown_evse(incoming)


async def patch_connector(incoming: Incoming) -> Response:
    """Changes of a known connector."""
    wanted = incoming.params["connector_id"]
    async with incoming.context.store.transaction() as tx:
        record = await known(incoming, tx, _evse_key(incoming))
        if record is not None:
            _connector(incoming, record)
            changes = members(incoming.request.body)
            found = identity(join(changes), "id") if "id" in changes else wanted
            incoming.require_id("id", found, wanted)
            changes["id"] = msgspec.Raw(msgspec.json.encode(wanted))
            patch = {"connectors": msgspec.Raw(b"[" + join(changes) + b"]")}
            if "last_updated" in changes:
                patch["last_updated"] = changes["last_updated"]
            return await _patch_evse(incoming, tx, record, join(patch))
    raise _unknown_evse(incoming)


async def _patch_evse(incoming: Incoming, tx: Transaction, record: Record, patch: bytes) -> Response:
    location = await _location(incoming, tx)
    changes = _stamped_below(patch, receipt(incoming, record))
    document = merge_patch(record.document, join(changes), _KEYED)
    evse = incoming.accept(Evse, document)
    incoming.require_id("uid", evse.uid, record.key.id)
    return await _store_evse(incoming, tx, location, record, evse, document)


def _stamped_below(patch: bytes | msgspec.Raw, moment: datetime) -> Members:
    """A patch whose every object has a ``last_updated``: its own, or ``moment``."""
    changes = stamped(patch, moment)
    for name in _KEYED:
        if name in changes and bytes(changes[name]).startswith(b"["):
            below = [msgspec.Raw(join(_stamped_below(item, moment))) for item in items(changes[name])]
            changes[name] = msgspec.Raw(msgspec.json.encode(below))
    return changes


# --- storing --------------------------------------------------------------------------------------------------------


async def _store_location(incoming: Incoming, tx: Transaction, location: Location, document: bytes) -> Response:
    key = _location_key(incoming)
    old = await tx.get(key)
    if old is not None and location.last_updated < old.last_updated:
        return incoming.kept(f"it was last updated {wire_time(old.last_updated)}, this is older")
    parts = members(document)
    documents = items(parts.pop("evses", _NULL))
    shell = join(parts)
    changed, latest = await _store_evses(incoming, tx, key, location.evses, documents)
    record = Record(key, shell, max(location.last_updated, latest), incoming.now)
    await tx.put(record)
    if incoming.context.hears(LocationReceived) and (changed or old is None or not same_content(old.document, shell)):
        whole = assemble(record, await tx.children(key))
        await emit(incoming, tx, LocationReceived, key, whole, created=old is None)
    return incoming.stored(created=old is None)


async def _store_evses(
    incoming: Incoming, tx: Transaction, location: Key, evses: Sequence[Evse], documents: Sequence[msgspec.Raw]
) -> tuple[bool, datetime]:
    """Bring a location's EVSEs to what was received; whether one changed, and when the latest of them did."""
    stored = {record.key.id: record for record in await tx.children(location)}
    changed, latest = False, _EARLIEST
    for evse, raw in zip(evses, documents, strict=True):
        document, old = bytes(raw), stored.pop(evse.uid, None)
        if old is not None and (old.document == document or evse.last_updated < old.last_updated):
            latest = max(latest, old.last_updated)
            continue
        changed = changed or old is None or not same_content(old.document, document)
        latest = max(latest, evse.last_updated)
        await tx.put(Record(_evse_key(incoming, evse.uid), document, evse.last_updated, incoming.now))
    for record in stored.values():
        changed = await _remove(incoming, tx, record) or changed
    return changed, latest


_EARLIEST = datetime.fromisoformat("0001-01-01T00:00:00+00:00")


async def _remove(incoming: Incoming, tx: Transaction, record: Record) -> bool:
    """Mark an EVSE that its location no longer lists; False where it is marked already."""
    if incoming.accept(Evse, record.document).status == Status.REMOVED:
        return False
    moment = receipt(incoming, record)
    changes = {"status": msgspec.Raw(b'"REMOVED"'), "last_updated": raw_time(moment)}
    document = merge_patch(record.document, join(changes))
    await tx.put(Record(record.key, document, moment, incoming.now))
    await emit(incoming, tx, EvseRemoved, record.key, document, location_id=record.key.parent)
    return True


async def _store_evse(
    incoming: Incoming, tx: Transaction, location: Record, old: Record | None, evse: Evse, document: bytes
) -> Response:
    if old is not None and evse.last_updated < old.last_updated:
        return incoming.kept(f"it was last updated {wire_time(old.last_updated)}, this is older")
    key = _evse_key(incoming, evse.uid)
    await tx.put(Record(key, document, evse.last_updated, incoming.now))
    if evse.last_updated > location.last_updated:
        await tx.put(evolve(location, last_updated=evse.last_updated))
    if old is None or not same_content(old.document, document):
        created = old is None
        await emit(incoming, tx, EvseReceived, key, document, location_id=key.parent, created=created)
    return incoming.stored(created=old is None)


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
        raise _unknown_evse(incoming)
    return record


def _connector(incoming: Incoming, evse: Record) -> msgspec.Raw:
    wanted = incoming.params["connector_id"]
    for connector in _connectors(evse):
        if identity(connector, "id") == wanted:
            return connector
    raise UnknownObject(f"connector {wanted!r} of EVSE {evse.key.id!r} is not known")


def _connectors(evse: Record) -> Iterator[msgspec.Raw]:
    yield from items(members(evse.document).get("connectors", _NULL))


def _unknown_evse(incoming: Incoming) -> UnknownObject:
    return UnknownObject(f"EVSE {incoming.params['evse_uid']!r} is not known")


def _location_key(incoming: Incoming) -> Key:
    return incoming.key(Kind.LOCATION, incoming.params["location_id"])


def _evse_key(incoming: Incoming, uid: str | None = None) -> Key:
    return incoming.key(Kind.EVSE, uid or incoming.params["evse_uid"], incoming.params["location_id"])
