"""A store in memory: for tests, demos, and backends that pull everything at start.

Rules of this module:
- a transaction holds the one lock from begin to end and writes nothing before its commit: all or nothing;
- nothing in it suspends, so it serves the sync and the async shell alike;
- rejections are bounded: the oldest go first.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from itertools import count, islice
from types import TracebackType
from typing import TypeVar

from attrs import evolve

from ocpi_emsp.errors import StoreFailed
from ocpi_emsp.ports import REJECTION, TOPICS, Entry, Key, Kind, Page, Query, Record

_K = TypeVar("_K")
_V = TypeVar("_V")
_SECONDS_TO_LOCK = 30.0
"""A transaction takes microseconds; one that waits this long waits for itself."""


class MemoryStore:
    """Objects in dicts.

    ``keep_rejections`` bounds what hostile or broken partners can make it hold; a transaction that waits for another
    one longer than ``lock_timeout`` seconds raises StoreFailed.
    """

    def __init__(self, *, keep_rejections: int = 1000, lock_timeout: float = _SECONDS_TO_LOCK) -> None:
        self._lock = threading.Lock()
        self._records: dict[str, dict[Key, Record]] = {}
        self._evses: dict[tuple[str, str, str], dict[Key, None]] = {}
        self._journal: dict[str, dict[str, Entry]] = {topic: {} for topic in TOPICS}
        self._sequence = count(1)
        self._keep_rejections = keep_rejections
        self._lock_timeout = lock_timeout

    def transaction(self, *, read_only: bool = False) -> _MemoryTransaction:
        """A transaction; see :class:`ocpi_emsp.ports.Store`."""
        return _MemoryTransaction(self, read_only)

    def _commit(self, records: dict[Key, Record | None], journal: dict[str, Entry | None]) -> None:
        for key, record in records.items():
            kept = self._records.setdefault(key.kind, {})
            if record is None:
                self._forget(kept, key)
            else:
                if key.kind == Kind.EVSE and key not in kept:
                    self._evses.setdefault(_location(key), {})[key] = None
                kept[key] = self._numbered(record, kept.get(key))
        for entry_id, entry in journal.items():
            self._place(entry_id, entry)
        rejections = self._journal[REJECTION]
        while len(rejections) > self._keep_rejections:
            rejections.pop(next(iter(rejections)))

    def _forget(self, kept: dict[Key, Record], key: Key) -> None:
        kept.pop(key, None)
        if key.kind == Kind.EVSE:
            self._evses.get(_location(key), {}).pop(key, None)
        if key.kind == Kind.LOCATION:
            for evse in self._evses.pop((key.country_code, key.party_id, key.id), ()):
                self._records[Kind.EVSE].pop(evse, None)

    def _numbered(self, record: Record, old: Record | None) -> Record:
        sequence, revision = (old.sequence, old.revision + 1) if old else (next(self._sequence), 1)
        return Record(
            record.key, record.document, record.last_updated, record.received_at, record.view, revision, sequence
        )

    def _place(self, entry_id: str, entry: Entry | None) -> None:
        old = next((entries[entry_id] for entries in self._journal.values() if entry_id in entries), None)
        if old is not None and (entry is None or entry.topic != old.topic):
            del self._journal[old.topic][entry_id]
        if entry is not None:
            sequence = old.sequence if old is not None else next(self._sequence)
            self._journal[entry.topic][entry_id] = evolve(entry, sequence=sequence)


class _MemoryTransaction:
    __slots__ = ("_journal", "_read_only", "_records", "_store")

    def __init__(self, store: MemoryStore, read_only: bool) -> None:
        self._store = store
        self._read_only = read_only
        self._records: dict[Key, Record | None] = {}
        self._journal: dict[str, Entry | None] = {}

    async def __aenter__(self) -> _MemoryTransaction:
        if not self._store._lock.acquire(timeout=self._store._lock_timeout):
            raise StoreFailed("a transaction was begun inside another one")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None and (self._records or self._journal):
                self._store._commit(self._records, self._journal)
        finally:
            self._store._lock.release()

    async def get(self, key: Key) -> Record | None:
        key = _owned(key)
        if key in self._records:
            return self._records[key]
        return self._store._records.get(key.kind, {}).get(key)

    async def put(self, record: Record) -> None:
        key = _owned(record.key)
        self._change(self._records, key, record if key is record.key else evolve(record, key=key))

    async def delete(self, key: Key) -> None:
        key = _owned(key)
        if key.kind == Kind.LOCATION:
            for evse in await self.children(key):
                self._change(self._records, evse.key, None)
        self._change(self._records, key, None)

    async def children(self, key: Key) -> Sequence[Record]:
        location = _owned(key)[1:4]
        evses = self._store._records.get(Kind.EVSE, {})
        found = {child: evses[child] for child in self._store._evses.get(location, ())}
        if self._records:
            for child, record in self._records.items():
                if child.kind == Kind.EVSE and _location(child) == location:
                    found.pop(child, None) if record is None else found.update({child: record})
        return list(found.values())

    async def page(self, query: Query) -> Page:
        records = dict(self._store._records.get(query.kind, {}))
        for key, record in self._records.items():
            if key.kind == query.kind:
                records.pop(key, None) if record is None else records.update({key: record})
        found = [record for record in records.values() if _matches(record, query)]
        return Page(found[query.offset : query.offset + query.limit], len(found) if query.count else 0)

    async def append(self, entry: Entry) -> None:
        self._change(self._journal, entry.id, entry)

    async def entry(self, entry_id: str) -> Entry | None:
        if entry_id in self._journal:
            return self._journal[entry_id]
        return next((kept[entry_id] for kept in self._store._journal.values() if entry_id in kept), None)

    async def entries(
        self,
        topic: str,
        key: Key | None = None,
        limit: int = 100,
        *,
        owner: tuple[str, str] | None = None,
        after: int = 0,
    ) -> Sequence[Entry]:
        journal: dict[str, Entry | None] = {**self._store._journal[topic], **self._journal}
        found = (
            entry
            for entry in journal.values()
            if entry is not None
            and entry.topic == topic
            and (key is None or entry.key == key)
            and (owner is None or (entry.details.get("country_code"), entry.details.get("party_id")) == owner)
            and (entry.sequence > after or entry.sequence == 0)
        )
        return list(islice(found, limit))

    async def settle(self, entry_id: str) -> None:
        self._change(self._journal, entry_id, None)

    def _change(self, changes: dict[_K, _V | None], key: _K, value: _V | None) -> None:
        if self._read_only:
            raise StoreFailed("a read-only transaction cannot write")
        changes[key] = value


def _owned(key: Key) -> Key:
    """The key with its owner in upper case, as records are kept."""
    if key.country_code.isupper() and key.party_id.isupper():
        return key
    return key._replace(country_code=key.country_code.upper(), party_id=key.party_id.upper())


def _location(evse: Key) -> tuple[str, str, str]:
    return evse.country_code, evse.party_id, evse.parent


def _matches(record: Record, query: Query) -> bool:
    key = record.key
    return (
        (query.country_code is None or query.country_code.upper() == key.country_code)
        and (query.party_id is None or query.party_id.upper() == key.party_id)
        and (record.sequence > query.after or record.sequence == 0)
        and (query.date_from is None or query.date_from <= record.last_updated)
        and (query.date_to is None or record.last_updated < query.date_to)
    )
