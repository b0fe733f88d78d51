"""The eMSP interface of the tariffs module (mod_tariffs.md 2.2).

The rules are in upsert.py, those of a tariff's previous versions in tariff_versions.py.
"""

from __future__ import annotations

from attrs import evolve

from ocpi_emsp.codec.patch import members
from ocpi_emsp.codec.readings import shown
from ocpi_emsp.errors import UnknownObject
from ocpi_emsp.events import TariffDeleted, TariffReceived
from ocpi_emsp.flows.inbound.merging import leave_if_large, merged, merges_aside
from ocpi_emsp.flows.inbound.moves import stored_at
from ocpi_emsp.flows.inbound.request import Incoming, Outcome, Stored
from ocpi_emsp.flows.inbound.stored import current
from ocpi_emsp.flows.inbound.tariff_versions import end_by_deletion, succeed
from ocpi_emsp.flows.inbound.upsert import get_object, known, patched, store_object, updated_at
from ocpi_emsp.models import Tariff
from ocpi_emsp.ports import Key, Kind, Record, Transaction
from ocpi_emsp.wire import Response


async def get(incoming: Incoming) -> Response:
    """Return a tariff as stored."""
    return await get_object(incoming, _key(incoming))


async def put(incoming: Incoming) -> Response:
    """Create or replace a tariff."""
    async with incoming.context.store.transaction() as tx:
        return incoming.reply(await store(incoming, tx))


async def store(incoming: Incoming, tx: Transaction) -> Stored:
    """Insert or replace the tariff in the body. Raises NotJson, InvalidObject before anything is written."""
    tariff = incoming.accept(Tariff)
    incoming.require_id("id", tariff.id, incoming.params["tariff_id"])
    record = _record(incoming, incoming.request.body, tariff)
    old = await stored_at(incoming, tx, record.key, record.document)
    return await store_object(incoming, tx, old, record, TariffReceived, succeed=succeed)


@merges_aside
async def patch(incoming: Incoming) -> Response:
    """Change a known tariff; a list replaces the stored one."""
    key = _key(incoming)
    async with incoming.context.store.transaction() as tx:
        await stored_at(incoming, tx, key)
        record = await known(incoming, tx, key)
        if record is not None:
            leave_if_large(incoming, record.document, _merge)
            document, tariff = merged(incoming, record.document, _merge)
            incoming.require_id("id", tariff.id, key.id)
            moment = updated_at(incoming, record, members(incoming.request.body), tariff.last_updated)
            new = evolve(_record(incoming, document, tariff), last_updated=moment, valid_from=moment)
            return incoming.reply(await store_object(incoming, tx, record, new, TariffReceived, succeed=succeed))
    raise UnknownObject(f"tariff {shown(key.id)} is not known")


def _merge(incoming: Incoming, stored: bytes) -> tuple[bytes, Tariff]:
    document = patched(incoming, stored, members(incoming.request.body))
    return document, incoming.accept(Tariff, document)


async def delete(incoming: Incoming) -> Response:
    """Delete a tariff that is no longer valid."""
    key = _key(incoming)
    async with incoming.context.store.transaction() as tx:
        record = await stored_at(incoming, tx, key)
        if record is not None:
            await end_by_deletion(incoming.context, tx, record, incoming.now)
            await incoming.emit(tx, TariffDeleted, key, current(record))
            return incoming.reply(Stored(Outcome.UPDATED))
    raise UnknownObject(f"tariff {shown(key.id)} is not known")


def _key(incoming: Incoming) -> Key:
    return incoming.key(Kind.TARIFF, incoming.params["tariff_id"])


def _record(incoming: Incoming, document: bytes, tariff: Tariff) -> Record:
    key, moment, now = _key(incoming), tariff.last_updated, incoming.now
    said = incoming.correlation_id
    return Record(key, document, moment, now, tariff, correlation_id=said, valid_from=moment, first_received_at=now)
