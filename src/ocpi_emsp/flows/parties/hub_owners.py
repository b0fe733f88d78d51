"""The owner of an object received over a hub's connection: the connection's own party, or an allowed one.

Rules of this module (docs/spec-choices.md row 10, docs/reference/profiles.md):
- only its own connection writes objects of a party with a registration of its own, even if another profile allows it;
- a push names the owner in its URL. A CDR and a pulled object name none in 2.1.1, so the owner is determined in this
  order:
  - the member that the profile's ``owner_from`` names comes first, if it is readable and its party is allowed;
  - an object's own ``country_code`` and ``party_id`` (the 2.2 habit) count if that party is allowed;
  - if exactly one allowed party has an object with this id, it is the owner, so that pushes and pulls meet; unless the
    connection's own party has one as well, and the received object is that one by its content (same_object.py);
  - for a session or CDR, if exactly one allowed party has its location and the connection's own party has not, that
    party is the owner; a CDR's own session (its id, the same driver) counts before its location;
  - otherwise the connection's own party is the owner;
- a CDR that is already stored with the same content is not moved, unless ``owner_from`` names another owner;
- the cost does not depend on the number of allowed parties: a few reads by id, and none on a connection of one party;
- the owners whose objects were received over a connection are stored with its party, once each.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec
from attrs import evolve, frozen

from ocpi_emsp.codec.content import same_content
from ocpi_emsp.codec.patch import identity, members
from ocpi_emsp.errors import InvalidObject, NotJson
from ocpi_emsp.findings import Finding, Severity
from ocpi_emsp.flows.core.context import Context
from ocpi_emsp.flows.parties.allowed_parties import allowed_by, owner_named
from ocpi_emsp.flows.parties.owner_evidence import Reading, read_owner, text_at
from ocpi_emsp.flows.parties.party import Party, PartyState, find_party, party_key, put_party, read_party
from ocpi_emsp.flows.parties.quota import require_owners
from ocpi_emsp.flows.parties.same_object import is_stored_object
from ocpi_emsp.ports import Key, Kind, Owner, Query, Record, Transaction

UNREADABLE: Final = "owner.unreadable"
NOT_ALLOWED: Final = "owner.not_allowed"
UNKNOWN_OWNER: Final = frozenset({UNREADABLE, NOT_ALLOWED})
"""Rules for objects that could not be stored under the owner that they name."""
_PAGE = 100
_CLAUSE = "transport_and_format.md#client-owned-object-push"


@frozen
class Owned:
    """The owner of an object."""

    owner: Owner
    is_read: bool = False
    """True if the owner was read as the profile says."""
    findings: tuple[Finding, ...] = ()
    """Why the owner could not be read."""


# --- permissions ----------------------------------------------------------------------------------------------------


async def may_write(context: Context, tx: Transaction, party: Party, owner: Owner) -> bool:
    """Return True if the party's connection may read and write objects of ``owner``."""
    return owner == party.owner or (_is_allowed(context, party, owner) and not await _is_registered(tx, owner))


async def is_open(context: Context, party: Party, owner: Owner) -> bool:
    """Answer :func:`may_write` for a request; the owner's registration is cached until it changes."""
    if owner == party.owner or not _is_allowed(context, party, owner):
        return owner == party.owner
    is_registered: bool | None = context.registered.find(owner)
    if is_registered is None:
        watched, key = context.registered.watch(), party_key(*owner)
        async with context.store.transaction(read_only=True) as tx:
            record = await tx.get(key)
        is_registered = record is not None and read_party(record.document).state is PartyState.REGISTERED
        context.registered.remember(owner, watched, [(key, record)], is_registered)
    return not is_registered


def _is_allowed(context: Context, party: Party, owner: Owner) -> bool:
    return owner != context.identity.owner and allowed_by(party.profile.allowed_parties).allow(owner)


async def _is_registered(tx: Transaction, owner: Owner) -> bool:
    other = await find_party(tx, *owner)
    return other is not None and other.state is PartyState.REGISTERED


async def registered_parties(tx: Transaction) -> list[Party]:
    """Return every registered party."""
    found, query = list[Party](), Query(kind=Kind.PARTY, limit=_PAGE, count=False)
    while records := (await tx.page(query)).records:
        found += (read_party(record.document) for record in records)
        query = evolve(query, after=records[-1].sequence)
    return [party for party in found if party.state is PartyState.REGISTERED]


async def connection_of(tx: Transaction, owner: Owner) -> Party | None:
    """Return the party that sends an owner's objects: itself, or the hub that they came over; None if unknown."""
    party = await find_party(tx, *owner)
    if party is not None:
        return party
    name = "-".join(owner)
    return next((each for each in await registered_parties(tx) if name in each.seen_owners), None)


# --- known owners ---------------------------------------------------------------------------------------------------


async def record_owners(context: Context, party: Party, owners: Iterable[Owner]) -> None:
    """Store with a hub's party that objects of these owners were received over its connection, once for each owner.

    The hub itself is one of them if it pushes its own objects. Raises QuotaExceeded.
    """
    names = {"-".join(owner) for owner in owners}
    if not party.profile.is_hub or names <= set(party.seen_owners):
        return
    async with context.store.transaction() as tx:
        current = await find_party(tx, party.country_code, party.party_id)
        if current is None or names <= set(current.seen_owners):
            return
        seen = tuple(sorted({*current.seen_owners, *names}))
        require_owners(context, party, len(seen))
        await put_party(tx, evolve(current, seen_owners=seen), context.clock.now(), context.correlation_id)


def known_owners(party: Party) -> frozenset[Owner]:
    """Return the party, the owners whose objects were received over its connection, and those that its profile names.

    Parties that only match a pattern of the profile are not included.
    """
    return frozenset(
        {party.owner, *map(owner_named, party.seen_owners), *allowed_by(party.profile.allowed_parties).named}
    )


async def owners_behind(context: Context, tx: Transaction, party: Party) -> tuple[Owner, ...]:
    """Return the owners of objects received over the party's connection: itself first, then those seen and those
    named.
    """
    if not party.profile.is_hub:
        return (party.owner,)
    taken = {each.owner for each in await registered_parties(tx)}
    others = known_owners(party) - taken - {party.owner}
    return (party.owner, *sorted(owner for owner in others if _is_allowed(context, party, owner)))


# --- the owner of an object -----------------------------------------------------------------------------------------


async def holders(context: Context, tx: Transaction, party: Party, kind: str, object_id: str) -> Sequence[Record]:
    """Return the objects with this id that may belong to the party's connection: its own first, then the oldest."""
    own = await tx.get(Key(kind, *party.owner, object_id))
    found = [own] if own is not None else []
    if not party.profile.is_hub:
        return found
    query = Query(kind=kind, id=object_id, limit=_PAGE, count=False)
    while records := (await tx.page(query)).records:
        others = [record for record in records if record.key[1:3] != party.owner]
        found += [record for record in others if await may_write(context, tx, party, _owner(record))]
        query = evolve(query, after=records[-1].sequence)
    return found


def said_owner(document: bytes) -> Owner | None:
    """Return the owner that the object itself names, or None. Raises NotJson, InvalidObject."""
    if document.rfind(b'"party_id"') < 0:  # from the end, which takes half the time
        return None
    parts = members(document)
    if "country_code" not in parts or "party_id" not in parts:
        return None
    country_code, party_id = (msgspec.json.decode(parts[name]) for name in ("country_code", "party_id"))
    return _text(country_code), _text(party_id)


def _text(value: object) -> str:
    return value.upper() if isinstance(value, str) else repr(value)


async def owner_of(context: Context, tx: Transaction, party: Party, kind: str, document: bytes) -> Owned:
    """Return the owner of an object that was received over a party's connection without an owner."""
    own, profile = party.owner, party.profile
    if not profile.is_hub and profile.owner_from is None:
        return Owned(own)
    try:
        said, object_id = said_owner(document), identity(document, "id")
    except (InvalidObject, NotJson):
        return Owned(own)  # it will be rejected; only its sender is known
    reading = None
    if profile.owner_from is not None:
        reading = read_owner(profile.owner_from, kind, document, known_owners(party))
    if reading is not None and reading.owner is not None and await may_write(context, tx, party, reading.owner):
        return Owned(reading.owner, is_read=True)
    found = said if said is not None and await may_write(context, tx, party, said) else None
    if found is None and profile.is_hub:
        found = await _looked_for(context, tx, party, kind, object_id, document)
    return Owned(found or own, findings=await _unread(tx, party, kind, reading, found or own))


async def _unread(
    tx: Transaction, party: Party, kind: str, reading: Reading | None, owner: Owner
) -> tuple[Finding, ...]:
    """Return the finding about an owner that is unreadable or not allowed."""
    if reading is None:
        return ()
    rule, why, stored = UNREADABLE, reading.why, f"the {kind} is stored as one of {'-'.join(owner)}"
    if reading.owner is not None:
        rule, name = NOT_ALLOWED, "-".join(reading.owner)
        is_registered = await _is_registered(tx, reading.owner)
        lacks = "has a registration of its own" if is_registered else "is not among the allowed_parties"
        why = f"{party.profile.owner_from} names {name}, which {lacks}"
    message = f"the owner is not known: {why}; {stored}"
    return (Finding(pointer="", rule=rule, severity=Severity.WARNING, message=message, clause=_CLAUSE),)


async def _looked_for(
    context: Context, tx: Transaction, party: Party, kind: str, object_id: str, document: bytes
) -> Owner | None:
    """Return the allowed party that has the object, or what it refers to."""
    if kind == Kind.CDR:
        return await _owner_of_cdr(context, tx, party, object_id, document)
    known = await holders(context, tx, party, kind, object_id)
    own = next((record for record in known if _owner(record) == party.owner), None)
    others = [record for record in known if _owner(record) != party.owner]
    if not others and kind == Kind.SESSION and own is None:
        return await _owner_of_place(context, tx, party, document)
    if len(others) != 1:
        return None
    is_its_own = own is not None and await is_stored_object(tx, own, document)
    is_the_others = not is_its_own or await is_stored_object(tx, others[0], document)
    return _owner(others[0]) if is_the_others else None


async def _owner_of_cdr(context: Context, tx: Transaction, party: Party, cdr_id: str, document: bytes) -> Owner | None:
    known = await holders(context, tx, party, Kind.CDR, cdr_id.upper())
    for record in known:
        if same_content(record.document, document, Kind.CDR):
            return _owner(record)
    sessions = await holders(context, tx, party, Kind.SESSION, cdr_id)
    driver = text_at(document, "auth_id")
    of_driver = (each for each in sessions if text_at(each.document, "auth_id") == driver)
    of_session = _only(_owner(each) for each in of_driver if _owner(each) != party.owner)
    found = of_session or await _owner_of_place(context, tx, party, document)
    return found or _only(_owner(each) for each in known if _owner(each) != party.owner)


async def _owner_of_place(context: Context, tx: Transaction, party: Party, document: bytes) -> Owner | None:
    """Return the only party that has the location of a session or CDR."""
    location = text_at(document, "location", "id")
    found = await holders(context, tx, party, Kind.LOCATION, location) if location else ()
    return _only(map(_owner, found))


def _owner(record: Record) -> Owner:
    return record.key.country_code, record.key.party_id


def _only(found: Iterable[Owner]) -> Owner | None:
    """Return the owner if exactly one was found."""
    several = list(found)
    return several[0] if len(several) == 1 else None
