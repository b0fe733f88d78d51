"""Stored audits of CDRs, made by the background work."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from ocpi_emsp.flows.inbound.stored import reader
from ocpi_emsp.listing import Items
from ocpi_emsp.party_id import PartyId, PartyLike, codes_of
from ocpi_emsp.ports import Kind, Record
from ocpi_emsp.pricing import Verdict
from ocpi_emsp.resources.contexts import Resource
from ocpi_emsp.resources.modes import awaited, awaited_items, blocking
from ocpi_emsp.scalars import given

if TYPE_CHECKING:
    from ocpi_emsp.flows.cdrs.stored_audits import StoredAudit


class Audits(Resource):
    """The stored audits of ``Emsp(audit=True)``: one per CDR, with the readings that it was made with.

    ``emsp.cdrs.audit`` and ``partner.audit`` make new audits, and store nothing.
    """

    @blocking
    async def get(self, party: PartyLike, cdr_id: str) -> StoredAudit | None:
        """Get the stored audit of a CDR, or None. Raises InvalidObject if it is unreadable."""
        from ocpi_emsp.flows.cdrs.stored_audits import find_audit

        return await find_audit(self._contexts(), PartyId.of(party), cdr_id)

    def list(
        self,
        party: PartyLike | None = None,
        *,
        verdict: Verdict | str | None = None,
        date_from: datetime | None = None,
        date_to: datetime | None = None,
        limit: int | None = None,
        after: int = 0,
    ) -> Items[StoredAudit]:
        """List stored audits of CDRs last updated in ``[date_from, date_to)``, in the order in which they were made.

        ``verdict``: only audits with this verdict. Raises ValueError or TypeError for an invalid party or verdict, or a
        moment without a time zone; InvalidObject if an audit is unreadable.
        """
        from ocpi_emsp.flows.cdrs.stored_audits import StoredAudit

        wanted = None if verdict is None else _verdict(verdict)
        read = reader(self._contexts(), Kind.AUDIT, codes_of(party), date_from=date_from, date_to=date_to)

        def selected(record: Record) -> StoredAudit | None:
            stored = StoredAudit.of(record)
            return stored if wanted in (None, stored.audit.verdict) else None

        return Items(read, after=after, limit=limit, select=selected, page=_PAGE)

    @blocking
    async def renew(self, party: PartyLike, cdr_id: str) -> StoredAudit:
        """Audit a CDR now, under the current readings of its party, and replace the stored audit.

        ``CdrAudited`` follows if the result differs. Raises UnknownObject; InvalidObject if the CDR is unreadable.
        """
        from ocpi_emsp.flows.cdrs.stored_audits import renew_audit

        return await renew_audit(self._contexts(), PartyId.of(party), cdr_id)

    @blocking
    async def request(
        self, party: PartyLike | None = None, *, date_from: datetime | None = None, date_to: datetime | None = None
    ) -> int:
        """Request audits of the stored CDRs last updated in ``[date_from, date_to)`` from the background work, also
        repeated ones.

        For CDRs from before ``Emsp(audit=True)``, and after a change of readings. Returns their number. Raises
        ValueError or TypeError for an invalid party, or a moment without a time zone.
        """
        from ocpi_emsp.flows.cdrs.stored_audits import request_audits

        return await request_audits(self._contexts(), codes_of(party), date_from=date_from, date_to=date_to)

    @blocking
    async def make_pending(self, *, stop: Callable[[], bool] | None = None) -> int:
        """Make the audits that are due, as :meth:`Emsp.running` does; ``stop`` is called between some of them.

        Returns the number of handled CDRs. Raises StoreFailed.
        """
        from ocpi_emsp.flows.cdrs.stored_audits import audit_pending

        return await audit_pending(self._contexts(), stop=stop or (lambda: False))


_PAGE = 50
"""Audits that are read at once; one may have a thousand lines."""


def _verdict(verdict: Verdict | str) -> Verdict:
    try:
        return Verdict(verdict.lower())
    except (AttributeError, ValueError):
        known = ", ".join(each.value for each in Verdict)
        raise ValueError(f"invalid verdict '{given(verdict)}': expected one of {known}, for example wrong") from None


class AsyncAudits(Resource):
    """:class:`Audits`, awaited."""

    get = awaited(Audits.get)
    list = awaited_items(Audits.list)
    renew = awaited(Audits.renew)
    request = awaited(Audits.request)
    make_pending = awaited(Audits.make_pending)
