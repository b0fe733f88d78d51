"""Delivery of journalled events to listeners, after the commit.

Rules of this module:
- an event leaves the journal once every listener took it: at least once, in order per object;
- whoever delivers an event has it in hand, and takes the object's next one in hand in the transaction that settles it;
  one that somebody else has in hand, or that waits for another try, holds back the later ones of its object;
- an event that failed waits, longer each time, and is a dead letter after ``Limits.attempts`` failures; one that cannot
  be read is one at once. The later ones of its object go on then;
- a listener that raises fails the request that delivers (500 / 3000): the object is stored, whole, and the event kept;
- an event that nobody in this process listens to is left to the process where somebody does.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta

from attrs import define, evolve

from ocpi_emsp import logs
from ocpi_emsp.errors import OcpiError
from ocpi_emsp.events import UnreadableEvent, event_of
from ocpi_emsp.flows.core.context import Context, Limits
from ocpi_emsp.flows.core.limits import jittered
from ocpi_emsp.ports import DEAD, EVENT, Entry, Key, Transaction

_PAGE = 100
"""Entries that are read at once."""
_GROWTH = 4
"""How much longer each wait may be: ten tries reach from seconds to hours."""
_LONGEST_ERROR = 500


class ListenerFailed(OcpiError):
    """A listener raised; the event is kept for another try."""


@define
class _Outcome:
    """What became of the events that were tried."""

    delivered: int = 0
    failure: ListenerFailed | None = None
    """The first."""


async def deliver(context: Context, in_hand: Iterable[Entry | None], touched: Iterable[Key] = ()) -> None:
    """Deliver entries that are in hand and committed, what follows them, and what waits for the ``touched`` objects.

    Raises ListenerFailed once all were tried, where one failed.
    """
    outcome, done = _Outcome(), set[Key]()
    for entry in in_hand:
        if entry is not None and entry.key is not None:
            done.add(entry.key)
            # A network call or a slow listener may have come in between.
            is_held = not context.is_due(entry)
            await _drain(context, entry if is_held else await _take(context, entry.key), outcome)
    for key in dict.fromkeys(touched):
        if context.listeners and key not in done:
            await _drain(context, await _take(context, key), outcome)
    if outcome.failure is not None:
        raise outcome.failure


async def committed(context: Context, in_hand: Sequence[Entry]) -> list[Entry]:
    """Those of the entries that are in hand in the journal too: the transaction of the others was rolled back."""
    if not in_hand:
        return []
    async with context.store.transaction(read_only=True) as tx:
        kept = [(entry, await tx.entry(entry.id)) for entry in in_hand]
    return [entry for entry, current in kept if current is not None and current.due == entry.due]


async def redeliver(context: Context) -> int:
    """Try every event that is due, object by object; the number that were delivered. Raises StoreFailed."""
    outcome, after = _Outcome(), 0
    while context.listeners and (entries := await page(context, EVENT, after)):
        after = entries[-1].sequence
        waiting = {entry.key for entry in entries if not context.is_due(entry)}
        for key in dict.fromkeys(entry.key for entry in entries):
            if key is not None and key not in waiting:
                await _drain(context, await _take(context, key), outcome)
    return outcome.delivered


async def page(
    context: Context, topic: str, after: int, limit: int = _PAGE, owner: tuple[str, str] | None = None
) -> Sequence[Entry]:
    """Entries of a topic, oldest first, after a sequence; nothing is locked."""
    async with context.store.transaction(read_only=True) as tx:
        return await tx.entries(topic, limit=limit, owner=owner, after=after)


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


async def _take(context: Context, key: Key) -> Entry | None:
    async with context.store.transaction() as tx:
        pending = await tx.entries(EVENT, key, 1)
        return await context.take(tx, pending[0]) if pending else None


async def _drain(context: Context, entry: Entry | None, outcome: _Outcome) -> None:
    """Deliver an entry in hand and those of its object that follow, until one fails or none is left."""
    while entry is not None:
        try:
            await _tell(context, entry)
        except UnreadableEvent as error:
            entry = await _finish(context, entry, error)
        except Exception as error:  # noqa: BLE001 # whatever a listener raises: it is noted and reported
            failure = ListenerFailed(f"a listener of {entry.name} raised {type(error).__name__}")
            failure.__cause__ = error
            outcome.failure = outcome.failure or failure
            entry = await _finish(context, entry, error)
        else:
            outcome.delivered += 1
            entry = await _finish(context, entry, None)


async def _tell(context: Context, entry: Entry) -> None:
    """Raises what a listener raises, UnreadableEvent."""
    event = event_of(entry)
    for heard, listener in context.listeners:
        if isinstance(event, heard):
            await listener(event)


async def _finish(context: Context, entry: Entry, error: Exception | None) -> Entry | None:
    """Settle an entry, or note why it failed; the object's next one, in hand, where it is that one's turn."""
    async with context.store.transaction() as tx:
        if error is None:
            await tx.settle(entry.id)
        elif not await fail(context, tx, entry, error):
            return None
        # Read last: a change that saw this entry pending has committed by now, so what it left to us is seen.
        following = await tx.entries(EVENT, entry.key, 1)
        return await context.take(tx, following[0]) if following else None


async def fail(context: Context, tx: Transaction, entry: Entry, error: Exception, *, last: bool = True) -> bool:
    """Note that an entry in hand failed; True where it is a dead letter now, which it is not unless ``last`` may be.

    Where somebody else took it in hand meanwhile, or settled it, nothing is written.
    """
    current = await tx.entry(entry.id)
    if current is None or current.topic != entry.topic or current.due != entry.due:
        return False
    attempts = entry.attempts + 1
    failed = evolve(entry, attempts=attempts, error=error_text(error))
    is_dead = last and (attempts >= context.limits.attempts or isinstance(error, UnreadableEvent))
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
    return jittered(limits.retry_first, _GROWTH, limits.retry_longest, attempts)


def error_text(error: Exception) -> str:
    """What went wrong, in characters that every store can hold."""
    text = f"{type(error).__name__}: {error}"[:_LONGEST_ERROR]
    return text.encode("utf-8", "replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")
