"""What a full sync did not find any more.

Rules of this module:
- nothing is deleted: an object that the CPO does not list gets ``missing_since``; the EVSEs of a location that so many
  full syncs in a row did not list become REMOVED, with an event;
- nothing is marked where too large a share would vanish at once: rather a broken list than a closed network;
- sessions and CDRs are history, which a CPO may forget: only locations and tariffs go missing;
- what was looked at is saved with each page, so that a full sync that is killed and continued counts once.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import datetime
from itertools import chain

from attrs import evolve

from ocpi_emsp.flows.locations.store import remove_evses
from ocpi_emsp.flows.parties.hub_owners import open_owners
from ocpi_emsp.flows.sync.page import Page, Pull, after_commit
from ocpi_emsp.ports import Kind, Owner, Query, Record, Transaction

GOES_MISSING = frozenset({Kind.LOCATION, Kind.TARIFF})
_PAGE = 100

SaveMarked = Callable[[Transaction, int], Awaitable[None]]
"""Saves the sequence of the last record that was looked at. Raises where another sync took the pull over."""


async def too_many(pull: Pull, since: datetime) -> str:
    """Why nothing may be marked as missing: too much was not listed since then; empty where it may be."""
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


async def mark(pull: Pull, since: datetime, after: int, save: SaveMarked, *, repeats: bool) -> None:
    """Mark what was not listed since then, from the record after a sequence on. Raises what ``save`` raises.

    ``repeats``: the last full sync was just now, so that what it missed counts once for both.
    """
    async for records in _unlisted(pull, since, after):
        page = Page("", pull.context.clock.now())
        async with pull.context.store.transaction() as tx:
            await save(tx, records[-1].sequence)
            marked = [await _mark(pull, tx, page, record, since, repeats=repeats) for record in records]
        pull.tally.add("missing", sum(gone for gone, _ in marked))
        pull.tally.add("removed", sum(removed for _, removed in marked))
        await after_commit(pull, page)


async def _mark(
    pull: Pull, tx: Transaction, page: Page, seen: Record, since: datetime, *, repeats: bool
) -> tuple[bool, int]:
    """Whether the object is missing, and how many EVSEs of it became REMOVED."""
    record = await tx.get(seen.key)
    if record is None or record.received_at >= since:
        return False, 0  # received meanwhile
    missed = record.missed if repeats and record.missed else record.missed + 1
    missing_since, correlation_id = record.missing_since or since, pull.correlation_id
    await tx.put(evolve(record, missing_since=missing_since, missed=missed, correlation_id=correlation_id))
    if record.key.kind != Kind.LOCATION or missed < pull.context.limits.sync.missed_syncs:
        return True, 0
    incoming = pull.incoming(record.document, record.key.id, page)
    return True, await remove_evses(incoming, tx, record.key)


async def _unlisted(pull: Pull, since: datetime, after: int = 0) -> AsyncIterator[Sequence[Record]]:
    """Pages of what the party has here and was not received since then.

    Those of all owners together, by their sequence: a place in them is one number.
    """
    while True:
        query = Query(kind=pull.source.kind, received_to=since, after=after, limit=_PAGE, count=False)
        async with pull.context.store.transaction(read_only=True) as tx:
            pages = [await tx.page(_of(query, owner)) for owner in await open_owners(tx, pull.party)]
        found = sorted(chain.from_iterable(page.records for page in pages), key=lambda record: record.sequence)[:_PAGE]
        if not found:
            return
        after = found[-1].sequence
        yield found


async def _count(pull: Pull) -> int:
    query = Query(kind=pull.source.kind, limit=1)
    async with pull.context.store.transaction(read_only=True) as tx:
        return sum([(await tx.page(_of(query, owner))).total for owner in await open_owners(tx, pull.party)])


def _of(query: Query, owner: Owner) -> Query:
    return evolve(query, country_code=owner[0], party_id=owner[1])
