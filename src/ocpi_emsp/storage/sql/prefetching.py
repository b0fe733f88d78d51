"""Reads and locks of many records at once: a page, its checkpoint, the EVSEs of its locations.

Rules of this module:
- PostgreSQL: keys without a record are locked first, by their numbers and in that order; then the rows, kind by kind in
  order. If rows were locked first, two transactions would wait for each other once one of them has added a row;
- each statement sees what was committed before it, so a record is read after it was locked;
- piped statements take one round trip in all, so the EVSEs of locations that turn out to be absent are also read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from attrs import field, frozen

from ocpi_emsp.ports import Key, Kind, Owner, Record
from ocpi_emsp.storage.sql.locked import Locked
from ocpi_emsp.storage.sql.piped import Asked
from ocpi_emsp.storage.sql.rows import records
from ocpi_emsp.storage.sql.shared import Shared
from ocpi_emsp.storage.sql.values import identity

Rows: TypeAlias = list[Any]
LOCKED_FIRST = frozenset({Kind.CDR, Kind.CHECKPOINT})
"""Kinds whose keys are locked before a look for the record: nearly all CDRs are new, and a checkpoint is read alone."""


@frozen
class Prefetch:
    """Statements that read and lock; their rows go to :attr:`locked`."""

    shared: Shared
    locked: Locked
    locks: bool
    advisory: bool
    _asked: list[Asked] = field(factory=list)
    _takes: list[tuple[int, Callable[[Rows], None]]] = field(factory=list)
    """Numbers of statements, and the functions that take their rows."""

    def send(self, ask: Callable[[Sequence[Asked]], list[Rows]]) -> None:
        """Send the collected statements."""
        if not self._asked:
            return
        found = iter(ask(self._asked))
        for number, take in self._takes:
            take([row for _ in range(number) for row in next(found)])
        self._asked.clear()
        self._takes.clear()

    def _add(self, asked: Sequence[Asked], take: Callable[[Rows], None]) -> None:
        self._asked.extend(asked)
        self._takes.append((len(asked), take))

    def group(self, keys: Mapping[str, Key]) -> None:
        """Add the records of these keys, by id and in order; all have the same kind, owner and parent."""
        ids, a_key = list(keys), next(iter(keys.values()))
        statements = self.shared.objects[a_key.kind]
        values = identity(statements, a_key)
        there = set[str]()
        if self.advisory:
            numbers = [self.shared.number(key) for key in keys.values()]
            if a_key.kind in LOCKED_FIRST:
                lock = Asked.of(self.shared.lock_all, {"numbers": sorted(numbers)})
                self._add([lock], lambda _: None)
            else:
                assert statements.lock_absent is not None
                lock = Asked.of(statements.lock_absent, {**values, "values": ids, "numbers": numbers})
                self._add([lock], lambda rows: there.update({*ids}.difference(row.id for row in rows)))
        several = statements.several_locked if self.locks else statements.several

        def take(rows: Rows) -> None:
            found = [keys[row.id] for row in rows]
            locked = self.locked.records
            locked.update(dict.fromkeys(keys.values()))
            locked.update(zip(found, records(self.shared, statements, found, rows), strict=True))
            # These were deleted just now, so they are not locked: the next read of one locks it.
            for deleted in there.difference(key.id for key in found):
                del locked[keys[deleted]]

        self._add(several.asked(values, ids), take)

    def families(self, owner: Owner, ids: Sequence[str]) -> None:
        """Add the EVSEs of locations that are locked by then."""
        statements = self.shared.evses
        families = statements.families_locked if self.locks else statements.families
        values = {"k_country_code": owner[0], "k_party_id": owner[1]}

        def take(rows: Rows) -> None:
            found: dict[str, list[Record]] = {each: [] for each in ids}
            evse, (country_code, party_id) = Kind.EVSE, owner
            make = tuple.__new__  # Key() itself takes three times as long
            keys = [make(Key, (evse, country_code, party_id, row.id, row.location_id)) for row in rows]
            for record in records(self.shared, self.shared.objects[evse], keys, rows):
                found[record.key.parent].append(record)
            for location_id, evses in found.items():
                self.locked.add_family((*owner, location_id), evses)

        self._add(families.asked(values, ids), take)
