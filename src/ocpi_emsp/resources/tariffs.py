"""Tariffs, as partners sent them."""

from __future__ import annotations

from datetime import datetime

from ocpi_emsp.listing import Items
from ocpi_emsp.models import Tariff
from ocpi_emsp.party_id import PartyLike
from ocpi_emsp.ports import Kind
from ocpi_emsp.resources.contexts import Resource
from ocpi_emsp.resources.modes import awaited, awaited_items, blocking
from ocpi_emsp.resources.stored import ReceivedDocument, Shape

_TARIFFS = Shape(Kind.TARIFF, Tariff)


class Tariffs(Resource):
    """Tariffs, without the deleted ones."""

    @blocking
    async def get(self, party: PartyLike, tariff_id: str) -> Tariff | None:
        """Get the tariff, or None."""
        return await _TARIFFS.get(self._contexts, party, tariff_id)

    @blocking
    async def document(self, party: PartyLike, tariff_id: str) -> ReceivedDocument | None:
        """Get the tariff as it was received, or None."""
        return await _TARIFFS.document(self._contexts, party, tariff_id)

    def list(
        self,
        party: PartyLike | None = None,
        *,
        date_from: datetime | None = None,
        date_to: datetime | None = None,
        limit: int | None = None,
        after: int = 0,
    ) -> Items[Tariff]:
        """List tariffs last updated in ``[date_from, date_to)``, in the order of their first receipt."""
        return _TARIFFS.list(self._contexts, party, date_from, date_to, limit, after)


class AsyncTariffs(Resource):
    """:class:`Tariffs`, awaited."""

    get = awaited(Tariffs.get)
    document = awaited(Tariffs.document)
    list = awaited_items(Tariffs.list)
