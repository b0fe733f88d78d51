"""Deadlines: the moment at which a command or a reservation ends if nothing happens before.

Rules of this module (docs/how-to/commands.md):
- an open command has one journal entry, written with the command and settled with its end: its deadline survives a
  restart, and any worker finds it;
- a worker that finds a due deadline locks the command before it reads it: two workers expire it once;
- an entry that cannot be handled is postponed, and delays no other.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from attrs import evolve, frozen

from ocpi_emsp import logs
from ocpi_emsp.codec.readings import shown
from ocpi_emsp.errors import OcpiError, StoreFailed, UnknownCommand
from ocpi_emsp.events import CommandTimedOut
from ocpi_emsp.flows.commands import reservations
from ocpi_emsp.flows.commands.states import CommandChange, SentCommand, get_command, put_command
from ocpi_emsp.flows.core.context import Context
from ocpi_emsp.flows.events.delivery import ListenerFailed, deliver
from ocpi_emsp.flows.events.journal import backoff, due_page, emit, error_text
from ocpi_emsp.ports import DEADLINE, Entry, Key, Kind, Transaction

_PAGE = 1000
"""Deadlines that are read at once: each is small."""


def deadline_id(key: Key) -> str:
    """Return the id of the entry of a command's deadline."""
    return f"deadline-{key.country_code}-{key.party_id}-{key.id}"


async def watch(tx: Transaction, sent: SentCommand, now: datetime) -> None:
    """Journal the deadline of a command that is stored in this transaction."""
    entry = Entry(
        id=deadline_id(sent.key),
        topic=DEADLINE,
        name=sent.command.value,
        key=sent.key,
        at=now,
        details={"country_code": sent.key.country_code, "party_id": sent.key.party_id},
        due=sent.deadline,
    )
    await tx.append(entry)


async def current(context: Context, key: Key) -> SentCommand:
    """Return a command in its current state: TIMED_OUT once its deadline passed, even if no worker has handled it yet.

    Raises UnknownCommand if there is none with this key.
    """
    async with context.store.transaction(read_only=True) as tx:
        sent = await get_command(tx, key)
    if sent is not None and _is_over(context, sent):
        sent = await _time_out(context, key) or sent
    if sent is None:
        raise UnknownCommand(f"unknown command {shown(key.id)} of {key.country_code}-{key.party_id}")
    return sent


@frozen
class Expired:
    """The result of checking all deadlines."""

    done: int
    """Number of passed deadlines that were handled."""
    looked: int
    """Number of deadlines that were read: the passed ones if the store has an index for them, otherwise all open
    ones.
    """


async def expire(context: Context, *, everything: bool = True) -> Expired:
    """Handle every deadline that passed. Raises StoreFailed.

    With ``everything``, deadlines from a clock that has since gone back are found as well, even if only their start
    time shows it.
    """
    done = looked = after = 0
    while entries := await due_page(context, DEADLINE, after, _PAGE, everything=everything):
        after = entries[-1].sequence
        looked += len(entries)
        for entry in entries:
            if _has_passed(context, entry):
                done += await _deal_with(context, entry)
    return Expired(done, looked)


async def stored(
    context: Context, tx: Transaction, sent: SentCommand, now: datetime, correlation_id: str = ""
) -> list[Entry]:
    """Store a changed command and what follows from it; return leased events, to deliver after the commit.

    ``correlation_id`` is that of the request that changed it; by default the command's own.
    """
    correlation_id = correlation_id or sent.correlation_id
    await put_command(tx, sent, now, correlation_id)
    if not sent.is_open:
        await tx.settle(deadline_id(sent.key))
    return await reservations.settled(context, tx, sent, now, correlation_id)


async def deliver_logged(context: Context, leased: Sequence[Entry]) -> None:
    """Deliver events of a command. A listener that raises does not affect the command: its event waits."""
    try:
        await deliver(context, leased)
    except ListenerFailed as error:
        logs.warning("event.undelivered", error=error.message, trace=error)


def _has_passed(context: Context, entry: Entry) -> bool:
    if entry.due is None or entry.key is None or entry.key.kind == Kind.RESERVATION:
        return entry.due is None or entry.due <= context.clock.now()
    return is_due(context, entry.at, entry.due)


def _is_over(context: Context, sent: SentCommand) -> bool:
    """Return True for an open command whose deadline passed; one without a deadline is from an older version and long
    over.
    """
    if sent.deadline is None or sent.sent_at is None:
        return sent.is_open
    return sent.is_open and is_due(context, sent.sent_at, sent.deadline)


def is_due(context: Context, since: datetime, due: datetime) -> bool:
    """Return True if ``due`` is past, or so far ahead that it was set by a clock that has gone back since.

    The clocks of two workers may differ by less than the usual deadline.
    """
    ahead = due - context.clock.now()
    return ahead.total_seconds() <= 0 or ahead > due - since + context.limits.commands.result_timeout


async def _deal_with(context: Context, entry: Entry) -> int:
    """Return 1 if the deadline was handled here, 0 if another worker handled it, or it was postponed."""
    try:
        if entry.key is not None and entry.key.kind == Kind.COMMAND:
            return await _time_out(context, entry.key) is not None
        async with context.store.transaction() as tx:
            leased = await reservations.expire(context, tx, entry, context.clock.now())
        await deliver_logged(context, leased)
        return 1
    except StoreFailed:
        raise
    except OcpiError as error:
        return await _put_off(context, entry, error)


async def _time_out(context: Context, key: Key) -> SentCommand | None:
    """Return the command if this call is the one that found its deadline passed."""
    now = context.clock.now()
    async with context.store.transaction() as tx:
        sent = await get_command(tx, key)
        if sent is None or not sent.is_open:
            await tx.settle(deadline_id(key))
            return None
        if not _is_over(context, sent):
            return None
        sent = sent.changed(CommandChange.DEADLINE)
        leased = await stored(context, tx, sent, now)
        name = sent.command.value
        event = await emit(context, tx, CommandTimedOut, key, sent.correlation_id, uid=sent.uid, command=name)
    context.notify(sent.uid)
    party, correlation_id = f"{key.country_code}-{key.party_id}", sent.correlation_id
    logs.info("command.timed_out", party=party, command=name, uid=sent.uid, correlation_id=correlation_id)
    await deliver_logged(context, [event, *leased] if event is not None else leased)
    return sent


async def _put_off(context: Context, entry: Entry, error: OcpiError) -> int:
    """Postpone an entry, longer each time."""
    attempts = entry.attempts + 1
    logs.warning("deadline.failed", entry=entry.id, attempts=attempts, error=error.message, trace=error)
    due = context.clock.now() + backoff(context.limits, attempts)
    failed = evolve(entry, attempts=attempts, error=error_text(error), due=due)
    async with context.store.transaction() as tx:
        if await tx.entry(entry.id) is not None:
            await tx.append(failed)
    return 0
