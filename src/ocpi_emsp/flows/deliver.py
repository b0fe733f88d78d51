"""Delivery of journalled events to listeners, after the commit.

Rules of this module:
- an event leaves the journal once every listener took it; one that failed stays, and is tried again with the next
  change of the same object or by ``redeliver``: at least once, in order per object;
- a listener that raises fails the request that brought the event (500 / 3000): the object is stored, whole.
"""

from __future__ import annotations

from collections.abc import Iterable

from attrs import evolve

from ocpi_emsp.errors import OcpiError
from ocpi_emsp.events import event_of
from ocpi_emsp.flows.context import Context
from ocpi_emsp.ports import EVENT, Entry, Key


class ListenerFailed(OcpiError):
    """A listener raised; the event is kept for another try."""


async def deliver(context: Context, keys: Iterable[Key]) -> None:
    """Deliver the pending events of these objects. Raises ListenerFailed at the first that fails."""
    if context.listeners:
        for key in dict.fromkeys(keys):
            await _deliver_pending(context, key, [])


async def redeliver(context: Context) -> int:
    """Try every pending event once more, object by object; the number that were delivered."""
    async with context.store.transaction() as tx:
        pending = await tx.entries(EVENT, limit=10_000)
    delivered: list[str] = []
    for key in dict.fromkeys(entry.key for entry in pending if entry.key is not None):
        try:
            await _deliver_pending(context, key, delivered)
        except ListenerFailed:
            continue
    return len(delivered)


async def _deliver_pending(context: Context, key: Key, delivered: list[str]) -> None:
    while True:
        async with context.store.transaction() as tx:
            entries = await tx.entries(EVENT, key, _BATCH)
        for entry in entries:
            await _deliver_one(context, entry)
            delivered.append(entry.id)
        if len(entries) < _BATCH:
            return


_BATCH = 100
"""Events of one object that are read at once."""


async def _deliver_one(context: Context, entry: Entry) -> None:
    event = event_of(entry)
    try:
        for heard, listener in context.listeners:
            if isinstance(event, heard):
                await listener(event)
    except Exception as error:
        failed = evolve(entry, attempts=entry.attempts + 1, error=f"{type(error).__name__}: {error}"[:500])
        async with context.store.transaction() as tx:
            await tx.append(failed)
        raise ListenerFailed(f"a listener of {entry.name} raised {type(error).__name__}") from error
    async with context.store.transaction() as tx:
        await tx.settle(entry.id)
