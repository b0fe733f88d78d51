"""The audits of many stored CDRs, page by page: memory is that of a page, whatever their number.

Rules of this module: the data stored around the CDRs of a page is read in one transaction; the audits follow after it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Final, TypeAlias

from attrs import frozen

from ocpi_emsp.errors import InvalidObject, NotJson
from ocpi_emsp.findings import worst
from ocpi_emsp.flows.cdrs.audit import GivenReadings, Known, look_up, reckon, require_readings
from ocpi_emsp.flows.cdrs.surroundings import Gatherer
from ocpi_emsp.flows.core.context import Context
from ocpi_emsp.flows.inbound.stored import require_zone
from ocpi_emsp.flows.parties.hub_owners import connection_of
from ocpi_emsp.ports import Kind, Owner, Query
from ocpi_emsp.pricing import Audit

PAGE: Final = 25
"""CDRs that are read and audited at once: few, since one may have thousands of periods."""


@frozen
class Audited:
    """A stored CDR with its audit, or why it is unreadable."""

    sequence: int
    cdr_id: str
    audit: Audit | None
    problem: str = ""


AuditPage: TypeAlias = Callable[[int], Awaitable[Sequence[Audited]]]
"""Returns the audits of some CDRs after a sequence; empty at the end."""


def audit_pages(
    context: Context,
    owner: Owner,
    *,
    date_from: datetime | None,
    date_to: datetime | None,
    readings: GivenReadings,
) -> AuditPage:
    """Audit the CDRs of a party that were last updated in ``[date_from, date_to)``, in the order of their receipt.

    Raises ValueError, TypeError for a moment without a zone, or for unknown readings.
    """
    for name, moment in (("date_from", date_from), ("date_to", date_to)):
        require_zone(name, moment)
    require_readings(readings)
    gatherer = Gatherer(context)

    async def page(after: int) -> Sequence[Audited]:
        query = Query(
            kind=Kind.CDR,
            country_code=owner[0],
            party_id=owner[1],
            date_from=date_from,
            date_to=date_to,
            after=after,
            limit=PAGE,
            count=False,
        )
        async with context.store.transaction(read_only=True) as tx:
            records = (await tx.page(query)).records
            party = await connection_of(tx, owner) if records else None
            known = [await look_up(tx, record, party, gatherer, readings) for record in records]
        return await context.aside(_audit_all, known)

    return page


def _audit_all(page: Sequence[Known]) -> list[Audited]:
    return [_audit(known) for known in page]


def _audit(known: Known) -> Audited:
    record = known.record
    try:
        return Audited(record.sequence, record.key.id, reckon(known))
    except (InvalidObject, NotJson) as error:
        return Audited(record.sequence, record.key.id, None, str(worst(error.findings) or error.message))
