"""Connections to PostgreSQL that an event loop keeps, so that brief transactions need no thread.

Rules of this module:
- a transaction runs in a greenlet of SQLAlchemy on the event loop, which serves others while the database works;
- only transactions that compute little run here: those of requests with small bodies. Longer ones would hold up the
  loop, and run in threads (_pieces.py);
- a loop keeps a few connections of the engine's pool, since prepared statements belong to a connection. They are opened
  in a thread, because psycopg blocks until the server answers;
- if a connection is lost, the idle ones are closed as well; the next transaction opens another.
"""

from __future__ import annotations

import asyncio
import importlib.util
import select
from collections import deque
from collections.abc import Callable
from typing import Any, Final
from weakref import ReferenceType, ref

import anyio
from sqlalchemy import Connection, Engine, event

from ocpi_emsp._bridge import in_thread
from ocpi_emsp.errors import StoreFailed

CONNECTIONS: Final = 8
"""Connections that one event loop keeps. They mostly wait for commits, so more connections hardly serve more requests.
"""
LOOPS: Final = 3
"""Event loops that keep connections at once. The transactions of others run in threads, which give each connection
back: of the 32 that the pool has (engine.py), 8 are left for all threads."""

_PAUSE_SECONDS: Final = 1.0
"""After a connection could not be opened, one fewer is in use for this time."""


def may_await(engine: Engine) -> None:
    """Let an engine of psycopg open connections for which an event loop can wait."""
    event.listen(engine, "do_connect", _open)


def _open(_: object, __: object, arguments: Any, options: Any) -> Any:
    from ocpi_emsp.storage.sql.awaiting import AwaitingConnection  # psycopg is an extra

    return AwaitingConnection.connect(*arguments, **options)


class OnLoops:
    """The connections of all event loops."""

    def __init__(self, connect: Callable[[], Connection], timeout: float) -> None:
        """``connect`` opens a connection of the pool; it is called in a thread. If it fails, a loop waits up to
        ``timeout`` seconds for a connection in use."""
        self._connect = connect
        self._timeout = timeout
        self._has_greenlets = importlib.util.find_spec("greenlet") is not None
        self._of_loop: dict[ReferenceType[asyncio.AbstractEventLoop], LoopConnections] = {}

    def here(self) -> LoopConnections | None:
        """Return those of the running loop; None if the loop cannot wait for sockets (Windows), or if too many loops
        keep connections."""
        loop = asyncio.get_running_loop()
        found = self._of_loop.get(ref(loop))
        if found is None and self._has_greenlets and type(loop).add_reader is not asyncio.AbstractEventLoop.add_reader:
            self._close_ended()
            if len(self._of_loop) < LOOPS:
                found = self._of_loop[ref(loop)] = LoopConnections(self._connect, self._timeout)
        return found

    def _close_ended(self) -> None:
        """Close the connections of loops that have ended. Garbage may still refer to them: if they were left to it, the
        next loops would find the pool empty."""
        for each in list(self._of_loop):
            loop = each()
            if (loop is None or loop.is_closed()) and (ended := self._of_loop.pop(each, None)) is not None:
                ended.close()

    def close(self) -> None:
        """Close them; the next transaction opens new ones."""
        for each in list(self._of_loop.values()):
            each.close()


class LoopConnections:
    """The connections of one event loop."""

    def __init__(self, connect: Callable[[], Connection], timeout: float) -> None:
        self._connect = connect
        self._timeout = timeout
        self._idle = deque[LoopConnection]()
        self._free = anyio.Semaphore(CONNECTIONS, fast_acquire=True)  # asyncio's own would keep the loop alive
        self._closings = 0
        self._taken = 0

    async def take(self) -> LoopConnection:
        """Return a connection for one transaction; wait until one is free. Raises what ``connect`` raises. If that is
        StoreFailed and others are in use, the database may have no more, so it waits for one of them first."""
        loop = asyncio.get_running_loop()
        end = loop.time() + self._timeout
        while True:
            await self._free.acquire()
            try:
                found = self._idle_one()
                if found is None:
                    found = await in_thread(self._opened)
            except StoreFailed:
                if not (self._taken or self._idle) or loop.time() >= end:
                    self._free.release()
                    raise
                if self._idle:  # it was given back meanwhile
                    self._free.release()
                else:
                    loop.call_later(_PAUSE_SECONDS, self._free.release)
            except BaseException:
                self._free.release()
                raise
            else:
                self._taken += 1
                return found

    def give(self, taken: LoopConnection) -> None:
        """Give it back."""
        self._taken -= 1
        if taken.is_lost:
            self.close()
        if taken.closings == self._closings:
            self._idle.append(taken)
        else:
            taken.close()
        self._free.release()

    def _idle_one(self) -> LoopConnection | None:
        while (found := self._popped()) is not None:
            if not found.has_news:
                return found
            found.close()
        return None

    def _popped(self) -> LoopConnection | None:
        try:
            return self._idle.pop()
        except IndexError:  # a store may be closed in another thread meanwhile
            return None

    def _opened(self) -> LoopConnection:
        from ocpi_emsp.storage.sql.direct import Direct  # psycopg is an extra

        connection, closings = self._connect(), self._closings
        driver: Any = connection.connection.driver_connection
        driver.direct = Direct(driver)
        return LoopConnection(connection, driver, closings)

    def close(self) -> None:
        """Close those that are idle; the others follow at the end of their transactions."""
        self._closings += 1
        while (idle := self._popped()) is not None:
            idle.close()


class LoopConnection:
    """A connection that an event loop keeps."""

    def __init__(self, connection: Connection, driver: Any, closings: int) -> None:
        self.connection = connection
        self.closings = closings
        """How often the loop's connections had been closed when it was opened."""
        self._driver = driver
        self._socket = select.poll()
        self._socket.register(driver.fileno(), select.POLLIN)

    @property
    def is_lost(self) -> bool:
        """True if it cannot be used again."""
        return bool(self._driver.closed) or self.connection.closed or self.connection.invalidated

    @property
    def has_news(self) -> bool:
        """True if the server sent something to the idle connection: mostly, that it has closed it."""
        return bool(self._socket.poll(0))

    def close(self) -> None:
        """Close it; the pool opens another one when it needs one."""
        self.connection.invalidate()
        self.connection.close()
