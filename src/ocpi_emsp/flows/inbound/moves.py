"""Move an object that was stored as a hub's own to its owner, once the owner is known.

Rules of this module (docs/spec-choices.md row 10, docs/reference/profiles.md):
- the owner becomes known when the object is pushed under its owner's URL, or is pulled and its owner is known by then;
- the hub's stored object is the same one if it names the owner itself (owner_evidence.py; by the profile's
  ``owner_from``, or by any criterion if that is not set). Otherwise it is the same if its content says so
  (same_object.py) and the hub never pushed objects of its own. If not, both stay, and the response says so;
- it is moved in the transaction of the change, with its times and dependent records, and an event reports it; if the
  owner has the object too, the one with the later ``last_updated`` stays;
- the owner's record is read before the hub's, so that two transactions lock in one order.
"""

from __future__ import annotations

from attrs import evolve

from ocpi_emsp.codec.moments import said_at
from ocpi_emsp.codec.readings import shown
from ocpi_emsp.events import ObjectMoved
from ocpi_emsp.findings import Finding, Severity
from ocpi_emsp.flows.inbound.audits import move_audit
from ocpi_emsp.flows.inbound.request import Incoming
from ocpi_emsp.flows.inbound.tariff_versions import move_versions, moved
from ocpi_emsp.flows.parties.hub_owners import holders, known_owners
from ocpi_emsp.flows.parties.owner_evidence import named_owners
from ocpi_emsp.flows.parties.same_object import is_stored_object, same_object
from ocpi_emsp.ports import NAMES, Key, Kind, Query, Record, Transaction

MOVED = "owner.moved"
_STAYED = "owner.same_id"
_CLAUSE = "transport_and_format.md#client-owned-object-push"


async def stored_at(incoming: Incoming, tx: Transaction, key: Key, received: bytes = b"") -> Record | None:
    """Return the record of a session, tariff or CDR, moved there first if necessary. ``received`` is the whole
    object.
    """
    record = await tx.get(key)
    if stays_at_home(incoming, record):
        return record
    copy = await hubs_copy(incoming, tx, key)
    if record is None:
        await name_other_owner(incoming, tx, key, received)
    if copy is None or not is_the_same(incoming, copy, copy.document, received):
        return record
    if key.kind == Kind.TARIFF:
        await move_versions(tx, copy, key, record)
    if record is None or said_at(copy.document) > said_at(record.document):
        here = evolve(copy, key=key)
        await tx.put(await moved(incoming, tx, record, here) if key.kind == Kind.TARIFF else here)
    await tx.delete(copy.key)
    if key.kind == Kind.CDR:
        await _move_conflicts(tx, copy.key, key)
        await move_audit(tx, copy.key, key)
    await tell_moved(incoming, tx, copy, key, copy.document)
    return await tx.get(key)


def stays_at_home(incoming: Incoming, record: Record | None) -> bool:
    """Return True if the party itself owns the object, and it is stored or names no owner; nearly always true."""
    is_own = incoming.owner == incoming.party.owner
    return is_own and (record is not None or incoming.party.profile.owner_from is None)


async def hubs_copy(incoming: Incoming, tx: Transaction, key: Key) -> Record | None:
    """Return what is stored under this id as the connection party's own, if the object belongs to another party."""
    if incoming.owner == incoming.party.owner:
        return None
    country_code, party_id = incoming.party.owner
    return await tx.get(key._replace(country_code=country_code, party_id=party_id))


def is_the_same(incoming: Incoming, copy: Record, stored: bytes, received: bytes) -> bool:
    """Return True if the hub's copy is the owner's object; ``stored`` is the whole copy."""
    kind, party = copy.key.kind, incoming.party
    named = named_owners(party.profile.owner_from, kind, stored, known_owners(party))
    if incoming.owner in named:
        return True
    is_ruled_out = "-".join(party.owner) in party.seen_owners or bool(party.profile.owner_from and named)
    if not is_ruled_out and received and same_object(kind, stored, received):
        return True
    if received:
        stays = f"{party} has another {kind} {shown(copy.key.id)}, which stays its own"
        incoming.deviations.append(_finding(_STAYED, stays))
    return False


async def name_other_owner(incoming: Incoming, tx: Transaction, key: Key, received: bytes) -> None:
    """Report that the object is also stored as another party's: the hub names another owner than before.

    Both stay: an id is only unique within one party, and an object that a hub lists twice would be moved back and
    forth.
    """
    if not received or incoming.party.profile.owner_from is None:
        return
    for other in await holders(incoming.context, tx, incoming.party, key.kind, key.id):
        if other.key[1:3] in (incoming.party.owner, key[1:3]):
            continue
        if await is_stored_object(tx, other, received):
            before, now = ("-".join(each[1:3]) for each in (other.key, key))
            said = f"{key.kind} {shown(key.id)} is one of {now} now, and stays stored as one of {before} as well"
            incoming.note("", _STAYED, said, _CLAUSE)


async def tell_moved(incoming: Incoming, tx: Transaction, copy: Record, key: Key, document: bytes) -> None:
    """Report a move: in the response or the report, and as an event with the moved document."""
    owner = "-".join(key[1:3])
    message = f"{key.kind} {shown(key.id)} was stored as one of {incoming.party}, and is one of {owner} now"
    incoming.deviations.append(_finding(MOVED, message))
    details = {"module": NAMES[key.kind], "id": key.id, "previous_party": "-".join(copy.key[1:3])}
    await incoming.emit(tx, ObjectMoved, key, document, **details)


async def _move_conflicts(tx: Transaction, source: Key, target: Key) -> None:
    """Move the CDRs that were stored beside a CDR as well."""
    query = Query(kind=Kind.CDR_CONFLICT, country_code=source.country_code, party_id=source.party_id, id=source.id)
    for beside in (await tx.page(evolve(query, limit=1000, count=False))).records:
        await tx.put(evolve(beside, key=beside.key._replace(country_code=target[1], party_id=target[2])))
        await tx.delete(beside.key)


def _finding(rule: str, message: str) -> Finding:
    return Finding(pointer="", rule=rule, severity=Severity.NOTE, message=message, clause=_CLAUSE)
