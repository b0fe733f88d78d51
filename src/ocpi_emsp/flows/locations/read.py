"""A location as it is read: one document, assembled of itself and its EVSEs."""

from __future__ import annotations

from attrs import evolve

from ocpi_emsp.flows.locations.inbound import assemble
from ocpi_emsp.ports import Record, Transaction


async def whole_location(tx: Transaction, location: Record) -> Record:
    """The location with its EVSEs; received when the newest part of it was, under that part's correlation id."""
    evses = await tx.children(location.key)
    newest = max((location, *evses), key=lambda record: record.received_at)
    return evolve(
        location,
        document=assemble(location, evses),
        view=None,
        received_at=newest.received_at,
        correlation_id=newest.correlation_id,
    )
