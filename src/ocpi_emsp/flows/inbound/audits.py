"""Audits of CDRs that are requested: entries of the journal, which the background work settles (flows/cdrs).

Rules of this module:
- a CDR has one entry, written in the transaction that stores it: none is forgotten, whatever process is killed;
- an audit goes where its CDR goes.
"""

from __future__ import annotations

from datetime import datetime

from attrs import evolve

from ocpi_emsp.ports import PENDING_AUDIT, Entry, Key, Kind, Transaction


def entry_id(cdr: Key) -> str:
    """The id of the entry of a CDR."""
    return f"audit-{cdr.country_code}-{cdr.party_id}-{cdr.id}"


async def request_audit(tx: Transaction, cdr: Key, now: datetime, correlation_id: str = "") -> None:
    """Have a stored CDR audited by the background work; again, where it was."""
    details = {"country_code": cdr.country_code, "party_id": cdr.party_id, "correlation_id": correlation_id}
    await tx.append(Entry(id=entry_id(cdr), topic=PENDING_AUDIT, name="", key=cdr, at=now, details=details))


async def move_audit(tx: Transaction, source: Key, target: Key) -> None:
    """Give a CDR's audit, or the request for one, to the CDR's owner."""
    stored = await tx.get(source._replace(kind=Kind.AUDIT))
    if stored is not None:
        await tx.put(evolve(stored, key=target._replace(kind=Kind.AUDIT)))
        await tx.delete(stored.key)
    entry = await tx.entry(entry_id(source))
    if entry is not None:
        await tx.settle(entry.id)
        await request_audit(tx, target, entry.at, entry.details["correlation_id"])
