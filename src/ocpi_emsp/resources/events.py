"""Events that wait for a listener or a relay."""

from __future__ import annotations

from functools import partial

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

        Only those of one party if given, ``after`` an event's ``sequence``.
        """
        read = partial(journal.list_events, self._contexts(), *codes_of(party), topic=topic, dead=dead)
        return Items(read, after=after, limit=limit)

    @blocking
    async def get(self, event_id: str) -> PendingEvent | None:
        """Get the event with this id, or None if it was delivered."""
        return await journal.get_event(self._contexts(), event_id)

    @blocking
    async def retry(self, event_id: str) -> bool:
        """Retry a dead event, from the first attempt on; return False if there is none with this id."""
        return await journal.retry(self._contexts(), event_id)

    @blocking
    async def retry_all(self, *, topic: Topic = EVENT) -> int:
        """Retry every dead event of a topic; return their number."""
        return await journal.retry_all(self._contexts(), topic)


class AsyncEvents(Resource):
    """:class:`Events`, awaited."""

    list = awaited_items(Events.list)
    get = awaited(Events.get)
    retry = awaited(Events.retry)
    retry_all = awaited(Events.retry_all)
