"""The EVSEs of a location, wherever they are stored.

Rules of this module (docs/architecture.md, "A location is one record until it changes"):
- a pulled location is stored whole, as received, with its EVSEs in one record, until it or one of its EVSEs changes;
  then each EVSE becomes a record of its own, so that a status change rewrites one EVSE;
- a whole location has no EVSE records; the record of a location with EVSE records has no member ``evses``;
- no column marks a whole location: only its document has a member ``evses``. Alternatives: storing only changed EVSEs
  beside the whole location, but each reader would merge two versions; packing in the store, which saves rows and not
  work. A first sync of locations with two EVSEs wrote three rows for each, and now takes two thirds of the time; a
  location with more than MOST EVSEs is taken apart at once, since its first change writes a row for each EVSE;
- a flow that reads EVSEs treats both forms alike: an EVSE of a whole location has the receipt time of the location, was
  last listed by the same full sync, and has its own ``last_updated``. A flow that is about to write takes the location
  apart first.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Final

import msgspec
from attrs import evolve

from ocpi_emsp.codec.patch import join, members
from ocpi_emsp.flows.core.context import Context
from ocpi_emsp.flows.inbound.stored import Reader, require_zone
from ocpi_emsp.ports import Key, Kind, Query, Record, Transaction, prefetch

MOST: Final = 50
"""Most EVSEs of a location that is stored whole: its first change writes them all."""
_PLACES: Final = 1 << 20
"""More than any location has EVSEs: each takes 100 bytes or more of a body of a few MB."""
_PLACED: Final = frozenset({Kind.LOCATION, Kind.EVSE})
_PAGE: Final = 25
"""Locations that are read at once; one may have thousands of EVSEs."""


class _Evse(msgspec.Struct, gc=False):
    uid: str
    last_updated: Annotated[datetime, msgspec.Meta(tz=True)]


class _Whole(msgspec.Struct, gc=False):
    evses: tuple[_Evse, ...] = ()


class _Undecoded(msgspec.Struct, gc=False):
    evses: tuple[msgspec.Raw, ...]


_WHOLE = msgspec.json.Decoder(_Whole)
_UNDECODED = msgspec.json.Decoder(_Undecoded)
_NAME: Final = b'"evses"'


def is_whole(location: Record) -> bool:
    """Return True if the EVSEs of a location are stored in its record."""
    return bool(_listed(location))


def may_be_whole(document: bytes) -> bool:
    """Return True if a location of valid EVSEs may be stored whole, judged by its bytes."""
    return _NAME in document


def _listed(location: Record) -> tuple[_Evse, ...]:
    if not may_be_whole(location.document):
        return ()
    try:
        return _WHOLE.decode(location.document).evses
    except msgspec.MsgspecError:  # no flow stores such a record, but an import may
        return ()


def evses_in(location: Record) -> list[Record]:
    """Return the EVSEs of a whole location as records; empty for a location with EVSE records."""
    listed = _listed(location)
    if not listed:
        return []
    pairs = zip(listed, _UNDECODED.decode(location.document).evses, strict=True)
    return [_record(location, evse, bytes(document)) for evse, document in pairs]


def _record(location: Record, evse: _Evse, document: bytes) -> Record:
    _, country_code, party_id, location_id, _ = location.key
    return Record(
        Key(Kind.EVSE, country_code, party_id, evse.uid, location_id),
        document,
        evse.last_updated,
        location.received_at,
        revision=1,
        correlation_id=location.correlation_id,
    )


def without_evses(location: Record) -> Record:
    """Return a location without the EVSEs that are stored in its record."""
    if not is_whole(location):
        return location
    parts = members(location.document)
    return evolve(location, document=join({name: parts[name] for name in parts if name != "evses"}), view=None)


async def evses_of(tx: Transaction, location: Record) -> Sequence[Record]:
    """Return the EVSEs of a location, oldest first."""
    return evses_in(location) or await tx.children(location.key)


async def find_evse(tx: Transaction, key: Key) -> Record | None:
    """Return the EVSE, or None."""
    found = await tx.get(key)
    if found is not None:
        return found
    location = await tx.get(Key(Kind.LOCATION, key.country_code, key.party_id, key.parent))
    if location is None:
        return None
    if is_whole(location):
        return evse_in(location, key.id)
    return await tx.get(key)  # a reader locks nothing: the location may have been taken apart since


def evse_in(location: Record, uid: str) -> Record | None:
    """Return an EVSE of a whole location, or None."""
    return next((each for each in evses_in(location) if each.key.id == uid), None)


async def evse_of(tx: Transaction, location: Record, uid: str) -> Record | None:
    """Return an EVSE of a location that was already read, or None."""
    key = location.key._replace(kind=Kind.EVSE, id=uid, parent=location.key.id)
    return evse_in(location, uid) or await tx.get(key)


async def taken_apart(tx: Transaction, location: Record) -> Record:
    """Store each EVSE of a whole location as a record of its own; return the location without them."""
    evses = evses_in(location)
    if not evses:
        return location
    apart = without_evses(location)
    await tx.put(apart)
    for evse in evses:
        await tx.put(evse)
    return apart


async def parts_of(tx: Transaction, location: Record) -> tuple[Record, Sequence[Record]]:
    """Return the location, taken apart, and its EVSEs, oldest first."""
    evses = await evses_of(tx, location)
    return await taken_apart(tx, location), evses


async def put_copies(tx: Transaction, records: Sequence[Record]) -> None:
    """Put records of another store in place of those here; EVSEs replace EVSEs, wherever these are stored."""
    await prefetch(tx, list(dict.fromkeys([_location_key(each.key) for each in records if each.key.kind in _PLACED])))
    for record in records:
        old = await tx.get(_location_key(record.key)) if record.key.kind in _PLACED else None
        if old is None or old.document == record.document:
            await tx.put(record)
            continue
        await taken_apart(tx, old)
        evses = evses_in(record) if record.key.kind == Kind.LOCATION else ()
        await tx.put(without_evses(record) if evses else record)
        for evse in evses:
            await tx.put(evse)


def _location_key(key: Key) -> Key:
    """Return the key of the location, given that key or the key of an EVSE."""
    return key if key.kind == Kind.LOCATION else Key(Kind.LOCATION, key.country_code, key.party_id, key.parent)


# --- lists ----------------------------------------------------------------------------------------------------------


def evse_reader(
    context: Context,
    owner: tuple[str | None, str | None],
    *,
    date_from: datetime | None = None,
    date_to: datetime | None = None,
) -> Reader:
    """Return a reader of EVSEs last updated in ``[date_from, date_to)``, in the order of the first receipt of their
    locations.

    It reads the EVSEs of a few locations at once. Raises ValueError, TypeError for ``date_from`` or ``date_to`` without
    a zone.
    """
    for name, moment in (("date_from", date_from), ("date_to", date_to)):
        require_zone(name, moment)
    # A location is at least as new as its newest EVSE.
    query = Query(kind=Kind.LOCATION, country_code=owner[0], party_id=owner[1], date_from=date_from, count=False)

    async def read(_limit: int, after: int) -> Sequence[Record]:
        found, more = list[Record](), True
        while more and not found:
            async with context.store.transaction(read_only=True) as tx:
                page = await evses_after(tx, query, after)
            found = [each for each in page if _is_within(each, date_from, date_to)]
            more, after = bool(page), page[-1].sequence if page else after
        return found

    return read


def _is_within(evse: Record, date_from: datetime | None, date_to: datetime | None) -> bool:
    return (date_from is None or evse.last_updated >= date_from) and (date_to is None or evse.last_updated < date_to)


async def evses_after(tx: Transaction, query: Query, after: int) -> Sequence[Record]:
    """Return the EVSEs of the next locations of a query that have any; ``after`` is the place of the last EVSE before
    them.

    The sequence of each is its place in such lists, not in the store.
    """
    seen = max(after // _PLACES - 1, 0)
    while locations := (await tx.page(evolve(query, after=seen, limit=_PAGE))).records:
        await prefetch(tx, [each.key for each in locations if not is_whole(each)], children=True)
        found = [each for location in locations for each in await _placed(tx, location) if each.sequence > after]
        if found:
            return found
        seen = locations[-1].sequence
    return ()


async def _placed(tx: Transaction, location: Record) -> list[Record]:
    first = location.sequence * _PLACES
    return [evolve(each, sequence=first + place) for place, each in enumerate(await evses_of(tx, location))]
