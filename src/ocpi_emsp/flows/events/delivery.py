"""Delivery of journalled events to listeners, after the commit.

Rules of this module:
- an event leaves the journal once every listener returned: at least once, in order per object;
- a process leases the event that it delivers, and the object's next one in the transaction that settles it. An event
  that another process leases, or that waits for another attempt, delays the later ones of its object;
- a listener that raises fails the request that delivers (500 / 3000): the object is fully stored, and the event waits;
- an event without a listener in this process is left to a process that has one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from attrs import define

from ocpi_emsp.errors import OcpiError
from ocpi_emsp.events import EVENTS, UnreadableEvent, event_of, names_of
from ocpi_emsp.flows.core.context import Context
from ocpi_emsp.flows.events.journal import due_page, error_text, fail, is_due, lease_first
from ocpi_emsp.ports import EVENT, Entry, Key


class ListenerFailed(OcpiError):
    """A listener raised; the event waits for another attempt."""


@define
class _Outcome:
    """The results of the events that were tried."""

    delivered: int = 0
    failure: ListenerFailed | None = None
    """The first failure."""


async def deliver(context: Context, leased: Iterable[Entry | None], touched: Iterable[Key] = ()) -> None:
    """Deliver entries that are leased and committed, those that follow them, and the waiting events of ``touched``
    objects.

    Raises ListenerFailed once all were tried, if one failed.
    """
    outcome, done = _Outcome(), set[Key]()
    for entry in leased:
        if entry is not None and entry.key is not None:
            done.add(entry.key)
            # A network call or a slow listener may have happened since.
            is_leased = not is_due(context, entry)
            await _drain(context, entry if is_leased else await _take(context, entry.key), outcome)
    for key in dict.fromkeys(touched):
        if context.listeners and key not in done:
            await _drain(context, await _take(context, key), outcome)
    if outcome.failure is not None:
        raise outcome.failure


async def redeliver(context: Context, *, everything: bool = False) -> int:
    """Try every due event, object by object; return the number delivered. Raises StoreFailed.

    With ``everything``, waiting events are read as well: this finds events that were parked behind one that no longer
    exists.
    """
    outcome, after = _Outcome(), 0
    others = names_of(kind for kind in EVENTS.values() if not context.has_listener(kind))
    while context.listeners and (
        entries := await due_page(context, EVENT, after, everything=everything, not_named=others)
    ):
        after = entries[-1].sequence
        waiting = {entry.key for entry in entries if not is_due(context, entry)}
        for key, due in _by_key(entries).items():
            if key not in waiting:
                await _drain(context, await _take(context, key, due), outcome)
    return outcome.delivered


def _by_key(entries: Iterable[Entry]) -> dict[Key, list[Entry]]:
    found: dict[Key, list[Entry]] = {}
    for entry in entries:
        if entry.key is not None:
            found.setdefault(entry.key, []).append(entry)
    return found


async def _take(context: Context, key: Key, due: Sequence[Entry] = ()) -> Entry | None:
    async with context.store.transaction() as tx:
        return await lease_first(context, tx, key, due)


async def _drain(context: Context, entry: Entry | None, outcome: _Outcome) -> None:
    """Deliver a leased entry and the next ones of its object, until one fails or none is left."""
    while entry is not None:
        try:
            event = event_of(entry)
            for kind, listener in context.listeners:
                if isinstance(event, kind):
                    await listener(event)
        except UnreadableEvent as error:
            entry = await _finish(context, entry, error)
        except Exception as error:  # noqa: BLE001 # whatever a listener raises: it is noted and reported
            failure = ListenerFailed(f"a listener of {entry.name} raised {error_text(error)}")
            failure.__cause__ = error
            outcome.failure = outcome.failure or failure
            entry = await _finish(context, entry, error)
        else:
            outcome.delivered += 1
            entry = await _finish(context, entry, None)


async def _finish(context: Context, entry: Entry, error: Exception | None) -> Entry | None:
    """Settle an entry, or record why it failed; return the object's next one, leased, if it may be delivered."""
    async with context.store.transaction() as tx:
        if error is None:
            await tx.settle(entry.id)
        elif not await fail(context, tx, entry, error):
            return None
        # Read last: a change that saw this entry pending has committed by now, so what it left to this process is
        # visible.
        return await lease_first(context, tx, entry.key)
