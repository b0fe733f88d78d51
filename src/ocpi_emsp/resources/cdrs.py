"""CDRs as partners sent them, and what they should cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocpi_emsp.models import Cdr
from ocpi_emsp.party_id import PartyId, PartyLike
from ocpi_emsp.ports import Kind
from ocpi_emsp.resources.modes import awaited, blocking
from ocpi_emsp.resources.stored import AsyncReceived, Received, Shape

if TYPE_CHECKING:
    from ocpi_emsp.flows.cdrs.audit import GivenReadings
    from ocpi_emsp.pricing import Audit


class Cdrs(Received[Cdr]):
    """Charge detail records: the first one with each id, which is never replaced."""

    _shape = Shape(Kind.CDR, Cdr)

    @blocking
    async def audit(self, party: PartyLike, object_id: str, *, readings: GivenReadings = None) -> Audit:
        """Audit a CDR: does its total follow from its tariff, line by line (docs/how-to/audit-bills.md)?

        If the CDR has no time zone, that of the stored location is used; if it has no tariff, the stored tariffs are.
        The party's profile has the readings of prices; ``readings`` replace them, and a mapping changes single ones.
        Nothing is written. Raises UnknownObject; InvalidObject if the stored data is unreadable; ValueError or
        TypeError for unknown readings.
        """
        from ocpi_emsp.flows.cdrs.audit import audit_stored, require_readings

        return await audit_stored(self._contexts(), PartyId.of(party), object_id, require_readings(readings))


class AsyncCdrs(AsyncReceived[Cdr]):
    """:class:`Cdrs`, awaited."""

    _shape = Cdrs._shape
    audit = awaited(Cdrs.audit)
