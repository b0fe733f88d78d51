"""The journal in memory: its entries by id, and in order by topic, by owner and by object.

Rules of this module:
- the bytes of a topic are only added up from their first use on, since that requires an entry's details as JSON, and
  most topics' bytes are never used;
- decisions and rejections accumulate and are seldom read: they are packed, so that the garbage collector has nothing to
  traverse. With six objects for each of them it traversed everything stored after 10,000 more, for a sixth of a second.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from datetime import datetime
from heapq import merge
from itertools import islice
from operator import attrgetter
from typing import Final, TypeAlias, TypeVar

import msgspec
from attrs import define

from ocpi_emsp.ports import AUTHORIZATION, PARKED, REJECTION, TOPICS, DueQuery, Entry, Key, Owner, Usage
from ocpi_emsp.storage.ordered import Ordered

_Name = TypeVar("_Name")


@define(eq=False, weakref_slot=False)
class _Kept:
    """An entry with its sequence."""

    entry: Entry
    sequence: int
    owner: Owner
    _size: int | None = None

    @property
    def key(self) -> Key | None:
        return self.entry.key

    @property
    def due(self) -> datetime | None:
        return self.entry.due

    @property
    def size(self) -> int:
        if self._size is None:
            self._size = self.entry.size
        return self._size


class _Packed(msgspec.Struct, gc=False, eq=False):
    """An entry with its sequence, without parts that may refer to others."""

    id: str
    topic: str
    name: str
    key: Key | None
    at: datetime
    body: bytes
    details: str
    attempts: int
    error: str
    due: datetime | None
    sequence: int
    owner: Owner

    @property
    def entry(self) -> Entry:
        return Entry(
            id=self.id,
            topic=self.topic,
            name=self.name,
            key=self.key,
            at=self.at,
            body=self.body,
            details=json.loads(self.details),
            attempts=self.attempts,
            error=self.error,
            due=self.due,
            sequence=self.sequence,
        )

    @property
    def size(self) -> int:
        return len(self.body) + len(self.details)


_Row: TypeAlias = _Kept | _Packed
_PACKED: Final = frozenset({AUTHORIZATION, REJECTION})


def _row_of(entry: Entry, owner: Owner) -> _Row:
    if entry.topic not in _PACKED:
        return _Kept(entry, entry.sequence, owner)
    return _Packed(
        entry.id,
        entry.topic,
        entry.name,
        entry.key,
        entry.at,
        entry.body,
        json.dumps(dict(entry.details)),
        entry.attempts,
        entry.error,
        entry.due,
        entry.sequence,
        owner,
    )


_by_sequence: Callable[[_Row], int] = attrgetter("sequence")


def _by_due(row: _Row) -> tuple[datetime | None, int]:
    return row.due, row.sequence


def _after(query: DueQuery, rows: Iterable[_Row]) -> list[_Row]:
    """Return the rows after a sequence, oldest first."""
    return sorted((row for row in rows if row.sequence > query.after), key=_by_sequence)


_BEHIND_ALL = 10**18
"""A sequence larger than any entry's."""


class _Topic:
    """The entries of a topic, oldest first: all, by owner, by object; and by their ``due``."""

    __slots__ = ("all", "keys", "owners", "timed", "untimed", "usage")

    def __init__(self) -> None:
        self.all = Ordered(_by_sequence)
        self.untimed = Ordered(_by_sequence)
        self.timed = Ordered(_by_due)
        self.owners: dict[Owner, Ordered[_Row]] = {}
        self.keys: dict[Key, Ordered[_Row]] = {}
        self.usage: dict[Owner, Usage] | None = None
        """None until somebody asks for it."""

    def order(self, key: Key | None, owner: Owner | None) -> Ordered[_Row] | None:
        """Return the fewest rows that include all of an object, or of an owner."""
        if key is not None:
            return self.keys.get(key)
        return self.all if owner is None else self.owners.get(owner)

    def by_due(self, due: datetime | None) -> Ordered[_Row]:
        """Return the rows that include an entry with this ``due``."""
        return self.untimed if due is None else self.timed

    def due(self, query: DueQuery) -> Iterable[_Row]:
        """Return the rows that may be handled now, oldest first."""
        behind, beyond = (self.timed.place((moment, _BEHIND_ALL)) for moment in (query.at, query.beyond))
        return merge(
            self.untimed.between(self.untimed.place(query.after + 1), len(self.untimed)),
            _after(query, self.timed.between(0, behind)),
            _after(query, self.timed.between(beyond, self.timed.place((PARKED, 0)))),
            key=_by_sequence,
        )

    def add(self, row: _Row) -> None:
        self.all.add(row)
        self.by_due(row.due).add(row)
        _insert(self.owners, row.owner, row)
        if row.key is not None:
            _insert(self.keys, row.key, row)
        self.count(row, 1)

    def remove(self, row: _Row) -> None:
        self.all.remove(row)
        self.by_due(row.due).remove(row)
        _delete(self.owners, row.owner, row)
        if row.key is not None:
            _delete(self.keys, row.key, row)
        self.count(row, -1)

    def count(self, row: _Row, number: int) -> None:
        """Add a row to its owner's usage, or subtract it; a row without an owner is not counted."""
        if self.usage is None or row.owner == NO_OWNER:
            return
        counted = self.usage.get(row.owner, _NOTHING).plus(number, number * row.size)
        if counted.count:
            self.usage[row.owner] = counted
        else:
            del self.usage[row.owner]


class Journal:
    """The entries of all topics."""

    def __init__(self) -> None:
        self._rows: dict[str, _Row] = {}
        self._topics = {topic: _Topic() for topic in TOPICS}
        self._owners: dict[Owner, Owner] = {}
        """Each once, however many entries it has."""

    def due(self, query: DueQuery) -> list[Entry]:
        """See :func:`ocpi_emsp.ports.due_reader`."""
        wanted = (row.entry for row in self._topics[query.topic].due(query) if row.entry.name not in query.not_named)
        return list(islice(wanted, query.limit))

    def entry(self, entry_id: str) -> Entry | None:
        """Return the entry with this id, or None."""
        row = self._rows.get(entry_id)
        return None if row is None else row.entry

    def entries(self, topic: str, key: Key | None, limit: int, owner: Owner | None, after: int) -> list[Entry]:
        """See :class:`ocpi_emsp.ports.Transaction`."""
        order = self._topics[topic].order(key, owner)
        if order is None:
            return []
        rows: Iterable[_Row] = order.between(order.place(after + 1) if after else 0, len(order))
        if key is not None and owner is not None:
            rows = (row for row in rows if row.owner == owner)
        return [row.entry for row in islice(rows, limit)]

    def usage(self, name: str, owner: Owner | None) -> dict[Owner, Usage]:
        """Return the usage of a topic by each owner, or by this one."""
        topic = self._topics[name]
        if topic.usage is None:
            topic.usage = {}
            for row in topic.all:
                topic.count(row, 1)
        usage = topic.usage
        return dict(usage) if owner is None else {owner: usage[owner]} if owner in usage else {}

    def place(self, entry_id: str, entry: Entry | None) -> None:
        """Set the entry with this id; None removes it."""
        row = self._rows.get(entry_id)
        owner = NO_OWNER if entry is None else owner_of(entry)
        if row is not None:
            if entry is not None and isinstance(row, _Kept) and row.owner == owner and _is_in_one_place(row, entry):
                topic = self._topics[entry.topic]
                topic.count(row, -1)
                topic.by_due(row.due).remove(row)
                row.entry, row._size = entry, None
                topic.by_due(row.due).add(row)
                topic.count(row, 1)
                return
            self._topics[_topic_of(row)].remove(row)
            del self._rows[entry_id]
        if entry is not None:
            row = self._rows[entry_id] = _row_of(entry, self._owners.setdefault(owner, owner))
            self._topics[entry.topic].add(row)


NO_OWNER: Final = ("", "")
_NOTHING = Usage()


def _insert(orders: dict[_Name, Ordered[_Row]], name: _Name, row: _Row) -> None:
    order = orders.get(name)
    if order is None:
        order = orders[name] = Ordered(_by_sequence)
    order.add(row)


def _delete(orders: dict[_Name, Ordered[_Row]], name: _Name, row: _Row) -> None:
    order = orders[name]
    order.remove(row)
    if not order:
        del orders[name]


def _topic_of(row: _Row) -> str:
    return row.topic if isinstance(row, _Packed) else row.entry.topic


def _is_in_one_place(old: _Kept, new: Entry) -> bool:
    return old.sequence == new.sequence and old.entry.topic == new.topic and old.key == new.key


def owner_of(entry: Entry) -> Owner:
    """Return the owner of an entry; empty codes for one without an owner."""
    details = entry.details
    return str(details.get("country_code", "")).upper(), str(details.get("party_id", "")).upper()
