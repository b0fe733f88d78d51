"""Sessions, as partners sent them."""

from __future__ import annotations

from datetime import datetime

from ocpi_emsp.listing import Items
from ocpi_emsp.models import Session, SessionStatus
from ocpi_emsp.party_id import PartyLike
from ocpi_emsp.ports import Kind
from ocpi_emsp.resources.contexts import Resource
from ocpi_emsp.resources.modes import awaited, awaited_items, blocking
from ocpi_emsp.resources.stored import ReceivedDocument, Shape

_SESSIONS = Shape(Kind.SESSION, Session)


class Sessions(Resource):
    """Charging sessions."""

    @blocking
    async def get(self, party: PartyLike, session_id: str) -> Session | None:
        """Get the session, or None."""
        return await _SESSIONS.get(self._contexts, party, session_id)

    @blocking
    async def document(self, party: PartyLike, session_id: str) -> ReceivedDocument | None:
        """Get the session as it was received, or None."""
        return await _SESSIONS.document(self._contexts, party, session_id)

    def list(
        self,
        party: PartyLike | None = None,
        *,
        status: SessionStatus | None = None,
        date_from: datetime | None = None,
        date_to: datetime | None = None,
        limit: int | None = None,
        after: int = 0,
    ) -> Items[Session]:
        """List sessions last updated in ``[date_from, date_to)``, in the order of their first receipt.

        With a ``status``: those that have it.
        """
        return _SESSIONS.list(self._contexts, party, date_from, date_to, limit, after, status)


class AsyncSessions(Resource):
    """:class:`Sessions`, awaited."""

    get = awaited(Sessions.get)
    document = awaited(Sessions.document)
    list = awaited_items(Sessions.list)
