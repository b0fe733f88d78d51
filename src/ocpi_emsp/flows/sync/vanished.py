"""Objects that a full sync no longer found.

Rules of this module:
- nothing is deleted: an object that the CPO does not list gets ``missing_since``; the EVSEs of a location that several
  full syncs in a row did not list become REMOVED, with an event;
- nothing is marked if too large a share would vanish at once: a broken list is more likely than a closed network;
- sessions and CDRs are history, which a CPO may delete: only locations and tariffs go missing;
- a hub's list covers all owners whose objects are received over its connection, one after the other. An owner that is
  also received over another hub's connection may be incomplete in both lists, so nothing of it goes missing; if the
  profile's headers ask the hub for one party, the list is that party's alone;
- the progress is saved with each page, so that a full sync that is killed and continued counts once.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import datetime
from typing import NamedTuple

from attrs import evolve

from ocpi_emsp.flows.locations.store import remove_evses
from ocpi_emsp.flows.parties.allowed_parties import owner_named
from ocpi_emsp.flows.parties.hub_owners import owners_behind, registered_parties
from ocpi_emsp.flows.parties.party import Party, find_party
from ocpi_emsp.flows.sync.page import Page, Pull, after_commit
from ocpi_emsp.ports import Kind, Owner, Query, Record, Transaction

GOES_MISSING = frozenset({Kind.LOCATION, Kind.TARIFF})
_PAGE = 100


class Place(NamedTuple):
    """The last examined record: its owner, such as "NL-TNM", and its sequence."""

    owner: str = ""
    sequence: int = 0


SaveMarked = Callable[[Transaction, Place], Awaitable[None]]
"""Saves the place of the last examined record. Raises if another sync took the pull over."""


_BEGINNING = Place()


async def too_many(pull: Pull, since: datetime) -> str:
    """Return why nothing may be marked as missing, because too much was not listed since then; empty if it may be."""
    missing = new = 0
    async for records in _unlisted(pull, since):
        known = sum(record.missing_since is not None for record in records)
        missing, new = missing + known, new + len(records) - known
    present = await _count(pull) - missing
    share, most = new / present if present else 0.0, pull.context.limits.sync.vanishing_share
    if share <= most:
        return ""
    gone = f"{new} of {present} {pull.source.module} are no longer listed"
    return f"{gone} ({share:.0%}, allowed {most:.0%}): none is marked missing"


async def mark(pull: Pull, since: datetime, after: Place, save: SaveMarked, *, repeats: bool) -> None:
    """Mark what was not listed since then, from the record after a place on. Raises the errors of ``save``.

    ``repeats``: the last full sync was very recent, so an object that both miss only counts once.
    """
    async for records in _unlisted(pull, since, after):
        page = Page("", pull.context.clock.now())
        async with pull.context.store.transaction() as tx:
            await save(tx, Place("-".join(records[-1].key[1:3]), records[-1].sequence))
            marked = [await _mark(pull, tx, page, record, since, repeats=repeats) for record in records]
        pull.tally.add("missing", sum(gone for gone, _ in marked))
        pull.tally.add("removed", sum(removed for _, removed in marked))
        await after_commit(pull, page)


async def _mark(
    pull: Pull, tx: Transaction, page: Page, seen: Record, since: datetime, *, repeats: bool
) -> tuple[bool, int]:
    """Return whether the object is missing, and how many EVSEs of it became REMOVED."""
    record = await tx.get(seen.key)
    if record is None or record.received_at >= since:
        return False, 0  # received meanwhile
    missed = record.missed if repeats and record.missed else record.missed + 1
    missing_since, correlation_id = record.missing_since or since, pull.correlation_id
    marked = evolve(record, missing_since=missing_since, missed=missed, correlation_id=correlation_id)
    await tx.put(marked)
    if record.key.kind != Kind.LOCATION or missed < pull.context.limits.sync.missed_syncs:
        return True, 0
    incoming = pull.incoming(record.document, record.key.id, page)
    return True, await remove_evses(incoming, tx, marked)


async def _unlisted(pull: Pull, since: datetime, after: Place = _BEGINNING) -> AsyncIterator[Sequence[Record]]:
    """Yield pages of the owners' stored objects that were not received since then, owner by owner."""
    owners = await _listed_owners(pull)
    names = ["-".join(owner) for owner in owners]
    begin = names.index(after.owner) if after.owner in names else 0
    for owner in owners[begin:]:
        query = Query(kind=pull.source.kind, country_code=owner[0], party_id=owner[1], received_to=since)
        query = evolve(query, after=after.sequence if owner == owners[begin] else 0, limit=_PAGE, count=False)
        while records := await _page(pull, query):
            yield records
            query = evolve(query, after=records[-1].sequence)


async def _page(pull: Pull, query: Query) -> Sequence[Record]:
    async with pull.context.store.transaction(read_only=True) as tx:
        return (await tx.page(query)).records


async def _count(pull: Pull) -> int:
    owners = await _listed_owners(pull)
    async with pull.context.store.transaction(read_only=True) as tx:
        queries = (Query(kind=pull.source.kind, country_code=code, party_id=party_id) for code, party_id in owners)
        return sum([(await tx.page(evolve(query, limit=1))).total for query in queries])


async def _listed_owners(pull: Pull) -> Sequence[Owner]:
    """Return the owners whose objects are in the party's list, as far as no other list has them."""
    context = pull.context
    async with context.store.transaction(read_only=True) as tx:
        party = await find_party(tx, *pull.party.owner) or pull.party
        behind = await owners_behind(context, tx, party)
        others = [each for each in await registered_parties(tx) if each.owner != party.owner] if behind[1:] else []
    asked = _asked_for(party)
    if asked is not None:
        return [owner for owner in behind if owner == asked]
    shared = {owner_named(name) for each in others if each.profile.is_hub for name in each.seen_owners}
    return [owner for owner in behind if owner == party.owner or owner not in shared]


def _asked_for(party: Party) -> Owner | None:
    """Return the one party that the headers of the profile ask a hub for."""
    headers = party.profile.extra_headers()
    country_code, party_id = (headers.get(f"ocpi-to-{part}", "").upper() for part in ("country-code", "party-id"))
    return (country_code, party_id) if country_code and party_id and party.profile.is_hub else None
