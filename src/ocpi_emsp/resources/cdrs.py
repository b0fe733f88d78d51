"""CDRs, as partners sent them, and what they should cost."""

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
    """Charge detail records: the first one under each id, which stands."""

    _shape = Shape(Kind.CDR, Cdr)

    @blocking
    async def audit(self, party: PartyLike, object_id: str, *, readings: GivenReadings = None) -> Audit:
        """Audit a CDR: whether its total follows from its tariff, line by line (docs/how-to/audit-bills.md).

        The stored location gives the time zone where the CDR has none, the stored tariffs count where it has none, and
        the party's profile says how prices are read; ``readings`` replace those, and a mapping changes single ones of
        them. Nothing is written. Raises UnknownObject; InvalidObject if what is stored cannot be read; ValueError or
        TypeError for readings that do not exist.
        """
        from ocpi_emsp.flows.cdrs.audit import audit_stored, require_readings

        return await audit_stored(self._contexts(), PartyId.of(party), object_id, require_readings(readings))


class AsyncCdrs(AsyncReceived[Cdr]):
    """:class:`Cdrs`, awaited."""

    _shape = Cdrs._shape
    audit = awaited(Cdrs.audit)
