"""Every version of a tariff, with the times at which it began and ended.

Rules of this module (docs/spec-choices.md, when a price begins to hold):
- a version is valid from its ``last_updated``; if that is not after the begin of the previous version, or is before a
  deletion, from its receipt. It is valid until the next one is, or the tariff is deleted;
- the same content again, under any ``last_updated``, is the same version; earlier content that returns is a new one;
- the tariff itself is the current version; the tariff that it replaces is stored beside it unchanged, with its end. So
  a PUT writes one record more if the content changed, and none if it did not;
- beyond a number of versions, or of bytes of a party, the oldest are deleted; versions never cause a rejection;
- versions of one tariff never overlap, so an index finds the one of a moment, however many there are;
- the tariff must be read by its key before: that locks its versions, too.
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
"""Parent of the version that a deletion ended, while the tariff is deleted."""
_ENDED: Final = 2**62
"""In a list of what was valid at a moment, ended versions come after this place and the current tariffs before it; in a
list of one tariff's versions the tariff itself has this place.
"""
_PAGE: Final = 100


def valid_from(record: Record) -> datetime:
    """Return the moment from which a tariff's content is valid."""
    return record.valid_from or record.last_updated


def first_received_at(record: Record) -> datetime:
    """Return when a tariff's content was first received."""
    return record.first_received_at or record.received_at


# --- what was received ----------------------------------------------------------------------------------------------


async def succeed(incoming: Incoming, tx: Transaction, old: Record | None, new: Record, changed: bool) -> Record:
    """Return the tariff with the moment from which it is valid; store the one that it replaces as a version.

    Call it when ``new`` is about to be put and ``old`` is the stored tariff; ``changed`` is True if the content
    differs.
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
    """Return the owners that have tariff versions, among those with new tariffs. Locks the tariffs before."""
    new = dict.fromkeys([key[1:3] for key in tariffs if await tx.get(key) is None])
    queries = (Query(kind=Kind.TARIFF_VERSION, country_code=code, party_id=party_id) for code, party_id in new)
    found = [await tx.page(evolve(query, limit=1, count=False)) for query in queries]
    return {owner for owner, page in zip(new, found, strict=True) if page.records}


async def end_by_deletion(context: Context, tx: Transaction, record: Record, now: datetime) -> None:
    """Delete a tariff; its last content becomes a version that ends now."""
    await tx.delete(record.key)
    if valid_from(record) > now:  # versions that would have been valid until then end now, too
        for each in [each async for each in _versions(tx, record.key)]:
            if each.valid_until is not None and each.valid_until > now:
                await tx.put(evolve(each, valid_until=now))
    ended = _ended(record, now)
    await tx.put(evolve(ended, key=ended.key._replace(parent=_DELETED)))
    await _delete_oldest(context, tx, record)


async def move_versions(tx: Transaction, copy: Record, key: Key, stored: Record | None) -> None:
    """Move the versions of a hub's copy of a tariff to its owner: those from before the owner's own began.

    If the owner has the tariff (``stored``), the copy itself becomes a version, if it was valid before that.
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
    """Return a hub's copy of a tariff, in the form that replaces the owner's tariff."""
    if stored is not None:
        changed = not same_content(stored.document, copy.document, Kind.TARIFF)
        return await succeed(incoming, tx, stored, copy, changed)
    began = await _after_deletion(tx, copy.key, valid_from(copy), incoming.now)
    return evolve(copy, valid_from=began, first_received_at=first_received_at(copy))


def _since(new: Record, moment: datetime) -> Record:
    """Return a tariff that was just received, with the moment from which it is valid."""
    if new.valid_from == moment and new.first_received_at == new.received_at:
        return new
    return _dated(new, new.key, moment, new.received_at, new.view)


def _ended(record: Record, moment: datetime) -> Record:
    """Return the version that a tariff was until a moment."""
    key = record.key._replace(kind=Kind.TARIFF_VERSION, parent=_told_apart(record))
    return _dated(record, key, valid_from(record), first_received_at(record), until=moment)


def _dated(
    record: Record, key: Key, began: datetime, received: datetime, view: Any = None, until: datetime | None = None
) -> Record:
    """Return the record with other times; ``evolve`` takes six times as long."""
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
    """Return a text that identifies a version: no two of a tariff begin together, unless one was never valid."""
    return f"{valid_from(record).isoformat()} {hashlib.blake2b(record.document, digest_size=8).hexdigest()}"


async def _after_deletion(tx: Transaction, key: Key, said: datetime, now: datetime) -> datetime:
    """Return when a tariff becomes valid that was unknown, or was deleted before."""
    if not (await tx.page(_of_tariff(key, 1))).records:  # a missing key costs more: it is locked
        return said
    deleted = await tx.get(key._replace(kind=Kind.TARIFF_VERSION, parent=_DELETED))
    if deleted is None or deleted.valid_until is None:
        return said
    await tx.delete(deleted.key)
    await tx.put(evolve(deleted, key=deleted.key._replace(parent=_told_apart(deleted))))
    return said if said >= deleted.valid_until else max(now, deleted.valid_until)


async def _delete_oldest(context: Context, tx: Transaction, added: Record) -> None:
    """Delete the oldest versions if a tariff, or its party, has too many; ``added`` became a version just now."""
    quotas = context.limits.quotas
    if added.revision >= quotas.tariff_versions:  # each version resulted from a put
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
    """Delete the oldest versions until ``count`` of them, and ``size`` bytes, are deleted."""
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
    """Yield the ended versions of a tariff, in the order in which they were stored."""
    query = _of_tariff(key)
    while records := (await tx.page(query)).records:
        for record in records:
            yield record
        query = evolve(query, after=records[-1].sequence)


# --- the versions of a moment ---------------------------------------------------------------------------------------


async def version_at(tx: Transaction, owner: Owner, tariff_id: str, moment: datetime) -> Record | None:
    """Return a tariff as it was at a moment, in the form of :func:`as_version`; None if it was not valid then."""
    for query in queries_at(owner, moment, 1):
        for record in (await tx.page(evolve(query, id=tariff_id))).records:
            return as_version(record)
    return None


def reader_of(context: Context, key: Key) -> Reader:
    """Return a reader of all versions of a tariff, as stored: the ended ones in their order, then the tariff itself."""

    async def read(limit: int, after: int) -> Sequence[Record]:
        async with context.store.transaction(read_only=True) as tx:
            query = evolve(_of_tariff(key, limit), after=after)
            found = (await tx.page(query)).records if after < _ENDED else ()
            tariff = None if found or after >= _ENDED else await tx.get(key)
        return found if tariff is None else [evolve(tariff, sequence=_ENDED)]

    return read


async def versions_at(tx: Transaction, owner: Owner, moment: datetime) -> AsyncIterator[Record]:
    """Yield each tariff of a party as it was at a moment, in the form of :func:`as_version`, read page by page."""
    after = 0
    while found := await _page_at(tx, owner, moment, _PAGE, after):
        for record in found:
            yield record
        after = found[-1].sequence


def as_version(record: Record) -> Record:
    """Return a tariff, or a version of one, as a tariff whose ``last_updated`` is the moment from which it was
    valid.
    """
    began = valid_from(record)
    document = record.document
    if said_at(document) > began:
        document = join({**members(document), "last_updated": raw_time(began)})
    key, received_at = record.key._replace(kind=Kind.TARIFF, parent=""), first_received_at(record)
    return evolve(record, key=key, document=document, last_updated=began, received_at=received_at)


def reader_at(context: Context, owner: tuple[str | None, str | None], moment: datetime) -> Reader:
    """Return a reader of the tariffs of a moment, of one party or of all. Raises ValueError, TypeError for one without
    a zone.
    """
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
    """Yield queries for the next tariffs of a moment, ``after`` a place; the first one with results is used."""
    query = Query(
        kind=Kind.TARIFF, country_code=owner[0], party_id=owner[1], at=moment, limit=limit, after=after, count=False
    )
    if after < _ENDED:
        yield query
    yield evolve(query, kind=Kind.TARIFF_VERSION, after=max(after - _ENDED, 0))


def listed_at(record: Record) -> Record:
    """Return a result of one of :func:`queries_at`, with its place in the whole list."""
    before = _ENDED if record.key.kind == Kind.TARIFF_VERSION else 0
    return evolve(as_version(record), sequence=before + record.sequence)
