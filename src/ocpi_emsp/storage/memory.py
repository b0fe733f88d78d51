"""A store in memory: for tests, demos, and backends that pull everything at start.

Rules of this module:
- a transaction holds the only lock from begin to end, and nothing is read without it: so it applies changes at once,
  and records the previous values, which a rollback restores: all or nothing;
- a record or entry gets its numbers when it is put: a rollback leaves a gap between sequences;
- nothing in it suspends, so it serves the sync and the async shell alike;
- listeners of a command are notified after the commit, without the lock.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from itertools import count
from types import TracebackType

from ocpi_emsp.errors import CannotStore, StoreFailed
from ocpi_emsp.ports import (
    NAMES,
    PARTY_KINDS,
    TOPICS,
    DueQuery,
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
from ocpi_emsp.storage.charges import charge_of
from ocpi_emsp.storage.listeners import Listener, Listeners
from ocpi_emsp.storage.memory_journal import Journal
from ocpi_emsp.storage.memory_records import Placed, PlainKey, Records, Row

_SECONDS_TO_LOCK = 30.0
"""Seconds until a lock is considered deadlocked; a transaction takes microseconds."""


class MemoryStore:
    """A store in memory, for one process only: another process (``uvicorn --workers 2``) has its own parties and
    objects.

    A warning is logged once (``store.one_process``), when a token is unknown.
    A transaction that waits for another one longer than ``lock_timeout`` seconds raises StoreFailed.
    """

    def __init__(self, *, lock_timeout: float = _SECONDS_TO_LOCK) -> None:
        self._lock = threading.Lock()
        self._records = {kind: Records(kind) for kind in NAMES}
        self._journal = Journal()
        self._sequence = count(1)
        self._lock_timeout = lock_timeout
        self._listeners = Listeners()
        self._party_version = object()
        """Another one after each commit that changes a party or a credential."""

    def transaction(self, *, read_only: bool = False) -> AbstractAsyncContextManager[Transaction]:
        """Return a transaction; see :class:`ocpi_emsp.ports.Store`."""
        return _MemoryTransaction(self, read_only)

    def recording(self) -> AbstractAsyncContextManager[Transaction]:
        """Return a transaction that reads and appends; see :func:`ocpi_emsp.ports.recorder`."""
        return self.transaction()

    def announce(self, listener: Listener) -> Callable[[], None]:
        """Call ``listener`` with the id of each written command, right after its commit and in its thread."""
        return self._listeners.add(listener)

    def watch_parties(self) -> object:
        """See :class:`ocpi_emsp.ports.PartyWatching`."""
        return self._party_version

    def is_unchanged(self, watched: object, read: Iterable[tuple[Key, Record | None]]) -> bool:  # noqa: ARG002
        """See :class:`ocpi_emsp.ports.PartyWatching`."""
        return watched is self._party_version


class _MemoryTransaction:
    __slots__ = ("_entries_before", "_read_only", "_records", "_records_before", "_store")

    of_one_process = True

    def __init__(self, store: MemoryStore, read_only: bool) -> None:
        self._store = store
        self._records = store._records
        self._read_only = read_only
        self._records_before: dict[PlainKey, Placed | None] = {}
        self._entries_before: dict[str, Entry | None] = {}

    async def __aenter__(self) -> _MemoryTransaction:
        if not self._store._lock.acquire(timeout=self._store._lock_timeout):
            raise StoreFailed("a transaction cannot be started inside another one")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        told: list[str] = []
        try:
            if kind is None:
                told = self._commit()
            else:
                self._roll_back()
        finally:
            self._store._lock.release()
        for command_id in told:
            self._store._listeners.tell(command_id)

    def _commit(self) -> list[str]:
        """Check the changes; return the ids of the commands that were written."""
        kinds = {key[0] for key in self._records_before}
        if Kind.EVSE in kinds:
            self._require_locations()
        if not PARTY_KINDS.isdisjoint(kinds):
            self._store._party_version = object()
        return self._written(Kind.COMMAND) if Kind.COMMAND in kinds else []

    def _require_locations(self) -> None:
        """Raise CannotStore for an EVSE without its location, after restoring the previous values."""
        evses, locations = self._records[Kind.EVSE], self._records[Kind.LOCATION]
        for key in self._records_before:
            kind, country_code, party_id, _, parent = key
            if kind != Kind.EVSE or evses.row(key) is None:
                continue
            if locations.row((Kind.LOCATION, country_code, party_id, parent, "")) is None:
                self._roll_back()
                raise CannotStore(f"an EVSE refers to the unknown location '{parent}'")

    def _written(self, kind: str) -> list[str]:
        """Return the ids of the records of a kind that were put."""
        return [key[3] for key in self._records_before if key[0] == kind and self._records[kind].row(key) is not None]

    def _roll_back(self) -> None:
        for key, before in self._records_before.items():
            records = self._records[key[0]]
            row = records.row(key)
            if before is not None:
                records.put(row, before)
            elif row is not None:
                records.remove(row)
        for entry_id, entry in self._entries_before.items():
            self._store._journal.place(entry_id, entry)

    async def get(self, key: Key) -> Record | None:
        key = owned(key)
        return self._records[key.kind].get(key)

    async def put(self, record: Record) -> None:
        key = owned(record.key)
        if record.last_updated.tzinfo is None or record.received_at.tzinfo is None:
            raise CannotStore(f"the {key.kind} '{key.id}' has a time without a zone")  # naive times cannot be compared
        records = self._records[key.kind]
        row = records.row(key)
        if row is None:
            self._require_writable()
            row = records.append(key, record, next(self._store._sequence), charge_of(record))
            self._records_before.setdefault(row.key, None)
        else:
            self._remember(row)
            before = self._records_before[row.key]
            records.replace(row, record, 1 if before is None else before.revision + 1, charge_of(record))

    async def delete(self, key: Key) -> None:
        key = owned(key)
        if key.kind == Kind.LOCATION:
            for evse in await self.children(key):
                self._remove(evse.key)
        self._remove(key)

    def _remove(self, key: Key) -> None:
        self._require_writable()
        row = self._records[key.kind].row(key)
        if row is not None:
            self._remember(row)
            self._records[key.kind].remove(row)

    def _remember(self, row: Row) -> None:
        """Record the values before a change, for a rollback."""
        self._require_writable()
        if row.key not in self._records_before:
            self._records_before[row.key] = Placed.of(row)

    def _require_writable(self) -> None:
        if self._read_only:
            raise StoreFailed(_CANNOT_WRITE)

    async def children(self, key: Key) -> Sequence[Record]:
        return self._records[Kind.EVSE].children(owned(key)[1:4])

    async def page(self, query: Query) -> Page:
        return self._records[query.kind].page(query)

    async def append(self, entry: Entry) -> None:
        old = self._store._journal.entry(entry.id)
        placed = Entry(  # three times as fast as evolve, and every authorization uses it
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
            sequence=old.sequence if old else next(self._store._sequence),
        )
        self._journal(entry.id, placed)

    async def entry(self, entry_id: str) -> Entry | None:
        return self._store._journal.entry(entry_id)

    async def entries(
        self, topic: str, key: Key | None = None, limit: int = 100, *, owner: Owner | None = None, after: int = 0
    ) -> Sequence[Entry]:
        key = owned(key) if key else None
        return self._store._journal.entries(topic, key, limit, _in_upper_case(owner), after)

    async def due(self, query: DueQuery) -> Sequence[Entry]:
        return self._store._journal.due(query)

    async def settle(self, entry_id: str) -> None:
        self._journal(entry_id, None)

    def _journal(self, entry_id: str, entry: Entry | None) -> None:
        self._require_writable()
        if entry_id not in self._entries_before:
            self._entries_before[entry_id] = self._store._journal.entry(entry_id)
        self._store._journal.place(entry_id, entry)

    async def usage(self, name: str, owner: Owner | None = None) -> Mapping[Owner, Usage]:
        owner = _in_upper_case(owner)
        return self._store._journal.usage(name, owner) if name in TOPICS else self._records[name].usage(owner)


_CANNOT_WRITE = "a read-only transaction cannot write"


def owned(key: Key) -> Key:
    """Return the key with its owner in upper case, as records are stored."""
    country_code, party_id = key.country_code.upper(), key.party_id.upper()
    if key.country_code == country_code and key.party_id == party_id:
        return key
    return key._replace(country_code=country_code, party_id=party_id)


def _in_upper_case(owner: Owner | None) -> Owner | None:
    return None if owner is None else (owner[0].upper(), owner[1].upper())
