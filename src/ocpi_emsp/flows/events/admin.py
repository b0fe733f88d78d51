"""Administration of the outbox: list, show and retry pending events and dead letters.

Rules of this module:
- a retried dead letter returns to its place: before its object's waiting events, and after those delivered meanwhile;
- it waits while the object's next event is leased.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal, TypeAlias

from attrs import evolve, field, frozen

from ocpi_emsp.flows.core.context import Context
from ocpi_emsp.flows.events.journal import is_due, page, select
from ocpi_emsp.ports import DEAD, EVENT, PARKED, RELAY, Entry, Key

Topic: TypeAlias = Literal["event", "relay"]
"""What an event waits for: the listeners of this library's processes, or a relay."""

_ALIVE = {dead: topic for topic, dead in DEAD.items()}


@frozen(kw_only=True)
class PendingEvent:
    """An event that was not delivered yet, or that was given up."""

    id: str
    name: str
    """The name of the event's class, such as ``SessionReceived``."""
    topic: Topic
    """``event``: it waits for listeners; ``relay``: for a relay."""
    dead: bool
    """True if it failed too often, and is only tried again by ``retry``."""
    country_code: str
    party_id: str
    correlation_id: str
    key: Key | None
    """The object; its events are delivered in order."""
    at: datetime
    attempts: int
    """Number of failures."""
    error: str
    """The reason of the last failure; empty if it did not fail."""
    due: datetime | None
    """When it is tried again if it is not delivered before; None: as soon as possible."""
    document: bytes = field(repr=False)
    """The object as stored; empty if the event has no document."""
    sequence: int = field(eq=False)
    """Its place in the journal; a list continues ``after`` it."""


def _pending(entry: Entry) -> PendingEvent:
    return PendingEvent(
        id=entry.id,
        name=entry.name,
        topic=RELAY if entry.topic in (RELAY, DEAD[RELAY]) else EVENT,
        dead=entry.topic in _ALIVE,
        country_code=entry.details["country_code"],
        party_id=entry.details["party_id"],
        correlation_id=entry.details["correlation_id"],
        key=entry.key,
        at=entry.at,
        attempts=entry.attempts,
        error=entry.error,
        due=None if entry.due == PARKED else entry.due,
        document=entry.body,
        sequence=entry.sequence,
    )


async def list_events(
    context: Context,
    country_code: str | None,
    party_id: str | None,
    limit: int,
    after: int,
    *,
    topic: Topic,
    dead: bool,
) -> list[PendingEvent]:
    """Return pending or dead events of a topic, oldest first, ``after`` a sequence."""
    entries = await select(context, DEAD[topic] if dead else topic, country_code, party_id, limit, after)
    return [_pending(entry) for entry in entries]


async def get_event(context: Context, event_id: str) -> PendingEvent | None:
    """Return the event with this id, or None."""
    async with context.store.transaction(read_only=True) as tx:
        entry = await tx.entry(event_id)
    return _pending(entry) if entry is not None and entry.topic in (*DEAD, *_ALIVE) else None


async def retry(context: Context, event_id: str) -> bool:
    """Retry a dead event; return False if there is none with this id."""
    async with context.store.transaction() as tx:
        entry = await tx.entry(event_id)
        if entry is None or entry.topic not in _ALIVE:
            return False
        topic = _ALIVE[entry.topic]
        first = await tx.entries(topic, entry.key, 1)
        due = first[0].due if first and not is_due(context, first[0]) else context.clock.now()
        await tx.append(evolve(entry, topic=topic, attempts=0, due=due))
        return True


async def retry_all(context: Context, topic: Topic) -> int:
    """Retry every dead event of a topic; return their number."""
    revived = after = 0
    while entries := await page(context, DEAD[topic], after):
        after = entries[-1].sequence
        for entry in entries:
            revived += await retry(context, entry.id)
    return revived
