"""Notifications of what any process wrote: PostgreSQL sends them, one connection of a process listens.

Rules of this module:
- a commit that writes a command is notified with its id, one that changes a party or a credential without anything;
- nothing here raises to a listener: a caller that awaits a command polls for it as well, only less often;
- one thread with one connection begins with the first listener, or the first look at parties, and ends after the last
  listener, or with the store; it waits for the server and for its end at the same time;
- whenever it began to listen, all listeners are notified that something may have been missed until then;
- it listens once it has received a notification that another connection sent: behind a pool that gives each transaction
  another connection (PgBouncer), LISTEN succeeds and nothing is received;
- what is known of parties is old after each of their notifications, each commit of this process, when the connection
  ends, and a minute after it was read: that is for what wrote without a notification, such as an earlier version of
  this library or a person with psql. While nothing shows that the connection lives, nothing is known of them. It shows
  that by sending LISTEN again, which is answered after the notifications before it;
- the flush notifies, and no trigger does: a trigger needs a migration, is lost with a table that is made anew, and
  never existed on tables that a host's own Alembic made;
- a forked child has no threads of its parent's, and no listeners: it begins anew.
"""

from __future__ import annotations

import math
import os
import secrets
import selectors
import socket
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import closing, suppress
from typing import Any, Final, NamedTuple

from sqlalchemy import Engine

from ocpi_emsp import logs
from ocpi_emsp.storage.listeners import Listener, Listeners

_FIRST_PAUSE: Final = 0.25
_LONGEST_PAUSE: Final = 30.0
"""Seconds until a lost connection is opened again; each failure doubles them."""
_QUIET: Final = 60.0
"""Seconds of silence after which the server is queried: a firewall forgets an idle connection."""
_PROOF: Final = 5.0
"""Seconds between two queries that show that nothing is missed, where parties are watched."""
_PROVED: Final = 15.0
"""Seconds after which such a proof is too old: a network may lose a connection without a word."""
_RECEIVED: Final = 10.0
"""Seconds that a notification of this process may take to arrive."""
_OLDEST: Final = 60.0
"""Seconds after which parties are read again although nothing was notified."""
_JOINED: Final = 5.0
"""Seconds that the end of a store waits for the thread: one that just connects may take longer."""


class Channels(NamedTuple):
    """Where a store sends its notifications."""

    commands: str
    parties: str


class Announcements:
    """The listeners of a store. ``engine`` is one of psycopg's blocking side."""

    def __init__(self, engine: Engine, channels: Channels) -> None:
        self._engine = engine
        self._channels = channels
        self._of_process: dict[int, _Listening] = {}

    def listen(self, listener: Listener) -> Callable[[], None]:
        """See :class:`ocpi_emsp.ports.Announcing`."""
        return self._here().add(listener)

    def watched(self) -> object | None:
        """See :class:`ocpi_emsp.ports.PartyWatching`; the first call begins to listen."""
        return self._here().watched()

    def party_version(self) -> object | None:
        """What :meth:`watched` gives where this process listens already."""
        here = self._of_process.get(os.getpid())
        return None if here is None else here.party_version()

    def changed(self) -> None:
        """This process committed a change of a party or a credential: that counts before its notification."""
        if (here := self._of_process.get(os.getpid())) is not None:
            here.changed()

    def close(self) -> None:
        """End the thread of this process, and forget its listeners."""
        if (here := self._of_process.get(os.getpid())) is not None:
            here.close()

    def _here(self) -> _Listening:
        # setdefault is one step: after a fork, two threads may be the first
        pid = os.getpid()
        return self._of_process.get(pid) or self._of_process.setdefault(pid, _Listening(self._engine, self._channels))


class _Listening:
    """The listeners of a process, and the thread that receives for them."""

    def __init__(self, engine: Engine, channels: Channels) -> None:
        self._engine = engine
        self._channels = channels
        self._lock = threading.Lock()
        self._listeners = Listeners()
        self._watches = False
        self._ear: _Ear | None = None
        self._ending: Callable[[], object] = _nothing

    def add(self, listener: Listener) -> Callable[[], None]:
        with self._lock:
            forget = self._listeners.add(listener)
            self._begin()

        def end() -> None:
            with self._lock:
                forget()
                if not len(self._listeners) and not self._watches:
                    self._end()

        return end

    def watched(self) -> object | None:
        if not self._watches:
            with self._lock:
                self._watches = True
                self._begin().watch()
        return self.party_version()

    def party_version(self) -> object | None:
        ear = self._ear
        return None if ear is None else ear.party_version()

    def changed(self) -> None:
        ear = self._ear
        if ear is not None:
            ear.changed()

    def close(self) -> None:
        with self._lock:
            self._listeners.clear()
            self._watches = False
            ended = self._end()
        if ended is not None and ended is not threading.current_thread():
            ended.join(_JOINED)

    def _begin(self) -> _Ear:
        if self._ear is None:
            self._ear = ear = _Ear(self._engine, self._channels, self._listeners.tell)
            self._ending = weakref.finalize(self, ear.end)  # of a store that is forgotten, not closed
            ear.start()
        return self._ear

    def _end(self) -> _Ear | None:
        ended, self._ear = self._ear, None
        self._ending()
        return ended


class _Ear(threading.Thread):
    """Listens until it is ended, through every outage."""

    def __init__(self, engine: Engine, channels: Channels, tell: Listener) -> None:
        super().__init__(name="ocpi-emsp-announcements", daemon=True)
        self._engine = engine
        self._channels = channels
        self._tell = tell
        self._ended = threading.Event()
        self._wakes, self._woken = socket.socketpair()
        self._failures = 0
        self._watches = False
        self._version = object()
        self._renewed_at = 0.0
        self._proved_at = -math.inf
        self._queried_at = 0.0
        self._awaited = ""
        """What this process sends itself; empty once it was received."""

    def end(self) -> None:
        """End the thread, soon."""
        self._ended.set()
        self._wakes.close()  # the other end can be read then

    def watch(self) -> None:
        """Query the connection often enough for parties from now on."""
        self._watches = True
        with suppress(OSError):  # it ended meanwhile
            self._wakes.send(b".")

    def party_version(self) -> object | None:
        """Another object after each change that may have been made of parties; None where none would be noticed."""
        return self._version if time.monotonic() - self._proved_at < _PROVED else None

    def changed(self) -> None:
        """Take what was read of parties for old."""
        self._version = object()

    def run(self) -> None:
        with self._woken:
            while not self._ended.is_set():
                try:
                    self._listen()
                except Exception as error:  # noqa: BLE001 # whatever it is, a waiter must not depend on it
                    self._failed(error)

    def _listen(self) -> None:
        """Notify of what the server sends, until the end. Raises what the driver raises."""
        with closing(_connected(self._engine)) as connection, selectors.DefaultSelector() as selector:
            selector.register(connection.fileno(), selectors.EVENT_READ)
            selector.register(self._woken, selectors.EVENT_READ)
            try:
                self._query(connection)
                self._require_notifications(connection, selector)
                self._failures = 0
                self._tell("")
                while not self._ended.is_set():
                    self._wait(selector, self._due())
                    self._receive(connection)
                    if time.monotonic() >= self._due():
                        self._query(connection)
            finally:
                self._proved_at = -math.inf
                self.changed()

    def _require_notifications(self, connection: Any, selector: selectors.BaseSelector) -> None:
        """Wait for a notification of another connection. Raises OSError where none is received."""
        self._awaited = secrets.token_hex(8)
        with closing(_connected(self._engine)) as other:
            other.execute("SELECT pg_notify(%s, %s)", (self._channels.parties, self._awaited))
        end = time.monotonic() + _RECEIVED
        while self._awaited and not self._ended.is_set():
            if time.monotonic() > end:
                raise OSError("LISTEN receives nothing: a pool in between has to be in session mode")
            self._wait(selector, end)
            self._receive(connection)
        self.changed()
        self._proved_at = self._renewed_at = time.monotonic()

    def _wait(self, selector: selectors.BaseSelector, until: float) -> None:
        """Wait for the server, for who wakes or ends this thread, or for a time."""
        for key, _ in selector.select(max(0.0, until - time.monotonic())):
            if key.fileobj is self._woken:
                self._woken.recv(64)

    def _receive(self, connection: Any) -> None:
        """Notify of what has arrived."""
        for said in connection.notifies(timeout=0):
            if said.channel == self._channels.commands:
                self._tell(said.payload)
            elif not said.payload:
                self.changed()
            elif said.payload == self._awaited:
                self._awaited = ""

    def _due(self) -> float:
        """When the connection is queried next."""
        return self._queried_at + (_PROOF if self._watches else _QUIET)

    def _query(self, connection: Any) -> None:
        """Listen, which changes nothing for one that does: once it is answered, all notifications were received that
        were sent before."""
        began = self._queried_at = time.monotonic()
        connection.execute(f'LISTEN "{self._channels.commands}"; LISTEN "{self._channels.parties}"', prepare=False)
        self._receive(connection)
        if math.isinf(self._proved_at):  # it just began
            return
        self._proved_at = began
        if began - self._renewed_at > _OLDEST:
            self._renewed_at = began
            self.changed()

    def _failed(self, error: Exception) -> None:
        """Log it once, and wait: each time longer."""
        if not self._failures and not self._ended.is_set():
            cause = str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
            logs.warning("store.announcements_lost", error=type(error).__name__, cause=cause)
        pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(self._failures, 10))
        self._failures += 1
        self._ended.wait(pause)


def _nothing() -> None:
    """Ends what was never begun."""


def _connected(engine: Engine) -> Any:
    """A new connection of the driver, made as the engine's pool makes them, and no pool's: none of those that idle in
    the pool may be meant, since after a fork they are the parent's."""
    pooled = engine.pool.recreate().connect()
    connection: Any = pooled.driver_connection
    pooled.detach()
    connection.autocommit = True
    return connection
