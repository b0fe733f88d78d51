"""What is stored of what an authorization is about: the token, the location and its EVSEs.

Rules of this module:
- without a hook no more is read than what decides; a hook is given the whole location;
- a uid that differs from one token of ours by case alone is that token; that is noted.
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
"""Tokens whose uids differ by case alone that are looked at."""
_THERE: Final = frozenset(f'"{each.value}"'.encode() for each in Status if each != Status.REMOVED)
"""The status of an EVSE that is there, as JSON."""


class NoAnswer(OcpiError):
    """Neither hook nor fallback answered: our fault (500 / 3000)."""


@frozen
class Stored:
    """What is stored of what is asked about."""

    token: Token
    owner: Owner
    """Whose the location is; who asks, where there is none."""
    location: Record | None = None
    evses: Sequence[Record] = ()
    is_as_named: bool = False
    """All that is asked about is there as the CPO names it, and nothing else of the location bears on the decision."""

    lacks_location: bool = False
    """A location is named that is not known, by a party that sends its locations."""


async def read_stored(case: Case, tx: Transaction) -> Stored:
    """The token, the location and its EVSEs. Raises UnknownObject."""
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
    """What is read in the usual case; none where there is nothing to look for."""
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
    """The EVSEs of the location that are asked about, where the decision needs no others, else all of them; and whether
    they are there as they are named.

    A hook is given the whole location. An EVSE that is not called by its uid, or was removed, is looked for among all.
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
    """False for an EVSE that was removed, or whose status is spelled in some other way than all are."""
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
        except (InvalidObject, NotJson) as error:  # it is ours: no fault of the party that asks
            case.because("the token as it is stored cannot be read")
            raise NoAnswer(f"the stored token {shown(uid)} cannot be read") from error
    raise UnknownObject(f"token {shown(uid)} of type {case.token_type} is not known{await _hint(case, tx)}")


async def _in_another_case(case: Case, tx: Transaction) -> Record | None:
    """The one token of this type whose uid differs by case alone: idTags of OCPP have none."""
    found = [each for each in await _spelled_alike(case, tx) if each.key.parent == case.token_type]
    if len(found) != 1:
        return None
    message = f"token {shown(case.token_uid)} is read as {shown(found[0].key.id)}, which differs by case alone"
    case.note("", "authorize.token.case", message, _AUTHORIZE)
    return found[0]


async def _spelled_alike(case: Case, tx: Transaction) -> list[Record]:
    """Our tokens, of any type, whose uids differ from the one asked for by case at most."""
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
    """What may have been meant by a token that is not known."""
    alike = await _spelled_alike(case, tx)
    others = sorted({each.key.parent for each in alike if each.key.parent != case.token_type})
    several = [each for each in alike if each.key.parent == case.token_type]
    if several:
        return f", but {len(several)} tokens differ from it by case alone"
    return f", but one of type {' and '.join(others)} is" if others else ""


def _may_be_stored(name: str) -> bool:
    """False for a name with a NUL: some databases refuse to look for one, and none of ours has one."""
    return "\0" not in name
