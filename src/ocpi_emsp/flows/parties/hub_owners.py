"""Whose an object is that comes over a hub's connection: the connection's own party, or one that it is allowed.

Rules of this module (docs/spec-choices.md row 10, docs/profiles.md):
- a party that has a registration of its own is written by its own connection alone, although another profile allows it;
- a push names the owner in its URL; a CDR, and what is pulled, names none in 2.1.1, so that it is looked for:
  - an object that names its ``country_code`` and ``party_id`` (the 2.2 habit) is believed where they are allowed;
  - one whose id exactly one allowed party has is that party's, so that pushes and pulls meet;
  - a session or CDR at a location that exactly one allowed party has, and the connection's own has not, is that
    party's; a CDR's own session (its id, the same driver) counts before its location;
  - everything else is the connection's own;
- a CDR that is there already with the same content stays where it is: the same CDR twice is one;
- the cost is bounded: a few reads for each allowed party, and none on a connection of one party.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from ocpi_emsp.codec.content import same_content
from ocpi_emsp.codec.patch import identity, members
from ocpi_emsp.errors import InvalidObject, NotJson
from ocpi_emsp.flows.parties.party import Party, PartyState, find_party, owners
from ocpi_emsp.ports import Key, Kind, Owner, Record, Transaction


async def open_owners(tx: Transaction, party: Party) -> tuple[Owner, ...]:
    """Whose objects may come over the party's connection now: its own first, and no party that is registered itself."""
    if not party.profile.allowed_parties:
        return (party.owner,)
    own, *allowed = owners(party)
    return (own, *[each for each in allowed if not await _is_registered(tx, each)])


async def may_write(tx: Transaction, party: Party, owner: Owner) -> bool:
    """True where the party's connection may read and write objects of ``owner``."""
    return owner == party.owner or (owner in owners(party) and not await _is_registered(tx, owner))


async def _is_registered(tx: Transaction, owner: Owner) -> bool:
    other = await find_party(tx, *owner)
    return other is not None and other.state is PartyState.REGISTERED


def said_owner(document: bytes) -> Owner | None:
    """The owner that the object itself names, or None. Raises NotJson, InvalidObject."""
    if b'"party_id"' not in document:
        return None
    parts = members(document)
    if "country_code" not in parts or "party_id" not in parts:
        return None
    country_code, party_id = (msgspec.json.decode(parts[name]) for name in ("country_code", "party_id"))
    return _text(country_code), _text(party_id)


def _text(value: object) -> str:
    return value.upper() if isinstance(value, str) else repr(value)


async def owner_of(tx: Transaction, among: Sequence[Owner], kind: str, document: bytes) -> Owner:
    """Whose an object is that comes without an owner; ``among`` is what :func:`open_owners` gave."""
    own, *allowed = among
    if not allowed:
        return own
    try:
        said, object_id = said_owner(document), identity(document, "id")
    except (InvalidObject, NotJson):
        return own  # it is refused; only its sender is known
    if said is not None and said in among:
        return said
    if kind == Kind.CDR:
        return await _owner_of_cdr(tx, among, object_id, document)
    found = _only(await _holding(tx, allowed, kind, object_id))
    if found is None and kind == Kind.SESSION and not await _holding(tx, [own], kind, object_id):
        found = await _owner_of_place(tx, among, document)
    return found or own


async def _owner_of_cdr(tx: Transaction, among: Sequence[Owner], cdr_id: str, document: bytes) -> Owner:
    own, *allowed = among
    known = await _holding(tx, among, Kind.CDR, cdr_id.upper())
    for record in known.values():
        if same_content(record.document, document, Kind.CDR):
            return _owner(record)
    sessions = await _holding(tx, allowed, Kind.SESSION, cdr_id)
    driver = text_at(document, "auth_id")
    of_session = _only(each for each, session in sessions.items() if text_at(session.document, "auth_id") == driver)
    found = of_session or await _owner_of_place(tx, among, document)
    return found or _only(each for each in known if each != own) or own


async def _owner_of_place(tx: Transaction, among: Sequence[Owner], document: bytes) -> Owner | None:
    """The one party that has the location at which something happened."""
    location = text_at(document, "location", "id")
    found = await _holding(tx, among, Kind.LOCATION, location) if location else {}
    return _only(found)


def text_at(document: bytes, *path: str) -> str:
    """The text of a member; empty where there is none."""
    *above, last = path
    try:
        for name in above:
            document = bytes(members(document).get(name, msgspec.Raw(b"null")))
        return identity(document, last)
    except (InvalidObject, NotJson):
        return ""


async def _holding(tx: Transaction, among: Iterable[Owner], kind: str, object_id: str) -> dict[Owner, Record]:
    """Those that have an object with this id, and the object."""
    found = [await tx.get(Key(kind, *each, object_id)) for each in among]
    return {_owner(record): record for record in found if record is not None}


def _owner(record: Record) -> Owner:
    return record.key.country_code, record.key.party_id


def _only(found: Iterable[Owner]) -> Owner | None:
    """The one that was found, where it is one."""
    several = list(found)
    return several[0] if len(several) == 1 else None
