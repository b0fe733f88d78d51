"""Rejected requests of partners."""

from __future__ import annotations

from functools import partial

from ocpi_emsp.flows.serving import rejections
from ocpi_emsp.flows.serving.rejections import Rejection
from ocpi_emsp.listing import Items
from ocpi_emsp.party_id import PartyLike, codes_of
from ocpi_emsp.resources.contexts import Resource
from ocpi_emsp.resources.modes import awaited, awaited_items, blocking
from ocpi_emsp.wire import Response


class Rejections(Resource):
    """Rejected requests of partners, raw, with their findings."""

    def list(self, party: PartyLike | None = None, *, limit: int | None = None, after: int = 0) -> Items[Rejection]:
        """List rejections, oldest first, of one party if given, ``after`` a rejection's ``sequence``."""
        read = partial(rejections.list_rejections, self._contexts(), *codes_of(party))
        return Items(read, after=after, limit=limit)

    @blocking
    async def get(self, rejection_id: str) -> Rejection | None:
        """Get the rejection with this id, or None."""
        return await rejections.get_rejection(self._contexts(), rejection_id)

    @blocking
    async def replay(self, rejection: Rejection, *, body: bytes | None = None) -> Response:
        """Serve it again as its party, under the current policy, or with a corrected ``body``.

        If it is accepted, it leaves the list. Raises NotRegistered if the party was unregistered.
        """
        return await rejections.replay(self._contexts(), rejection, body)


class AsyncRejections(Resource):
    """:class:`Rejections`, awaited."""

    list = awaited_items(Rejections.list)
    get = awaited(Rejections.get)
    replay = awaited(Rejections.replay)
