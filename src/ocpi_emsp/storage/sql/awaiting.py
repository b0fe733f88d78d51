"""Connections of psycopg for which an event loop can wait; threads use the same ones, so they are not its async ones.

Rules of this module:
- a connection is opened in a thread. It belongs to an event loop while it has a :class:`Direct`: the greenlet that
  calls psycopg then awaits what psycopg would block for;
- a connection that was interrupted while it waited is closed: its answer would be taken for that of the next call.
"""

from __future__ import annotations

from typing import Any

from psycopg import Connection
from psycopg.pq import TransactionStatus
from psycopg.waiting import wait_async
from sqlalchemy.util import await_only
from sqlalchemy.util.concurrency import in_greenlet

from ocpi_emsp.storage.sql.direct import Direct
from ocpi_emsp.storage.sql.piped import Asked

_SECONDS = 1.0
"""psycopg looks so often whether it was interrupted."""


class AwaitingConnection(Connection[Any]):
    """A connection that may belong to an event loop."""

    direct: Direct | None = None
    """Set while the connection belongs to an event loop."""

    def wait(self, gen: Any, *args: Any, **named: Any) -> Any:
        """Wait until the generator of psycopg ends; see psycopg.Connection."""
        if self.direct is None or not in_greenlet():  # one that is forgotten is reset wherever that is noticed
            return super().wait(gen, *args, **named)
        try:
            return await_only(wait_async(gen, self.pgconn.socket, _SECONDS))
        except BaseException as error:
            if not isinstance(error, Exception):
                self.pgconn.finish()
            raise

    def commit(self) -> None:
        """Commit; see psycopg.Connection. What was committed by a statement needs no wait."""
        if self.pgconn.transaction_status != TransactionStatus.IDLE:
            super().commit()

    def rollback(self) -> None:
        """Roll back; see psycopg.Connection, which would have the server forget what is prepared."""
        if self.direct is None or not in_greenlet():
            super().rollback()
        elif self.pgconn.transaction_status not in (TransactionStatus.IDLE, TransactionStatus.UNKNOWN):
            self.direct.ask([Asked("ROLLBACK")])
