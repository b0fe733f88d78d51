"""Sessions as partners sent them."""

from __future__ import annotations

from datetime import datetime

from ocpi_emsp.listing import Items
from ocpi_emsp.models import Session, SessionStatus
from ocpi_emsp.party_id import PartyLike
from ocpi_emsp.ports import Kind
from ocpi_emsp.resources.modes import awaited, awaited_items
from ocpi_emsp.resources.stored import Received, Shape, Stored


class Sessions(Received[Session]):
    """Charging sessions."""

    _shape = Shape(Kind.SESSION, Session)

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

        With a ``status``: only sessions with that status.
        """
        return self._list(party, date_from, date_to, limit, after, lambda each: status in (None, each.status))


class AsyncSessions(Stored[Session]):
    """:class:`Sessions`, awaited."""

    _shape = Sessions._shape
    get = awaited(Sessions.get)
    document = awaited(Sessions.document)
    list = awaited_items(Sessions.list)
