"""A location for reading: one document, assembled from the location and its EVSEs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec
from attrs import evolve

from ocpi_emsp.codec.patch import Members, join, members
from ocpi_emsp.flows.inbound.evses import evses_of
from ocpi_emsp.flows.inbound.stored import current, raw_time
from ocpi_emsp.ports import Record, Transaction


def assemble(location: Record, evses: Sequence[Record]) -> bytes:
    """Return the location's document with its EVSEs, each with the current ``last_updated`` of its record."""
    return join(_dated(location, map(current, evses)))


def as_stored(location: Record, evses: Sequence[Record]) -> bytes:
    """Return the location's document with its EVSEs as stored, and the current ``last_updated`` of its record."""
    return join(_dated(location, (evse.document for evse in evses)))


def joined(location: Record, evses: Sequence[Record]) -> bytes:
    """Return the location's document with its EVSEs, each as the partner sent it."""
    return join(_with(location, (evse.document for evse in evses)))


def _dated(location: Record, evses: Iterable[bytes]) -> Members:
    return {**_with(location, evses), "last_updated": raw_time(location.last_updated)}


def _with(location: Record, evses: Iterable[bytes]) -> Members:
    parts = members(location.document)
    if below := b",".join(evses):
        parts.pop("evses", None)  # they are the last member, wherever they are stored
        parts["evses"] = msgspec.Raw(b"[" + below + b"]")
    return parts


async def whole_location(tx: Transaction, location: Record) -> Record:
    """Return the location with its EVSEs; its receipt and correlation id are those of its newest part."""
    evses = await evses_of(tx, location)
    newest = max((location, *evses), key=lambda record: record.received_at)
    return evolve(
        location,
        document=assemble(location, evses),
        view=None,
        received_at=newest.received_at,
        correlation_id=newest.correlation_id,
    )
