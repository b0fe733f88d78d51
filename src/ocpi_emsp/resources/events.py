"""Events that wait for a listener or a relay."""

from __future__ import annotations

import builtins
from collections.abc import Callable

from ocpi_emsp._bridge import run
from ocpi_emsp.flows.core.context import Context
from ocpi_emsp.flows.events import admin as journal
from ocpi_emsp.flows.events.admin import PendingEvent, Topic
from ocpi_emsp.ports import EVENT


class Events:
    """Events that wait for a listener or a relay, and the dead ones: those that failed too often."""

    def __init__(self, context: Callable[[], Context]) -> None:
        self._context = context

    def list(
        self,
        country_code: str | None = None,
        party_id: str | None = None,
        *,
        topic: Topic = EVENT,
        dead: bool = False,
        limit: int = 100,
        after: int = 0,
    ) -> builtins.list[PendingEvent]:
        """Events that wait for listeners, or for a relay (``topic="relay"``), or that are ``dead``; oldest first.

        Of one party where its codes are given, and ``after`` an event's ``sequence``.
        """
        flow = journal.list_events(
            self._context(), country_code, party_id, topic=topic, dead=dead, limit=limit, after=after
        )
        return run(flow)

    def show(self, event_id: str) -> PendingEvent | None:
        """The event with this id, or None: it was delivered."""
        return run(journal.get_event(self._context(), event_id))

    def retry(self, event_id: str) -> bool:
        """Have a dead event tried again, from the first attempt on; False where there is none with this id."""
        return run(journal.retry(self._context(), event_id))

    def retry_all(self, *, topic: Topic = EVENT) -> int:
        """Have every dead event of a topic tried again; their number."""
        return run(journal.retry_all(self._context(), topic))


class AsyncEvents:
    """:class:`Events`, awaited."""

    def __init__(self, context: Callable[[], Context]) -> None:
        self._context = context

    async def list(
        self,
        country_code: str | None = None,
        party_id: str | None = None,
        *,
        topic: Topic = EVENT,
        dead: bool = False,
        limit: int = 100,
        after: int = 0,
    ) -> builtins.list[PendingEvent]:
        """Events that wait for listeners, or for a relay (``topic="relay"``), or that are ``dead``; oldest first.

        Of one party where its codes are given, and ``after`` an event's ``sequence``.
        """
        flow = journal.list_events(
            self._context(), country_code, party_id, topic=topic, dead=dead, limit=limit, after=after
        )
        return await flow

    async def show(self, event_id: str) -> PendingEvent | None:
        """The event with this id, or None: it was delivered."""
        return await journal.get_event(self._context(), event_id)

    async def retry(self, event_id: str) -> bool:
        """Have a dead event tried again, from the first attempt on; False where there is none with this id."""
        return await journal.retry(self._context(), event_id)

    async def retry_all(self, *, topic: Topic = EVENT) -> int:
        """Have every dead event of a topic tried again; their number."""
        return await journal.retry_all(self._context(), topic)
