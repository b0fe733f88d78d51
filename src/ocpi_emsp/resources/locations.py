"""Locations and their EVSEs as partners sent them."""

from __future__ import annotations

from datetime import datetime

from ocpi_emsp.flows.inbound.evses import evse_reader, find_evse
from ocpi_emsp.flows.inbound.stored import Reader, received_key
from ocpi_emsp.flows.locations.read import whole_location
from ocpi_emsp.listing import Items
from ocpi_emsp.models import Evse, Location, Status
from ocpi_emsp.party_id import PartyId, PartyLike, codes_of
from ocpi_emsp.ports import Kind, Record
from ocpi_emsp.resources.modes import awaited, awaited_items, blocking
from ocpi_emsp.resources.stored import AsyncReceived, Received, ReceivedDocument, Shape, Stored


class Locations(Received[Location]):
    """Locations of CPOs, complete with their EVSEs and connectors."""

    _shape = Shape(Kind.LOCATION, Location, whole_location)


class AsyncLocations(AsyncReceived[Location]):
    """:class:`Locations`, awaited."""

    _shape = Locations._shape


class _StoredEvses(Stored[Evse]):
    _shape = Shape(Kind.EVSE, Evse)

    async def _find(self, party: PartyLike, object_id: str, parent: str) -> Record | None:
        key = received_key(Kind.EVSE, PartyId.of(party), object_id, parent)
        async with self._contexts().store.transaction(read_only=True) as tx:
            record = await find_evse(tx, key)
            return None if record is None else await self._shape.whole(tx, record)

    def _reader(self, party: PartyLike | None, date_from: datetime | None, date_to: datetime | None) -> Reader:
        return evse_reader(self._contexts(), codes_of(party), date_from=date_from, date_to=date_to)


class Evses(_StoredEvses):
    """EVSEs of all locations."""

    @blocking
    async def get(self, party: PartyLike, location_id: str, evse_uid: str) -> Evse | None:
        """Get the EVSE, or None."""
        return await self._get(party, evse_uid, location_id)

    @blocking
    async def document(self, party: PartyLike, location_id: str, evse_uid: str) -> ReceivedDocument | None:
        """Get the EVSE as received, or None."""
        return await self._document(party, evse_uid, location_id)

    def list(
        self,
        party: PartyLike | None = None,
        *,
        status: Status | None = None,
        date_from: datetime | None = None,
        date_to: datetime | None = None,
        limit: int | None = None,
        after: int = 0,
    ) -> Items[Evse]:
        """List EVSEs last updated in ``[date_from, date_to)``, location by location, in the order in which the
        locations were first received.

        With a ``status``: only EVSEs with that status.
        """
        return self._list(party, date_from, date_to, limit, after, lambda each: status in (None, each.status))


class AsyncEvses(_StoredEvses):
    """:class:`Evses`, awaited."""

    get = awaited(Evses.get)
    document = awaited(Evses.document)
    list = awaited_items(Evses.list)
