"""Events that wait for a listener or a relay."""

from __future__ import annotations

import builtins

from ocpi_emsp.flows.events import admin as journal
from ocpi_emsp.flows.events.admin import PendingEvent, Topic
from ocpi_emsp.listing import Items
from ocpi_emsp.party_id import PartyLike, codes_of
from ocpi_emsp.ports import EVENT
from ocpi_emsp.resources.contexts import Resource
from ocpi_emsp.resources.modes import awaited, awaited_items, blocking


class Events(Resource):
    """Events that wait for a listener or a relay, and the dead ones: those that failed too often."""

    def list(
        self,
        party: PartyLike | None = None,
        *,
        topic: Topic = EVENT,
        dead: bool = False,
        limit: int | None = None,
        after: int = 0,
    ) -> Items[PendingEvent]:
        """List events that wait for listeners, or for a relay (``topic="relay"``), or that are ``dead``; oldest first.

        Those of one party where it is given, ``after`` an event's ``sequence``.
        """
        context, codes = self._contexts(), codes_of(party)

        async def read(size: int, place: int) -> builtins.list[PendingEvent]:
            return await journal.list_events(context, *codes, topic=topic, dead=dead, limit=size, after=place)

        return Items(read, after=after, limit=limit)

    @blocking
    async def get(self, event_id: str) -> PendingEvent | None:
        """Get the event with this id, or None: it was delivered."""
        return await journal.get_event(self._contexts(), event_id)

    @blocking
    async def retry(self, event_id: str) -> bool:
        """Have a dead event tried again, from the first attempt on; False where there is none with this id."""
        return await journal.retry(self._contexts(), event_id)

    @blocking
    async def retry_all(self, *, topic: Topic = EVENT) -> int:
        """Have every dead event of a topic tried again; their number."""
        return await journal.retry_all(self._contexts(), topic)


class AsyncEvents(Resource):
    """:class:`Events`, awaited."""

    list = awaited_items(Events.list)
    get = awaited(Events.get)
    retry = awaited(Events.retry)
    retry_all = awaited(Events.retry_all)
