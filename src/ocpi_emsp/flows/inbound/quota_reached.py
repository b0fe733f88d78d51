"""Report once that a party has reached a quota, and again on each day on which it stays so."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from ocpi_emsp import logs
from ocpi_emsp.errors import QuotaExceeded
from ocpi_emsp.events import QuotaReached
from ocpi_emsp.flows.core.context import Context
from ocpi_emsp.flows.events.delivery import deliver
from ocpi_emsp.flows.events.journal import emit
from ocpi_emsp.flows.parties.party import Party
from ocpi_emsp.flows.parties.quota import quota_entry_id, usage_of
from ocpi_emsp.ports import QUOTA, Entry

_DAY: Final = timedelta(days=1)


async def report_quota(context: Context, party: Party, error: QuotaExceeded, correlation_id: str) -> None:
    """Log that a party has reached a quota, with an event. Raises nothing: the response already says so."""
    reached, now, name = usage_of(context, party).reached, context.clock.now(), error.quota
    if name in reached and timedelta(0) <= now - reached[name] < _DAY:
        return
    reached[name] = now
    try:
        await _report(context, party, error, correlation_id)
    except Exception as failed:  # noqa: BLE001 # whatever a store or a listener raises
        logs.warning("quota.not_reported", party=party, quota=name, error=failed, correlation_id=correlation_id)


async def _report(context: Context, party: Party, error: QuotaExceeded, correlation_id: str) -> None:
    entry_id, now = quota_entry_id(party, error.quota), context.clock.now()
    owner = {"country_code": party.country_code, "party_id": party.party_id}
    async with context.store.transaction() as tx:
        before = await tx.entry(entry_id)
        if before is not None and timedelta(0) <= now - before.at < _DAY:
            return
        await tx.append(Entry(id=entry_id, topic=QUOTA, name=error.quota, key=None, at=now, details=owner))
        leased = await emit(context, tx, QuotaReached, party.key, correlation_id, quota=error.quota, limit=error.limit)
    logs.warning("quota.reached", party=party, quota=error.quota, limit=error.limit, correlation_id=correlation_id)
    await deliver(context, [leased] if leased is not None else [])
