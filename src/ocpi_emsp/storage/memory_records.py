"""The records of one kind in memory, and their indexes: by key, owner, id, location, time and charge.

Rules of this module:
- a record is found by indexes, or page by page; only selections that few records match are scanned (a tariff valid at a
  moment, the records of a country);
- the order by a time is created on first use, per owner, since most owners' orders are never used; that of the tokens
  exists from the beginning, since partners use it;
- the order of all owners' records is created on first use, too: it took a tenth of the time of a put;
- only the document is held: a typed view takes five times the memory of its document;
- stored objects are invisible to the garbage collector, which took a fifth of a first sync: a record is created when it
  is requested.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from itertools import islice
from operator import attrgetter
from typing import Final, Literal, NamedTuple, TypeAlias

import msgspec
from attrs import define

from ocpi_emsp.ports import Key, Kind, Owner, Page, Query, Record, Usage
from ocpi_emsp.storage.charges import Charge, asks_for_charges, is_asked_for
from ocpi_emsp.storage.ordered import Ordered

PlainKey: TypeAlias = tuple[str, str, str, str, str]
"""A key as a tuple: the garbage collector examines it once, and a Key again and again."""
_Time: TypeAlias = Literal["last_updated", "received_at"]
_FROM_THE_BEGINNING: Final[Mapping[str, tuple[_Time, ...]]] = {Kind.TOKEN: ("last_updated",)}


class Row(msgspec.Struct, eq=False, gc=False):
    """A record with its sequence, in a form that the garbage collector ignores: its replacement uses the same row, so
    that only differences are moved.

    With an object for each record, collections took 23 us of a location in a first sync of 50,000, a fifth of it. A row
    does not refer to its containers, so none is lost in a cycle. It has no view: a location with two EVSEs took 9.1 KB
    with it, and takes 3.7.
    """

    key: PlainKey
    sequence: int
    document: bytes
    last_updated: datetime
    received_at: datetime
    revision: int
    missing_since: datetime | None
    missed: int
    correlation_id: str
    valid_from: datetime | None
    first_received_at: datetime | None
    valid_until: datetime | None
    charge: Charge | None = None

    def record(self, key: Key | None = None) -> Record:
        """Return the record, without its view; ``key`` is its own key, if available."""
        return Record(
            key or tuple.__new__(Key, self.key),  # Key() itself takes three times as long
            self.document,
            self.last_updated,
            self.received_at,
            None,
            self.revision,
            self.sequence,
            self.missing_since,
            self.missed,
            self.correlation_id,
            self.valid_from,
            self.first_received_at,
            self.valid_until,
        )


class Placed(NamedTuple):
    """A record with its stored sequence and revision, and its key in upper case."""

    key: Key
    record: Record
    sequence: int
    revision: int
    charge: Charge | None

    @classmethod
    def of(cls, row: Row) -> Placed:
        """Return the content of a row."""
        record = row.record()
        return cls(record.key, record, row.sequence, row.revision, row.charge)


_by_sequence: Callable[[Row], int] = attrgetter("sequence")
_by_time: Final[Mapping[_Time, Callable[[Row], tuple[datetime, int]]]] = {
    "last_updated": attrgetter("last_updated", "sequence"),
    "received_at": attrgetter("received_at", "sequence"),
}
_by_start: Callable[[Row], tuple[datetime | None, int]] = attrgetter("charge.start", "sequence")


class _Rows:
    """Rows of one owner, or of all."""

    __slots__ = ("bytes", "ordered", "times")

    def __init__(self, times: Iterable[_Time] = (), rows: Iterable[Row] = ()) -> None:
        self.ordered = Ordered(_by_sequence, rows)
        self.bytes = sum(len(row.document) for row in self.ordered)
        self.times: dict[_Time, Ordered[Row]] = {name: Ordered(_by_time[name]) for name in times}

    def add(self, row: Row, *, is_new: bool) -> None:
        if is_new:
            self.ordered.append(row)
        else:
            self.ordered.add(row)
        self.bytes += len(row.document)
        if self.times:
            for order in self.times.values():
                order.add(row)

    def remove(self, row: Row) -> None:
        self.ordered.remove(row)
        self.bytes -= len(row.document)
        for order in self.times.values():
            order.remove(row)

    def window(self, name: _Time, first: datetime | None, last: datetime | None) -> _Window:
        """Return the rows with a time in ``[first, last)``."""
        order = self.times.get(name)
        if order is None:
            order = self.times[name] = Ordered(_by_time[name], self.ordered)
        begin = 0 if first is None else order.place((first,))
        return _Window(order, begin, len(order) if last is None else order.place((last,)))


@define
class _Window:
    order: Ordered[Row]
    first: int
    last: int

    def __len__(self) -> int:
        return max(self.last - self.first, 0)

    def __iter__(self) -> Iterator[Row]:
        return self.order.between(self.first, self.last)


class Records:
    """The records of one kind."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._rows: dict[PlainKey, Row] = {}
        self._all: _Rows | None = None
        """Made when somebody first asks for the records of all owners."""
        self._owners: dict[Owner, _Rows] = {}
        self._ids: dict[str, Row | list[Row]] = {}
        """By the id in lower case: a list only where there are several, which are few. Not of EVSEs."""
        self._children: dict[tuple[str, str, str], list[Row]] = {}
        """Of EVSEs, by their location; oldest first."""
        self._charges: dict[tuple[str, str], Ordered[Row]] = {}

    def get(self, key: Key) -> Record | None:
        """Return the record, or None."""
        row = self._rows.get(key)
        return None if row is None else row.record(key)

    def row(self, key: Key | PlainKey) -> Row | None:
        """Return the row of a record, or None."""
        return self._rows.get(key)

    def children(self, location: tuple[str, str, str]) -> list[Record]:
        """Return the EVSEs of a location, oldest first."""
        return [row.record() for row in self._children.get(location, ())]

    def usage(self, owner: Owner | None) -> dict[Owner, Usage]:
        """Return the usage of each owner, or of this one."""
        owners = self._owners if owner is None else {owner: self._owners[owner]} if owner in self._owners else {}
        return {whose: Usage(len(rows.ordered), rows.bytes) for whose, rows in owners.items()}

    # --- changes ----------------------------------------------------------------------------------------------------

    def append(self, key: Key, record: Record, sequence: int, charge: Charge | None) -> Row:
        """Add a new record after all others; return its row."""
        return self._add(key, record, sequence, 1, charge, is_new=True)

    def put(self, row: Row | None, placed: Placed) -> None:
        """Set the content of a row, which is that of its key.

        If the sequence differs from that of the row, it is restored to its place.
        """
        if row is not None and row.sequence == placed.sequence:
            self.replace(row, placed.record, placed.revision, placed.charge)
            return
        if row is not None:
            self.remove(row)
        self._add(*placed, is_new=False)

    def _add(
        self, key: Key, record: Record, sequence: int, revision: int, charge: Charge | None, *, is_new: bool
    ) -> Row:
        kind, country_code, party_id, name, parent = key
        plain = kind, country_code, party_id, name, parent
        row = Row(
            plain,
            sequence,
            record.document,
            record.last_updated,
            record.received_at,
            revision,
            record.missing_since,
            record.missed,
            record.correlation_id,
            record.valid_from,
            record.first_received_at,
            record.valid_until,
        )
        self._rows[plain] = row
        owner = country_code, party_id
        rows = self._owners.get(owner)
        if rows is None:
            rows = self._owners[owner] = _Rows(_FROM_THE_BEGINNING.get(self._kind, ()))
        rows.add(row, is_new=is_new)
        if self._all is not None:
            self._all.add(row, is_new=is_new)
        if kind != Kind.EVSE:
            self._name(row)
        elif siblings := self._children.get((country_code, party_id, parent)):
            siblings.append(row) if is_new else _insert(siblings, row)
        else:
            self._children[country_code, party_id, parent] = [row]
        if charge is not None:
            self._charge(row, charge)
        return row

    def remove(self, row: Row) -> None:
        """Remove a row."""
        key = row.key
        owner = key[1:3]
        rows = self._owners[owner]
        self._charge(row, None)
        del self._rows[key]
        rows.remove(row)
        if self._all is not None:
            self._all.remove(row)
        if not rows.ordered:
            del self._owners[owner]
        if self._kind == Kind.EVSE:
            siblings = self._children[_location(key)]
            _delete(siblings, row)
            if not siblings:
                del self._children[_location(key)]
        else:
            self._unname(row)

    def replace(self, row: Row, record: Record, revision: int, charge: Charge | None) -> None:
        """Replace the content of a row, which stays in its place."""
        listed, changed = self._listed_with(row), charge != row.charge
        if changed:
            self._charge(row, None)
        grown = len(record.document) - len(row.document)
        moved = list[Ordered[Row]]()
        for rows in listed:
            rows.bytes += grown
            moved += [order for name, order in rows.times.items() if getattr(row, name) != getattr(record, name)]
        for order in moved:
            order.remove(row)
        row.document, row.revision = record.document, revision
        row.last_updated, row.received_at = record.last_updated, record.received_at
        row.missing_since, row.missed = record.missing_since, record.missed
        row.correlation_id = record.correlation_id
        row.valid_from, row.first_received_at = record.valid_from, record.first_received_at
        row.valid_until = record.valid_until
        for order in moved:
            order.add(row)
        if changed:
            self._charge(row, charge)

    def _listed_with(self, row: Row) -> tuple[_Rows, ...]:
        """Return the rows of its owner, and those of all."""
        of_owner = self._owners[row.key[1:3]]
        return (of_owner,) if self._all is None else (of_owner, self._all)

    def _charge(self, row: Row, charge: Charge | None) -> None:
        """Index a row by this charge from now on."""
        if row.charge is not None:
            for name in _names(row.charge):
                order = self._charges[name]
                order.remove(row)
                if not order:
                    del self._charges[name]
        row.charge = charge
        if charge is not None:
            for name in _names(charge):
                if name not in self._charges:
                    self._charges[name] = Ordered(_by_start)
                self._charges[name].add(row)

    def _name(self, row: Row) -> None:
        name = _lower(row.key[3])
        named = self._ids.get(name)
        if named is None:
            self._ids[name] = row
        elif isinstance(named, list):
            _insert(named, row)
        else:
            self._ids[name] = sorted((named, row), key=_by_sequence)

    def _unname(self, row: Row) -> None:
        name = _lower(row.key[3])
        named = self._ids[name]
        if isinstance(named, list):
            _delete(named, row)
        if named is row or named == []:
            del self._ids[name]

    # --- pages ------------------------------------------------------------------------------------------------------

    def page(self, query: Query) -> Page:
        """Return the records that a query selects; see :class:`ocpi_emsp.ports.Transaction`."""
        if asks_for_charges(query):
            return _cut(_select(self._charged(query), query), query)
        name = query.id if query.id is not None else query.id_in_any_case
        if name is not None and self._kind != Kind.EVSE:
            named = self._ids.get(_lower(name), ())
            return _cut(_select(named if isinstance(named, (list, tuple)) else (named,), query), query)
        return self._listed(query)

    def _charged(self, query: Query) -> Iterable[Row]:
        """Return the rows selected by charge; in the order of the starts if requested."""
        if query.auth_id is not None:
            order = self._charges.get(("auth_id", query.auth_id))
        elif query.location_id is not None:
            order = self._charges.get(("location_id", query.location_id))
        else:
            order = self._charges.get(("", ""))
        times = query.start_from, query.start_to
        if order is None or (self._kind == Kind.TOKEN and times != (None, None)):  # a token has no start
            return ()
        first = 0 if query.start_from is None else order.place((query.start_from,))
        last = len(order) if query.start_to is None else order.place((query.start_to,))
        rows = order.between_reversed(first, last) if query.by_start == "last" else order.between(first, last)
        found = (row for row in rows if is_asked_for(row.charge, query))
        return found if query.by_start is not None else sorted(found, key=_by_sequence)

    def _listed(self, query: Query) -> Page:
        """Return a page in the order of the sequence: from a place if there is no filter, otherwise by a window."""
        owner = _owner(query)
        rows = self._of_all() if owner is None else self._owners.get(owner)
        if rows is None:
            return Page([], 0)
        order = rows.ordered
        first = order.place(query.after + 1) if query.after else 0
        is_exact = _is_exact(query)
        windows = [rows.window(name, *bounds) for name, bounds in _times(query).items()]
        if is_exact and not windows:
            place = first + query.offset
            return _page_of(order.between(place, min(place + query.limit, len(order))), query, len(order) - first)
        window = min(windows, key=len, default=None)
        found: Iterable[Row] = order.between(first, len(order))
        # In a list of n with m in the window, each of these follows n/m others: a page examines that many.
        if window is not None and len(window) ** 2 <= (query.offset + query.limit) * len(order):
            found = sorted(window, key=_by_sequence)
        found = _select(found, query)
        if is_exact and window is not None and len(windows) == 1 and not query.after:
            return _page_of(islice(found, query.offset, query.offset + query.limit), query, len(window))
        return _cut(found, query)

    def _of_all(self) -> _Rows:
        """Return the rows of all owners."""
        if self._all is None:
            self._all = _Rows(rows=self._rows.values())
        return self._all


def _insert(rows: list[Row], row: Row) -> None:
    insort(rows, row, key=_by_sequence)


def _delete(rows: list[Row], row: Row) -> None:
    del rows[bisect_left(rows, row.sequence, key=_by_sequence)]


def _names(charge: Charge) -> Iterator[tuple[str, str]]:
    yield "auth_id", charge.auth_id
    if charge.start is not None:
        yield "", ""
    if charge.location_id is not None:
        yield "location_id", charge.location_id


def _lower(text: str) -> str:
    """Return the text in lower case; the same object if it already is, so that an index holds no copy."""
    lower = text.lower()
    return text if lower == text else lower


def _location(evse: PlainKey) -> tuple[str, str, str]:
    _, country_code, party_id, _, parent = evse
    return country_code, party_id, parent


def _owner(query: Query) -> Owner | None:
    """Return the only requested owner."""
    if query.country_code is None or query.party_id is None:
        return None
    return query.country_code.upper(), query.party_id.upper()


def _is_exact(query: Query) -> bool:
    """Return True if only the owner, or none, and the times select: these have an order."""
    names = (query.id, query.id_in_any_case, query.at)
    return (query.country_code is None) == (query.party_id is None) and not any(each is not None for each in names)


def _times(query: Query) -> dict[_Time, tuple[datetime | None, datetime | None]]:
    bounds: dict[_Time, tuple[datetime | None, datetime | None]] = {
        "last_updated": (query.date_from, query.date_to),
        "received_at": (query.received_from, query.received_to),
    }
    return {name: each for name, each in bounds.items() if each != (None, None)}


def _page_of(rows: Iterable[Row], query: Query, total: int) -> Page:
    return Page([row.record() for row in rows], total if query.count else 0)


def _cut(rows: Iterable[Row], query: Query) -> Page:
    """Return a page of the selected rows."""
    if not query.count:
        return _page_of(islice(rows, query.offset, query.offset + query.limit), query, 0)
    found = list(rows)
    return _page_of(found[query.offset : query.offset + query.limit], query, len(found))


def _select(rows: Iterable[Row], query: Query) -> Iterable[Row]:
    """Return the rows that a query selects, however they were found."""
    for test in (*_tests_of_keys(query), *_tests_of_times(query)):
        rows = filter(test, rows)
    return rows


def _tests_of_keys(query: Query) -> Iterator[Callable[[Row], bool]]:
    country_code, party_id = (each and each.upper() for each in (query.country_code, query.party_id))
    named, in_any_case = query.id, query.id_in_any_case and query.id_in_any_case.lower()
    if country_code is not None:
        yield lambda row: row.key[1] == country_code
    if party_id is not None:
        yield lambda row: row.key[2] == party_id
    if query.after:
        yield lambda row: row.sequence > query.after
    if named is not None:
        yield lambda row: row.key[3] == named
    if in_any_case is not None:
        yield lambda row: row.key[3].lower() == in_any_case


def _tests_of_times(query: Query) -> Iterator[Callable[[Row], bool]]:
    for name, (first, last) in _times(query).items():
        moment: Callable[[Row], datetime] = attrgetter(name)
        if first is not None:
            yield lambda row, moment=moment, first=first: first <= moment(row)  # type: ignore[misc]
        if last is not None:
            yield lambda row, moment=moment, last=last: moment(row) < last  # type: ignore[misc]
    at = query.at
    if at is not None:
        yield lambda row: _held(row, at)


def _held(row: Row, at: datetime) -> bool:
    return (row.valid_from or row.last_updated) <= at and (row.valid_until is None or at < row.valid_until)
