"""Gauges, read from the store on demand: how far syncs are behind, and which commands are pending.

Rules of this module:
- a reading is bounded: it reads a limited number of records; nothing is locked;
- a reading is of the store, so each process that reports it reports the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Any, Final, TypeAlias

from ocpi_emsp.codec import decode
from ocpi_emsp.flows.core.context import Context
from ocpi_emsp.flows.core.telemetry import GuardedTelemetry
from ocpi_emsp.flows.parties.party import PartyState, find_party
from ocpi_emsp.flows.sync.checkpoint import Checkpoint
from ocpi_emsp.ports import COMMANDS_PENDING, DEADLINE, SYNC_LAG, Kind, Measurement, Owner, Query, Record, Transaction

_PAGE: Final = 500
MOST: Final = 10_000
"""Records of one reading: 2,500 parties with four modules each; a reading is made every minute or so."""

Run: TypeAlias = Callable[[Coroutine[Any, Any, list[Measurement]]], list[Measurement]]


def observe(telemetry: GuardedTelemetry, context: Callable[[], Context], run: Run) -> None:
    """Register the gauges with a telemetry; ``run`` completes a reading when it is requested."""
    telemetry.gauge(SYNC_LAG, lambda: run(sync_lag(context())))
    telemetry.gauge(COMMANDS_PENDING, lambda: run(pending_commands(context())))


async def sync_lag(context: Context) -> list[Measurement]:
    """Return, by party and module, the seconds since the moment up to which the last completed sync has everything."""
    now, after, read, found = context.clock.now(), 0, 0, list[Measurement]()
    registered: dict[tuple[str, str], bool] = {}
    async with context.store.transaction(read_only=True) as tx:
        while read < MOST:
            query = Query(kind=Kind.CHECKPOINT, after=after, limit=_PAGE, count=False)
            records = (await tx.page(query)).records
            for record in records:
                owner, measured = (record.key.country_code, record.key.party_id), _lag(record, now)
                if measured is not None and await _is_registered(tx, owner, registered):
                    found.append(measured)
            read += len(records)
            if len(records) < _PAGE:
                break
            after = records[-1].sequence
    return found


def _lag(record: Record, now: datetime) -> Measurement | None:
    _, country_code, party_id, module, _ = record.key
    from ocpi_emsp.flows.sync.page import SOURCES  # only with telemetry

    if module not in SOURCES:  # a push is not a lag of a partner
        return None
    done = decode(Checkpoint, record.document).done_until
    if done is None:
        return None
    attributes = {"ocpi.party": f"{country_code}-{party_id}", "ocpi.module": module}
    return Measurement(max((now - done).total_seconds(), 0.0), attributes)


async def _is_registered(tx: Transaction, owner: Owner, known: dict[tuple[str, str], bool]) -> bool:
    """Return False for a party whose registration ended: it is no longer synced."""
    if owner not in known:
        party = await find_party(tx, *owner)
        known[owner] = party is not None and party.state is PartyState.REGISTERED
    return known[owner]


async def pending_commands(context: Context) -> list[Measurement]:
    """Return, by party, the commands whose result is awaited."""
    waiting, after, read = Counter[str](), 0, 0
    async with context.store.transaction(read_only=True) as tx:
        while read < MOST:
            entries = await tx.entries(DEADLINE, limit=_PAGE, after=after)
            keys = [entry.key for entry in entries if entry.key is not None and entry.key.kind == Kind.COMMAND]
            waiting.update(f"{key.country_code}-{key.party_id}" for key in keys)
            read += len(entries)
            if len(entries) < _PAGE:
                break
            after = entries[-1].sequence
    return [Measurement(count, {"ocpi.party": party}) for party, count in sorted(waiting.items())]
