"""Deletes old data.

Rules of this module (docs/how-to/retention.md):
- data is only deleted if all its known times are old and nothing waits for it: not a running session, an open command,
  or an event that is tried again;
- it is deleted a few at a time; each batch checks it again in its own transaction, so repeated or concurrent runs do no
  harm;
- CDRs are never deleted: one that is sent again would be new, and billed twice.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime, timedelta
from typing import Final, TypeAlias

from attrs import asdict, define, evolve

from ocpi_emsp import logs
from ocpi_emsp.codec import decode
from ocpi_emsp.flows.commands.reservations import OVER, Reservation
from ocpi_emsp.flows.commands.states import read_command
from ocpi_emsp.flows.core.context import Context
from ocpi_emsp.flows.core.settings import Retention
from ocpi_emsp.flows.events.journal import page
from ocpi_emsp.flows.parties.owner_evidence import text_at
from ocpi_emsp.flows.sessions.inbound import FINAL
from ocpi_emsp.models import SessionStatus
from ocpi_emsp.ports import AUTHORIZATION, DEAD, REJECTION, UPKEEP, Entry, Kind, Query, Record

EVERY: Final = timedelta(hours=6)
"""How often the background work deletes old data: nothing waits for it, and it reads a whole topic."""
_BATCH: Final = 25
"""Entries, or records, of one transaction: a rejection may have megabytes."""
_ENTRY_ID: Final = "upkeep-retention"

Stop: TypeAlias = Callable[[], bool]


@define(kw_only=True)
class Pruned:
    """Numbers of deleted objects, or of those that would be deleted."""

    rejections: int = 0
    dead_events: int = 0
    authorizations: int = 0
    sessions: int = 0
    cdr_conflicts: int = 0
    audits: int = 0
    commands: int = 0
    reservations: int = 0
    tariff_versions: int = 0

    @property
    def total(self) -> int:
        """The total number."""
        return sum(asdict(self).values())


async def prune(context: Context, retention: Retention, *, dry_run: bool = False, stop: Stop = lambda: False) -> Pruned:
    """Delete what is older than ``retention`` says; with ``dry_run`` only count it. Raises StoreFailed."""
    now, pruned = context.clock.now(), Pruned()
    topics = (
        ("rejections", REJECTION, retention.rejections),
        *(("dead_events", topic, retention.dead_events) for topic in DEAD.values()),
        ("authorizations", AUTHORIZATION, retention.authorizations),
    )
    for name, topic, age in topics:
        if age is not None:
            async for batch in _old_entries(context, topic, now - age):
                if stop():
                    return pruned
                _count(pruned, name, len(batch) if dry_run else await _settle(context, batch))
    for name, kind, age in (
        ("sessions", Kind.SESSION, retention.sessions),
        ("cdr_conflicts", Kind.CDR_CONFLICT, retention.cdr_conflicts),
        ("audits", Kind.AUDIT, retention.audits),
        ("commands", Kind.COMMAND, retention.commands),
        ("reservations", Kind.RESERVATION, retention.commands),
        ("tariff_versions", Kind.TARIFF_VERSION, retention.tariff_versions),
    ):
        if age is not None:
            async for records in _old_records(context, kind, now - age):
                if stop():
                    return pruned
                _count(pruned, name, len(records) if dry_run else await _delete(context, records, now - age))
    if pruned.total and not dry_run:
        logs.info("store.pruned", **{name: number for name, number in asdict(pruned).items() if number})
    return pruned


def _count(pruned: Pruned, name: str, number: int) -> None:
    setattr(pruned, name, getattr(pruned, name) + number)


# --- entries --------------------------------------------------------------------------------------------------------


async def _old_entries(context: Context, topic: str, before: datetime) -> AsyncIterator[list[Entry]]:
    """Yield the entries of a topic before a moment. They are not in that order: a repeated entry stays in its place."""
    after = 0
    while entries := await page(context, topic, after, _BATCH):
        after = entries[-1].sequence
        if old := [entry for entry in entries if entry.at < before]:
            yield old


async def _settle(context: Context, entries: Sequence[Entry]) -> int:
    settled = 0
    async with context.store.transaction() as tx:
        for entry in entries:
            current = await tx.entry(entry.id)
            if current is not None and (current.topic, current.at) == (entry.topic, entry.at):
                await tx.settle(entry.id)
                settled += 1
    return settled


# --- records --------------------------------------------------------------------------------------------------------


async def _old_records(context: Context, kind: str, before: datetime) -> AsyncIterator[list[Record]]:
    query = Query(kind=kind, received_to=before, limit=_BATCH, count=False)
    while True:
        async with context.store.transaction(read_only=True) as tx:
            records = (await tx.page(query)).records
        if not records:
            return
        query = evolve(query, after=records[-1].sequence)
        if old := [record for record in records if _is_over(context, record, before)]:
            yield old


async def _delete(context: Context, records: Sequence[Record], before: datetime) -> int:
    deleted = 0
    async with context.store.transaction() as tx:
        for record in records:
            current = await tx.get(record.key)
            if current is not None and current.received_at < before and _is_over(context, current, before):
                await tx.delete(record.key)
                deleted += 1
    return deleted


def _is_over(context: Context, record: Record, before: datetime) -> bool:
    """Return True if a record that was received before a moment is no longer needed."""
    match record.key.kind:
        case Kind.SESSION:
            status = SessionStatus.of(text_at(record.document, "status").strip().upper())
            return status in FINAL and record.last_updated < before
        case Kind.COMMAND:
            command, limits = read_command(record.document), context.limits.commands
            awaited = limits.session_window + limits.session_delay
            is_awaited = command.deadline is not None and command.deadline + awaited > context.clock.now()
            return not command.is_open and not is_awaited
        case Kind.TARIFF_VERSION:
            return record.valid_until is not None and record.valid_until < before
        case Kind.RESERVATION:
            return decode(Reservation, record.document).state in OVER
        case _:
            return True


# --- background work ------------------------------------------------------------------------------------------------


async def prune_in_turn(context: Context, retention: Retention, stop: Stop) -> int:
    """Run :func:`prune` in one of a store's processes every few hours; return the number of deleted objects."""
    now = context.clock.now()
    async with context.store.transaction() as tx:
        entry = await tx.entry(_ENTRY_ID)
        # A turn further ahead than any possible one was set by a clock that has gone back since.
        if entry is not None and entry.due is not None and timedelta(0) < entry.due - now <= EVERY:
            return 0
        country_code, party_id = context.identity.owner
        owner = {"country_code": country_code, "party_id": party_id}
        await tx.append(Entry(id=_ENTRY_ID, topic=UPKEEP, name="", key=None, at=now, due=now + EVERY, details=owner))
    return (await prune(context, retention, stop=stop)).total
