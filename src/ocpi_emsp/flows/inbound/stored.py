"""Stored objects: found by their key, and read page by page.

Rules of this module:
- a page is a transaction of its own, so a long list blocks no writer;
- an object is shown with the ``last_updated`` of its record if that is later than the document's: a part of it changed
  since, or a change had no time of its own.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import datetime
from typing import TypeAlias

import msgspec
from attrs import evolve

from ocpi_emsp.codec import wire_time
from ocpi_emsp.codec.moments import said_at
from ocpi_emsp.codec.patch import join, members
from ocpi_emsp.flows.core.context import Context
from ocpi_emsp.ports import Key, Kind, Query, Record, Transaction
from ocpi_emsp.scalars import given

Whole: TypeAlias = Callable[[Transaction, Record], Awaitable[Record]]
"""Completes a record: a location is stored in several parts."""
Reader: TypeAlias = Callable[[int, int], Awaitable[Sequence[Record]]]
"""Reads a number of records after a sequence."""


async def as_stored(_: Transaction, record: Record) -> Record:
    """Return the record unchanged, for kinds that are stored in one part."""
    return record


def current(record: Record) -> bytes:
    """Return the record's document, with the record's ``last_updated`` if that is later."""
    if record.last_updated <= said_at(record.document):
        return record.document
    return join({**members(record.document), "last_updated": raw_time(record.last_updated)})


async def as_shown(_: Transaction, record: Record) -> Record:
    """Return the record with the document that :func:`current` returns."""
    return evolve(record, document=current(record))


def raw_time(moment: datetime) -> msgspec.Raw:
    """Return a timestamp as undecoded JSON."""
    return msgspec.Raw(f'"{wire_time(moment)}"'.encode())


def received_key(kind: str, owner: tuple[str, str], object_id: str, parent: str = "") -> Key:
    """Return the key of an object. The id of a CDR is case-insensitive: it alone is a CiString (mod_cdrs.md 3.1)."""
    return Key(kind, *owner, object_id.upper() if kind == Kind.CDR else object_id, parent)


async def find(context: Context, key: Key, whole: Whole = as_stored) -> Record | None:
    """Return the record, or None."""
    async with context.store.transaction(read_only=True) as tx:
        record = await tx.get(key)
        return None if record is None else await whole(tx, record)


def reader(
    context: Context,
    kind: str,
    owner: tuple[str | None, str | None],
    *,
    date_from: datetime | None = None,
    date_to: datetime | None = None,
    received_from: datetime | None = None,
    whole: Whole = as_stored,
) -> Reader:
    """Return a reader of records of a kind, oldest first, last updated in ``[date_from, date_to)``, received from a
    moment on.

    Raises ValueError, TypeError for ``date_from`` or ``date_to`` without a zone.
    """
    for name, moment in (("date_from", date_from), ("date_to", date_to)):
        require_zone(name, moment)

    async def read(limit: int, after: int) -> Sequence[Record]:
        query = Query(
            kind=kind,
            country_code=owner[0],
            party_id=owner[1],
            date_from=date_from,
            date_to=date_to,
            received_from=received_from,
            after=after,
            limit=limit,
            count=False,
        )
        async with context.store.transaction(read_only=True) as tx:
            return [await whole(tx, record) for record in (await tx.page(query)).records]

    return read


async def every(read: Reader, page: int) -> AsyncIterator[Record]:
    """Yield all records, reading ``page`` of them at once."""
    after = 0
    while records := await read(page, after):
        for record in records:
            yield record
        after = records[-1].sequence


def require_zone(name: str, moment: datetime | None) -> None:
    """Raise ValueError for a moment without a zone, TypeError for anything but a datetime."""
    expected = "expected a datetime with a time zone, for example datetime(2024, 5, 1, tzinfo=UTC)"
    if moment is not None and not isinstance(moment, datetime):
        raise TypeError(f"invalid {name} '{given(moment)}': {expected}")
    if moment is not None and moment.tzinfo is None:
        raise ValueError(f"invalid {name} '{moment}': {expected}")
