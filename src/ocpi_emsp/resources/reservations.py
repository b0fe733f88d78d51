"""Reservations that RESERVE_NOW commands created."""

from __future__ import annotations

from functools import partial

from ocpi_emsp.flows.commands import reservations
from ocpi_emsp.flows.commands.reservations import Reservation
from ocpi_emsp.listing import Items
from ocpi_emsp.party_id import PartyId, PartyLike, codes_of
from ocpi_emsp.resources.contexts import Resource
from ocpi_emsp.resources.modes import awaited, awaited_items, blocking


class Reservations(Resource):
    """Reservations at CPOs, in their current state. A client creates them: ``cpo.reserve_now``."""

    @blocking
    async def get(self, party: PartyLike, location_id: str, reservation_id: int) -> Reservation | None:
        """Get the reservation with this id at this location, or None. Raises StoreFailed."""
        return await reservations.get_reservation(self._contexts(), *PartyId.of(party), location_id, reservation_id)

    def list(self, party: PartyLike | None = None, *, after: int = 0, limit: int | None = None) -> Items[Reservation]:
        """List reservations, oldest first, of one party if given, ``after`` one's ``sequence``."""
        read = partial(reservations.list_reservations, self._contexts(), *codes_of(party))
        return Items(read, after=after, limit=limit)


class AsyncReservations(Resource):
    """:class:`Reservations`, awaited."""

    get = awaited(Reservations.get)
    list = awaited_items(Reservations.list)
