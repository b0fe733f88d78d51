"""Reservations that RESERVE_NOW commands made."""

from __future__ import annotations

import builtins
from collections.abc import Callable

from ocpi_emsp._bridge import run
from ocpi_emsp.flows.commands import reservations
from ocpi_emsp.flows.commands.reservations import Reservation
from ocpi_emsp.flows.core.context import Context


class Reservations:
    """Reservations at CPOs, as their commands stand. A client makes them: ``cpo.reserve_now`` (:meth:`Emsp.client`)."""

    def __init__(self, context: Callable[[], Context]) -> None:
        self._context = context

    def get(self, country_code: str, party_id: str, location_id: str, reservation_id: int) -> Reservation | None:
        """The reservation with this id at this location, or None. Raises StoreFailed."""
        return run(reservations.get_reservation(self._context(), country_code, party_id, location_id, reservation_id))

    def list(
        self, country_code: str | None = None, party_id: str | None = None, *, after: int = 0, limit: int = 100
    ) -> builtins.list[Reservation]:
        """Reservations, oldest first, of one party where its codes are given, ``after`` one's ``sequence``."""
        return run(reservations.list_reservations(self._context(), country_code, party_id, after, limit))


class AsyncReservations:
    """:class:`Reservations`, awaited."""

    def __init__(self, context: Callable[[], Context]) -> None:
        self._context = context

    async def get(self, country_code: str, party_id: str, location_id: str, reservation_id: int) -> Reservation | None:
        """The reservation with this id at this location, or None. Raises StoreFailed."""
        return await reservations.get_reservation(self._context(), country_code, party_id, location_id, reservation_id)

    async def list(
        self, country_code: str | None = None, party_id: str | None = None, *, after: int = 0, limit: int = 100
    ) -> builtins.list[Reservation]:
        """Reservations, oldest first, of one party where its codes are given, ``after`` one's ``sequence``."""
        return await reservations.list_reservations(self._context(), country_code, party_id, after, limit)
