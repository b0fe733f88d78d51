"""A transaction over one connection: reads that lock, writes that are sent together.

Rules of this module:
- what is read by its key, as a child, or from the journal is locked until the end; a key that has no record yet is
  locked, too (PostgreSQL: an advisory lock; SQLite has one writer at a time);
- what is locked is not read again: it stands as it was found, or as it was put since (locked.py);
- writes are collected and sent kind by kind, a location before its EVSEs, when something is read that they may change,
  or at the end;
- a record that was read before is rewritten; one whose document did not change is touched;
- a command that is written is announced (PostgreSQL), and so is a change of parties and credentials: the database
  notifies at the commit, and not after a rollback.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

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
from ocpi_emsp.storage.sql.engine import refused, translation
from ocpi_emsp.storage.sql.locked import Locked, location_of
from ocpi_emsp.storage.sql.prepared import Prepared
from ocpi_emsp.storage.sql.projections import projection
from ocpi_emsp.storage.sql.shared import Shared
from ocpi_emsp.storage.sql.statements import BESIDE_THE_DOCUMENT, JournalStatements, ObjectStatements
from ocpi_emsp.storage.sql.tables import HASHED

T = TypeVar("T")

_ORDER = {kind: place for place, kind in enumerate(NAMES)}
_MANY = 16
"""New rows that are copied: a COPY takes two round trips, an INSERT for each of them takes one, and longer."""
_LONGEST_MESSAGE = 7999
"""Bytes that PostgreSQL takes in a message; an empty one means that something was missed."""


class SqlTransaction:
    """:class:`ocpi_emsp.ports.BlockingTransaction` over a connection that is in a transaction."""

    def __init__(
        self, shared: Shared, connection: Connection, *, read_only: bool = False, joined: bool = False
    ) -> None:
        self.joined = joined
        self._shared = shared
        self._connection = connection
        self._read_only = read_only
        self._advisory = not read_only and connection.dialect.name == "postgresql"
        self._pending: dict[Key, Record] = {}
        self._locked = Locked()
        self.changes_parties = False
        """It wrote or deleted a party or a credential."""

    # --- records ------------------------------------------------------------------------------------------------

    def get(self, key: Key) -> Record | None:
        """The record, or None."""
        key = owned(key)
        if key in self._pending and self._locked.record(key) is None:
            self.flush()
        if key in self._locked.records:
            return self._locked.current(key, self._pending)
        statements = self._statements(key)
        values = _identity(statements, key)
        locks_first = self._advisory and key.kind == Kind.CDR  # nearly all that are asked for are new
        if locks_first:
            self._lock(key)
        row = self._one(statements.get if self._read_only else statements.get_locked, values)
        if row is None and self._advisory and not locks_first:
            self._lock(key)
            row = self._one(statements.get_locked, values)
        record = self._record(key, row) if row is not None else None
        self._locked.records[key] = record
        return record

    def prefetch(self, keys: Collection[Key], *, children: bool = False) -> None:
        """Read and lock many records at once; see :class:`ocpi_emsp.ports.Prefetching`."""
        wanted = dict.fromkeys(map(owned, keys))
        groups: dict[tuple[str, str, str, str], list[str]] = {}
        for key in wanted:
            if key not in self._pending and key not in self._locked.records:
                groups.setdefault((key.kind, key.country_code, key.party_id, key.parent), []).append(key.id)
        for (kind, country_code, party_id, parent), ids in groups.items():
            self._get_several(Key(kind, country_code, party_id, "", parent), sorted(ids))
        owners: dict[tuple[str, str], list[str]] = {}
        for key in wanted if children else ():
            if self._locked.has_unread_family(key):
                owners.setdefault((key.country_code, key.party_id), []).append(key.id)
        for owner, ids in owners.items():
            self._get_families(owner, sorted(ids))

    def _get_several(self, group: Key, ids: Sequence[str]) -> None:
        """Read and lock the records of a kind, owner and parent: what is not there yet first, and each in its order.

        Two that locked rows first would wait for each other where one of them has just added a row.
        """
        statements = self._statements(group)
        values = _identity(statements, group)
        there = set[str]()
        if self._advisory:
            if group.kind != Kind.CDR:  # nearly all that are asked for are new
                there.update(row.id for row in self._do(partial(statements.ids.rows, wanted=ids), values))
            self._lock_all([group._replace(id=each) for each in ids if each not in there])
        self._locked.records.update((group._replace(id=each), None) for each in ids)
        several = statements.several if self._read_only else statements.several_locked
        for row in self._do(partial(several.rows, wanted=ids), values):
            key = group._replace(id=row.id)
            self._locked.records[key] = self._record(key, row)
            there.discard(row.id)
        for deleted in there:  # just now, so it is not locked: whoever asks for it locks it
            del self._locked.records[group._replace(id=deleted)]

    def _get_families(self, owner: Owner, ids: Sequence[str]) -> None:
        """Read and lock the EVSEs of locations that are locked."""
        statements = self._shared.objects[Kind.EVSE]
        families = statements.families if self._read_only else statements.families_locked
        assert families is not None
        found: dict[str, list[Record]] = {each: [] for each in ids}
        values = {"k_country_code": owner[0], "k_party_id": owner[1]}
        for row in self._do(partial(families.rows, wanted=ids), values):
            found[row.location_id].append(self._record(Key(Kind.EVSE, *owner, row.id, row.location_id), row))
        for location_id, evses in found.items():
            self._locked.add_family((*owner, location_id), evses)

    def put(self, record: Record) -> None:
        """Insert or replace; sent with the next flush."""
        self._require_writable()
        key = owned(record.key)
        self._statements(key)
        self._pending[key] = record
        if key.kind == Kind.EVSE and self._locked.record(key) is None:
            self._locked.extended.add(location_of(key))

    def delete(self, key: Key) -> None:
        """Remove the record, if it exists; a location with its EVSEs."""
        self._require_writable()
        self.flush()
        key = owned(key)
        statements = self._statements(key)
        if statements.place is not None and statements.close_gap is not None:
            self._close_gap(statements.place, statements.close_gap, key, _identity(statements, key))
        self._do(statements.delete.execute, _identity(statements, key))
        self._locked.forget(key)
        if key.kind in PARTY_KINDS:
            self._announce_parties()

    def children(self, key: Key) -> Sequence[Record]:
        """The EVSEs of a location, oldest first."""
        key = owned(key)
        family = self._locked.family(key)
        if family is not None:
            return [self._locked.current_record(each, self._pending) for each in family]
        if any(each.kind == Kind.EVSE for each in self._pending):
            self.flush()
        statements = self._shared.objects[Kind.EVSE]
        values = {"k_country_code": key.country_code, "k_party_id": key.party_id, "k_location_id": key.id}
        children = statements.children if self._read_only else statements.children_locked
        rows = self._do(children.rows, values)
        found = [self._record(Key(Kind.EVSE, key.country_code, key.party_id, row.id, key.id), row) for row in rows]
        return self._locked.add_family(key[1:4], found)

    def page(self, query: Query) -> Page:
        """The records that match, oldest first; they are not locked."""
        if any(key.kind == query.kind for key in self._pending):
            self.flush()
        statements = self._shared.objects[query.kind]
        records, total = statements.page(query)
        values = _page_values(query)
        rows = self._do(records.rows, {**values, "limit": query.limit})
        found = [self._record(_key_of(statements, query.kind, row), row) for row in rows]
        if not query.count:
            return Page(found, 0)
        if not statements.by_place(query) and query.offset == 0 and 0 < len(found) < query.limit:
            return Page(found, len(found))
        return Page(found, self._do(total.rows, values)[0].total)

    def documents(self, query: Query) -> Documents:
        """The documents of a page, the oldest first; not those of parties, which are sealed."""
        if query.kind == Kind.PARTY:
            raise refused("what parties are is sealed: read the records")
        if any(key.kind == query.kind for key in self._pending):
            self.flush()
        statements = self._shared.objects[query.kind]
        documents, total = statements.page(query, documents=True)
        values = _page_values(query)
        rows = self._do(documents.rows, {**values, "limit": query.limit + 1})
        more, rows = len(rows) > query.limit, rows[: query.limit]
        joined, last = ",".join([row.received for row in rows]).encode(), rows[-1].sequence if rows else 0
        if not query.count:
            return Documents(joined, last, more, 0)
        if query.offset == 0 and rows and not more and not query.after:
            return Documents(joined, last, more, len(rows))
        return Documents(joined, last, more, self._do(total.rows, values)[0].total)

    def flush(self) -> None:
        """Send what was put."""
        if not self._pending:
            return
        pending, self._pending = self._pending, {}
        by_kind: dict[str, list[tuple[Key, Record]]] = {}
        for key, record in pending.items():
            by_kind.setdefault(key.kind, []).append((key, record))
        for kind in sorted(by_kind, key=_ORDER.__getitem__):
            self._send(self._shared.objects[kind], by_kind[kind])
        self._locked.sent(pending)
        for key in pending:
            if key.kind == Kind.COMMAND and self._advisory:
                self._announce(key.id)
        if not PARTY_KINDS.isdisjoint(by_kind):
            self._announce_parties()

    def _send(self, statements: ObjectStatements, records: Iterable[tuple[Key, Record]]) -> None:
        puts, rewrites, touches = list[dict[str, Any]](), list[dict[str, Any]](), list[dict[str, Any]]()
        are_absent = True
        for key, record in records:
            seen = self._locked.record(key)
            beside = {name: getattr(record, name) for name in (*BESIDE_THE_DOCUMENT, *statements.validity)}
            if seen is None:
                are_absent = are_absent and self._locked.is_absent(key)
                puts.append({**beside, **_identity(statements, key, ""), **self._written(record)})
            elif seen.document == record.document:
                touches.append({**beside, "k_sequence": seen.sequence})
            else:
                rewrites.append({**beside, "k_sequence": seen.sequence, **self._written(record)})
        if puts:
            self._insert(statements, puts, are_absent=are_absent)
        self._send_each(statements.rewrite, rewrites)
        self._send_each(statements.touch, touches)

    def _insert(self, statements: ObjectStatements, puts: Sequence[Mapping[str, Any]], *, are_absent: bool) -> None:
        """Send new rows; none of them can be there meanwhile where all ``are_absent``."""
        if statements.place is not None and self._advisory:
            for owner in sorted({(each["country_code"], each["party_id"]) for each in puts}):
                self._lock(("place", *owner))
        if are_absent and len(puts) >= _MANY and statements.copy is not None and may_copy(self._connection):
            self._do(statements.copy.execute_many, puts)
        else:
            self._send_each(statements.put, puts)

    def _send_each(self, statement: Prepared, values: Sequence[Mapping[str, Any]]) -> None:
        if len(values) == 1:
            self._do(statement.execute, values[0])
        elif values:
            self._do(statement.execute_many, values)

    def _written(self, record: Record) -> dict[str, Any]:
        """The columns that follow from the document."""
        document = record.document
        columns = projection(record)
        if record.key.kind == Kind.PARTY:
            document, columns["sealed"] = self._shared.redact(document)
        elif record.key.kind == Kind.TOKEN:
            columns["uid_in_lower_case"] = record.key.id.lower()
        try:
            text = document.decode()
        except UnicodeDecodeError as error:
            raise refused(str(error)) from error
        content_hash = record.content_hash if record.key.kind in HASHED else ""
        return {"received": text, "content_hash": content_hash, **columns}

    def _record(self, key: Key, row: Any) -> Record:
        sealed = row.sealed if key.kind == Kind.PARTY else None
        document = row.received.encode() if sealed is None else self._shared.secrets.open(sealed)
        return Record(
            key,
            document,
            row.last_updated,
            row.received_at,
            None,
            row.revision,
            row.sequence,
            row.missing_since,
            row.missed,
            row.correlation_id,
            *(getattr(row, name) for name in self._shared.objects[key.kind].validity),
        )

    def _close_gap(self, place: Prepared, close_gap: Prepared, key: Key, values: Mapping[str, Any]) -> None:
        if self._advisory:
            self._lock(("place", key.country_code, key.party_id))
        for row in self._do(place.rows, values):
            self._do(close_gap.execute, {**values, "k_place": row.place})

    def _statements(self, key: Key) -> ObjectStatements:
        statements = self._shared.objects[key.kind]
        if key.parent and statements.parent is None:
            raise refused(f"a {key.kind} has no parent")
        return statements

    # --- journal ------------------------------------------------------------------------------------------------

    def append(self, entry: Entry) -> None:
        """Add to the journal; an entry with the same id is replaced in its place."""
        self._require_writable()
        journal = self._journal(entry.topic)
        codes = {name: entry.details.get(name) for name in ("country_code", "party_id")}
        owner = {name: code.upper() if isinstance(code, str) else None for name, code in codes.items()}
        self._do(
            journal.append.execute,
            {
                "id": entry.id,
                "topic": entry.topic,
                "name": entry.name,
                **owner,
                "key": _key_text(entry.key),
                "at": entry.at,
                "body": entry.body,
                "details": json.dumps(dict(entry.details)),
                "attempts": entry.attempts,
                "error": entry.error.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00"),
                "due": entry.due,
            },
        )

    def entry(self, entry_id: str) -> Entry | None:
        """The entry with this id, or None."""
        for journal in self._journals():
            row = self._one(journal.entry if self._read_only else journal.entry_locked, {"entry_id": entry_id})
            if row is not None:
                return _entry(row)
        return None

    def entries(
        self, topic: str, key: Key | None = None, limit: int = 100, *, owner: Owner | None = None, after: int = 0
    ) -> Sequence[Entry]:
        """Entries of one topic, oldest first."""
        statement = self._journal(topic).entries(
            by_key=key is not None, by_owner=owner is not None, locked=not self._read_only
        )
        values: dict[str, Any] = {"topic": topic, "after": after, "limit": limit}
        if key is not None:
            values["key"] = _key_text(key)
        if owner is not None:
            values["country_code"], values["party_id"] = (code.upper() for code in owner)
        return [_entry(row) for row in self._do(statement.rows, values)]

    def due(self, query: DueQuery) -> Sequence[Entry]:
        """The entries of a topic that may be dealt with now; they are not locked."""
        statement = self._journal(query.topic).due
        values = {"topic": query.topic, "at": query.at, "beyond": query.beyond, "parked": PARKED}
        values |= {"not_named": json.dumps(sorted(query.not_named)), "after": query.after, "limit": query.limit}
        return [_entry(row) for row in self._do(statement.rows, values)]

    def settle(self, entry_id: str) -> None:
        """Remove an entry that is delivered or obsolete."""
        self._require_writable()
        for journal in self._journals():
            if self._do(journal.settle.execute, {"entry_id": entry_id}):
                return

    # --- usage --------------------------------------------------------------------------------------------------

    def usage(self, name: str, owner: Owner | None = None) -> Mapping[Owner, Usage]:
        """What each owner has of a kind or of a topic, or this owner alone."""
        if name in self._shared.objects:
            self.flush()
            statements: ObjectStatements | JournalStatements = self._shared.objects[name]
        else:
            statements = self._journal(name)
        values = {"topic": name}
        if owner is not None:
            values["country_code"], values["party_id"] = (code.upper() for code in owner)
        statement = statements.usage if owner is None else statements.usage_of_owner
        rows = self._do(statement.rows, values)
        return {(row.country_code, row.party_id): Usage(int(row.number), int(row.size)) for row in rows}

    def _journal(self, topic: str) -> JournalStatements:
        return self._shared.beside.get(topic, self._shared.journal)

    def _journals(self) -> tuple[JournalStatements, ...]:
        return self._shared.journal, *self._shared.beside.values()

    # --- the connection -----------------------------------------------------------------------------------------

    def _do(self, act: Callable[[Connection, Any], T], values: Any) -> T:
        try:
            return act(self._connection, values)
        except Exception as error:
            raised = translation(self._connection.engine, error)
            if raised is error:
                raise
            raise raised from error

    def _one(self, statement: Prepared, values: Mapping[str, Any]) -> Any:
        """The only row, or None."""
        rows = self._do(statement.rows, values)
        return rows[0] if rows else None

    def _lock(self, name: Sequence[str]) -> None:
        """Lock a name until the end of the transaction, in this schema."""
        self._do(self._shared.lock.rows, {"number": self._number(name)})

    def _lock_all(self, keys: Iterable[Key]) -> None:
        """Lock many names, in the order of their numbers: two transactions then never wait for each other."""
        if numbers := sorted(map(self._number, keys)):
            self._do(self._shared.lock_all.rows, {"numbers": numbers})

    def _number(self, name: Sequence[str]) -> int:
        """The number by which a name of this schema is locked."""
        text = json.dumps([self._shared.name, *name])
        digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big", signed=True)

    def _announce(self, uid: str) -> None:
        """Notify at the commit that a command was written, without its id if no message can hold that."""
        payload = uid if len(uid.encode()) <= _LONGEST_MESSAGE else ""
        self._do(self._shared.notify.rows, {"channel": self._shared.channels.commands, "payload": payload})

    def _announce_parties(self) -> None:
        """Notify at the commit, once, that what was read of parties is old."""
        if self._advisory and not self.changes_parties:
            self._do(self._shared.notify.rows, {"channel": self._shared.channels.parties, "payload": ""})
        self.changes_parties = True

    def _require_writable(self) -> None:
        if self._read_only:
            raise StoreFailed("a read-only transaction cannot write")


def _identity(statements: ObjectStatements, key: Key, prefix: str = "k_") -> dict[str, Any]:
    values = {f"{prefix}country_code": key.country_code, f"{prefix}party_id": key.party_id, f"{prefix}id": key.id}
    if statements.parent:
        values[prefix + statements.parent] = key.parent
    return values


def _key_of(statements: ObjectStatements, kind: str, row: Any) -> Key:
    parent = getattr(row, statements.parent) if statements.parent else ""
    return Key(kind, row.country_code, row.party_id, row.id, parent)


def _page_values(query: Query) -> dict[str, Any]:
    values = {
        "country_code": query.country_code.upper() if query.country_code is not None else None,
        "party_id": query.party_id.upper() if query.party_id is not None else None,
        "auth_id": query.auth_id,
        "location_id": query.location_id,
        "start_from": query.start_from,
        "start_to": query.start_to,
        "date_from": query.date_from,
        "date_to": query.date_to,
        "received_from": query.received_from,
        "received_to": query.received_to,
        "id": query.id,
        "id_in_any_case": query.id_in_any_case.lower() if query.id_in_any_case is not None else None,
        "at": query.at,
        "offset": query.offset,
    }
    return {"after": query.after, **{name: value for name, value in values.items() if value is not None}}


def _key_text(key: Key | None) -> str | None:
    return None if key is None else json.dumps(owned(key))


def _entry(row: Any) -> Entry:
    return Entry(
        id=row.id,
        topic=row.topic,
        name=row.name,
        key=None if row.key is None else Key(*json.loads(row.key)),
        at=row.at,
        body=row.body,
        details=json.loads(row.details),
        attempts=row.attempts,
        error=row.error,
        due=row.due,
        sequence=row.sequence,
    )
