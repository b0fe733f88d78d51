"""Notifications of commands that any process wrote: PostgreSQL sends them, one connection of a process listens.

Rules of this module:
- nothing here raises to a listener: a caller that awaits a command polls for it as well, only less often;
- one thread with one connection begins with the first listener and ends after the last one; it waits for the server
  and for its end at the same time, and does not look again and again;
- whenever it began to listen, all listeners are notified that something may have been missed until then;
- a forked child has no threads of its parent's, and no listeners: it begins anew.
"""

from __future__ import annotations

import os
import selectors
import socket
import threading
from collections.abc import Callable
from contextlib import closing
from typing import Any, Final

from sqlalchemy import Engine

from ocpi_emsp import logs
from ocpi_emsp.storage.listeners import Listener, Listeners

_FIRST_PAUSE: Final = 0.25
_LONGEST_PAUSE: Final = 30.0
"""Seconds until a lost connection is opened again; each failure doubles them."""
_QUIET: Final = 60.0
"""Seconds of silence after which the server is queried: a firewall forgets an idle connection."""
_JOINED: Final = 5.0
"""Seconds that the end of a store waits for the thread: one that just connects may take longer."""


class Announcements:
    """The listeners of a store. ``engine`` is one of psycopg's blocking side."""

    def __init__(self, engine: Engine, channel: str) -> None:
        self._engine = engine
        self._channel = channel
        self._of_process: dict[int, _Listening] = {}

    def listen(self, listener: Listener) -> Callable[[], None]:
        """See :class:`ocpi_emsp.ports.Announcing`."""
        # setdefault is one step: after a fork, two threads may be the first
        here = self._of_process.setdefault(os.getpid(), _Listening(self._engine, self._channel))
        return here.add(listener)

    def close(self) -> None:
        """End the thread of this process, and forget its listeners."""
        if (here := self._of_process.get(os.getpid())) is not None:
            here.close()


class _Listening:
    """The listeners of a process, and the thread that receives for them."""

    def __init__(self, engine: Engine, channel: str) -> None:
        self._engine = engine
        self._channel = channel
        self._lock = threading.Lock()
        self._listeners = Listeners()
        self._ear: _Ear | None = None

    def add(self, listener: Listener) -> Callable[[], None]:
        with self._lock:
            forget = self._listeners.add(listener)
            if self._ear is None:
                ear = _Ear(self._engine, self._channel, self._listeners.tell)
                ear.start()
                self._ear = ear

        def end() -> None:
            with self._lock:
                forget()
                if not len(self._listeners):
                    self._end()

        return end

    def close(self) -> None:
        with self._lock:
            self._listeners.clear()
            ended = self._end()
        if ended is not None and ended is not threading.current_thread():
            ended.join(_JOINED)

    def _end(self) -> _Ear | None:
        ended, self._ear = self._ear, None
        if ended is not None:
            ended.end()
        return ended


class _Ear(threading.Thread):
    """Listens until it is ended, through every outage."""

    def __init__(self, engine: Engine, channel: str, tell: Listener) -> None:
        super().__init__(name="ocpi-emsp-announcements", daemon=True)
        self._engine = engine
        self._channel = channel
        self._tell = tell
        self._ended = threading.Event()
        self._wakes, self._woken = socket.socketpair()
        self._failures = 0

    def end(self) -> None:
        """End the thread, soon."""
        self._ended.set()
        self._wakes.close()  # the other end can be read then

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
            connection.execute(f'LISTEN "{self._channel}"')
            self._failures = 0
            self._tell("")
            selector.register(connection.fileno(), selectors.EVENT_READ)
            selector.register(self._woken, selectors.EVENT_READ)
            while not self._ended.is_set():
                for said in connection.notifies(timeout=0):
                    self._tell(said.payload)
                if not selector.select(_QUIET):
                    connection.execute("SELECT 1")

    def _failed(self, error: Exception) -> None:
        """Log it once, and wait: each time longer."""
        if not self._failures and not self._ended.is_set():
            cause = str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
            logs.warning("store.announcements_lost", error=type(error).__name__, cause=cause)
        pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(self._failures, 10))
        self._failures += 1
        self._ended.wait(pause)


def _connected(engine: Engine) -> Any:
    """A new connection of the driver, made as the engine's pool makes them, and no pool's: none of those that idle in
    the pool may be meant, since after a fork they are the parent's."""
    pooled = engine.pool.recreate().connect()
    connection: Any = pooled.driver_connection
    pooled.detach()
    connection.autocommit = True
    return connection
