"""Tariffs as partners sent them."""

from __future__ import annotations

from datetime import datetime

from attrs import frozen

from ocpi_emsp.flows.inbound.stored import received_key, require_zone
from ocpi_emsp.flows.inbound.tariff_versions import as_version, reader_at, reader_of, version_at
from ocpi_emsp.listing import Items
from ocpi_emsp.models import Tariff
from ocpi_emsp.party_id import PartyId, PartyLike, codes_of
from ocpi_emsp.ports import Kind, Record
from ocpi_emsp.resources.modes import awaited, awaited_items, blocking
from ocpi_emsp.resources.stored import PAGE, ReceivedDocument, Shape, Stored


@frozen(kw_only=True)
class TariffVersion:
    """The content of a tariff for a period of time."""

    tariff: Tariff
    content_hash: str
    """A hash that is equal for versions with the same content."""
    last_updated: datetime
    """When it became valid."""
    received_at: datetime
    """When it was first received."""
    ended_at: datetime | None
    """When it ended; None if it is still valid."""


def _version(record: Record) -> TariffVersion:
    shown = as_version(record)
    return TariffVersion(
        tariff=Tariffs._shape.read(shown),
        content_hash=record.content_hash,
        last_updated=shown.last_updated,
        received_at=shown.received_at,
        ended_at=record.valid_until,
    )


class Tariffs(Stored[Tariff]):
    """Tariffs without the deleted ones, or tariffs as of a moment.

    A tariff as of a moment ``at`` has as its ``last_updated`` the time from which it was valid: the CPO's own, or the
    receipt if that was not after the previous version (docs/spec-choices.md).
    """

    _shape = Shape(Kind.TARIFF, Tariff)

    @blocking
    async def get(self, party: PartyLike, object_id: str, *, at: datetime | None = None) -> Tariff | None:
        """Get the tariff with this id, or None; with ``at`` its version of that moment, None if it was not valid then.

        Raises InvalidObject if the stored document is unreadable, ValueError or TypeError for a moment without a time
        zone.
        """
        record = await self._find_at(party, object_id, at)
        return None if record is None else self._shape.read(record)

    @blocking
    async def document(
        self, party: PartyLike, object_id: str, *, at: datetime | None = None
    ) -> ReceivedDocument | None:
        """Get the tariff with this id as received, or None; ``at`` as for :meth:`get`."""
        record = await self._find_at(party, object_id, at)
        return None if record is None else self._as_document(record)

    def list(
        self,
        party: PartyLike | None = None,
        *,
        date_from: datetime | None = None,
        date_to: datetime | None = None,
        limit: int | None = None,
        after: int = 0,
        at: datetime | None = None,
    ) -> Items[Tariff]:
        """List tariffs last updated in ``[date_from, date_to)``, in the order of their first receipt.

        With ``at``: the tariffs of that moment, including deleted ones; first the still valid ones, then the replaced
        ones. Raises ValueError or TypeError for an invalid party, or a moment without a time zone.
        """
        if at is None:
            return self._list(party, date_from, date_to, limit, after)
        for name, moment in (("date_from", date_from), ("date_to", date_to)):
            require_zone(name, moment)

        def selected(record: Record) -> Tariff | None:
            if date_from is not None and record.last_updated < date_from:
                return None
            return None if date_to is not None and record.last_updated >= date_to else self._shape.read(record)

        read = reader_at(self._contexts(), codes_of(party), at)
        return Items(read, after=after, limit=limit, select=selected, page=PAGE)

    def versions(
        self, party: PartyLike, object_id: str, *, limit: int | None = None, after: int = 0
    ) -> Items[TariffVersion]:
        """List the versions of a tariff, the oldest first: ended ones, then the current one.

        A version that was replaced before it became valid has the same begin and end. Raises ValueError for an invalid
        party.
        """
        key = received_key(Kind.TARIFF, PartyId.of(party), object_id)
        return Items(reader_of(self._contexts(), key), after=after, limit=limit, select=_version, page=PAGE)

    async def _find_at(self, party: PartyLike, object_id: str, at: datetime | None) -> Record | None:
        if at is None:
            return await self._find(party, object_id, "")
        require_zone("at", at)
        async with self._contexts().store.transaction(read_only=True) as tx:
            return await version_at(tx, PartyId.of(party), object_id, at)


class AsyncTariffs(Stored[Tariff]):
    """:class:`Tariffs`, awaited."""

    _shape = Tariffs._shape
    _find_at = Tariffs._find_at
    get = awaited(Tariffs.get)
    document = awaited(Tariffs.document)
    list = awaited_items(Tariffs.list)
    versions = awaited_items(Tariffs.versions)
