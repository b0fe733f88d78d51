"""The outbox: the one place where events are written to the journal, leased, and read.

Rules of this module:
- an entry is leased while its ``due`` lies ahead, and only the first pending entry of an object is ever leased: that
  keeps the order per object, however many processes deliver from one store;
- an entry that failed waits, longer each time, and is a dead letter after ``DeliveryLimits.attempts`` failures; an
  unreadable one is a dead letter at once. The later ones of its object are delivered then;
- until then those are parked where a loop meets them, so that it does not read them again each second. Whoever settles
  or gives up an entry that failed before leases the next one of its object, or takes the mark away;
- an event that no process listens to and no relay publishes is not written.
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
"""How much longer each wait may be: ten tries reach from seconds to hours."""
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

    Gives the leased entry, for ``deliver`` after the commit: this one, or one of the object that waited before it.
    None where no listener is registered, or another process leases the object's events.
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
    """The entry, leased from now on; None where it is not due, or this process has no listener for it."""
    kind = kind_of(entry.name)
    # One of an unknown kind is leased as well: it can only be put aside.
    is_ours = entry.topic == RELAY or kind is None or context.has_listener(kind)
    if not is_ours or not is_due(context, entry) or is_joined(tx):
        return None
    leased = evolve(entry, due=context.clock.now() + context.limits.delivery.lease)
    await tx.append(leased)
    return leased


async def lease_first(context: Context, tx: Transaction, key: Key | None, behind: Sequence[Entry] = ()) -> Entry | None:
    """The first pending event of an object, leased; None where there is none, or it cannot be leased.

    ``behind``: events of the object that would be due, and are parked where the first one waits.
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
    """Park the entries of an object ``behind`` its first one, where that failed and waits; False where it does not."""
    if not first.attempts or is_due(context, first):
        return False
    for each in behind:
        entry = await tx.entry(each.id)
        if entry is not None and (entry.topic, entry.due) == (first.topic, each.due) and entry.id != first.id:
            await tx.append(evolve(entry, due=PARKED))
    return True


async def unpark(tx: Transaction, first: Entry) -> None:
    """Take the mark from an entry that is the first of its object by now."""
    if first.due == PARKED:
        await tx.append(evolve(first, due=None))


def is_due(context: Context, entry: Entry) -> bool:
    """True where no process leases the entry and it does not wait for another try.

    A ``due`` further ahead than any that is ever set was set by a clock that has gone back since.
    """
    if entry.due is None:
        return True
    ahead = entry.due - context.clock.now()
    limits = context.limits.delivery
    return not timedelta(0) < ahead <= max(limits.lease, limits.longest_wait)


async def committed(context: Context, leased: Sequence[Entry]) -> list[Entry]:
    """Those of the entries that are leased in the journal too: the transaction of the others was rolled back."""
    if not leased:
        return []
    async with context.store.transaction(read_only=True) as tx:
        stored = [(entry, await tx.entry(entry.id)) for entry in leased]
    return [entry for entry, current in stored if current is not None and current.due == entry.due]


async def page(
    context: Context, topic: str, after: int, limit: int = _PAGE, owner: Owner | None = None
) -> Sequence[Entry]:
    """Entries of a topic, oldest first, after a sequence; nothing is locked."""
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
    """Entries of a topic that may be due, oldest first, after a sequence; nothing is locked.

    A store that finds none by an index gives those that wait as well, as it does for a look at ``everything``.
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
    """Entries of a topic, oldest first, after a sequence, of one party where its codes are given."""
    codes = {"country_code": country_code, "party_id": party_id}
    wanted = {name: code.upper() for name, code in codes.items() if code is not None}
    owner = (wanted["country_code"], wanted["party_id"]) if len(wanted) == 2 else None
    found: list[Entry] = []
    while len(found) < limit and (entries := await page(context, topic, after, owner=owner)):
        after = entries[-1].sequence
        found += [entry for entry in entries if all(entry.details.get(name) == code for name, code in wanted.items())]
    return found[:limit]


async def fail(context: Context, tx: Transaction, entry: Entry, error: Exception, *, last: bool = True) -> bool:
    """Record that a leased entry failed; True where it is a dead letter now, which it is not unless ``last`` may be.

    Where another process leased it meanwhile, or settled it, nothing is written.
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
    """How long an entry waits after so many failures: any time up to a bound that grows with each (full jitter)."""
    return jittered(limits.delivery.first_wait, _GROWTH, limits.delivery.longest_wait, attempts)


def error_text(error: Exception) -> str:
    """An error, in characters that every store can hold."""
    text = f"{type(error).__name__}: {error}"[:_LONGEST_ERROR]
    return text.encode("utf-8", "replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")
