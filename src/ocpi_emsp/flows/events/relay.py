"""Events for a broker: batches from the journal to a callable that publishes them.

Rules of this module:
- nothing is published inside a transaction: entries are leased in one, published, and settled in another; one
  that is published and not settled, since the process died, is published again: at least once;
- in order per object, with any number of relays: a later entry is never leased while an older one of its object is
  leased by another relay or waits for another try;
- what failed in a batch is published alone from then on, and only what failed alone becomes a dead letter: an event
  that the broker refuses costs its neighbours one try;
- an unreadable entry is a dead letter at once, and holds up no other.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from ocpi_emsp.errors import OcpiError
from ocpi_emsp.events import RelayedEvent, UnreadableEvent
from ocpi_emsp.findings import counted
from ocpi_emsp.flows.core.context import Context
from ocpi_emsp.flows.events.journal import error_text, fail, is_due, lease, page
from ocpi_emsp.ports import RELAY, Entry, Key

PublishHook: TypeAlias = Callable[[list[RelayedEvent]], Awaitable[object]]


class RelayFailed(OcpiError):
    """A batch could not be published; its events stay for another try."""


async def relay_once(context: Context, publish: PublishHook, batch: int) -> int:
    """Publish up to ``batch`` events that are due; their number. Raises RelayFailed, StoreFailed."""
    while entries := await _take(context, await _due(context, batch)):
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


async def _due(context: Context, batch: int) -> list[Entry]:
    """What to publish next: entries that were never tried, or one that was."""
    chosen, blocked, after = list[Entry](), set[Key | None](), 0
    while entries := await page(context, RELAY, after):
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
    """Those of the entries that are still the first of their object and due, leased."""
    by_key: dict[Key | None, set[str]] = {}
    for entry in chosen:
        by_key.setdefault(entry.key, set()).add(entry.id)
    found: list[Entry] = []
    if by_key:
        async with context.store.transaction() as tx:
            for key, ids in by_key.items():
                for entry in await tx.entries(RELAY, key, len(ids)):
                    leased = await lease(context, tx, entry) if entry.id in ids else None
                    if leased is None:
                        break
                    found.append(leased)
    return sorted(found, key=lambda entry: entry.sequence)


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


async def _fail(context: Context, entries: Sequence[Entry], error: Exception) -> None:
    async with context.store.transaction() as tx:
        for entry in entries:
            await fail(context, tx, entry, error, last=len(entries) == 1)
