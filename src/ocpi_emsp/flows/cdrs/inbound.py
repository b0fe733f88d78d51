"""The eMSP interface of the cdrs module (mod_cdrs.md 2.2).

Rules of this module (docs/spec-choices.md row 9):
- a CDR never changes: the same content again gets the same response and the same Location header; other content under a
  known id is stored beside the first CDR and reported, and never replaces it;
- ids are case-insensitive (CiString); a CDR has no owner in its URL: it is the connection's party, or on a hub's
  connection the owner that hub_owners.py finds.
"""

from __future__ import annotations

from attrs import evolve

from ocpi_emsp.codec.content import content_hash, same_content
from ocpi_emsp.codec.patch import identity, join, members
from ocpi_emsp.codec.readings import shown
from ocpi_emsp.errors import InvalidObject, UnknownObject
from ocpi_emsp.events import CdrConflict, CdrReceived
from ocpi_emsp.flows.inbound.audits import request_audit
from ocpi_emsp.flows.inbound.doubled import name_doubled
from ocpi_emsp.flows.inbound.moves import stored_at
from ocpi_emsp.flows.inbound.request import JSON, Incoming, Outcome, Stored, deviating
from ocpi_emsp.flows.inbound.twins import name_members
from ocpi_emsp.flows.parties.hub_owners import holders, owner_of, record_owners
from ocpi_emsp.flows.parties.quota import require_conflicts
from ocpi_emsp.models import Cdr
from ocpi_emsp.ports import Key, Kind, Owner, Query, Record, Transaction
from ocpi_emsp.routes import incoming as route
from ocpi_emsp.wire import Response, success

_GET = route("cdrs.get")


async def get(incoming: Incoming) -> Response:
    """A CDR as received; of several with this id behind one connection, the first in the order of its parties."""
    cdr_id = incoming.params["cdr_id"]
    async with incoming.context.store.transaction(read_only=True) as tx:
        for record in await holders(incoming.context, tx, incoming.party, Kind.CDR, cdr_id.upper()):
            return incoming.answer(record.document)
    raise UnknownObject(f"cdr {shown(cdr_id)} is not known")


async def post(incoming: Incoming) -> Response:
    """A new CDR; 201 with its URL here in the Location header."""
    if incoming.party.profile.is_hub or incoming.party.profile.owner_from is not None:
        incoming = await _owned(incoming)
    async with incoming.context.store.transaction() as tx:
        stored = await store(incoming, tx)
    if stored.outcome is Outcome.CONFLICT or stored.record is None:
        raise conflict(incoming.request.body)
    incoming.touched.append(stored.record.key)
    url = _GET.url(incoming.context.identity.endpoint("cdrs"), cdr_id=identity(stored.record.document, "id"))
    return Response(201, [JSON, ("location", url)], success(incoming.now, message=incoming.message))


async def _owned(incoming: Incoming) -> Incoming:
    """Return the request as if its URL named the owner; reads for this purpose lock nothing."""
    context, party = incoming.context, incoming.party
    async with context.store.transaction(read_only=True) as tx:
        owned = await owner_of(context, tx, party, Kind.CDR, incoming.request.body)
    incoming.deviations.extend(owned.findings)
    await record_owners(context, party, {owned.owner} - {party.owner})
    return _of(incoming, owned.owner)


async def store(incoming: Incoming, tx: Transaction) -> Stored:
    """Store the CDR in the body; the result has the record that is valid under its id.

    Raises NotJson, InvalidObject before anything is written.
    """
    cdr = incoming.accept(Cdr)
    document = incoming.request.body
    key, correlation_id = _key(incoming, cdr.id), incoming.correlation_id
    record = Record(key, document, cdr.last_updated, incoming.now, cdr, correlation_id=correlation_id)
    first = await stored_at(incoming, tx, record.key, document)
    if first is None:
        if not incoming.pulled:
            name_members(incoming, document, Cdr)
        name_doubled(incoming, cdr)
        await incoming.require_room(tx, None, document)
        await tx.put(record)
        await incoming.emit(tx, CdrReceived, record.key, document)
        if incoming.context.audits:
            await request_audit(tx, record.key, incoming.now, correlation_id)
        return Stored(Outcome.CREATED, record=record)
    if _same(first.document, document):
        return Stored(Outcome.UNCHANGED, record=first)
    beside = incoming.key(Kind.CDR_CONFLICT, record.key.id, content_hash(document, Kind.CDR))
    if await tx.get(beside) is None:
        await _require_room_beside(incoming, tx, document)
        await tx.put(evolve(record, key=beside))
        await incoming.emit(tx, CdrConflict, beside, document)
    return Stored(Outcome.CONFLICT, record=first)


async def _require_room_beside(incoming: Incoming, tx: Transaction, document: bytes) -> None:
    """Raise QuotaExceeded if a conflict cannot be stored."""
    country_code, party_id = incoming.owner
    query = Query(kind=Kind.CDR_CONFLICT, country_code=country_code, party_id=party_id, limit=1)
    require_conflicts(incoming.context, incoming.party, (await tx.page(query)).total)
    await incoming.require_room(tx, None, document)


def _same(first: bytes, document: bytes) -> bool:
    """Return True if both have the same content; their ids may differ in case."""
    return first == document or same_content(first, join({**members(document), "id": members(first)["id"]}), Kind.CDR)


def conflict(document: bytes) -> InvalidObject:
    """Return why a CDR does not replace the one that was received under its id before."""
    known = f"a CDR {shown(identity(document, 'id'))} with another content was received before"
    message = f"{known}; it stays, this one is stored beside it"
    return deviating("a CDR cannot be replaced", "/id", "cdr.conflict", message, "mod_cdrs.md#1-flow-and-lifecycle")


def _of(incoming: Incoming, owner: Owner) -> Incoming:
    """Return the request as if its URL named the owner."""
    params = {**incoming.params, "country_code": owner[0], "party_id": owner[1]}
    return evolve(incoming, params=params)


def _key(incoming: Incoming, cdr_id: str) -> Key:
    return incoming.key(Kind.CDR, cdr_id.upper())
