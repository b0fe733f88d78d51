"""The outbox: the only module that writes events to the journal, leases and reads them.

Rules of this module:
- an entry is leased while its ``due`` is in the future, and only the first pending entry of an object is ever leased:
  this preserves the order per object, however many processes deliver from one store;
- a failed entry waits, longer each time, and becomes a dead letter after ``DeliveryLimits.attempts`` failures; an
  unreadable one becomes a dead letter at once. Then the later ones of its object are delivered;
- until then a loop that finds the later ones parks them, so that it does not read them again each second. A process
  that settles or gives up an entry that failed before leases the object's next entry, or unparks it;
- an event without a listener and without a relay is not written.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from attrs import evolve

from ocpi_emsp import logs
from ocpi_emsp.events import Event, UnreadableEvent, kind_of
from ocpi_emsp.flows.core.context import Context, new_id
from ocpi_emsp.flows.core.limits import jittered
from ocpi_emsp.flows.core.settings import Limits
from ocpi_emsp.ports import DEAD, EVENT, PARKED, RELAY, DueQuery, Entry, Key, Owner, Transaction, due_reader, is_joined

_PAGE = 100
"""Entries that are read at once."""
_GROWTH = 4
"""Growth of each wait: ten attempts range from seconds to hours."""
_LONGEST_ERROR = 500


async def emit(
    context: Context,
    tx: Transaction,
    event: type[Event],
    key: Key,
    correlation_id: str,
    body: bytes = b"",
    **details: object,
) -> Entry | None:
    """Journal an event of the change that ``tx`` makes: for listeners, for a relay, or not at all.

    Returns the leased entry for ``deliver`` after the commit: this one, or one of the object that waited before it.
    Returns None if no listener is registered, or another process leases the object's events.
    """
    if not context.has_receiver(event):
        return None
    owner = {"country_code": key.country_code, "party_id": key.party_id, "correlation_id": correlation_id}
    entry = Entry(
        id=new_id(),
        topic=EVENT,
        name=event.__name__,
        key=key,
        at=context.clock.now(),
        body=body,
        details={**owner, **details},
    )
    if any(issubclass(event, kind) for kind in context.outbox_events):
        await tx.append(evolve(entry, id=new_id(), topic=RELAY))
    return await _append(context, tx, entry) if context.has_listener(event) else None


async def _append(context: Context, tx: Transaction, entry: Entry) -> Entry | None:
    if is_joined(tx):
        await tx.append(entry)
        return None
    older = await tx.entries(EVENT, entry.key, 1)
    if not older:
        return await lease(context, tx, entry)
    await tx.append(entry)
    return await lease(context, tx, older[0])


async def lease(context: Context, tx: Transaction, entry: Entry) -> Entry | None:
    """Return the entry, leased from now on; None if it is not due, or this process has no listener for it."""
    kind = kind_of(entry.name)
    # An entry of an unknown kind is leased as well: it can only become a dead letter.
    is_ours = entry.topic == RELAY or kind is None or context.has_listener(kind)
    if not is_ours or not is_due(context, entry) or is_joined(tx):
        return None
    leased = evolve(entry, due=context.clock.now() + context.limits.delivery.lease)
    await tx.append(leased)
    return leased


async def lease_first(context: Context, tx: Transaction, key: Key | None, behind: Sequence[Entry] = ()) -> Entry | None:
    """Return the first pending event of an object, leased; None if there is none, or it cannot be leased.

    ``behind``: later events of the object, which are parked if the first one waits.
    """
    pending = await tx.entries(EVENT, key, 1)
    if not pending:
        return None
    leased = await lease(context, tx, pending[0])
    if leased is None and not is_joined(tx):
        await unpark(tx, pending[0])
        await park(context, tx, pending[0], behind)
    return leased


async def park(context: Context, tx: Transaction, first: Entry, behind: Sequence[Entry]) -> bool:
    """Park the entries of an object ``behind`` its first one, if that failed and waits; return False if it does not."""
    if not first.attempts or is_due(context, first):
        return False
    for each in behind:
        entry = await tx.entry(each.id)
        if entry is not None and (entry.topic, entry.due) == (first.topic, each.due) and entry.id != first.id:
            await tx.append(evolve(entry, due=PARKED))
    return True


async def unpark(tx: Transaction, first: Entry) -> None:
    """Unpark an entry that has become the first of its object."""
    if first.due == PARKED:
        await tx.append(evolve(first, due=None))


def is_due(context: Context, entry: Entry) -> bool:
    """Return True if no process leases the entry and it does not wait for another attempt.

    A ``due`` further ahead than any possible one was set by a clock that has gone back since.
    """
    if entry.due is None:
        return True
    ahead = entry.due - context.clock.now()
    limits = context.limits.delivery
    return not timedelta(0) < ahead <= max(limits.lease, limits.longest_wait)


async def committed(context: Context, leased: Sequence[Entry]) -> list[Entry]:
    """Return the entries that are leased in the journal, too: the transaction of the others was rolled back."""
    if not leased:
        return []
    async with context.store.transaction(read_only=True) as tx:
        stored = [(entry, await tx.entry(entry.id)) for entry in leased]
    return [entry for entry, current in stored if current is not None and current.due == entry.due]


async def page(
    context: Context, topic: str, after: int, limit: int = _PAGE, owner: Owner | None = None
) -> Sequence[Entry]:
    """Return entries of a topic, oldest first, after a sequence; nothing is locked."""
    async with context.store.transaction(read_only=True) as tx:
        return await tx.entries(topic, limit=limit, owner=owner, after=after)


async def due_page(
    context: Context,
    topic: str,
    after: int,
    limit: int = _PAGE,
    *,
    everything: bool = False,
    not_named: frozenset[str] = frozenset(),
) -> Sequence[Entry]:
    """Return entries of a topic that may be due, oldest first, after a sequence; nothing is locked.

    A store without an index for due entries also returns waiting ones, as it does for ``everything``.
    """
    now, limits = context.clock.now(), context.limits.delivery
    async with context.store.transaction(read_only=True) as tx:
        read = due_reader(tx)
        if read is None or everything:
            return await tx.entries(topic, limit=limit, after=after)
        beyond = now + max(limits.lease, limits.longest_wait)
        query = DueQuery(topic=topic, at=now, beyond=beyond, not_named=not_named, after=after, limit=limit)
        return await read(query)


async def select(
    context: Context, topic: str, country_code: str | None, party_id: str | None, limit: int, after: int
) -> list[Entry]:
    """Return entries of a topic, oldest first, after a sequence, of one party if its codes are given."""
    codes = {"country_code": country_code, "party_id": party_id}
    wanted = {name: code.upper() for name, code in codes.items() if code is not None}
    owner = (wanted["country_code"], wanted["party_id"]) if len(wanted) == 2 else None
    found: list[Entry] = []
    while len(found) < limit and (entries := await page(context, topic, after, owner=owner)):
        after = entries[-1].sequence
        found += [entry for entry in entries if all(entry.details.get(name) == code for name, code in wanted.items())]
    return found[:limit]


async def fail(context: Context, tx: Transaction, entry: Entry, error: Exception, *, last: bool = True) -> bool:
    """Record that a leased entry failed; return True if it is now a dead letter, which requires ``last``.

    If another process leased or settled it meanwhile, nothing is written.
    """
    current = await tx.entry(entry.id)
    if current is None or current.topic != entry.topic or current.due != entry.due:
        return False
    attempts = entry.attempts + 1
    failed = evolve(entry, attempts=attempts, error=error_text(error))
    is_dead = last and (attempts >= context.limits.delivery.attempts or isinstance(error, UnreadableEvent))
    if is_dead:
        logs.warning(
            "event.dead",
            topic=entry.topic,
            name=entry.name,
            id=entry.id,
            attempts=attempts,
            error=failed.error,
            correlation_id=entry.details.get("correlation_id"),
        )
        await tx.append(evolve(failed, topic=DEAD[entry.topic], due=None))
    else:
        await tx.append(evolve(failed, due=context.clock.now() + backoff(context.limits, attempts)))
    return is_dead


def backoff(limits: Limits, attempts: int) -> timedelta:
    """Return the wait after so many failures: a random time up to a bound that grows with each (full jitter)."""
    return jittered(limits.delivery.first_wait, _GROWTH, limits.delivery.longest_wait, attempts)


def error_text(error: Exception) -> str:
    """Return the text of an error, in characters that every store can hold."""
    text = f"{type(error).__name__}: {error}"[:_LONGEST_ERROR]
    return text.encode("utf-8", "replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")
