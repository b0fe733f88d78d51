"""How the statements of one transaction go to its database: one by one, or several in one round trip.

Rules of this module:
- PostgreSQL: if the transaction has many records (piped.py) or runs on an event loop (direct.py), BEGIN is sent with
  the first statement, and the last writes with the COMMIT; otherwise each statement is sent by itself;
- on an event loop a lock is sent with the statement behind it, which reads once the lock is held;
- errors of the driver are translated here, once (engine.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from sqlalchemy import Connection

from ocpi_emsp.storage.sql.engine import BEGIN, translation
from ocpi_emsp.storage.sql.piped import Asked, Sender, ask, ask_directly, ask_one_by_one, may_pipe, sender_of
from ocpi_emsp.storage.sql.prepared import Prepared, say

T = TypeVar("T")


class Sending:
    """Sends the statements of one transaction over its connection."""

    def __init__(self, connection: Connection, lock: Prepared, *, begun: bool) -> None:
        """``lock`` is the statement that locks a number; ``begun``: the caller has begun, and commits."""
        self.connection = connection
        self.begun = begun
        self.may_commit = not begun
        self.pipes = False
        """It is a transaction of many records."""
        self._lock = lock
        self._sender = sender_of(connection)
        self._held: list[Asked] = []
        """Locks that go with the next statement."""
        self._last: list[Asked] | None = None
        """What goes with the COMMIT, from :meth:`end` on."""

    @property
    def sends_together(self) -> bool:
        """Whether several statements cost one round trip, and nothing beside."""
        return self._sender is not None

    def pipe(self) -> None:
        """Send several statements at once from now on, where the connection can."""
        self.pipes = self.pipes or may_pipe(self.connection)

    def begin(self) -> None:
        """Begin where that is not done yet."""
        if self._sender is not None:
            self._send(self._sender, ())
        elif not self.begun:
            self.begun = True
            self.do(say, BEGIN)

    def lock(self, number: int) -> None:
        """Lock a number until the end of the transaction."""
        asked = Asked.of(self._lock, {"number": number})
        if self._sender is not None and self._last is None:
            self._held.append(asked)
        elif self._sender is None and not self.begun:
            self.begun = True
            self.do(say, f"{BEGIN}; SELECT pg_advisory_xact_lock({number})")
        else:
            self.write(asked)

    def do(self, act: Callable[[Connection, Any], T], values: Any) -> T:
        """Call something that executes statements itself. Raises StoreFailed, CannotStore."""
        try:
            if not self.begun or self._held:
                self.begin()
            return act(self.connection, values)
        except Exception as error:
            raised = translation(self.connection.engine, error)
            if raised is error:
                raise
            raise raised from error

    def ask(self, asked: Sequence[Asked]) -> list[list[Any]]:
        """Execute statements, at once where the driver can; the rows of each."""
        if self._sender is not None:
            return self._send(self._sender, asked)
        if not self.pipes or (self.begun and len(asked) == 1):
            return self.do(ask_one_by_one, asked)
        begins = [] if self.begun else [Asked(BEGIN)]
        self.begun = True
        return self.do(ask, [*begins, *asked])[len(begins) :]

    def _send(self, sender: Sender, asked: Sequence[Asked]) -> list[list[Any]]:
        before = [*([] if self.begun else [Asked(BEGIN)]), *self._held]
        self.begun, self._held = True, []
        return self.do(partial(ask_directly, sender), [*before, *asked])[len(before) :]

    def rows(self, statement: Prepared, values: Mapping[str, Any]) -> list[Any]:
        """The rows that a statement gives."""
        return self.ask([Asked.of(statement, values)])[0]

    def one(self, statement: Prepared, values: Mapping[str, Any]) -> Any:
        """The only row, or None."""
        rows = self.rows(statement, values)
        return rows[0] if rows else None

    def write(self, asked: Asked) -> None:
        """Execute what gives no rows that matter; at the end, with the COMMIT."""
        if self._last is None:
            self.ask([asked])
        else:
            self._last.append(asked)

    def end(self, *, is_alone: bool) -> None:
        """Keep what is written from now on for :meth:`send_last`; with ``is_alone`` it is one statement, which the
        database commits by itself."""
        if is_alone and not self.begun:
            self.begun = True
        elif self.pipes or self._sender is not None:
            self._last = []

    def send_last(self, then: Sequence[Asked] = ()) -> None:
        """Send what is left, and then these."""
        if self._last:
            self.ask([*self._last, *then])
            self._last = []
