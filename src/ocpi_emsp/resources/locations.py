"""Locations and their EVSEs, as partners sent them."""

from __future__ import annotations

from datetime import datetime

from ocpi_emsp.flows.locations.read import whole_location
from ocpi_emsp.listing import Items
from ocpi_emsp.models import Evse, Location, Status
from ocpi_emsp.party_id import PartyLike
from ocpi_emsp.ports import Kind
from ocpi_emsp.resources.contexts import Resource
from ocpi_emsp.resources.modes import awaited, awaited_items, blocking
from ocpi_emsp.resources.stored import ReceivedDocument, Shape

_LOCATIONS = Shape(Kind.LOCATION, Location, whole_location)
_EVSES = Shape(Kind.EVSE, Evse)


class Locations(Resource):
    """Locations of CPOs, whole: with their EVSEs and connectors."""

    @blocking
    async def get(self, party: PartyLike, location_id: str) -> Location | None:
        """Get the location with its EVSEs, or None."""
        return await _LOCATIONS.get(self._contexts, party, location_id)

    @blocking
    async def document(self, party: PartyLike, location_id: str) -> ReceivedDocument | None:
        """Get the location as it was received, or None."""
        return await _LOCATIONS.document(self._contexts, party, location_id)

    def list(
        self,
        party: PartyLike | None = None,
        *,
        date_from: datetime | None = None,
        date_to: datetime | None = None,
        limit: int | None = None,
        after: int = 0,
    ) -> Items[Location]:
        """List locations last updated in ``[date_from, date_to)``, in the order of their first receipt."""
        return _LOCATIONS.list(self._contexts, party, date_from, date_to, limit, after)


class AsyncLocations(Resource):
    """:class:`Locations`, awaited."""

    get = awaited(Locations.get)
    document = awaited(Locations.document)
    list = awaited_items(Locations.list)


class Evses(Resource):
    """EVSEs of all locations."""

    @blocking
    async def get(self, party: PartyLike, location_id: str, evse_uid: str) -> Evse | None:
        """Get the EVSE, or None."""
        return await _EVSES.get(self._contexts, party, evse_uid, location_id)

    @blocking
    async def document(self, party: PartyLike, location_id: str, evse_uid: str) -> ReceivedDocument | None:
        """Get the EVSE as it was received, or None."""
        return await _EVSES.document(self._contexts, party, evse_uid, location_id)

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
        """List EVSEs last updated in ``[date_from, date_to)``, in the order of their first receipt.

        With a ``status``: those that have it.
        """
        return _EVSES.list(self._contexts, party, date_from, date_to, limit, after, status)


class AsyncEvses(Resource):
    """:class:`Evses`, awaited."""

    get = awaited(Evses.get)
    document = awaited(Evses.document)
    list = awaited_items(Evses.list)
