"""A transaction over one connection: reads lock, writes are sent together.

Rules of this module:
- a record that is read by its key or as a child, and an entry of the journal, is locked until the end; so is a key
  without a record (PostgreSQL: an advisory lock; SQLite has one writer at a time);
- a locked record is not read again: it is used as it was found, or as it was put since (locked.py);
- PostgreSQL: a transaction that prefetched (piped.py), or runs on an event loop (direct.py), sends several statements
  at once: BEGIN goes with the first read, and the remaining writes with the COMMIT;
- writes are collected and sent kind by kind, a location before its EVSEs, before a read that they may change, or at
  the end;
- entries of the journal are collected, too; a single one without other writes needs no BEGIN and COMMIT;
- a record that was read before is rewritten; one with an unchanged document is touched;
- a written command is announced (PostgreSQL), and so is a change of parties or credentials: the database notifies at
  the commit, and not after a rollback.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from ocpi_emsp.errors import StoreFailed
from ocpi_emsp.ports import (
    NAMES,
    PARKED,
    PARTY_KINDS,
    Documents,
    DueQuery,
    Entry,
    Key,
    Kind,
    Owner,
    Page,
    Query,
    Record,
    Usage,
)
from ocpi_emsp.storage.memory import owned
from ocpi_emsp.storage.sql.bulk import may_copy
from ocpi_emsp.storage.sql.engine import COMMIT, refused
from ocpi_emsp.storage.sql.locked import Locked, location_of
from ocpi_emsp.storage.sql.piped import Asked
from ocpi_emsp.storage.sql.prefetching import LOCKED_FIRST, Prefetch
from ocpi_emsp.storage.sql.prepared import Prepared
from ocpi_emsp.storage.sql.rows import records, without_view, written
from ocpi_emsp.storage.sql.sending import Sending
from ocpi_emsp.storage.sql.shared import Shared
from ocpi_emsp.storage.sql.statements import JournalStatements, ObjectStatements
from ocpi_emsp.storage.sql.values import entry_of, entry_values, identity, key_of, key_text, page_values

_ORDER = {kind: place for place, kind in enumerate(NAMES)}
_MANY = 16
"""Fewest new rows for a COPY: it takes two round trips; their INSERTs take one in all, but more time."""
_LONGEST_MESSAGE = 7999
"""Most bytes of a message of PostgreSQL; an empty message means that something was missed."""


class SqlTransaction:
    """:class:`ocpi_emsp.ports.BlockingTransaction` over a connection that is in a transaction."""

    def __init__(
        self,
        shared: Shared,
        connection: Connection,
        *,
        read_only: bool = False,
        joined: bool = False,
        begun: bool = True,
    ) -> None:
        """``begun``: False if BEGIN is to be sent with the first statement."""
        self.joined = joined
        self._shared = shared
        self._connection = connection
        self._read_only = read_only
        self._advisory = not read_only and connection.dialect.name == "postgresql"
        self._sending = Sending(connection, shared.lock, begun=begun)
        self._pending: dict[Key, Record] = {}
        self._written: dict[Key, tuple[Any, ...]] = {}
        """The columns that follow from the documents, taken at the put, so that no view lives until the flush.

        A party has none here: taking its columns seals its token, and the flush first checks the key.
        """
        self._entries: dict[tuple[str, str], Entry] = {}
        """By table and id."""
        self._locked = Locked()
        self.changes_parties = False
        """True once it has written or deleted a party or a credential."""

    def begin(self) -> None:
        """Begin, if that is not done yet."""
        self._sending.begin()

    def finish(self) -> None:
        """Send what is left, if possible together with the COMMIT; the database commits a single entry by itself."""
        self._sending.end(is_alone=len(self._entries) == 1 and not self._pending)
        self.flush()
        self._sending.send_last(self._ending() if self._sending.may_commit and not self.changes_parties else ())

    def _ending(self) -> Sequence[Asked]:
        return (Asked(COMMIT),)

    # --- records ------------------------------------------------------------------------------------------------

    def get(self, key: Key) -> Record | None:
        """Return the record, or None."""
        key = owned(key)
        if key in self._pending and self._locked.record(key) is None:
            self.flush()
        if key in self._locked.records:
            return self._locked.current(key, self._pending)
        statements = self._statements(key)
        values = identity(statements, key)
        locks_first = self._advisory and key.kind in LOCKED_FIRST
        if locks_first:
            self._lock(key)
        if key.kind == Kind.LOCATION and self._sending.sends_together and not self._read_only:
            row = self._get_location(key, statements.get_locked, values)
        else:
            row = self._sending.one(statements.get if self._read_only else statements.get_locked, values)
        if row is None and self._advisory and not locks_first:
            self._lock(key)
            row = self._sending.one(statements.get_locked, values)
        record = self._record(key, row) if row is not None else None
        if record is not None or not self._read_only:  # without a lock, the next read may find it
            self._locked.records[key] = record
        return record

    def _get_location(self, key: Key, location: Prepared, values: Mapping[str, Any]) -> Any:
        """Lock a location, and return its row; its EVSEs are read as well: a write to a location needs them next."""
        rows, evses = self._sending.ask([Asked.of(location, values), self._children(key)])
        if not rows:
            return None
        self._locked.records[key] = self._record(key, rows[0])
        self._family(key, evses)
        return rows[0]

    def prefetch(self, keys: Collection[Key], *, children: bool = False) -> None:
        """Read and lock many records at once; see :func:`ocpi_emsp.ports.prefetch`."""
        wanted = dict.fromkeys(map(owned, keys))
        unread = [key for key in wanted if key not in self._pending and key not in self._locked.records]
        unread = [] if self._get_at_once(unread) else unread
        if unread and not self._read_only:
            self._sending.pipe()
        groups: dict[tuple[str, ...], list[Key]] = {}
        for key in unread:
            self._statements(key)
            groups.setdefault((*key[:3], key.parent), []).append(key)
        reads = Prefetch(self._shared, self._locked, locks=not self._read_only, advisory=self._advisory)
        for keys_of_group in groups.values():
            first = keys_of_group[0]
            if len(keys_of_group) > 1 or self._sending.pipes or (self._advisory and first.kind in LOCKED_FIRST):
                reads.group({key.id: key for key in sorted(keys_of_group)})
            else:
                self.get(first)
        if not self._sending.pipes:  # then the next statement only asks for locations that exist
            reads.send(self._sending.ask)
        for owner, ids in self._locked.unread_families(wanted if children else ()).items():
            reads.families(owner, sorted(ids))
        reads.send(self._sending.ask)

    def _get_at_once(self, keys: Sequence[Key]) -> bool:
        """Read and lock these records with one statement on several tables; return False if there is none."""
        if self._advisory:
            return len(keys) == 2 and self._get_evse(*keys)
        together = self._shared.together(keys)
        if together is None:
            return False
        for key, row in zip(keys, together.rows(self._sending.ask([together.asked(keys)])[0]), strict=True):
            self._locked.records[key] = row and self._record(key, row)
        return True

    def _get_evse(self, location: Key, evse: Key) -> bool:
        """Read and lock an EVSE and its location; return False for other keys, or if one of them is absent."""
        if (location.kind, evse.kind) != (Kind.LOCATION, Kind.EVSE) or location_of(evse) != location[1:4]:
            return False
        statements = self._statements(evse)
        row = self._sending.one(self._shared.evses.with_location, identity(statements, evse))
        if row is None:
            return False
        half = len(row) // 2
        for key, cells in ((location, row[:half]), (evse, row[half:])):
            self._locked.records[key] = self._record(key, cells)
        return True

    def put(self, record: Record) -> None:
        """Insert or replace; sent with the next flush."""
        self._require_writable()
        key = owned(record.key)
        self._statements(key)
        seen = self._locked.record(key)
        self._written.pop(key, None)
        if record.view is not None:
            if seen is None or seen.document != record.document:
                self._written[key] = written(self._shared, record)
            record = without_view(record)
        self._pending[key] = record
        if key.kind == Kind.EVSE and seen is None:
            self._locked.extended.add(location_of(key))

    def delete(self, key: Key) -> None:
        """Remove the record, if it exists; a location with its EVSEs."""
        self._require_writable()
        self.flush()
        key = owned(key)
        statements = self._statements(key)
        if statements.place is not None and statements.close_gap is not None:
            self._close_gap(statements.place, statements.close_gap, key, identity(statements, key))
        self._sending.do(statements.delete.execute, identity(statements, key))
        self._locked.forget(key)
        if key.kind in PARTY_KINDS:
            self._announce_parties()

    def children(self, key: Key) -> Sequence[Record]:
        """Return the EVSEs of a location, oldest first."""
        key = owned(key)
        family = self._locked.family(key)
        if family is not None:
            return [self._locked.current_record(each, self._pending) for each in family]
        if any(each.kind == Kind.EVSE for each in self._pending):
            self.flush()
        return self._family(key, self._sending.ask([self._children(key)])[0])

    def _children(self, location: Key) -> Asked:
        statements = self._shared.objects[Kind.EVSE]
        children = statements.children if self._read_only else statements.children_locked
        country_code, party_id, location_id = location[1:4]
        return Asked.of(
            children, {"k_country_code": country_code, "k_party_id": party_id, "k_location_id": location_id}
        )

    def _family(self, location: Key, rows: Sequence[Any]) -> Sequence[Record]:
        keys = [Key(Kind.EVSE, location.country_code, location.party_id, row.id, location.id) for row in rows]
        found = records(self._shared, self._shared.objects[Kind.EVSE], keys, rows)
        return self._locked.add_family(location[1:4], found)

    def page(self, query: Query) -> Page:
        """Return the records that match, oldest first, without locking them."""
        if any(key.kind == query.kind for key in self._pending):
            self.flush()
        statements = self._shared.objects[query.kind]
        listed, total = statements.page(query)
        values = page_values(query)
        rows = self._sending.rows(listed, {**values, "limit": query.limit})
        found = records(self._shared, statements, [key_of(statements, query.kind, row) for row in rows], rows)
        if not query.count:
            return Page(found, 0)
        if not statements.by_place(query) and query.offset == 0 and 0 < len(found) < query.limit:
            return Page(found, len(found))
        return Page(found, self._sending.rows(total, values)[0].total)

    def documents(self, query: Query) -> Documents:
        """Return the documents of a page, oldest first. Raises StoreFailed for those of parties, which are sealed."""
        if query.kind == Kind.PARTY:
            raise StoreFailed("the documents of parties are sealed: read their records")
        if any(key.kind == query.kind for key in self._pending):
            self.flush()
        statements = self._shared.objects[query.kind]
        documents, total = statements.page(query, documents=True)
        values = page_values(query)
        rows = self._sending.rows(documents, {**values, "limit": query.limit + 1})
        more, rows = len(rows) > query.limit, rows[: query.limit]
        joined, last = ",".join([row.received for row in rows]).encode(), rows[-1].sequence if rows else 0
        if not query.count:
            return Documents(joined, last, more, 0)
        if query.offset == 0 and rows and not more and not query.after:
            return Documents(joined, last, more, len(rows))
        return Documents(joined, last, more, self._sending.rows(total, values)[0].total)

    def flush(self) -> None:
        """Send all puts and entries."""
        self._send_entries()
        if not self._pending:
            return
        pending, self._pending = self._pending, {}
        by_kind: dict[str, list[tuple[Key, Record]]] = {}
        for key, record in pending.items():
            by_kind.setdefault(key.kind, []).append((key, record))
        if not (self._advisory and len(pending) == 2 and self._sent_evse(by_kind)):
            if Kind.PARTY in by_kind:
                parties = (record.document for _, record in by_kind[Kind.PARTY])
                self._shared.require_key(self._connection, parties, self._lock_key)
            for kind in sorted(by_kind, key=_ORDER.__getitem__):
                self._send(self._shared.objects[kind], by_kind[kind])
        self._locked.sent(pending)
        for key in pending:
            if key.kind == Kind.COMMAND and self._advisory:
                self._announce(key.id)
        if not PARTY_KINDS.isdisjoint(by_kind):
            self._announce_parties()

    def _sent_evse(self, put: Mapping[str, list[tuple[Key, Record]]]) -> bool:
        """Rewrite an EVSE, and rewrite or touch its location, with one statement; return False for other puts."""
        if put.keys() != {Kind.LOCATION, Kind.EVSE}:
            return False
        (location_key, location), (evse_key, evse) = put[Kind.LOCATION][0], put[Kind.EVSE][0]
        seen, old = self._locked.record(location_key), self._locked.record(evse_key)
        if seen is None or old is None or old.document == evse.document:
            return False
        objects, statements = self._shared.objects, self._shared.evses
        locations, evses = objects[Kind.LOCATION], objects[Kind.EVSE]
        is_touched = seen.document == location.document
        of_location = locations.touch if is_touched else locations.rewrite
        columns = () if is_touched else self._columns(location_key, location)
        row = (seen.sequence, *locations.beside(location), *columns)
        values = {f"location_{name}": value for name, value in zip(of_location.names, row, strict=True)}
        row = (old.sequence, *evses.beside(evse), *self._columns(evse_key, evse))
        values |= zip(evses.rewrite.names, row, strict=True)
        self._sending.write(Asked.of(statements.rewrite if is_touched else statements.rewrite_both, values))
        return True

    def _send(self, statements: ObjectStatements, put: Iterable[tuple[Key, Record]]) -> None:
        puts, rewrites, touches = list[tuple[Any, ...]](), list[tuple[Any, ...]](), list[tuple[Any, ...]]()
        are_absent, columns, identified = statements.copy is not None, self._columns, slice(1, statements.key_end)
        for key, record in put:
            seen, row = self._locked.record(key), statements.beside(record)
            if seen is None:
                are_absent = are_absent and self._locked.is_absent(key)
                puts.append((*key[identified], *row, *columns(key, record)))
            elif seen.document == record.document:
                touches.append((seen.sequence, *row))
            else:
                rewrites.append((seen.sequence, *row, *columns(key, record)))
        if puts:
            self._insert(statements, puts, are_absent=are_absent)
        for statement, rows in ((statements.rewrite, rewrites), (statements.touch, touches)):
            if rows:
                self._sending.write(statement.asked(rows))

    def _columns(self, key: Key, record: Record) -> tuple[Any, ...]:
        return self._written.pop(key, None) or written(self._shared, record)

    def _insert(self, statements: ObjectStatements, puts: Sequence[tuple[Any, ...]], *, are_absent: bool) -> None:
        """Send new rows; ``are_absent``: no other transaction can have added one of them."""
        if statements.place is not None and self._advisory:
            for owner in sorted({each[:2] for each in puts}):
                self._lock(("place", *owner))
        if are_absent and len(puts) >= _MANY and statements.copy is not None and may_copy(self._connection):
            self._sending.send_last()
            self._sending.do(statements.copy.execute_many, puts)
        else:
            self._sending.write(statements.put.asked(puts))

    def _record(self, key: Key, row: Any) -> Record:
        return records(self._shared, self._shared.objects[key.kind], (key,), (row,))[0]

    def _close_gap(self, place: Prepared, close_gap: Prepared, key: Key, values: Mapping[str, Any]) -> None:
        if self._advisory:
            self._lock(("place", key.country_code, key.party_id))
        for row in self._sending.do(place.rows, values):
            self._sending.do(close_gap.execute, {**values, "k_place": row.place})

    def _statements(self, key: Key) -> ObjectStatements:
        statements = self._shared.objects[key.kind]
        if key.parent and statements.parent is None:
            raise refused(f"a {key.kind} has no parent")
        return statements

    # --- journal ------------------------------------------------------------------------------------------------

    def append(self, entry: Entry) -> None:
        """Add to the journal; an entry with the same id is replaced, and its sequence stays."""
        self._require_writable()
        self._entries[self._journal(entry.topic).table.name, entry.id] = entry

    def _send_entries(self) -> None:
        entries, self._entries = self._entries, {}
        tables: dict[str, list[Entry]] = {}
        for (name, _), entry in entries.items():
            tables.setdefault(name, []).append(entry)
        for appended in tables.values():
            rows = [entry_values(entry) for entry in appended]
            self._sending.write(Asked.of_each(self._journal(appended[0].topic).append, rows))

    def entry(self, entry_id: str) -> Entry | None:
        """Return the entry with this id, or None."""
        self._send_entries()
        for journal in self._journals():
            row = self._sending.one(journal.entry if self._read_only else journal.entry_locked, {"entry_id": entry_id})
            if row is not None:
                return entry_of(row)
        return None

    def entries(
        self, topic: str, key: Key | None = None, limit: int = 100, *, owner: Owner | None = None, after: int = 0
    ) -> Sequence[Entry]:
        """Return entries of one topic, oldest first."""
        self._send_entries()
        statement = self._journal(topic).entries(
            by_key=key is not None, by_owner=owner is not None, locked=not self._read_only
        )
        values: dict[str, Any] = {"topic": topic, "after": after, "limit": limit}
        if key is not None:
            values["key"] = key_text(key)
        if owner is not None:
            values["country_code"], values["party_id"] = (code.upper() for code in owner)
        return [entry_of(row) for row in self._sending.rows(statement, values)]

    def due(self, query: DueQuery) -> Sequence[Entry]:
        """Return the entries of a topic that may be handled now, without locking them."""
        self._send_entries()
        statement = self._journal(query.topic).due
        values = {"topic": query.topic, "at": query.at, "beyond": query.beyond, "parked": PARKED}
        values |= {"not_named": json.dumps(sorted(query.not_named)), "after": query.after, "limit": query.limit}
        return [entry_of(row) for row in self._sending.rows(statement, values)]

    def settle(self, entry_id: str) -> None:
        """Remove an entry that is delivered or obsolete."""
        self._require_writable()
        self._send_entries()
        for journal in self._journals():
            if self._sending.do(journal.settle.execute, {"entry_id": entry_id}):
                return

    # --- usage --------------------------------------------------------------------------------------------------

    def usage(self, name: str, owner: Owner | None = None) -> Mapping[Owner, Usage]:
        """Return the usage of a kind or a topic by each owner, or by this one."""
        self.flush()
        if name in self._shared.tables.objects:
            statements: ObjectStatements | JournalStatements = self._shared.objects[name]
        else:
            statements = self._journal(name)
        values = {"topic": name}
        if owner is not None:
            values["country_code"], values["party_id"] = (code.upper() for code in owner)
        statement = statements.usage if owner is None else statements.usage_of_owner
        rows = self._sending.rows(statement, values)
        return {(row.country_code, row.party_id): Usage(int(row.number), int(row.size)) for row in rows}

    def _journal(self, topic: str) -> JournalStatements:
        return self._shared.beside.get(topic, self._shared.journal)

    def _journals(self) -> tuple[JournalStatements, ...]:
        return self._shared.journal, *self._shared.beside.values()

    # --- the connection -----------------------------------------------------------------------------------------

    def _lock(self, name: Sequence[str]) -> None:
        """Lock a name until the end of the transaction, in this schema."""
        self._sending.lock(self._shared.number(name))

    def _lock_key(self) -> None:
        """Let only one process at a time create a key, until its commit shows the others that one exists.

        On SQLite the transaction has the write lock. The lock is sent at once, since writes may wait for the COMMIT.
        """
        if self._advisory:
            self._sending.ask([Asked.of(self._shared.lock, {"number": self._shared.number(("key",))})])

    def _announce(self, uid: str) -> None:
        """Notify at the commit that a command was written; without its id, if that is too long for a message."""
        payload = uid if len(uid.encode()) <= _LONGEST_MESSAGE else ""
        self._notify(self._shared.channels.commands, payload)

    def _announce_parties(self) -> None:
        """Notify at the commit, once, that what was read of parties has expired."""
        if self._advisory and not self.changes_parties:
            self._notify(self._shared.channels.parties, "")
        self.changes_parties = True

    def _notify(self, channel: str, payload: str) -> None:
        self._sending.write(Asked.of(self._shared.notify, {"channel": channel, "payload": payload}))

    def _require_writable(self) -> None:
        if self._read_only:
            raise StoreFailed("a read-only transaction cannot write")
