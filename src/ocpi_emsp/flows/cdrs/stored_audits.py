"""Stored audits: made by the background work, one per CDR, and made again on request.

Rules of this module (docs/how-to/audit-bills.md):
- a CDR's request for an audit is settled in the transaction that stores the audit and journals its event: at least
  once, even if a process is killed, and never an event without an audit;
- a process leases the requests that it works on; one whose audit fails is tried again later, and blocks no other;
- an audit made again replaces the stored one, and causes an event if its result differs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

from attrs import evolve, frozen

from ocpi_emsp import logs
from ocpi_emsp.codec.readings import shown
from ocpi_emsp.errors import InvalidObject, NotJson, StoreFailed, UnknownObject
from ocpi_emsp.events import CdrAudited
from ocpi_emsp.findings import worst
from ocpi_emsp.flows.cdrs.audit import Known, look_up, reckon
from ocpi_emsp.flows.cdrs.surroundings import Gatherer
from ocpi_emsp.flows.core.context import Context
from ocpi_emsp.flows.events.delivery import ListenerFailed, deliver
from ocpi_emsp.flows.events.journal import backoff, due_page, emit, error_text, is_due
from ocpi_emsp.flows.inbound.audits import request_audit
from ocpi_emsp.flows.inbound.stored import every, reader, received_key
from ocpi_emsp.flows.parties.hub_owners import connection_of
from ocpi_emsp.party_id import PartyId
from ocpi_emsp.ports import PENDING_AUDIT, Entry, Key, Kind, Owner, Record, Transaction
from ocpi_emsp.pricing import Audit
from ocpi_emsp.pricing.result import text
from ocpi_emsp.pricing.stored import of_document, to_document

_AT_ONCE: Final = 10
"""Requests that are leased together: each takes milliseconds."""
_PAGE: Final = 100
"""CDRs that are requested in one transaction."""
_MOST_REASONS: Final = 100
"""Reasons in an event."""


@frozen(kw_only=True)
class StoredAudit:
    """A stored audit: its ``readings`` are those that it was made with."""

    party: PartyId
    at: datetime
    """When the audit was made."""
    audit: Audit
    lines_left_out: int = 0
    """Lines beyond the first 1,000: ``emsp.cdrs.audit`` has all."""
    correlation_id: str = ""
    """Correlation id of the request with the CDR; empty if unknown."""
    sequence: int = 0
    """Its place in a list, which continues ``after`` it."""

    @classmethod
    def of(cls, record: Record) -> StoredAudit:
        """Return the audit of a record. Raises InvalidObject if it is unreadable."""
        audit, left_out = of_document(record.document)
        return cls(
            party=PartyId.received(record.key.country_code, record.key.party_id),
            at=record.received_at,
            audit=audit,
            lines_left_out=left_out,
            correlation_id=record.correlation_id,
            sequence=record.sequence,
        )


async def find_audit(context: Context, owner: Owner, cdr_id: str) -> StoredAudit | None:
    """Return the stored audit of a CDR, or None."""
    async with context.store.transaction(read_only=True) as tx:
        record = await tx.get(_audit_key(received_key(Kind.CDR, owner, cdr_id)))
    return None if record is None else StoredAudit.of(record)


async def renew_audit(context: Context, owner: Owner, cdr_id: str) -> StoredAudit:
    """Audit a CDR now, and store the audit. Raises UnknownObject, InvalidObject."""
    key = received_key(Kind.CDR, owner, cdr_id)
    known = await _known(context, key, Gatherer(context))
    stored = None if known is None else await _store(context, known, await context.aside(reckon, known))
    if stored is None:
        raise UnknownObject(f"cdr {shown(cdr_id)} of {'-'.join(owner)} is not known")
    return stored


async def request_audits(
    context: Context,
    owner: tuple[str | None, str | None],
    *,
    date_from: datetime | None,
    date_to: datetime | None,
) -> int:
    """Request audits of the CDRs last updated in ``[date_from, date_to)`` from the background work; return their
    number.
    """
    requested, batch = 0, list[Record]()
    async for record in every(reader(context, Kind.CDR, owner, date_from=date_from, date_to=date_to), _PAGE):
        batch.append(record)
        if len(batch) == _PAGE:
            requested += await _request(context, batch)
            batch.clear()
    return requested + await _request(context, batch)


async def _request(context: Context, records: Sequence[Record]) -> int:
    now = context.clock.now()
    async with context.store.transaction() as tx:
        for record in records:
            await request_audit(tx, record.key, now, record.correlation_id)
    return len(records)


# --- background work ------------------------------------------------------------------------------------------------


async def audit_pending(context: Context, *, stop: Callable[[], bool] = lambda: False) -> int:
    """Audit the requested CDRs that are due; return the number of handled requests. Raises StoreFailed."""
    done = after = 0
    while not stop() and (entries := await due_page(context, PENDING_AUDIT, after, _AT_ONCE)):
        after, gatherer = entries[-1].sequence, Gatherer(context)
        for entry in await _lease(context, entries):
            done += await _deal_with(context, entry, gatherer)
    return done


async def _lease(context: Context, entries: Sequence[Entry]) -> list[Entry]:
    """Lease the entries that are due and return them: no other process works on them meanwhile."""
    due = [entry for entry in entries if is_due(context, entry)]
    if not due:
        return []
    leased, until = list[Entry](), context.clock.now() + context.limits.delivery.lease
    async with context.store.transaction() as tx:
        for entry in due:
            current = await tx.entry(entry.id)
            if current is not None and is_due(context, current):
                leased.append(evolve(current, due=until))
                await tx.append(leased[-1])
    return leased


async def _deal_with(context: Context, entry: Entry, gatherer: Gatherer) -> int:
    """Return 1 if a leased request was settled, 0 if it was postponed, or another process has leased it by now."""
    try:
        known = None if entry.key is None else await _known(context, entry.key, gatherer)
        audit = None if known is None else await context.aside(reckon, known)
    except StoreFailed:
        raise
    except (InvalidObject, NotJson) as error:
        problem = worst(error.findings) or error.message
        logs.warning("audit.unreadable", entry=entry.id, error=str(problem))
        known = audit = None
    except Exception as error:  # noqa: BLE001 # whatever is wrong with one CDR: the others are audited
        return await _put_off(context, entry, error)
    if known is None or audit is None:
        return await _settle(context, entry)
    return int(await _store(context, known, audit, entry) is not None)


async def _known(context: Context, key: Key, gatherer: Gatherer) -> Known | None:
    async with context.store.transaction(read_only=True) as tx:
        record = await tx.get(key)
        return None if record is None else await look_up(tx, record, await connection_of(tx, key[1:3]), gatherer)


async def _store(context: Context, known: Known, audit: Audit, entry: Entry | None = None) -> StoredAudit | None:
    """Store an audit with its event; None if the CDR is deleted, or its request is no longer this ``entry``."""
    cdr, now = known.record, context.clock.now()
    key = _audit_key(cdr.key)
    record = Record(key, to_document(audit), cdr.last_updated, now, correlation_id=cdr.correlation_id)
    async with context.store.transaction() as tx:
        if await tx.get(cdr.key) is None:
            return None
        before = await tx.get(key)
        if entry is not None and not await _settled(tx, entry):
            return None
        await tx.put(record)
        event = None
        if before is None or _says(before) != _says(record):
            event = await _emit(context, tx, cdr, audit)
    logs.debug("cdr.audited", party="-".join(key[1:3]), verdict=audit.verdict.value, correlation_id=cdr.correlation_id)
    await _deliver(context, event)
    return StoredAudit.of(record)


async def _emit(context: Context, tx: Transaction, cdr: Record, audit: Audit) -> Entry | None:
    return await emit(
        context,
        tx,
        CdrAudited,
        cdr.key,
        cdr.correlation_id,
        cdr.document,
        verdict=audit.verdict.value,
        difference=text(audit.difference),
        at_least=audit.at_least,
        reasons=[each.as_json() for each in audit.reasons[:_MOST_REASONS]],
    )


def _says(record: Record) -> object:
    """Return the values of a stored audit that an event reports."""
    try:
        audit, _ = of_document(record.document)
    except InvalidObject:
        return None  # from another version
    return audit.verdict, audit.difference, audit.at_least, audit.reasons[:_MOST_REASONS]


async def _deliver(context: Context, event: Entry | None) -> None:
    """Deliver the event of an audit. A listener that raises does not undo the audit: its event waits."""
    try:
        await deliver(context, [event])
    except ListenerFailed as error:
        logs.warning("event.undelivered", error=error.message, trace=error)


async def _settled(tx: Transaction, entry: Entry) -> bool:
    """Settle a leased request. Return False if another process leased it meanwhile, or it was requested again."""
    current = await tx.entry(entry.id)
    if current is None or (current.due, current.at) != (entry.due, entry.at):
        return False
    await tx.settle(entry.id)
    return True


async def _settle(context: Context, entry: Entry) -> int:
    async with context.store.transaction() as tx:
        return int(await _settled(tx, entry))


async def _put_off(context: Context, entry: Entry, error: Exception) -> int:
    """Postpone a request, longer each time; give up after ``DeliveryLimits.attempts``."""
    attempts = entry.attempts + 1
    gives_up = attempts >= context.limits.delivery.attempts
    logs.error("audit.failed", entry=entry.id, attempts=attempts, given_up=gives_up, error=error, trace=error)
    async with context.store.transaction() as tx:
        if await _settled(tx, entry) and not gives_up:
            due = context.clock.now() + backoff(context.limits, attempts)
            await tx.append(evolve(entry, attempts=attempts, error=error_text(error), due=due))
    return 0


def _audit_key(cdr: Key) -> Key:
    return cdr._replace(kind=Kind.AUDIT)
