"""Decisions on real-time authorizations."""

from __future__ import annotations

from functools import partial

from ocpi_emsp.flows.tokens.authorization_records import Decision, list_decisions
from ocpi_emsp.listing import Items
from ocpi_emsp.party_id import PartyLike, codes_of
from ocpi_emsp.resources.contexts import Resource
from ocpi_emsp.resources.modes import awaited_items


class Authorizations(Resource):
    """CPOs' authorization requests for our tokens and the responses: the newest decisions."""

    def list(self, party: PartyLike | None = None, *, limit: int | None = None, after: int = 0) -> Items[Decision]:
        """List decisions, oldest first, on requests of one party if given, ``after`` a ``sequence``."""
        return Items(partial(list_decisions, self._contexts(), *codes_of(party)), after=after, limit=limit)


class AsyncAuthorizations(Resource):
    """:class:`Authorizations`, awaited."""

    list = awaited_items(Authorizations.list)
