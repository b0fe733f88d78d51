"""The journal in memory: its entries by id, and in their order by topic, by owner and by object.

Rules of this module: the bytes of a topic are added up from the moment on at which somebody first asks for them, since
the details of an entry have to be written as JSON for it, and of most topics nobody asks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from operator import attrgetter
from typing import TypeAlias

from attrs import define

from ocpi_emsp.ports import Entry, Key, Owner, Usage
from ocpi_emsp.storage.ordered import Ordered


@define(eq=False, weakref_slot=False)
class _Row:
    """An entry in its place."""

    entry: Entry
    sequence: int


_by_sequence: Callable[[_Row], int] = attrgetter("sequence")
_Name: TypeAlias = tuple[str] | tuple[str, Owner] | tuple[str, Key]
"""A topic, alone or with an owner or the key of an object."""


class Journal:
    """The entries of all topics."""

    def __init__(self) -> None:
        self._rows: dict[str, _Row] = {}
        self._orders: dict[_Name, Ordered[_Row]] = {}
        self._usage: dict[str, dict[Owner, Usage]] = {}

    def entry(self, entry_id: str) -> Entry | None:
        """The entry with this id, or None."""
        row = self._rows.get(entry_id)
        return None if row is None else row.entry

    def entries(self, topic: str, key: Key | None, limit: int, owner: Owner | None, after: int) -> list[Entry]:
        """See :class:`ocpi_emsp.ports.Transaction`."""
        order = self._orders.get((topic, key) if key is not None else (topic, owner) if owner is not None else (topic,))
        if order is None:
            return []
        rows: Iterable[_Row] = order.between(order.place(after + 1) if after else 0, len(order))
        if key is not None and owner is not None:
            rows = (row for row in rows if owner_of(row.entry) == owner)
        return [row.entry for row in islice(rows, limit)]

    def usage(self, topic: str, owner: Owner | None) -> dict[Owner, Usage]:
        """What each owner has of a topic; or this one."""
        if topic not in self._usage:
            self._usage[topic] = {}
            for row in self._orders.get((topic,), ()):
                self._count(row.entry, 1)
        usage = self._usage[topic]
        return dict(usage) if owner is None else {owner: usage[owner]} if owner in usage else {}

    def place(self, entry_id: str, entry: Entry | None) -> None:
        """Have this entry here; None for none."""
        row = self._rows.get(entry_id)
        if row is not None:
            self._count(row.entry, -1)
            if entry is not None and _place_of(entry) == _place_of(row.entry):
                row.entry = entry
                self._count(entry, 1)
                return
            del self._rows[entry_id]
            for name in _names(row.entry):
                self._orders[name].remove(row)
                if not self._orders[name]:
                    del self._orders[name]
        if entry is not None:
            self._add(_Row(entry, entry.sequence))

    def _add(self, row: _Row) -> None:
        self._rows[row.entry.id] = row
        for name in _names(row.entry):
            order = self._orders.get(name)
            if order is None:
                order = self._orders[name] = Ordered(_by_sequence)
            order.add(row)
        self._count(row.entry, 1)

    def _count(self, entry: Entry, number: int) -> None:
        usage = self._usage.get(entry.topic)
        if usage is None or "country_code" not in entry.details:
            return
        owner = owner_of(entry)
        counted = usage.get(owner, Usage()).plus(number, number * entry.size)
        if counted.count:
            usage[owner] = counted
        else:
            del usage[owner]


def owner_of(entry: Entry) -> Owner:
    """The owner of an entry; empty codes for one without an owner."""
    country_code, party_id = (str(entry.details.get(name, "")) for name in ("country_code", "party_id"))
    return country_code.upper(), party_id.upper()


def _names(entry: Entry) -> tuple[_Name, ...]:
    of_all = (entry.topic,), (entry.topic, owner_of(entry))
    return of_all if entry.key is None else (*of_all, (entry.topic, entry.key))


def _place_of(entry: Entry) -> tuple[object, ...]:
    return entry.sequence, entry.topic, entry.key, owner_of(entry)
