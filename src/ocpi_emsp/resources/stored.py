"""What every resource of received objects does: get one, list them, show a document as it was received."""

from __future__ import annotations

from datetime import datetime
from typing import Generic, TypeVar

from attrs import field, frozen

from ocpi_emsp.check import check
from ocpi_emsp.codec import decode
from ocpi_emsp.findings import Report
from ocpi_emsp.flows.inbound.stored import Whole, as_stored, find, reader
from ocpi_emsp.listing import Items
from ocpi_emsp.models import SessionStatus, Status
from ocpi_emsp.party_id import PartyId, PartyLike, codes_of
from ocpi_emsp.ports import Key, Record
from ocpi_emsp.resources.contexts import Contexts

T = TypeVar("T")

_PAGE = 100
"""Documents that are read at once: a location with 100 EVSEs has 60 KB."""


@frozen(kw_only=True)
class ReceivedDocument:
    """An object as its partner sent it; a location is assembled of itself and its EVSEs."""

    party: PartyId
    document: bytes = field(repr=False)
    """A JSON text in UTF-8, as it was received."""
    findings: Report
    """What deviates from the specification."""
    received_at: datetime
    last_updated: datetime
    correlation_id: str
    """Of the request or sync that it came with; empty if that is not known."""


@frozen
class Shape(Generic[T]):
    """A kind of object, and how it is read."""

    kind: str
    model: type[T]
    whole: Whole = as_stored

    async def get(self, contexts: Contexts, party: PartyLike, object_id: str, parent: str = "") -> T | None:
        """The object, or None. Raises InvalidObject if it is stored and unreadable."""
        record = await self._find(contexts, party, object_id, parent)
        return None if record is None else self._read(record)

    async def document(
        self, contexts: Contexts, party: PartyLike, object_id: str, parent: str = ""
    ) -> ReceivedDocument | None:
        """The object as it was received, or None."""
        record = await self._find(contexts, party, object_id, parent)
        if record is None:
            return None
        return ReceivedDocument(
            party=PartyId.received(record.key.country_code, record.key.party_id),
            document=record.document,
            findings=check(record.document, self.model, now=contexts.setup.clock.now()),
            received_at=record.received_at,
            last_updated=record.last_updated,
            correlation_id=record.correlation_id,
        )

    def list(
        self,
        contexts: Contexts,
        party: PartyLike | None,
        date_from: datetime | None,
        date_to: datetime | None,
        limit: int | None,
        after: int,
        status: Status | SessionStatus | None = None,
    ) -> Items[T]:
        """The objects, oldest first. Raises ValueError or TypeError for an argument that makes no sense."""

        def select(record: Record) -> T | None:
            value = self._read(record)
            return value if status is None or getattr(value, "status", None) == status else None

        owner = codes_of(party)
        read = reader(contexts(), self.kind, owner, date_from=date_from, date_to=date_to, whole=self.whole)
        return Items(read, after=after, limit=limit, select=select, page=_PAGE)

    async def _find(self, contexts: Contexts, party: PartyLike, object_id: str, parent: str) -> Record | None:
        return await find(contexts(), Key(self.kind, *PartyId.of(party), object_id, parent), self.whole)

    def _read(self, record: Record) -> T:
        return decode(self.model, record.document)
