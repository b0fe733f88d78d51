"""Resources of received objects: get one, list them, show a document as received."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Generic, TypeVar

from attrs import field, frozen

from ocpi_emsp.check import check
from ocpi_emsp.codec import decode
from ocpi_emsp.findings import Report
from ocpi_emsp.flows.inbound.stored import Reader, Whole, as_shown, find, reader, received_key
from ocpi_emsp.listing import Items
from ocpi_emsp.party_id import PartyId, PartyLike, codes_of
from ocpi_emsp.ports import Record
from ocpi_emsp.resources.contexts import Resource
from ocpi_emsp.resources.modes import awaited, awaited_items, blocking

T = TypeVar("T")

PAGE = 100
"""Documents that are read at once: a location with 100 EVSEs has 60 KB."""


@frozen(kw_only=True)
class ReceivedDocument:
    """An object as its partner sent it; a location is assembled with its EVSEs."""

    party: PartyId
    document: bytes = field(repr=False)
    """The JSON text in UTF-8, as received."""
    findings: Report
    """The deviations from the specification."""
    received_at: datetime
    """When its last change was received, or a full sync last listed it (docs/how-to/query.md)."""
    last_updated: datetime
    correlation_id: str
    """The correlation id of its request or sync; empty if unknown."""


@frozen
class Shape(Generic[T]):
    """A kind of object, and how it is read."""

    kind: str
    model: type[T]
    whole: Whole = as_shown

    def read(self, record: Record) -> T:
        """Return the typed view. Raises InvalidObject if the stored document is unreadable."""
        return decode(self.model, record.document, updated=record.last_updated)


class Stored(Resource, Generic[T]):
    """What both modes of a resource read with."""

    _shape: Shape[T]

    async def _get(self, party: PartyLike, object_id: str, parent: str = "") -> T | None:
        record = await self._find(party, object_id, parent)
        return None if record is None else self._shape.read(record)

    async def _document(self, party: PartyLike, object_id: str, parent: str = "") -> ReceivedDocument | None:
        record = await self._find(party, object_id, parent)
        return None if record is None else self._as_document(record)

    def _as_document(self, record: Record) -> ReceivedDocument:
        return ReceivedDocument(
            party=PartyId.received(record.key.country_code, record.key.party_id),
            document=record.document,
            findings=check(record.document, self._shape.model, now=self._contexts.setup.clock.now()),
            received_at=record.received_at,
            last_updated=record.last_updated,
            correlation_id=record.correlation_id,
        )

    def _list(
        self,
        party: PartyLike | None,
        date_from: datetime | None,
        date_to: datetime | None,
        limit: int | None,
        after: int,
        select: Callable[[T], bool] = lambda _: True,
    ) -> Items[T]:
        shape = self._shape

        def selected(record: Record) -> T | None:
            value = shape.read(record)
            return value if select(value) else None

        return Items(self._reader(party, date_from, date_to), after=after, limit=limit, select=selected, page=PAGE)

    def _reader(self, party: PartyLike | None, date_from: datetime | None, date_to: datetime | None) -> Reader:
        kind, whole, owner = self._shape.kind, self._shape.whole, codes_of(party)
        return reader(self._contexts(), kind, owner, date_from=date_from, date_to=date_to, whole=whole)

    async def _find(self, party: PartyLike, object_id: str, parent: str) -> Record | None:
        key = received_key(self._shape.kind, PartyId.of(party), object_id, parent)
        return await find(self._contexts(), key, self._shape.whole)


class Received(Stored[T]):
    """Objects of one kind, ``T``, as partners sent them."""

    @blocking
    async def get(self, party: PartyLike, object_id: str) -> T | None:
        """Get the object with this id, or None. Raises InvalidObject if the stored document is unreadable."""
        return await self._get(party, object_id)

    @blocking
    async def document(self, party: PartyLike, object_id: str) -> ReceivedDocument | None:
        """Get the object with this id as received, or None."""
        return await self._document(party, object_id)

    def list(
        self,
        party: PartyLike | None = None,
        *,
        date_from: datetime | None = None,
        date_to: datetime | None = None,
        limit: int | None = None,
        after: int = 0,
    ) -> Items[T]:
        """List objects last updated in ``[date_from, date_to)``, in the order of their first receipt.

        Raises ValueError or TypeError for an invalid party, or a moment without a time zone.
        """
        return self._list(party, date_from, date_to, limit, after)


class AsyncReceived(Stored[T]):
    """:class:`Received`, awaited."""

    get = awaited(Received[T].get)
    document = awaited(Received[T].document)
    list = awaited_items(Received[T].list)
