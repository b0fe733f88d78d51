"""A transaction that records what it read; see :func:`ocpi_emsp.ports.recorder`.

Rules of this module: it reads without a lock, as a read-only one does; each appended entry is committed by itself, at
once. So there is nothing to begin, and nothing is held while the flow decides. On SQLite, where that would be a second
transaction with its own lock, an ordinary one does both.
"""

from __future__ import annotations

from ocpi_emsp.ports import Entry
from ocpi_emsp.storage.sql.piped import Asked
from ocpi_emsp.storage.sql.transaction import SqlTransaction
from ocpi_emsp.storage.sql.values import entry_values


class RecordingTransaction(SqlTransaction):
    """A transaction over a connection that commits each statement; it only writes to the journal."""

    def append(self, entry: Entry) -> None:
        """Add to the journal, and commit at once."""
        self._sending.ask([Asked.of(self._journal(entry.topic).append, entry_values(entry))])
