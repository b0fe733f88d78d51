"""Every version of a tariff: what it said, since when, and until when that held.

Rules of this module (docs/spec-choices.md, when a price begins to hold):
- a version holds from the ``last_updated`` that the CPO gave it; where that is not after the begin of the version
  before it, or is before a deletion, from its receipt. It holds until the next one does, or the tariff is deleted;
- the same content again, under whatever ``last_updated``, is the same version; a content that comes back is a new one;
- the tariff itself is the version that holds now; what it replaces is stored beside it as it is, with its end. So a PUT
  writes one record more where the content changed, and none where it did not;
- beyond a number of them, or so many bytes of a party, the oldest are deleted; history refuses nothing;
- the versions of one tariff never hold at the same moment, so that one is found by an index, however many there are;
- the tariff was read by its key before: that locks its versions, too.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, Final

from attrs import evolve

from ocpi_emsp.codec.content import same_content
from ocpi_emsp.codec.moments import said_at
from ocpi_emsp.codec.patch import join, members
from ocpi_emsp.flows.core.context import Context, PartyUsage
from ocpi_emsp.flows.inbound.request import Incoming
from ocpi_emsp.flows.inbound.stored import Reader, raw_time, require_zone
from ocpi_emsp.flows.parties.quota import SLACK
from ocpi_emsp.ports import Key, Kind, Owner, Query, Record, Transaction, Usage

_DELETED: Final = ""
"""The parent of the version that a deletion ended, as long as the tariff is deleted."""
_ENDED: Final = 2**62
"""A list of what held at a moment has versions that ended behind this place, and what still holds before it; a list of
one tariff's versions has the tariff itself there."""
_PAGE: Final = 100


def valid_from(record: Record) -> datetime:
    """From when on what a tariff says holds."""
    return record.valid_from or record.last_updated


def first_received_at(record: Record) -> datetime:
    """When what a tariff says was received first."""
    return record.first_received_at or record.received_at


# --- what was received ----------------------------------------------------------------------------------------------


async def succeed(incoming: Incoming, tx: Transaction, old: Record | None, new: Record, changed: bool) -> Record:
    """The tariff with the moment from which on it holds; what it replaces is stored as a version.

    Call it where ``new`` is about to be put, and ``old`` is what is stored; ``changed``: its content is another one.
    """
    if old is None and incoming.versioned is not None and incoming.owner not in incoming.versioned:
        return _since(new, new.last_updated)
    if old is None:
        return _since(new, await _after_deletion(tx, new.key, new.last_updated, incoming.now))
    if not changed:
        return _dated(new, new.key, valid_from(old), first_received_at(old), new.view)
    before = valid_from(old)
    begin = new.last_updated if new.last_updated > before else max(incoming.now, before)
    await tx.put(_ended(old, begin))
    await _delete_oldest(incoming.context, tx, old)
    return _since(new, begin)


async def versioned_owners(tx: Transaction, tariffs: Iterable[Key]) -> set[Owner]:
    """The owners that have versions of tariffs, of those among whose tariffs some are new. Locks the tariffs before."""
    new = dict.fromkeys([key[1:3] for key in tariffs if await tx.get(key) is None])
    queries = (Query(kind=Kind.TARIFF_VERSION, country_code=code, party_id=party_id) for code, party_id in new)
    found = [await tx.page(evolve(query, limit=1, count=False)) for query in queries]
    return {owner for owner, page in zip(new, found, strict=True) if page.records}


async def end_by_deletion(context: Context, tx: Transaction, record: Record, now: datetime) -> None:
    """Delete a tariff; what it said last becomes a version that held until now."""
    await tx.delete(record.key)
    if valid_from(record) > now:  # what should have held until then ends, too
        for each in [each async for each in _versions(tx, record.key)]:
            if each.valid_until is not None and each.valid_until > now:
                await tx.put(evolve(each, valid_until=now))
    ended = _ended(record, now)
    await tx.put(evolve(ended, key=ended.key._replace(parent=_DELETED)))
    await _delete_oldest(context, tx, record)


async def move_versions(tx: Transaction, copy: Record, key: Key, stored: Record | None) -> None:
    """Move the versions of a hub's copy of a tariff to its owner: those before the owner's own began.

    ``stored``: what the owner has; then the copy itself becomes a version, where it held before that.
    """
    begins = [valid_from(each) async for each in _versions(tx, key)] + ([valid_from(stored)] if stored else [])
    first = min(begins, default=None)
    moving = [each async for each in _versions(tx, copy.key)]
    for each in [*moving, *([] if stored is None else [copy])]:
        if each is not copy:
            await tx.delete(each.key)
        if first is None or valid_from(each) < first:
            until = min(moment for moment in (each.valid_until, first) if moment is not None)
            at = key._replace(kind=Kind.TARIFF_VERSION, parent=_told_apart(each))
            await tx.put(evolve(each, key=at, valid_until=until))


async def moved(incoming: Incoming, tx: Transaction, stored: Record | None, copy: Record) -> Record:
    """A hub's copy of a tariff, as it is put in the place of what its owner has."""
    if stored is not None:
        changed = not same_content(stored.document, copy.document, Kind.TARIFF)
        return await succeed(incoming, tx, stored, copy, changed)
    began = await _after_deletion(tx, copy.key, valid_from(copy), incoming.now)
    return evolve(copy, valid_from=began, first_received_at=first_received_at(copy))


def _since(new: Record, moment: datetime) -> Record:
    """A tariff that was received just now, from when on it holds."""
    if new.valid_from == moment and new.first_received_at == new.received_at:
        return new
    return _dated(new, new.key, moment, new.received_at, new.view)


def _ended(record: Record, moment: datetime) -> Record:
    """The version that a tariff was until a moment."""
    key = record.key._replace(kind=Kind.TARIFF_VERSION, parent=_told_apart(record))
    return _dated(record, key, valid_from(record), first_received_at(record), until=moment)


def _dated(
    record: Record, key: Key, began: datetime, received: datetime, view: Any = None, until: datetime | None = None
) -> Record:
    """The record with other times; ``evolve`` takes six times as long."""
    return Record(
        key,
        record.document,
        record.last_updated,
        record.received_at,
        view,
        missing_since=record.missing_since,
        missed=record.missed,
        correlation_id=record.correlation_id,
        valid_from=began,
        first_received_at=received,
        valid_until=until,
    )


def _told_apart(record: Record) -> str:
    """What a version is distinguished by: none of a tariff begins when another one does, unless that never held."""
    return f"{valid_from(record).isoformat()} {hashlib.blake2b(record.document, digest_size=8).hexdigest()}"


async def _after_deletion(tx: Transaction, key: Key, said: datetime, now: datetime) -> datetime:
    """From when on a tariff holds that was not known, or was deleted before."""
    if not (await tx.page(_of_tariff(key, 1))).records:  # a key that is not there costs more: it is locked
        return said
    deleted = await tx.get(key._replace(kind=Kind.TARIFF_VERSION, parent=_DELETED))
    if deleted is None or deleted.valid_until is None:
        return said
    await tx.delete(deleted.key)
    await tx.put(evolve(deleted, key=deleted.key._replace(parent=_told_apart(deleted))))
    return said if said >= deleted.valid_until else max(now, deleted.valid_until)


async def _delete_oldest(context: Context, tx: Transaction, added: Record) -> None:
    """Delete the oldest versions where a tariff, or its party, has too many; ``added`` became one just now."""
    quotas = context.limits.quotas
    if added.revision >= quotas.tariff_versions:  # each version was a put
        query = _of_tariff(added.key)
        total = (await tx.page(evolve(query, limit=1, count=True))).total
        await _delete(tx, query, count=total - quotas.tariff_versions)
    owner = added.key.country_code, added.key.party_id
    usage = context.usages.setdefault(owner, PartyUsage())
    usage.versions += len(added.document)
    if usage.versions * SLACK >= quotas.tariff_version_bytes:
        usage.versions = 0
        stored = (await tx.usage(Kind.TARIFF_VERSION, owner)).get(owner, Usage())
        await _delete(tx, evolve(_of_tariff(added.key), id=None), size=stored.bytes - quotas.tariff_version_bytes)


async def _delete(tx: Transaction, query: Query, *, count: int = 0, size: int = 0) -> None:
    """Delete the oldest versions until so many, and so many bytes, are gone."""
    while (count > 0 or size > 0) and (records := (await tx.page(query)).records):
        for record in records:
            if count <= 0 and size <= 0:
                return
            await tx.delete(record.key)
            count, size = count - 1, size - len(record.document)


def _of_tariff(key: Key, limit: int = _PAGE) -> Query:
    country_code, party_id = key.country_code, key.party_id
    return Query(
        kind=Kind.TARIFF_VERSION, country_code=country_code, party_id=party_id, id=key.id, limit=limit, count=False
    )


async def _versions(tx: Transaction, key: Key) -> AsyncIterator[Record]:
    """The versions of a tariff that ended, in the order in which they were stored."""
    query = _of_tariff(key)
    while records := (await tx.page(query)).records:
        for record in records:
            yield record
        query = evolve(query, after=records[-1].sequence)


# --- what held at a moment ------------------------------------------------------------------------------------------


async def version_at(tx: Transaction, owner: Owner, tariff_id: str, moment: datetime) -> Record | None:
    """What a tariff said at a moment, as :func:`as_version` gives it; None where it did not hold."""
    for query in queries_at(owner, moment, 1):
        for record in (await tx.page(evolve(query, id=tariff_id))).records:
            return as_version(record)
    return None


def reader_of(context: Context, key: Key) -> Reader:
    """Reads all versions of a tariff, as they were stored: those that ended first, then the tariff itself."""

    async def read(limit: int, after: int) -> Sequence[Record]:
        async with context.store.transaction(read_only=True) as tx:
            query = evolve(_of_tariff(key, limit), after=after)
            found = (await tx.page(query)).records if after < _ENDED else ()
            tariff = None if found or after >= _ENDED else await tx.get(key)
        return found if tariff is None else [evolve(tariff, sequence=_ENDED)]

    return read


async def versions_at(tx: Transaction, owner: Owner, moment: datetime) -> AsyncIterator[Record]:
    """What each tariff of a party said at a moment, as :func:`as_version` gives it: read page by page."""
    after = 0
    while found := await _page_at(tx, owner, moment, _PAGE, after):
        for record in found:
            yield record
        after = found[-1].sequence


def as_version(record: Record) -> Record:
    """A tariff, or a version of one, as the tariff was: its ``last_updated`` is the moment from which on it held."""
    began = valid_from(record)
    document = record.document
    if said_at(document) > began:
        document = join({**members(document), "last_updated": raw_time(began)})
    key, received_at = record.key._replace(kind=Kind.TARIFF, parent=""), first_received_at(record)
    return evolve(record, key=key, document=document, last_updated=began, received_at=received_at)


def reader_at(context: Context, owner: tuple[str | None, str | None], moment: datetime) -> Reader:
    """Reads what held at a moment, of one party or of all. Raises ValueError, TypeError for one without a zone."""
    require_zone("at", moment)

    async def read(limit: int, after: int) -> Sequence[Record]:
        async with context.store.transaction(read_only=True) as tx:
            return await _page_at(tx, owner, moment, limit, after)

    return read


async def _page_at(
    tx: Transaction, owner: tuple[str | None, str | None], moment: datetime, limit: int, after: int
) -> Sequence[Record]:
    for query in queries_at(owner, moment, limit, after):
        if records := (await tx.page(query)).records:
            return [listed_at(each) for each in records]
    return ()


def queries_at(owner: tuple[str | None, str | None], moment: datetime, limit: int, after: int = 0) -> Iterator[Query]:
    """What gives the next records that held at a moment, ``after`` a place: the first that finds any."""
    query = Query(
        kind=Kind.TARIFF, country_code=owner[0], party_id=owner[1], at=moment, limit=limit, after=after, count=False
    )
    if after < _ENDED:
        yield query
    yield evolve(query, kind=Kind.TARIFF_VERSION, after=max(after - _ENDED, 0))


def listed_at(record: Record) -> Record:
    """What one of :func:`queries_at` found, with its place in the whole list."""
    before = _ENDED if record.key.kind == Kind.TARIFF_VERSION else 0
    return evolve(as_version(record), sequence=before + record.sequence)
