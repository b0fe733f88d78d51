"""Requests to audit CDRs: journal entries, which the background work settles (flows/cdrs).

Rules of this module:
- a CDR has one entry, written in the transaction that stores it, so a killed process loses none;
- an audit is moved together with its CDR.
"""

from __future__ import annotations

from datetime import datetime

from attrs import evolve

from ocpi_emsp.ports import PENDING_AUDIT, Entry, Key, Kind, Transaction


def entry_id(cdr: Key) -> str:
    """Return the id of the entry of a CDR."""
    return f"audit-{cdr.country_code}-{cdr.party_id}-{cdr.id}"


async def request_audit(tx: Transaction, cdr: Key, now: datetime, correlation_id: str = "") -> None:
    """Request an audit of a stored CDR from the background work; also if it was audited before."""
    details = {"country_code": cdr.country_code, "party_id": cdr.party_id, "correlation_id": correlation_id}
    await tx.append(Entry(id=entry_id(cdr), topic=PENDING_AUDIT, name="", key=cdr, at=now, details=details))


async def move_audit(tx: Transaction, source: Key, target: Key) -> None:
    """Move a CDR's audit, or the request for one, to the CDR's owner."""
    stored = await tx.get(source._replace(kind=Kind.AUDIT))
    if stored is not None:
        await tx.put(evolve(stored, key=target._replace(kind=Kind.AUDIT)))
        await tx.delete(stored.key)
    entry = await tx.entry(entry_id(source))
    if entry is not None:
        await tx.settle(entry.id)
        await request_audit(tx, target, entry.at, entry.details["correlation_id"])
