"""When a party is synced next, by whichever process of one store.

Rules of this module: the next time is written before a sync begins, so no other process syncs the party meanwhile; a
sync that was killed is continued at that time.
"""

from __future__ import annotations

from datetime import timedelta

from ocpi_emsp.flows.core.context import Context
from ocpi_emsp.flows.parties.party import PartyState, find_party, sync_entry_id
from ocpi_emsp.ports import SYNC, Entry


async def take_turn(context: Context, country_code: str, party_id: str, every: timedelta) -> bool:
    """Take a party's turn if it is time; its next one comes after ``every``. False if it is not registered."""
    now, entry_id = context.clock.now(), sync_entry_id(country_code, party_id)
    async with context.store.transaction() as tx:
        party = await find_party(tx, country_code, party_id)
        entry = await tx.entry(entry_id)
        # A turn that lies further ahead than any is set was set by a clock that has gone back since.
        waits = entry is not None and entry.due is not None and timedelta(0) < entry.due - now <= every
        if waits or party is None or party.state is not PartyState.REGISTERED:
            return False
        owner = {"country_code": party.country_code.upper(), "party_id": party.party_id.upper()}
        await tx.append(Entry(id=entry_id, topic=SYNC, name="", key=None, at=now, due=now + every, details=owner))
    return True
