"""Values for the profile of a party, derived from its observed behaviour. Suggested, never applied.

Rules of this module (docs/reference/profiles.md):
- only a bounded part of the stored data is used: a number of objects of each kind, the first of those received within
  the last 30 days;
- a suggestion has its reason, and how often that was seen; a value that the profile already has is not suggested;
- there is none for ``patches_sessions``: it is not stored whether a session was sent by PUT or PATCH.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import chain
from typing import Any

from attrs import asdict, evolve, frozen

from ocpi_emsp.codec.readings import time_zones
from ocpi_emsp.codec.zones import naive_timestamps
from ocpi_emsp.flows.core.context import Context
from ocpi_emsp.flows.credentials.places import Places
from ocpi_emsp.flows.inbound.evses import evses_of
from ocpi_emsp.flows.locations.read import joined
from ocpi_emsp.flows.parties.hub_owners import known_owners, owners_behind
from ocpi_emsp.flows.parties.owner_evidence import EVSE_ID, MEMBERS, OPERATOR_NAME, read_owner, text_at
from ocpi_emsp.flows.parties.party import Party, checkpoint_key, get_party
from ocpi_emsp.flows.sync.checkpoint import get_checkpoint
from ocpi_emsp.flows.sync.page import SOURCES
from ocpi_emsp.ports import Kind, Owner, Query, Record, Transaction

LOOKED_AT = 200
"""Objects of each kind."""
RECENT = timedelta(days=30)
LEAST = 3
"""How often something must be seen if single objects can show it by accident."""
_SHARE = 0.9
_KINDS = (Kind.LOCATION, Kind.SESSION, Kind.CDR, Kind.TARIFF)


@frozen(kw_only=True)
class Suggestion:
    """A value for a field of a party's profile."""

    name: str
    """The name of the field."""
    value: Any
    """The value to set; None for a question that people must answer."""
    why: str
    evidence: int
    """How often it was seen."""

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)


async def suggestions(context: Context, country_code: str, party_id: str) -> list[Suggestion]:
    """Return suggestions for the party's profile. Raises NotRegistered, StoreFailed."""
    async with context.store.transaction(read_only=True) as tx:
        party = await get_party(tx, country_code, party_id)
        seen = await _Seen.read(context, tx, party)
        return [
            *_base64(party),
            *_hosts(party),
            *await _page_limit(context, tx, party),
            *_time_zone(party, seen),
            *await _cdr_ids(tx, party, seen),
            *_locations(party, seen),
            *owner_from(party, [record.document for record in await _own_locations(tx, party, seen)]),
        ]


@frozen
class _Seen:
    """A part of the recently received objects, by kind."""

    records: Mapping[str, Sequence[Record]]

    @classmethod
    async def read(cls, context: Context, tx: Transaction, party: Party) -> _Seen:
        """Read a number of objects of each kind, from everything received over the party's connection."""
        owners = await owners_behind(context, tx, party)
        since = context.clock.now() - RECENT
        return cls({kind: await _recent(tx, kind, owners, since) for kind in _KINDS})

    def documents(self) -> Iterator[Record]:
        """Yield all of them."""
        return chain.from_iterable(self.records.values())


async def _recent(tx: Transaction, kind: str, owners: Sequence[Owner], since: datetime) -> list[Record]:
    found = list[Record]()
    for country_code, party_id in owners:
        query = Query(
            kind=kind,
            country_code=country_code,
            party_id=party_id,
            received_from=since,
            limit=LOOKED_AT - len(found),
            count=False,
        )
        found.extend((await tx.page(query)).records)
        if len(found) >= LOOKED_AT:
            break
    return found


def _base64(party: Party) -> Iterator[Suggestion]:
    if party.sends_base64 and not party.profile.base64_token:
        why = "it sends its own token in base64, and may expect ours like that"
        yield Suggestion(name="base64_token", value=True, why=why, evidence=1)


def _hosts(party: Party) -> Iterator[Suggestion]:
    hosts = Places.of(party.versions_url or "", party.profile).other_hosts(each.url for each in party.endpoints)
    if hosts:
        why = "its endpoints lie there, beside its versions URL; with hosts, it can name no others"
        yield Suggestion(name="hosts", value=[*party.profile.hosts, *hosts], why=why, evidence=len(hosts))


async def _page_limit(context: Context, tx: Transaction, party: Party) -> list[Suggestion]:
    given = {}
    for module in SOURCES:
        checkpoint = await get_checkpoint(tx, checkpoint_key(*party.owner, module))
        if checkpoint.given is not None:
            given[module] = checkpoint.given
    asked = party.profile.page_limit or context.limits.sync.page_size
    least = min(given.values(), default=asked)
    if least >= asked:
        return []
    modules = ", ".join(f"{size} {module}" for module, size in given.items())
    why = f"asked for {asked} objects of a page, it gives {modules}"
    return [Suggestion(name="page_limit", value=least, why=why, evidence=len(given))]


def _time_zone(party: Party, seen: _Seen) -> Iterator[Suggestion]:
    naive = sum(1 for record in seen.documents() if naive_timestamps(record.document))
    if party.profile.time_zone is not None or not naive:
        return
    said = {text_at(record.document, "time_zone") for record in seen.records[Kind.LOCATION]} & time_zones()
    zone = next(iter(said)) if len(said) == 1 else None
    locations = f"its locations are in {zone}" if zone else "which zone they are in is a question to the partner"
    why = f"timestamps without a zone are read as UTC; {locations}"
    yield Suggestion(name="time_zone", value=zone, why=why, evidence=naive)


async def _cdr_ids(tx: Transaction, party: Party, seen: _Seen) -> list[Suggestion]:
    cdrs = seen.records[Kind.CDR]
    if party.profile.cdr_id_is_session_id:
        return []
    same = sum([await _has_its_session(tx, record) for record in cdrs])
    if same < LEAST or same < _SHARE * len(cdrs):
        return []
    why = f"of {len(cdrs)} CDRs, {same} have the id of a session of the same driver"
    return [Suggestion(name="cdr_id_is_session_id", value=True, why=why, evidence=same)]


async def _has_its_session(tx: Transaction, cdr: Record) -> bool:
    session = await tx.get(cdr.key._replace(kind=Kind.SESSION, id=text_at(cdr.document, "id")))
    return session is not None and text_at(session.document, "auth_id") == text_at(cdr.document, "auth_id")


async def _own_locations(tx: Transaction, party: Party, seen: _Seen) -> list[Record]:
    """Return the locations stored as the party's own, each with its EVSEs; they may belong to other owners."""
    own = [each for each in seen.records[Kind.LOCATION] if each.key[1:3] == party.owner]
    return [evolve(each, document=joined(each, await evses_of(tx, each))) for each in own]


def owner_from(party: Party, locations: Sequence[bytes]) -> Iterator[Suggestion]:
    """Suggest what names the owners of a party's locations, if these are other parties."""
    if party.profile.owner_from is not None:
        return
    known = known_owners(party)
    for criterion in (MEMBERS, OPERATOR_NAME, EVSE_ID):
        readings = [read_owner(criterion, Kind.LOCATION, each, known) for each in locations]
        owners = Counter(each.owner for each in readings if each is not None and each.owner is not None)
        others = sorted(set(owners) - {party.owner})
        # The EVSE-IDs of a single CPO may begin with another code than its own.
        is_hub = criterion != EVSE_ID or len(others) > 1 or party.profile.is_hub
        if others and is_hub and owners.total() >= _SHARE * len(locations):
            names = ", ".join(map("-".join, others[:3])) + (" and others" if len(others) > 3 else "")
            why = f"{criterion} of its locations names {names}; these have to be among the allowed_parties"
            yield Suggestion(name="owner_from", value=criterion, why=why, evidence=owners.total())
            return


def _locations(party: Party, seen: _Seen) -> Iterator[Suggestion]:
    sessions, locations = len(seen.records[Kind.SESSION]), len(seen.records[Kind.LOCATION])
    if party.profile.without_locations and locations:
        why = "it sends locations by now"
        yield Suggestion(name="without_locations", value=False, why=why, evidence=locations)
    if not party.profile.without_locations and sessions >= LEAST and not locations:
        why = "it sends sessions, and no location of it is known"
        yield Suggestion(name="without_locations", value=True, why=why, evidence=sessions)
