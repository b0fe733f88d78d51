"""The stored objects of an authorization request: the token, the location and its EVSEs.

Rules of this module:
- without a hook, only the objects that decide are read; a hook gets the whole location;
- a uid that differs from one of our tokens only by case means that token, and is noted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from attrs import frozen

from ocpi_emsp.codec import decode
from ocpi_emsp.codec.patch import member
from ocpi_emsp.codec.readings import shown
from ocpi_emsp.errors import InvalidObject, NotJson, OcpiError, UnknownObject
from ocpi_emsp.flows.inbound.evses import evse_of, evses_of
from ocpi_emsp.flows.parties.hub_owners import holders
from ocpi_emsp.flows.tokens.authorization_records import Case
from ocpi_emsp.models import LocationReferences, Status, Token, TokenType
from ocpi_emsp.ports import Key, Kind, Owner, Query, Record, Transaction, prefetch

_AUTHORIZE: Final = "mod_tokens.md#222-post-method"
_ALIKE: Final = 100
"""Tokens whose uids differ only by case that are examined."""
_THERE: Final = frozenset(f'"{each.value}"'.encode() for each in Status if each != Status.REMOVED)
"""The statuses of an EVSE that is not removed, as JSON."""


class NoAnswer(OcpiError):
    """Neither hook nor fallback answered: our fault (500 / 3000)."""


@frozen
class Stored:
    """The stored objects of a request."""

    token: Token
    owner: Owner
    """The owner of the location; the requesting party if there is none."""
    location: Record | None = None
    evses: Sequence[Record] = ()
    is_as_named: bool = False
    """True if all requested objects exist under the CPO's names, and no other part of the location affects the
    decision.
    """

    lacks_location: bool = False
    """True if the requested location is unknown, and the party sends its locations."""


async def read_stored(case: Case, tx: Transaction) -> Stored:
    """Return the token, the location and its EVSEs. Raises UnknownObject."""
    party, references = case.incoming.party, case.references
    await prefetch(tx, _asked_keys(case))
    token = await _read_token(case, tx)
    if references is None:
        return Stored(token, party.owner, is_as_named=True)
    for location in await _locations(case, tx, references.location_id):
        owner = location.key.country_code, location.key.party_id
        evses, is_as_named = await _evses(case, tx, location, references)
        return Stored(token, owner, location, evses, is_as_named)
    return Stored(token, party.owner, lacks_location=not party.profile.without_locations)


def _asked_keys(case: Case) -> list[Key]:
    """Return the keys to read in the usual case; empty if there is nothing to look for."""
    references, owner = case.references, case.incoming.party.owner
    names = [] if references is None else [references.location_id, *references.evse_uids[:1]]
    if not TokenType.of(case.token_type).known or not all(map(_may_be_stored, (case.token_uid, *names))):
        return []
    keys = [case.incoming.context.identity.token_key(case.token_uid, case.token_type)]
    if references is not None:
        location = Key(Kind.LOCATION, *owner, references.location_id)
        keys += [
            location,
            *(_evse_key(location, uid) for uid in references.evse_uids if len(references.evse_uids) == 1),
        ]
    return keys


async def _evses(
    case: Case, tx: Transaction, location: Record, references: LocationReferences
) -> tuple[Sequence[Record], bool]:
    """Return the requested EVSEs if the decision needs no others, otherwise all; and whether they exist as they are
    named.

    A hook gets the whole location. An EVSE that is not named by its uid, or was removed, is looked for among all.
    """
    names, connectors = references.evse_uids, references.connector_ids
    if case.incoming.context.authorize is not None or (connectors and not names):
        return await evses_of(tx, location), False
    if len(names) == 1 and _may_be_stored(names[0]):
        evse = await evse_of(tx, location, names[0])
        if evse is not None and _is_there(evse):
            return [evse], not connectors
        return await evses_of(tx, location), False
    if not names:
        return (), True
    all_evses = await evses_of(tx, location)
    asked = [evse for evse in all_evses if evse.key.id in names and _is_there(evse)]
    return asked if len(asked) == len(set(names)) else all_evses, False


def _evse_key(location: Key, uid: str) -> Key:
    return Key(Kind.EVSE, location.country_code, location.party_id, uid, location.id)


def _is_there(evse: Record) -> bool:
    """Return False for an EVSE that was removed, or whose status has an unusual spelling."""
    return member(evse.document, "status") in _THERE


async def _locations(case: Case, tx: Transaction, location_id: str) -> Sequence[Record]:
    if not _may_be_stored(location_id):
        return ()
    return await holders(case.incoming.context, tx, case.incoming.party, Kind.LOCATION, location_id)


async def _read_token(case: Case, tx: Transaction) -> Token:
    identity, uid = case.incoming.context.identity, case.token_uid
    if not TokenType.of(case.token_type).known:
        raise UnknownObject(f"invalid token type {shown(case.token_type)}: expected {' or '.join(TokenType)}")
    if not _may_be_stored(uid):
        raise UnknownObject(f"token {shown(uid)} of type {case.token_type} is not known")
    record = await tx.get(identity.token_key(uid, case.token_type)) or await _in_another_case(case, tx)
    if record is not None:
        try:
            return decode(Token, record.document)
        except (InvalidObject, NotJson) as error:  # it is ours: not the fault of the requesting party
            case.because("the token as it is stored cannot be read")
            raise NoAnswer(f"the stored token {shown(uid)} cannot be read") from error
    raise UnknownObject(f"token {shown(uid)} of type {case.token_type} is not known{await _hint(case, tx)}")


async def _in_another_case(case: Case, tx: Transaction) -> Record | None:
    """Return the only token of this type whose uid differs only by case: idTags of OCPP are case-insensitive."""
    found = [each for each in await _spelled_alike(case, tx) if each.key.parent == case.token_type]
    if len(found) != 1:
        return None
    message = f"token {shown(case.token_uid)} is read as {shown(found[0].key.id)}, which differs by case alone"
    case.note("", "authorize.token.case", message, _AUTHORIZE)
    return found[0]


async def _spelled_alike(case: Case, tx: Transaction) -> list[Record]:
    """Return our tokens, of any type, whose uids differ from the requested one by case at most."""
    country_code, party_id = case.incoming.context.identity.owner
    wanted = Query(
        kind=Kind.TOKEN,
        country_code=country_code,
        party_id=party_id,
        id_in_any_case=case.token_uid,
        limit=_ALIKE,
        count=False,
    )
    records = (await tx.page(wanted)).records
    return [each for each in records if each.key.id.casefold() == case.token_uid.casefold()]


async def _hint(case: Case, tx: Transaction) -> str:
    """Return a hint at the token that may have been meant by an unknown one."""
    alike = await _spelled_alike(case, tx)
    others = sorted({each.key.parent for each in alike if each.key.parent != case.token_type})
    several = [each for each in alike if each.key.parent == case.token_type]
    if several:
        return f", but {len(several)} tokens differ from it by case alone"
    return f", but one of type {' and '.join(others)} is" if others else ""


def _may_be_stored(name: str) -> bool:
    """Return False for a name with a NUL: some databases reject a search for it, and none of our names has one."""
    return "\0" not in name
