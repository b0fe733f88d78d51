"""Changes of parties and credentials since they were read, as far as a database reports them.

Rules of this module (:class:`ocpi_emsp.ports.PartyWatching`):
- SQLite: the revisions of these rows are read again, on separate connections, which never wait for a lock. That takes
  10 microseconds, and works for every process that writes the file. (``PRAGMA data_version`` takes half of that, but
  shows any change of the file, and every push is one.)
- PostgreSQL: each commit that changes one notifies, and what was read before expires; see announcements.py;
- any other database, a driver that cannot listen, and a database in memory: unknown, so they are read each time.
"""

from __future__ import annotations

import os
import sqlite3
import weakref
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from typing import Final, Protocol, TypeAlias

from sqlalchemy import Engine

from ocpi_emsp.ports import Key, Record
from ocpi_emsp.storage.sql.announcements import Announcements
from ocpi_emsp.storage.sql.engine import apart, is_in_memory
from ocpi_emsp.storage.sql.tables import Tables

Read: TypeAlias = Iterable[tuple[Key, Record | None]]

_SQLITE_DRIVERS: Final = ("pysqlite", "aiosqlite")


class PartyWatch(Protocol):
    """Watches the parties of a store."""

    def watched(self) -> object | None:
        """See :meth:`ocpi_emsp.ports.PartyWatching.watch_parties`."""

    def is_unchanged(self, watched: object, read: Read) -> bool:
        """See :meth:`ocpi_emsp.ports.PartyWatching.is_unchanged`."""

    def committed(self) -> None:
        """Note that this process committed, or tried to commit, a change of a party or a credential."""

    def close(self) -> None:
        """Close the connections; the next look opens them again."""


def party_watch(engine: Engine, tables: Tables, announcements: Announcements | None) -> PartyWatch:
    """Return the best watch for the database of an engine."""
    if announcements is not None:
        return _Notified(announcements)
    dialect = engine.dialect
    if dialect.name != "sqlite" or dialect.driver not in _SQLITE_DRIVERS or is_in_memory(engine.url):
        return _Unknown()
    if any(table.schema is not None for table in tables.objects.values()):
        return _Unknown()  # in a database that the host attaches to its own connections
    return _OfFile(engine, tables)


class _Unknown:
    def watched(self) -> None:
        return None

    def is_unchanged(self, watched: object, read: Read) -> bool:  # noqa: ARG002
        return False

    def committed(self) -> None:
        """Do nothing: nothing is cached."""

    def close(self) -> None:
        """Do nothing: nothing is open."""


class _Notified:
    def __init__(self, announcements: Announcements) -> None:
        self._announcements = announcements

    def watched(self) -> object | None:
        return self._announcements.watched()

    def is_unchanged(self, watched: object, read: Read) -> bool:  # noqa: ARG002
        return watched is self._announcements.party_version()

    def committed(self) -> None:
        self._announcements.changed()

    def close(self) -> None:
        """Do nothing: the store closes the announcements."""


class _OfFile:
    """Reads the rows of a SQLite file again."""

    def __init__(self, engine: Engine, tables: Tables) -> None:
        self._engine = engine
        self._tables = tables
        self._of_process: dict[int, deque[sqlite3.Connection]] = {}
        weakref.finalize(self, _close_here, self._of_process)  # for a store that is dropped without close()
        self._texts: dict[tuple[str, ...], str] = {}

    def watched(self) -> object:
        return self

    def is_unchanged(self, watched: object, read: Read) -> bool:  # noqa: ARG002
        kinds, values, expected = list[str](), list[str](), list[tuple[int, int, int]]()
        for place, (key, record) in enumerate(read):
            kinds.append(key.kind)
            values += key[1:4]
            if record is not None:
                expected.append((place, record.sequence, record.revision))
        shape = tuple(kinds)
        text = self._texts.get(shape) or self._texts.setdefault(shape, self._statement(shape))
        idle = self._of_process.setdefault(os.getpid(), deque())
        try:
            connection = self._taken(idle)
        except sqlite3.Error:
            return False
        try:
            found = connection.execute(text, values).fetchall()
        except sqlite3.Error:  # locked, or moved: the transaction that reads it waits, or reports that
            connection.close()
            return False
        idle.append(connection)
        return found == expected

    def committed(self) -> None:
        """Do nothing: the rows show the change."""

    def close(self) -> None:
        _close_here(self._of_process)

    def _statement(self, kinds: tuple[str, ...]) -> str:
        """Return the query for the position, sequence and revision of each existing row, in order."""
        preparer = self._engine.dialect.identifier_preparer
        names = (preparer.format_table(self._tables.objects[kind]) for kind in kinds)
        return " UNION ALL ".join(
            f"SELECT {place}, sequence, revision FROM {name} WHERE country_code = ? AND party_id = ? AND id = ?"
            for place, name in enumerate(names)
        )

    def _taken(self, idle: deque[sqlite3.Connection]) -> sqlite3.Connection:
        with suppress(IndexError):
            return idle.pop()
        return apart(self._engine)


def _close_here(of_process: dict[int, deque[sqlite3.Connection]]) -> None:
    """Close the connections of this process, not those of its parent."""
    idle = of_process.get(os.getpid(), deque())
    with suppress(IndexError):  # another thread took the last one
        while idle:
            idle.pop().close()
