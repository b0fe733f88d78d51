"""CDRs, as partners sent them."""

from __future__ import annotations

from datetime import datetime

from ocpi_emsp.listing import Items
from ocpi_emsp.models import Cdr
from ocpi_emsp.party_id import PartyLike
from ocpi_emsp.ports import Kind
from ocpi_emsp.resources.contexts import Resource
from ocpi_emsp.resources.modes import awaited, awaited_items, blocking
from ocpi_emsp.resources.stored import ReceivedDocument, Shape

_CDRS = Shape(Kind.CDR, Cdr)


class Cdrs(Resource):
    """Charge detail records: the first one under each id, which stands."""

    @blocking
    async def get(self, party: PartyLike, cdr_id: str) -> Cdr | None:
        """Get the CDR, or None."""
        return await _CDRS.get(self._contexts, party, cdr_id)

    @blocking
    async def document(self, party: PartyLike, cdr_id: str) -> ReceivedDocument | None:
        """Get the CDR as it was received, or None."""
        return await _CDRS.document(self._contexts, party, cdr_id)

    def list(
        self,
        party: PartyLike | None = None,
        *,
        date_from: datetime | None = None,
        date_to: datetime | None = None,
        limit: int | None = None,
        after: int = 0,
    ) -> Items[Cdr]:
        """List CDRs last updated in ``[date_from, date_to)``, in the order of their first receipt."""
        return _CDRS.list(self._contexts, party, date_from, date_to, limit, after)


class AsyncCdrs(Resource):
    """:class:`Cdrs`, awaited."""

    get = awaited(Cdrs.get)
    document = awaited(Cdrs.document)
    list = awaited_items(Cdrs.list)
