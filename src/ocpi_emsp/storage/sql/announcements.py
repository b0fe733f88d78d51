"""Notifications of writes by any process: PostgreSQL sends them, and one connection per process listens.

Rules of this module:
- a commit that writes a command sends the command's id; one that changes a party or a credential sends an empty text;
- no failure here is raised to a listener: a caller that awaits a command also polls for it, only less often;
- one thread with one connection starts with the first listener, or the first look at parties. It ends with the last
  listener, or with the store if parties are watched; it waits for the server and for its own end at the same time;
- each time it begins to listen, it notifies all listeners that they may have missed something;
- it only counts as listening once it has received a notification from another connection: behind a pool that gives each
  transaction another connection (PgBouncer), LISTEN succeeds but nothing is received;
- what was read of parties expires with each of their notifications, with each change that this process commits, at the
  end of the connection, and after a minute: that is for writers that do not notify, such as an earlier version of this
  library or a person with psql. Without proof that the connection lives, parties are read each time. The proof is the
  answer to another LISTEN, which comes after all earlier notifications;
- the flush notifies. A trigger would need a migration, be lost when a table is created again, and not exist on tables
  that a host's own Alembic created;
- a forked child has neither threads nor listeners of its parent: it starts its own.
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
"""Seconds until a lost connection is opened again; each failure doubles them, up to the longest pause."""
_QUIET: Final = 60.0
"""Seconds between two queries of the server: a firewall forgets an idle connection."""
_PROOF: Final = 5.0
"""Seconds between two queries while parties are watched; each proves that nothing was missed."""
_PROVED: Final = 15.0
"""Seconds after which such a proof expires: a network may lose a connection silently."""
_RECEIVED: Final = 10.0
"""Seconds within which a notification of this process must arrive."""
_OLDEST: Final = 60.0
"""Seconds after which parties are read again without a notification."""
_JOINED: Final = 5.0
"""Seconds that closing a store waits for the thread, which may take longer while it connects."""


class Channels(NamedTuple):
    """The channels on which a store sends its notifications."""

    commands: str
    parties: str


class Announcements:
    """The listeners of a store. ``engine`` uses psycopg's blocking connections."""

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
        """Return the same as :meth:`watched`, without beginning to listen."""
        here = self._of_process.get(os.getpid())
        return None if here is None else here.party_version()

    def changed(self) -> None:
        """Expire what was read of parties after a commit of this process, before its notification arrives."""
        if (here := self._of_process.get(os.getpid())) is not None:
            here.changed()

    def close(self) -> None:
        """End the thread of this process, and remove its listeners."""
        if (here := self._of_process.get(os.getpid())) is not None:
            here.close()

    def _here(self) -> _Listening:
        # setdefault is atomic: after a fork, two threads may come here first
        pid = os.getpid()
        return self._of_process.get(pid) or self._of_process.setdefault(pid, _Listening(self._engine, self._channels))


class _Listening:
    """The listeners of a process, and the thread that notifies them."""

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
            self._ending = weakref.finalize(self, ear.end)  # for a store that is dropped without close()
            ear.start()
        return self._ear

    def _end(self) -> _Ear | None:
        ended, self._ear = self._ear, None
        self._ending()
        return ended


class _Ear(threading.Thread):
    """A thread that listens until it is ended, and survives every outage."""

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
        """The payload that this process sends to itself; empty once received."""

    def end(self) -> None:
        """End the thread, soon."""
        self._ended.set()
        self._wakes.close()  # makes the other end readable

    def watch(self) -> None:
        """Query the connection as often as parties need, from now on."""
        self._watches = True
        with suppress(OSError):  # the thread ended meanwhile
            self._wakes.send(b".")

    def party_version(self) -> object | None:
        """Return an object that is replaced with each possible change of parties; None if changes might be missed."""
        return self._version if time.monotonic() - self._proved_at < _PROVED else None

    def changed(self) -> None:
        """Expire what was read of parties."""
        self._version = object()

    def run(self) -> None:
        with self._woken:
            while not self._ended.is_set():
                try:
                    self._listen()
                except Exception as error:  # noqa: BLE001 # no failure may end this thread
                    self._failed(error)

    def _listen(self) -> None:
        """Notify listeners of what the server sends, until the end. Raises what the driver raises."""
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
        """Wait for a notification from another connection. Raises OSError if none is received."""
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
        """Wait for the server, for a wake-up or the end of this thread, or until a time."""
        for key, _ in selector.select(max(0.0, until - time.monotonic())):
            if key.fileobj is self._woken:
                self._woken.recv(64)

    def _receive(self, connection: Any) -> None:
        """Notify listeners of what has arrived."""
        for said in connection.notifies(timeout=0):
            if said.channel == self._channels.commands:
                self._tell(said.payload)
            elif not said.payload:
                self.changed()
            elif said.payload == self._awaited:
                self._awaited = ""

    def _due(self) -> float:
        """Return the time of the next query."""
        return self._queried_at + (_PROOF if self._watches else _QUIET)

    def _query(self, connection: Any) -> None:
        """Send LISTEN, which changes nothing if repeated: its answer comes after all notifications sent before."""
        began = self._queried_at = time.monotonic()
        connection.execute(f'LISTEN "{self._channels.commands}"; LISTEN "{self._channels.parties}"', prepare=False)
        self._receive(connection)
        if math.isinf(self._proved_at):  # it does not count as listening yet
            return
        self._proved_at = began
        if began - self._renewed_at > _OLDEST:
            self._renewed_at = began
            self.changed()

    def _failed(self, error: Exception) -> None:
        """Log the first of several failures, and wait longer each time."""
        if not self._failures and not self._ended.is_set():
            cause = str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
            logs.warning("store.announcements_lost", error=type(error).__name__, cause=cause)
        pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(self._failures, 10))
        self._failures += 1
        self._ended.wait(pause)


def _nothing() -> None:
    """Do nothing: no thread was started."""


def _connected(engine: Engine) -> Any:
    """Open a connection of the driver as the engine's pool does, but outside of it: after a fork, the idle connections
    of the pool belong to the parent."""
    pooled = engine.pool.recreate().connect()
    connection: Any = pooled.driver_connection
    pooled.detach()
    connection.autocommit = True
    return connection
