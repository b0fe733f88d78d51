"""Stores that are broken in one way each: the memory store with something replaced."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from typing import Any

import anyio.lowlevel
from attrs import evolve, field, frozen

from ocpi_emsp.ports import (
    AUTHORIZATION,
    DEAD,
    EVENT,
    REJECTION,
    RELAY,
    RESYNC,
    Entry,
    Key,
    Kind,
    Owner,
    Page,
    Query,
    Record,
    Transaction,
    Usage,
)
from ocpi_emsp.storage import MemoryStore
from ocpi_emsp.storage.listeners import Listener, Listeners
from ocpi_emsp.testing.contract import Undo

Replaced = dict[str, Callable[..., Any]]


class Altered:
    """A transaction of which some methods are replaced; a replacement gets the real transaction first."""

    def __init__(self, inner: Transaction, replaced: Replaced) -> None:
        self._inner = inner
        self._replaced = replaced

    def __getattr__(self, name: str) -> Any:
        if name not in self._replaced:
            return getattr(self._inner, name)
        return lambda *args, **kwargs: self._replaced[name](self._inner, *args, **kwargs)


@frozen
class AlteredStore:
    replaced: Replaced
    commits_always: bool = False
    writes_always: bool = False
    inner: MemoryStore = field(factory=MemoryStore)

    def recording(self) -> AbstractAsyncContextManager[Any]:
        return self.transaction()

    repeatable = recording

    @asynccontextmanager
    async def transaction(self, *, read_only: bool = False) -> AsyncIterator[Any]:
        undone = None
        async with self.inner.transaction(read_only=read_only and not self.writes_always) as tx:
            try:
                yield Altered(tx, self.replaced)
            except Undo as error:
                if not self.commits_always:
                    raise
                undone = error
        if undone is not None:
            raise undone


@frozen
class Separate:
    """Every operation is a transaction of its own, and others come in between."""

    inner: MemoryStore

    def __getattr__(self, name: str) -> Any:
        async def call(*args: Any, **kwargs: Any) -> Any:
            await anyio.lowlevel.checkpoint()
            async with self.inner.transaction() as tx:
                return await getattr(tx, name)(*args, **kwargs)

        return call


@frozen
class SeparateStore:
    inner: MemoryStore = field(factory=MemoryStore)

    @asynccontextmanager
    async def transaction(self, *, read_only: bool = False) -> AsyncIterator[Any]:
        assert read_only is not None
        yield Separate(self.inner)


@frozen
class Telling(AlteredStore):
    """A store that announces in a way of its own."""

    listeners: Listeners = field(factory=Listeners, kw_only=True)
    ends: bool = field(default=True, kw_only=True)
    alone: bool = field(default=False, kw_only=True)

    def announce(self, listener: Listener) -> Callable[[], None]:
        if self.alone:
            self.listeners.clear()
        end = self.listeners.add(listener)
        return end if self.ends else lambda: None


def telling_of(*kinds: str, ends: bool = True, alone: bool = False) -> Telling:
    """A store that announces at the put, what is of these kinds."""
    listeners = Listeners()

    async def put(tx: Transaction, record: Record) -> None:
        await tx.put(record)
        if record.key.kind in kinds:
            listeners.tell(record.key.id)

    return Telling({"put": put}, listeners=listeners, ends=ends, alone=alone)


# --- records --------------------------------------------------------------------------------------------------------


async def nothing(_tx: Transaction, *_args: object) -> None: ...


async def put_at_the_end(tx: Transaction, record: Record) -> None:
    """As a store does that deletes and inserts."""
    if record.key.kind != Kind.LOCATION:
        await tx.delete(record.key)
    await tx.put(record)


def put_with(change: Callable[[Record], Record]) -> Callable[..., Any]:
    async def put(tx: Transaction, record: Record) -> None:
        await tx.put(change(record))

    return put


def reformatted(record: Record) -> Record:
    """As a store does that keeps a parsed document."""
    try:
        document = json.dumps(json.loads(record.document)).encode()
    except ValueError:
        document = record.document
    return evolve(record, document=document)


def shortened(record: Record) -> Record:
    return evolve(record, key=record.key._replace(id=record.key.id.replace("\x00", "")[:255]))


def in_whole_seconds(record: Record) -> Record:
    return evolve(record, last_updated=record.last_updated.replace(microsecond=0))


async def put_that_keeps_missing(tx: Transaction, record: Record) -> None:
    """As a store does that writes a record without what it knows of it beside."""
    old = await tx.get(record.key)
    if old is not None and record.missing_since is None:
        record = evolve(record, missing_since=old.missing_since, missed=old.missed)
    await tx.put(record)


async def put_that_keeps_the_first_correlation(tx: Transaction, record: Record) -> None:
    """As a store does that writes what a change came under with a new record only."""
    old = await tx.get(record.key)
    await tx.put(evolve(record, correlation_id=old.correlation_id) if old is not None else record)


async def put_unless_unchanged(tx: Transaction, record: Record) -> None:
    """As a store does that takes the same document for the same record."""
    old = await tx.get(record.key)
    if old is None or old.document != record.document:
        await tx.put(record)


def without(**changes: Any) -> Callable[[Record], Record]:
    return lambda record: evolve(record, **changes)


async def put_with_location(tx: Transaction, record: Record) -> None:
    """As a store does that has no foreign keys."""
    if record.key.kind == Kind.EVSE:
        location = Key(Kind.LOCATION, record.key.country_code, record.key.party_id, record.key.parent)
        if await tx.get(location) is None:
            await tx.put(evolve(record, key=location))
    await tx.put(record)


async def get_without_case(tx: Transaction, key: Key) -> Record | None:
    return await tx.get(key._replace(id=key.id.upper()))


async def put_without_case(tx: Transaction, record: Record) -> None:
    await tx.put(evolve(record, key=record.key._replace(id=record.key.id.upper())))


async def get_with_case(tx: Transaction, key: Key) -> Record | None:
    return None if key.party_id.upper() != key.party_id else await tx.get(key)


async def get_first_revision(tx: Transaction, key: Key) -> Record | None:
    found = await tx.get(key)
    return evolve(found, revision=1) if found else None


async def delete_location_only(tx: Transaction, key: Key) -> None:
    """As a store does that leaves the EVSEs behind: as if the location were still there."""
    if key.kind != Kind.LOCATION or not await tx.children(key):
        await tx.delete(key)


async def children_of_any_party(tx: Transaction, key: Key) -> Sequence[Record]:
    return [*await tx.children(key), *await tx.children(key._replace(party_id="ABC"))]


async def children_listed(tx: Transaction, key: Key) -> Sequence[Record]:
    return [evolve(each, missing_since=None, missed=0) for each in await tx.children(key)]


async def children_of_no_correlation(tx: Transaction, key: Key) -> Sequence[Record]:
    return [evolve(each, correlation_id="") for each in await tx.children(key)]


async def children_sorted(tx: Transaction, key: Key) -> Sequence[Record]:
    return sorted(await tx.children(key), key=lambda record: record.key.id)


# --- pages ----------------------------------------------------------------------------------------------------------


def page_of(**changes: Any) -> Callable[[Transaction, Query], Any]:
    async def page(tx: Transaction, query: Query) -> Page:
        return await tx.page(evolve(query, **changes))

    return page


async def page_listed(tx: Transaction, query: Query) -> Page:
    page = await tx.page(query)
    return Page([evolve(each, missing_since=None, missed=0) for each in page.records], page.total)


async def page_of_no_correlation(tx: Transaction, query: Query) -> Page:
    page = await tx.page(query)
    return Page([evolve(each, correlation_id="") for each in page.records], page.total)


async def page_that_holds_always(tx: Transaction, query: Query) -> Page:
    page = await tx.page(query)
    return Page([evolve(each, valid_from=None, valid_until=None) for each in page.records], page.total)


def page_at(later: timedelta) -> Callable[[Transaction, Query], Any]:
    """As a store does that takes an end for a part of what it ends."""

    async def page(tx: Transaction, query: Query) -> Page:
        return await tx.page(evolve(query, at=query.at + later if query.at else None))

    return page


async def page_by_receipt(tx: Transaction, query: Query) -> Page:
    """As a store does that reads from the index of a filter."""
    if query.received_from is None and query.received_to is None:
        return await tx.page(query)
    whole = await tx.page(evolve(query, offset=0, limit=1000))
    records = sorted(whole.records, key=lambda record: record.received_at)
    return Page(records[query.offset : query.offset + query.limit], whole.total)


async def page_with_both_ends(tx: Transaction, query: Query) -> Page:
    """As a store does that selects to a moment, and not up to it."""
    end = query.received_to
    return await tx.page(evolve(query, received_to=end + timedelta(microseconds=1) if end else None))


async def page_without_start(tx: Transaction, query: Query) -> Page:
    """As a store does that selects after a moment, and not from it."""
    start = query.received_from
    return await tx.page(evolve(query, received_from=start + timedelta(microseconds=1) if start else None))


async def page_of_whole_seconds(tx: Transaction, query: Query) -> Page:
    start = query.received_from
    return await tx.page(evolve(query, received_from=start.replace(microsecond=0) if start else None))


async def page_by_place(tx: Transaction, query: Query) -> Page:
    """As a store does that takes an offset for a token's place, whatever else is asked for."""
    if query.kind != Kind.TOKEN:
        return await tx.page(query)
    return await tx.page(evolve(query, received_from=None, received_to=None))


async def page_by_updates(tx: Transaction, query: Query) -> Page:
    """As a store does that knows one time only."""
    start, end = query.received_from or query.date_from, query.received_to or query.date_to
    return await tx.page(evolve(query, date_from=start, date_to=end, received_from=None, received_to=None))


async def page_by_time(tx: Transaction, query: Query) -> Page:
    whole = await tx.page(evolve(query, offset=0, limit=1000))
    records = sorted(whole.records, key=lambda record: record.last_updated)
    return Page(records[query.offset : query.offset + query.limit], whole.total)


async def page_without_total(tx: Transaction, query: Query) -> Page:
    page = await tx.page(query)
    return Page(page.records, len(page.records))


async def page_renumbered(tx: Transaction, query: Query) -> Page:
    page = await tx.page(query)
    return Page([evolve(each, sequence=number + 1) for number, each in enumerate(page.records)], page.total)


async def page_of_any_kind(tx: Transaction, query: Query) -> Page:
    kind = Kind.SESSION if query.kind == Kind.TARIFF else query.kind
    return await tx.page(evolve(query, kind=kind))


async def page_with_gaps(tx: Transaction, query: Query) -> Page:
    """As a store does that takes the number of the last token for the number of tokens."""
    page = await tx.page(query)
    last = (await tx.page(Query(kind=query.kind, limit=1000))).records[-1:]
    return Page(page.records, last[0].sequence if query.kind == Kind.TOKEN and last else page.total)


# --- journal --------------------------------------------------------------------------------------------------------


async def append_text(tx: Transaction, entry: Entry) -> None:
    await tx.append(evolve(entry, body=entry.body.decode("utf-8", "replace").encode()))


async def append_in_whole_seconds(tx: Transaction, entry: Entry) -> None:
    await tx.append(evolve(entry, due=entry.due.replace(microsecond=0) if entry.due else None))


async def append_where_it_was(tx: Transaction, entry: Entry) -> None:
    old = await tx.entry(entry.id)
    await tx.append(evolve(entry, topic=old.topic) if old else entry)


async def append_at_the_end(tx: Transaction, entry: Entry) -> None:
    await tx.settle(entry.id)
    await tx.append(entry)


async def append_at_the_end_where_it_waits(tx: Transaction, entry: Entry) -> None:
    if entry.topic == RESYNC:
        await tx.settle(entry.id)
    await tx.append(entry)


async def append_new_topics_as_events(tx: Transaction, entry: Entry) -> None:
    """As a store does that knows a few topics only."""
    known = {EVENT, RELAY, REJECTION, RESYNC, *DEAD.values()}
    await tx.append(evolve(entry, topic=entry.topic if entry.topic in known else EVENT))


async def settle_in_the_journal(tx: Transaction, entry_id: str) -> None:
    """As a store does that forgot a table."""
    found = await tx.entry(entry_id)
    if found is not None and found.topic != AUTHORIZATION:
        await tx.settle(entry_id)


async def append_a_wish_once(tx: Transaction, entry: Entry) -> None:
    """As a store does that passes over what it has already."""
    if entry.topic != RESYNC or await tx.entry(entry.id) is None:
        await tx.append(entry)


async def append_wishes_as_events(tx: Transaction, entry: Entry) -> None:
    await tx.append(evolve(entry, topic=EVENT if entry.topic == RESYNC else entry.topic))


async def entry_unless_refused(tx: Transaction, entry_id: str) -> Entry | None:
    found = await tx.entry(entry_id)
    return None if found and found.topic == REJECTION else found


def entries_without(**ignored: Any) -> Callable[..., Any]:
    async def entries(tx: Transaction, topic: str, key: Key | None = None, limit: int = 100, **rest: Any) -> Any:
        selection = {"key": key, "limit": limit, **rest, **ignored}
        return await tx.entries(topic, **selection)

    return entries


def usage_that(changes: Callable[[Owner, Usage], tuple[Owner, Usage]], *, of_all: bool = False) -> Callable[..., Any]:
    async def usage(tx: Transaction, name: str, owner: Owner | None = None) -> dict[Owner, Usage]:
        found = await tx.usage(name, None if of_all else owner)
        return dict(changes(*each) for each in found.items())

    return usage


async def usage_of_what_is_committed(tx: Transaction, name: str, owner: Owner | None = None) -> Mapping[Owner, Usage]:
    """As a store does that does not send first what was put."""
    found = await tx.usage(name, owner)
    changed = getattr(tx, "_records", None)
    return found if not changed else {whose: evolve(each, count=each.count + 1) for whose, each in found.items()}
