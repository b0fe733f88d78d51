"""A store in memory: for tests, demos, and backends that pull everything at start.

Rules of this module:
- a transaction holds the one lock from begin to end and writes nothing before its commit: all or nothing;
- a record or entry gets its numbers when it is put: one that a rollback took leaves a gap between sequences;
- nothing in it suspends, so it serves the sync and the async shell alike;
- listeners of a command are notified after the commit, without the lock.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from heapq import merge
from itertools import count, islice
from operator import itemgetter
from types import TracebackType
from typing import TypeVar

from ocpi_emsp.errors import CannotStore, StoreFailed
from ocpi_emsp.ports import TOPICS, Entry, Key, Kind, Owner, Page, Query, Record, Usage
from ocpi_emsp.storage.charges import Charge, ChargeIndex, asks_for_charges, charge_of, is_asked_for
from ocpi_emsp.storage.listeners import Listener, Listeners

_K = TypeVar("_K")
_V = TypeVar("_V")
_SECONDS_TO_LOCK = 30.0
"""A transaction takes microseconds; one that waits this long is in a deadlock."""


class MemoryStore:
    """A store in memory, for one process only: another one (``uvicorn --workers 2``) has its own parties and objects.

    The log says so once (``store.one_process``), when a token is not known.
    A transaction that waits for another one longer than ``lock_timeout`` seconds raises StoreFailed.
    """

    def __init__(self, *, lock_timeout: float = _SECONDS_TO_LOCK) -> None:
        self._lock = threading.Lock()
        self._records: dict[str, dict[Key, Record]] = {}
        self._evses: dict[tuple[str, str, str], dict[Key, None]] = {}
        self._ids: dict[tuple[str, str], dict[Key, None]] = {}
        self._charges = ChargeIndex()
        self._journal: dict[str, dict[str, Entry]] = {topic: {} for topic in TOPICS}
        self._of_key: dict[tuple[str, Key | None], dict[str, None]] = {}
        """The ids of the entries of a topic under a key."""
        self._sequence = count(1)
        self._lock_timeout = lock_timeout
        self._listeners = Listeners()

    def transaction(self, *, read_only: bool = False) -> _MemoryTransaction:
        """A transaction; see :class:`ocpi_emsp.ports.Store`."""
        return _MemoryTransaction(self, read_only)

    def announce(self, listener: Listener) -> Callable[[], None]:
        """Call ``listener`` with the id of each written command, right after its commit and in its thread."""
        return self._listeners.add(listener)

    def _commit(self, records: dict[Key, Record | None], journal: dict[str, Entry | None]) -> None:
        self._require_locations(records)
        for key, record in records.items():
            kept = self._records.setdefault(key.kind, {})
            if record is None:
                self._forget(kept, key)
                continue
            old = kept.get(key)
            if old is not None and old.sequence != record.sequence:  # deleted, and put again: a new place
                self._forget(kept, key)
                old = None
            if old is None:
                if key.kind == Kind.EVSE:
                    self._evses.setdefault(_location(key), {})[key] = None
                self._ids.setdefault((key.kind, key.id), {})[key] = None
            kept[key] = record
            self._charges.put(key, charge_of(record))
        for entry_id, entry in journal.items():
            self._place(entry_id, entry)

    def _require_locations(self, records: dict[Key, Record | None]) -> None:
        stored = self._records.get(Kind.LOCATION, {})
        for place in {_location(key) for key, record in records.items() if record and key.kind == Kind.EVSE}:
            location = Key(Kind.LOCATION, *place)
            if records.get(location, stored.get(location)) is None:
                raise CannotStore(f"an EVSE refers to the unknown location '{location.id}'")

    def _forget(self, kept: dict[Key, Record], key: Key) -> None:
        kept.pop(key, None)
        self._charges.put(key, None)
        of_id = self._ids.get((key.kind, key.id), {})
        of_id.pop(key, None)
        if not of_id:
            self._ids.pop((key.kind, key.id), None)
        if key.kind == Kind.EVSE:
            evses = self._evses.get(_location(key), {})
            evses.pop(key, None)
            if not evses:
                self._evses.pop(_location(key), None)

    def _entry(self, entry_id: str) -> Entry | None:
        return next((kept[entry_id] for kept in self._journal.values() if entry_id in kept), None)

    def _place(self, entry_id: str, entry: Entry | None) -> None:
        old = self._entry(entry_id)
        if old is not None and (entry is None or (entry.topic, entry.sequence) != (old.topic, old.sequence)):
            self._remove(old)
        elif old is not None and entry is not None and old.key != entry.key:
            self._unlist(old)
        if entry is not None:
            entries = self._journal[entry.topic]
            entries[entry_id] = entry
            self._of_key.setdefault((entry.topic, entry.key), {})[entry_id] = None
            if old is not None and old.topic != entry.topic:  # its place may be before others
                self._journal[entry.topic] = dict(sorted(entries.items(), key=lambda item: item[1].sequence))

    def _remove(self, entry: Entry) -> None:
        del self._journal[entry.topic][entry.id]
        self._unlist(entry)

    def _unlist(self, entry: Entry) -> None:
        ids = self._of_key[entry.topic, entry.key]
        del ids[entry.id]
        if not ids:
            del self._of_key[entry.topic, entry.key]

    def _under(self, topic: str, key: Key) -> list[Entry]:
        """The entries of a topic under a key, in their order."""
        entries = self._journal[topic]
        return sorted((entries[each] for each in self._of_key.get((topic, key), ())), key=_sequence_of)


class _MemoryTransaction:
    __slots__ = ("_journal", "_read_only", "_records", "_store")

    of_one_process = True

    def __init__(self, store: MemoryStore, read_only: bool) -> None:
        self._store = store
        self._read_only = read_only
        self._records: dict[Key, Record | None] = {}
        self._journal: dict[str, Entry | None] = {}

    async def __aenter__(self) -> _MemoryTransaction:
        if not self._store._lock.acquire(timeout=self._store._lock_timeout):
            raise StoreFailed("a transaction cannot be started inside another one")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None and (self._records or self._journal):
                self._store._commit(self._records, self._journal)
        finally:
            self._store._lock.release()
        if kind is None:
            for key, record in self._records.items():
                if key.kind == Kind.COMMAND and record is not None:
                    self._store._listeners.tell(key.id)

    async def get(self, key: Key) -> Record | None:
        return self._find(owned(key))

    def _find(self, key: Key) -> Record | None:
        if self._records and key in self._records:
            return self._records[key]
        return self._store._records.get(key.kind, {}).get(key)

    async def put(self, record: Record) -> None:
        key = owned(record.key)
        old = self._find(key)
        sequence, revision = (old.sequence, old.revision + 1) if old else (next(self._store._sequence), 1)
        numbered = Record(
            key,
            record.document,
            record.last_updated,
            record.received_at,
            record.view,
            revision,
            sequence,
            record.missing_since,
            record.missed,
            record.correlation_id,
            record.valid_from,
            record.first_received_at,
            record.valid_until,
        )
        if old is None:
            self._records.pop(key, None)  # deleted before: its place is the last one
        self._change(self._records, key, numbered)

    async def delete(self, key: Key) -> None:
        key = owned(key)
        if key.kind == Kind.LOCATION:
            for evse in await self.children(key):
                self._change(self._records, evse.key, None)
        self._change(self._records, key, None)

    async def children(self, key: Key) -> Sequence[Record]:
        location = owned(key)[1:4]
        evses = self._store._records.get(Kind.EVSE, {})
        found = {child: evses[child] for child in self._store._evses.get(location, ())}
        for child, record in self._records.items():
            if child.kind == Kind.EVSE and _location(child) == location:
                _merge(found, child, record)
        return list(found.values())

    async def page(self, query: Query) -> Page:
        if query.by_start is not None:
            return self._by_start(query)
        records: Mapping[Key, Record] = self._store._records.get(query.kind, {})
        if asks_for_charges(query):
            charged = sorted((records[key] for key in self._store._charges.keys(query)), key=_sequence_of)
            records = {each.key: each for each in charged}
        elif query.id is not None:
            records = {key: records[key] for key in self._store._ids.get((query.kind, query.id), ())}
        changed = {key: record for key, record in self._records.items() if key.kind == query.kind}
        if changed and asks_for_charges(query):
            changed = {
                key: each if each and is_asked_for(charge_of(each), query) else None for key, each in changed.items()
            }
        if changed:
            merged = dict(records)
            for key, record in changed.items():
                _merge(merged, key, record)
            records = merged
            if asks_for_charges(query):  # what is selected by now may not have been before
                records = {each.key: each for each in sorted(merged.values(), key=_sequence_of)}
        matching = (record for record in records.values() if _matches(record, query))
        if not query.count:
            return Page(list(islice(matching, query.offset, query.offset + query.limit)), 0)
        found = list(matching)
        return Page(found[query.offset : query.offset + query.limit], len(found))

    def _by_start(self, query: Query) -> Page:
        """What starts first or last; as the index has it, but for what this transaction changed."""
        stored, is_last = self._store._records.get(query.kind, {}), query.by_start == "last"
        changed = {key: record for key, record in self._records.items() if key.kind == query.kind}
        kept = (stored[key] for key in self._store._charges.keys(query) if key not in changed)
        matching = (record for record in kept if _matches(record, query))
        own = ((_start(charge_of(each), query), each) for each in changed.values() if each and _matches(each, query))
        mine = sorted(((start, each) for start, each in own if start), key=itemgetter(0), reverse=is_last)
        if mine:
            starts = ((self._store._charges.start(each.key), each) for each in matching)
            matching = (each for _, each in merge(starts, mine, key=itemgetter(0), reverse=is_last))
        if not query.count:
            return Page(list(islice(matching, query.limit)), 0)
        found = list(matching)
        return Page(found[: query.limit], len(found))

    async def append(self, entry: Entry) -> None:
        old = await self.entry(entry.id)
        sequence = old.sequence if old else next(self._store._sequence)
        if old is None:
            self._journal.pop(entry.id, None)  # settled before: its place is the last one
        placed = Entry(  # three times as fast as evolve, and every authorization comes here
            id=entry.id,
            topic=entry.topic,
            name=entry.name,
            key=owned(entry.key) if entry.key else None,
            at=entry.at,
            body=entry.body,
            details=entry.details,
            attempts=entry.attempts,
            error=entry.error,
            due=entry.due,
            sequence=sequence,
        )
        self._change(self._journal, entry.id, placed)

    async def entry(self, entry_id: str) -> Entry | None:
        return self._journal[entry_id] if entry_id in self._journal else self._store._entry(entry_id)

    async def entries(
        self, topic: str, key: Key | None = None, limit: int = 100, *, owner: Owner | None = None, after: int = 0
    ) -> Sequence[Entry]:
        key = owned(key) if key else None
        journal: Iterable[Entry] = (
            self._store._journal[topic].values() if key is None else self._store._under(topic, key)
        )
        if self._journal:
            kept = (entry for entry in journal if entry.id not in self._journal)
            journal = merge(kept, sorted(filter(None, self._journal.values()), key=_sequence_of), key=_sequence_of)
        owner = (owner[0].upper(), owner[1].upper()) if owner else None
        found = (
            entry
            for entry in journal
            if entry.topic == topic
            and (key is None or entry.key == key)
            and (owner is None or _entry_owner(entry) == owner)
            and entry.sequence > after
        )
        return list(islice(found, limit))

    async def settle(self, entry_id: str) -> None:
        self._change(self._journal, entry_id, None)

    async def usage(self, name: str, owner: Owner | None = None) -> Mapping[Owner, Usage]:
        sizes = self._sizes_of_entries(name) if name in TOPICS else self._sizes_of_records(name)
        found = dict[Owner, Usage]()
        for whose, size in sizes:
            if owner is None or whose == (owner[0].upper(), owner[1].upper()):
                old = found.get(whose, Usage())
                found[whose] = Usage(old.count + 1, old.bytes + size)
        return found

    def _sizes_of_records(self, kind: str) -> Iterator[tuple[Owner, int]]:
        records: dict[Key, Record | None] = {**self._store._records.get(kind, {}), **self._records}
        for key, record in records.items():
            if record is not None and key.kind == kind:
                yield (key.country_code, key.party_id), len(record.document)

    def _sizes_of_entries(self, topic: str) -> Iterator[tuple[Owner, int]]:
        entries: dict[str, Entry | None] = {**self._store._journal[topic], **self._journal}
        for entry in entries.values():
            if entry is not None and entry.topic == topic and "country_code" in entry.details:
                yield _entry_owner(entry), entry.size

    def _change(self, changes: dict[_K, _V | None], key: _K, value: _V | None) -> None:
        if self._read_only:
            raise StoreFailed("a read-only transaction cannot write")
        changes[key] = value


def _sequence_of(entry: Entry | Record) -> int:
    return entry.sequence


def owned(key: Key) -> Key:
    """The key with its owner in upper case, as records are stored."""
    country_code, party_id = key.country_code.upper(), key.party_id.upper()
    if key.country_code == country_code and key.party_id == party_id:
        return key
    return key._replace(country_code=country_code, party_id=party_id)


def _entry_owner(entry: Entry) -> tuple[str, str]:
    country_code, party_id = (str(entry.details.get(name, "")) for name in ("country_code", "party_id"))
    return country_code.upper(), party_id.upper()


def _merge(records: dict[Key, Record], key: Key, record: Record | None) -> None:
    """What a transaction did to a record; one that it deleted and put again is the last."""
    if record is None or (key in records and records[key].sequence != record.sequence):
        records.pop(key, None)
    if record is not None:
        records[key] = record


def _start(charge: Charge | None, query: Query) -> datetime | None:
    """When a charge that a query selects starts."""
    return charge.start if charge is not None and is_asked_for(charge, query) else None


def _location(evse: Key) -> tuple[str, str, str]:
    return evse.country_code, evse.party_id, evse.parent


def _matches(record: Record, query: Query) -> bool:
    key = record.key
    return (
        (query.country_code is None or query.country_code.upper() == key.country_code)
        and (query.party_id is None or query.party_id.upper() == key.party_id)
        and record.sequence > query.after
        and (query.date_from is None or query.date_from <= record.last_updated)
        and (query.date_to is None or record.last_updated < query.date_to)
        and (query.received_from is None or query.received_from <= record.received_at)
        and (query.received_to is None or record.received_at < query.received_to)
        and (query.id is None or query.id == key.id)
        and (query.id_in_any_case is None or query.id_in_any_case.lower() == key.id.lower())
        and (query.at is None or _held(record, query.at))
    )


def _held(record: Record, at: datetime) -> bool:
    return (record.valid_from or record.last_updated) <= at and (record.valid_until is None or at < record.valid_until)
