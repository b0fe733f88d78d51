"""When a party is synced next, by any process of one store.

Rules of this module: the next time is written before a sync begins, so no other process syncs the party meanwhile; a
killed sync is continued at that time.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from ocpi_emsp.flows.core.context import Context
from ocpi_emsp.flows.events.journal import page
from ocpi_emsp.flows.parties.party import PartyState, find_party, sync_entry_id
from ocpi_emsp.ports import SYNC, Entry

_PAGE: Final = 500


async def take_turn(context: Context, country_code: str, party_id: str, every: timedelta) -> bool:
    """Take a party's turn if it is due; its next one comes after ``every``. Return False if it is not due, or not
    registered.
    """
    now, entry_id = context.clock.now(), sync_entry_id(country_code, party_id)
    async with context.store.transaction() as tx:
        party = await find_party(tx, country_code, party_id)
        entry = await tx.entry(entry_id)
        if entry is not None and _waits(entry, now, every):
            return False
        if party is None or party.state is not PartyState.REGISTERED:
            return False
        owner = {"country_code": party.country_code.upper(), "party_id": party.party_id.upper()}
        await tx.append(Entry(id=entry_id, topic=SYNC, name="", key=None, at=now, due=now + every, details=owner))
    return True


async def waiting_turns(context: Context, every: timedelta) -> set[str]:
    """Return the ids of the entries of parties whose turn is not due; nothing is locked."""
    now, waiting, after = context.clock.now(), set[str](), 0
    while entries := await page(context, SYNC, after, _PAGE):
        after = entries[-1].sequence
        waiting |= {entry.id for entry in entries if _waits(entry, now, every)}
    return waiting


def _waits(entry: Entry, now: datetime, every: timedelta) -> bool:
    # A turn further ahead than any possible one was set by a clock that has gone back since.
    return entry.due is not None and timedelta(0) < entry.due - now <= every
