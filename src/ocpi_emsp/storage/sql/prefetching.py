"""What a transaction reads and locks at once: the records of a page, its checkpoint, the EVSEs of its locations.

Rules of this module:
- PostgreSQL: keys without a record are locked by their numbers, in the order of these, before any row is; then the
  rows, each kind in its order: two transactions that locked rows first would wait for each other where one of them has
  just added a row;
- each statement sees what was committed before it, so what is locked is read after it was;
- where statements are piped, all are one round trip: the EVSEs of locations that turn out not to be there are asked
  for, too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from attrs import field, frozen

from ocpi_emsp.ports import Key, Kind, Owner, Record
from ocpi_emsp.storage.sql.locked import Locked
from ocpi_emsp.storage.sql.piped import Asked
from ocpi_emsp.storage.sql.shared import Shared
from ocpi_emsp.storage.sql.values import identity

Rows: TypeAlias = list[Any]
LOCKED_FIRST = frozenset({Kind.CDR, Kind.CHECKPOINT})
"""Locked before it is known whether they are there: nearly all CDRs that are asked for are new, and a checkpoint is
asked for alone."""


@frozen
class Prefetch:
    """Statements that read and lock, and what becomes of their rows in :attr:`locked`."""

    shared: Shared
    locked: Locked
    record: Callable[[Key, Any], Record]
    locks: bool
    advisory: bool
    _asked: list[Asked] = field(factory=list)
    _takes: list[tuple[int, Callable[[Rows], None]]] = field(factory=list)
    """How many statements, and what takes their rows."""

    def send(self, ask: Callable[[Sequence[Asked]], list[Rows]]) -> None:
        """Send what was asked for."""
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

    def group(self, group: Key, ids: Sequence[str]) -> None:
        """The records of a kind, owner and parent, by their ids in order."""
        statements = self.shared.objects[group.kind]
        values = identity(statements, group)
        there = set[str]()
        if self.advisory:
            numbers = [self.shared.number(group._replace(id=each)) for each in ids]
            if group.kind in LOCKED_FIRST:
                lock = Asked.of(self.shared.lock_all, {"numbers": sorted(numbers)})
                self._add([lock], lambda _: None)
            else:
                assert statements.lock_absent is not None
                lock = Asked.of(statements.lock_absent, {**values, "values": list(ids), "numbers": numbers})
                self._add([lock], lambda rows: there.update({*ids}.difference(row.id for row in rows)))
        several = statements.several_locked if self.locks else statements.several

        def take(rows: Rows) -> None:
            records = self.locked.records
            records.update((group._replace(id=each), None) for each in ids)
            for row in rows:
                key = group._replace(id=row.id)
                records[key] = self.record(key, row)
                there.discard(row.id)
            for deleted in there:  # just now, so it is not locked: whoever asks for it locks it
                del records[group._replace(id=deleted)]

        self._add(several.asked(values, ids), take)

    def families(self, owner: Owner, ids: Sequence[str]) -> None:
        """The EVSEs of locations that are locked by then."""
        statements = self.shared.evses
        families = statements.families_locked if self.locks else statements.families
        values = {"k_country_code": owner[0], "k_party_id": owner[1]}

        def take(rows: Rows) -> None:
            found: dict[str, list[Record]] = {each: [] for each in ids}
            for row in rows:
                found[row.location_id].append(self.record(Key(Kind.EVSE, *owner, row.id, row.location_id), row))
            for location_id, evses in found.items():
                self.locked.add_family((*owner, location_id), evses)

        self._add(families.asked(values, ids), take)
