"""Transactions that share a commit, on a connection to SQLite.

Rules of this module:
- each is a savepoint: one that fails rolls back its own writes only;
- if that is impossible (SQLite rolled back everything, as it does on a full disk), the batch has failed: it accepts no
  further transaction, and its end raises.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from sqlalchemy import Connection

from ocpi_emsp.errors import StoreFailed
from ocpi_emsp.storage.sql.engine import begin, ended, translated
from ocpi_emsp.storage.sql.prepared import say
from ocpi_emsp.storage.sql.shared import Shared
from ocpi_emsp.storage.sql.transaction import SqlTransaction


@contextmanager
def committing(
    shared: Shared, connection: Connection, parties_changed: Callable[[], None]
) -> Iterator[Callable[[], AbstractContextManager[SqlTransaction]]]:
    """Begin, yield a function that opens the next transaction of the batch, and commit. Raises StoreFailed."""
    engine, batch = connection.engine, _Batch(shared, connection)
    with translated(engine):
        transaction = connection.begin()
        begin(connection, read_only=False)
    with ended(transaction, engine, lambda: parties_changed() if batch.changes_parties else None):
        yield batch.next
        if batch.failed is not None:
            raise batch.failed


class _Batch:
    def __init__(self, shared: Shared, connection: Connection) -> None:
        self._shared = shared
        self._connection = connection
        self.failed: StoreFailed | None = None
        self.changes_parties = False

    def next(self) -> AbstractContextManager[SqlTransaction]:
        """Return the next transaction. Raises StoreFailed if the batch has failed."""
        if self.failed is not None:
            raise self.failed
        return self._savepoint()

    @contextmanager
    def _savepoint(self) -> Iterator[SqlTransaction]:
        self._say("SAVEPOINT piece")
        tx = SqlTransaction(self._shared, self._connection)
        try:
            yield tx
            tx.finish()
            self._say("RELEASE piece")
        except BaseException:
            self._take_back()
            raise
        finally:
            self.changes_parties |= tx.changes_parties

    def _take_back(self) -> None:
        try:
            self._say("ROLLBACK TO piece")
            self._say("RELEASE piece")
        except StoreFailed as error:
            self.failed = error

    def _say(self, statement: str) -> None:
        with translated(self._connection.engine):
            say(self._connection, statement)
