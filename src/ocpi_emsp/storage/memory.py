"""A store in memory: for tests, demos, and backends that pull everything at start.

Rules of this module:
- a transaction holds the one lock from begin to end and writes nothing before its commit: all or nothing;
- nothing in it suspends, so it serves the sync and the async shell alike;
- rejections are bounded: the oldest go first.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from types import TracebackType

from ocpi_emsp.ports import EVENT, REJECTION, Entry, Key, Kind, Page, Query, Record

_SECONDS_TO_LOCK = 30.0
"""A transaction takes microseconds; one that waits this long waits for itself."""


class MemoryStore:
    """Objects in dicts.

    ``keep_rejections`` bounds what hostile or broken partners can make it hold; a transaction that waits for another
    one longer than ``lock_timeout`` seconds raises RuntimeError.
    """

    def __init__(self, *, keep_rejections: int = 1000, lock_timeout: float = _SECONDS_TO_LOCK) -> None:
        self._lock = threading.Lock()
        self._records: dict[str, dict[Key, Record]] = {}
        self._evses: dict[tuple[str, str, str], dict[Key, None]] = {}
        self._journal: dict[str, dict[str, Entry]] = {EVENT: {}, REJECTION: {}}
        self._keep_rejections = keep_rejections
        self._lock_timeout = lock_timeout

    def transaction(self) -> _MemoryTransaction:
        """A transaction; see :class:`ocpi_emsp.ports.Store`."""
        return _MemoryTransaction(self)

    def _commit(self, records: dict[Key, Record | None], journal: dict[str, Entry | None]) -> None:
        for key, record in records.items():
            kept = self._records.setdefault(key.kind, {})
            if record is None:
                kept.pop(key, None)
                self._evses.get(_location(key), {}).pop(key, None)
            else:
                if key.kind == Kind.EVSE and key not in kept:
                    self._evses.setdefault(_location(key), {})[key] = None
                kept[key] = record
        for entry_id, entry in journal.items():
            if entry is not None:
                self._journal[entry.topic][entry_id] = entry
            else:
                for entries in self._journal.values():
                    entries.pop(entry_id, None)
        rejections = self._journal[REJECTION]
        while len(rejections) > self._keep_rejections:
            rejections.pop(next(iter(rejections)))


class _MemoryTransaction:
    __slots__ = ("_journal", "_records", "_store")

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self._records: dict[Key, Record | None] = {}
        self._journal: dict[str, Entry | None] = {}

    async def __aenter__(self) -> _MemoryTransaction:
        if not self._store._lock.acquire(timeout=self._store._lock_timeout):
            raise RuntimeError("a transaction was begun inside another one")
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
        if key in self._records:
            return self._records[key]
        return self._store._records.get(key.kind, {}).get(key)

    async def put(self, record: Record) -> None:
        self._records[record.key] = record

    async def delete(self, key: Key) -> None:
        self._records[key] = None

    async def children(self, key: Key) -> Sequence[Record]:
        evses = self._store._records.get(Kind.EVSE, {})
        found = {child: evses[child] for child in self._store._evses.get((key.country_code, key.party_id, key.id), ())}
        if self._records:
            for child, record in self._records.items():
                if child.kind == Kind.EVSE and _location(child) == (key.country_code, key.party_id, key.id):
                    found.pop(child, None) if record is None else found.update({child: record})
        return list(found.values())

    async def page(self, query: Query) -> Page:
        records = dict(self._store._records.get(query.kind, {}))
        for key, record in self._records.items():
            if key.kind == query.kind:
                records.pop(key, None) if record is None else records.update({key: record})
        found = [record for record in records.values() if _matches(record, query)]
        return Page(found[query.offset : query.offset + query.limit], len(found))

    async def append(self, entry: Entry) -> None:
        self._journal[entry.id] = entry

    async def entries(self, topic: str, key: Key | None = None, limit: int = 100) -> Sequence[Entry]:
        journal: dict[str, Entry | None] = {**self._store._journal[topic], **self._journal}
        found = (entry for entry in journal.values() if entry is not None and entry.topic == topic)
        return [entry for entry in found if key is None or entry.key == key][:limit]

    async def settle(self, entry_id: str) -> None:
        self._journal[entry_id] = None


def _location(evse: Key) -> tuple[str, str, str]:
    return evse.country_code, evse.party_id, evse.parent


def _matches(record: Record, query: Query) -> bool:
    key = record.key
    return (
        query.country_code in (None, key.country_code)
        and query.party_id in (None, key.party_id)
        and (query.date_from is None or query.date_from <= record.last_updated)
        and (query.date_to is None or record.last_updated < query.date_to)
    )
