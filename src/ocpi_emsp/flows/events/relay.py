"""Events for a broker: batches from the journal to a callable that publishes them.

Rules of this module:
- nothing is published inside a transaction: entries are leased in one, published, and settled in another; an entry that
  is published but not settled, because the process died, is published again: at least once;
- events are in order per object, with any number of relays: a later entry is never leased while an older one of its
  object is leased by another relay or waits for another attempt;
- an entry of a failed batch is published alone from then on, and only an entry that failed alone becomes a dead letter:
  an event that the broker rejects costs its neighbours one attempt;
- an unreadable entry becomes a dead letter at once, and delays no other.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from ocpi_emsp.errors import OcpiError
from ocpi_emsp.events import RelayedEvent, UnreadableEvent
from ocpi_emsp.findings import counted
from ocpi_emsp.flows.core.context import Context
from ocpi_emsp.flows.events.journal import due_page, error_text, fail, is_due, lease, park, unpark
from ocpi_emsp.ports import RELAY, Entry, Key, Transaction, is_joined

PublishHook: TypeAlias = Callable[[list[RelayedEvent]], Awaitable[object]]


class RelayFailed(OcpiError):
    """A batch could not be published; its events wait for another attempt."""


async def relay_once(context: Context, publish: PublishHook, batch: int, *, everything: bool = False) -> int:
    """Publish up to ``batch`` due events; return their number. Raises RelayFailed, StoreFailed.

    With ``everything``, waiting events are read as well: this finds events that were parked behind one that no longer
    exists.
    """
    after = 0
    while chosen := await _due(context, batch, after, everything=everything):
        after = chosen[-1].sequence
        entries = await _take(context, chosen)
        events, readable = list[RelayedEvent](), list[Entry]()
        for entry in entries:
            try:
                events.append(RelayedEvent.of(entry))
                readable.append(entry)
            except UnreadableEvent as error:
                await _fail(context, [entry], error)
        if events:
            await _publish(context, publish, events, readable)
            return len(events)
    return 0


async def _due(context: Context, batch: int, after: int, *, everything: bool) -> list[Entry]:
    """Return what to publish next: entries that were never tried, or a single one that was."""
    chosen, blocked = list[Entry](), set[Key | None]()
    while entries := await due_page(context, RELAY, after, everything=everything):
        after = entries[-1].sequence
        for entry in entries:
            if entry.key in blocked or not is_due(context, entry) or (chosen and entry.attempts):
                blocked.add(entry.key)
                continue
            chosen.append(entry)
            if entry.attempts or len(chosen) == batch:
                return chosen
    return chosen


async def _take(context: Context, chosen: Sequence[Entry]) -> list[Entry]:
    """Lease the entries that are still the first of their object and due, and return them."""
    by_key: dict[Key | None, list[Entry]] = {}
    for entry in chosen:
        by_key.setdefault(entry.key, []).append(entry)
    found: list[Entry] = []
    async with context.store.transaction() as tx:
        for key, due in by_key.items():
            found += await _lease_those(context, tx, key, due)
    return sorted(found, key=lambda entry: entry.sequence)


async def _lease_those(context: Context, tx: Transaction, key: Key | None, due: Sequence[Entry]) -> list[Entry]:
    """Return the entries of an object, leased as far as they are its first; the others are parked if the first
    waits.
    """
    ids, found = {entry.id for entry in due}, list[Entry]()
    first = await tx.entries(RELAY, key, len(due) + 1)
    for entry in first:
        leased = await lease(context, tx, entry) if entry.id in ids else None
        if leased is None:
            break
        found.append(leased)
    if is_joined(tx) or not first:
        return []
    if found:
        # Entries parked behind them are due next; no later step would unpark them otherwise.
        for entry in first[len(found) : len(found) + 1]:
            await unpark(tx, entry)
    else:
        await park(context, tx, first[0], due)
    return found


async def _publish(
    context: Context, publish: PublishHook, events: list[RelayedEvent], entries: Sequence[Entry]
) -> None:
    try:
        await publish(events)
    except Exception as error:
        await _fail(context, entries, error)
        raise RelayFailed(f"publishing {counted(len(events), 'event')} failed: {error_text(error)}") from error
    async with context.store.transaction() as tx:
        for entry in entries:
            await tx.settle(entry.id)
            if entry.attempts:
                await _unpark_next(tx, entry)


async def _fail(context: Context, entries: Sequence[Entry], error: Exception) -> None:
    async with context.store.transaction() as tx:
        for entry in entries:
            if await fail(context, tx, entry, error, last=len(entries) == 1):
                await _unpark_next(tx, entry)


async def _unpark_next(tx: Transaction, entry: Entry) -> None:
    """Unpark the entries behind one that failed before and is now settled or given up."""
    for following in await tx.entries(RELAY, entry.key, 1):
        await unpark(tx, following)
