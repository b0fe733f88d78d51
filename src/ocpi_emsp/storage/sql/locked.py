"""The records that a transaction has locked: no other transaction changes them, so each is read once.

Rules of this module:
- a record is stored here as it was found or last sent; that decides what the next write of it is: a new row, changed
  columns, or changed times only;
- all EVSEs of a location are known if the location is locked: a transaction that adds one locks the location first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from attrs import define, field

from ocpi_emsp.ports import Key, Kind, Owner, Record

Location = tuple[str, str, str]
"""The owner and the id of a location."""


def location_of(evse: Key) -> Location:
    """Return the location of an EVSE."""
    return evse.country_code, evse.party_id, evse.parent


@define
class Locked:
    """The records that a transaction has read; ``None`` for a key without a record."""

    records: dict[Key, Record | None] = field(factory=dict)
    extended: set[Location] = field(factory=set)
    """The locations with new EVSEs that are not sent yet; the database decides their order."""
    _grown: set[Location] = field(factory=set)
    """The locations whose new EVSEs were sent."""
    _families: dict[Location, list[Key]] = field(factory=dict)
    """The EVSEs of a locked location, oldest first."""

    def record(self, key: Key) -> Record | None:
        """Return the record as it was found or last sent; None if it was not read."""
        return self.records.get(key)

    def is_absent(self, key: Key) -> bool:
        """Return True for a locked key without a record: no other transaction adds one before the end."""
        if key.kind == Kind.EVSE:
            location = location_of(key)
            if location in self._families:
                return self.records.get(key) is None
            key = Key(Kind.LOCATION, *location)
            if location in self._grown:
                return False
        return key in self.records and self.records[key] is None

    def current(self, key: Key, pending: Mapping[Key, Record]) -> Record | None:
        """Return the current record, with what was put and is not sent yet."""
        found, changed = self.records[key], pending.get(key)
        return found if found is None or changed is None else _rewritten(found, changed)

    def current_record(self, key: Key, pending: Mapping[Key, Record]) -> Record:
        """Return the current record of an EVSE that exists."""
        found = self.current(key, pending)
        assert found is not None
        return found

    def family(self, location: Key) -> Sequence[Key] | None:
        """Return the EVSEs of a location; None if they are not known."""
        return None if location[1:4] in self.extended else self._families.get(location[1:4])

    def unread_families(self, keys: Iterable[Key]) -> dict[Owner, list[str]]:
        """Return the locations among these whose EVSEs are not known, by owner, without those known to be absent."""
        owners: dict[Owner, list[str]] = {}
        for key in keys:
            location = key[1:4]
            unread = location not in self._families and location not in self.extended
            if key.kind == Kind.LOCATION and unread and not (key in self.records and self.records[key] is None):
                owners.setdefault((key.country_code, key.party_id), []).append(key.id)
        return owners

    def add_family(self, location: Location, evses: list[Record]) -> list[Record]:
        """Return all EVSEs of a location, oldest first; they are known from now on if the location is locked."""
        evses.sort(key=lambda evse: evse.sequence)
        self.records.update((evse.key, evse) for evse in evses)
        key = tuple.__new__(Key, (Kind.LOCATION, *location, ""))  # Key() itself takes three times as long
        if self.record(key) is not None:
            self._families[location] = [evse.key for evse in evses]
        return evses

    def sent(self, pending: Mapping[Key, Record]) -> None:
        """Note that these were sent; the sequence of a new record is not known before it is read."""
        for location in self.extended:
            self._families.pop(location, None)
        self._grown |= self.extended
        self.extended.clear()
        for key, changed in pending.items():
            found = self.records.get(key)
            if found is None:
                self.records.pop(key, None)
            else:
                self.records[key] = _rewritten(found, changed)

    def forget(self, deleted: Key) -> None:
        """Remove a deleted record; a location with its EVSEs."""
        self.records.pop(deleted, None)
        if deleted.kind == Kind.EVSE:
            self._families.pop(location_of(deleted), None)
        elif deleted.kind == Kind.LOCATION:
            location = deleted[1:4]
            self._families.pop(location, None)
            for key in [key for key in self.records if key.kind == Kind.EVSE and location_of(key) == location]:
                del self.records[key]


def _rewritten(found: Record, changed: Record) -> Record:
    """Return a found record with what was put since; ``evolve`` takes six times as long."""
    return Record(
        found.key,
        changed.document,
        changed.last_updated,
        changed.received_at,
        None,
        found.revision + 1,
        found.sequence,
        changed.missing_since,
        changed.missed,
        changed.correlation_id,
        changed.valid_from,
        changed.first_received_at,
        changed.valid_until,
    )
