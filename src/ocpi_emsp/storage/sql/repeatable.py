"""Transactions whose work is repeated if it is lost; see :func:`ocpi_emsp.ports.repeatable`.

Rules of this module:
- their commit does not wait for the disk: PostgreSQL writes it there within a second, SQLite with the next ordinary
  commit that writes something. Both do so in order: a later commit is never on the disk without the earlier ones;
- on a busy disk the wait took 40 to 70 us per location;
- SQLite: this is a setting of the connection, changed between transactions only, and restored;
- one that appended to the journal is on the disk at its end, since its entries are delivered then.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final, Literal, TypeAlias

from sqlalchemy import Connection

from ocpi_emsp.ports import Entry
from ocpi_emsp.storage.sql.engine import translated
from ocpi_emsp.storage.sql.piped import Asked
from ocpi_emsp.storage.sql.prepared import say
from ocpi_emsp.storage.sql.transaction import SqlTransaction

Purpose: TypeAlias = Literal["any", "recording", "repeatable"]
"""The purpose of a transaction: :func:`ocpi_emsp.ports.recorder`, :func:`ocpi_emsp.ports.repeatable`."""
_WITHOUT_WAITING: Final = Asked("SET LOCAL synchronous_commit TO OFF")
"""PostgreSQL: the commit of this transaction does not wait for the disk."""
_SYNCHRONOUS: Final = "ocpi_emsp_synchronous"
_NORMAL, _FULL = 1, 2
"""Values of SQLite's ``synchronous``: wait for the disk when the log is moved into the file, or at each commit, too."""


class RepeatableTransaction(SqlTransaction):
    """A transaction whose commit does not wait for the disk unless it appended to the journal.

    On PostgreSQL that is so if it is piped.
    """

    appends = False
    """True once it has appended to the journal."""

    def append(self, entry: Entry) -> None:
        """Add to the journal; the transaction is on the disk at its end."""
        self.appends = True
        super().append(entry)

    def _ending(self) -> Sequence[Asked]:
        return super()._ending() if self.appends else (_WITHOUT_WAITING, *super()._ending())


@contextmanager
def unsynced(connection: Connection) -> Iterator[None]:
    """SQLite: let a transaction inside the block not wait for the disk."""
    known = connection.connection.info
    with translated(connection.engine):
        before = known[_SYNCHRONOUS] = known.get(_SYNCHRONOUS) or _pragma(connection, "synchronous")
        if before >= _FULL:
            say(connection, f"PRAGMA synchronous = {_NORMAL}")
    try:
        yield
    finally:
        if before >= _FULL:
            with translated(connection.engine):
                say(connection, f"PRAGMA synchronous = {before}")


def make_durable(connection: Connection) -> None:
    """SQLite: wait until all commits are on the disk, with a commit that writes a number again."""
    with translated(connection.engine):
        say(connection, "BEGIN IMMEDIATE")
        say(connection, f"PRAGMA user_version = {_pragma(connection, 'user_version')}")
        say(connection, "COMMIT")


def _pragma(connection: Connection, name: str) -> int:
    cursor = connection.connection.cursor()
    try:
        found: int = cursor.execute(f"PRAGMA {name}").fetchone()[0]
    finally:
        cursor.close()
    return found
