"""What wakes the callers that wait for a command in this process, threads or tasks.

Rules of this module:
- a waiter is woken by this process after a commit, by a store that announces what other processes wrote, or looks by
  itself, seldom where the store is known to announce and often elsewhere;
- a wake-up only means that it is worth while to read, so one too many does no harm;
- a thread or task costs nothing while it waits; the store is subscribed to once, while a caller waits.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final, Protocol

from ocpi_emsp._bridge import Lift, at_most, in_place, in_thread
from ocpi_emsp.ports import Announcing, Mode

_FIRST_LOOK: Final = 0.5
"""Seconds: a charge point needs longer than that, a driver hardly notices it."""
_LONGEST_LOOK: Final = 2.0
_LOOKS: Final = 200
"""Looks of a process in one second: with more than 400 that wait, each looks less often."""
_ANNOUNCED_LOOK: Final = 10.0
"""Where the store is known to announce: an announcement may be lost with a connection, and a clock may be set."""


class Waiter(Protocol):
    """A thread or task that waits; any thread may wake it."""

    def wake(self) -> None:
        """End the wait, or the next one."""

    def rearm(self) -> None:
        """Forget the wake-ups so far."""

    async def wait(self, seconds: float) -> None:
        """Wait for a wake-up, or so many seconds."""


class ThreadWaiter:
    """A thread that waits in place."""

    def __init__(self) -> None:
        self._woken = threading.Event()

    def wake(self) -> None:
        self._woken.set()

    def rearm(self) -> None:
        self._woken.clear()

    async def wait(self, seconds: float) -> None:
        self._woken.wait(seconds)


class _TaskWaiter:
    """A task of the running event loop."""

    def __init__(self) -> None:
        import asyncio

        self._loop = asyncio.get_running_loop()
        self._woken = asyncio.Event()

    def wake(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: its tasks are gone
            self._loop.call_soon_threadsafe(self._woken.set)

    def rearm(self) -> None:
        self._woken.clear()

    async def wait(self, seconds: float) -> None:
        with at_most(seconds):
            await self._woken.wait()


_LIFTS: Final[dict[Mode, Lift]] = {"sync": in_place, "async": in_thread}


class WakeUps:
    """The waiters of each process: a forked child has no waiters of its parent's, and no subscription."""

    def __init__(self, store: object) -> None:
        self._store = store
        self._of_process: dict[int, WakeUp] = {}
        self.thread_waiter: Callable[[], Waiter] = ThreadWaiter
        """How a thread waits: that of a test with a simulated CPO answers the CPO meanwhile."""

    def here(self) -> WakeUp:
        """The one of this process."""
        pid = os.getpid()
        # setdefault is one step: after a fork, two threads may be the first
        return self._of_process.get(pid) or self._of_process.setdefault(pid, WakeUp(self._store))

    def waiting(self, uid: str, mode: Mode) -> AbstractAsyncContextManager[Waiter]:
        """See :meth:`WakeUp.waiting`."""
        return self.here().waiting(uid, mode, self.thread_waiter() if mode == "sync" else _TaskWaiter())

    def notify(self, uid: str) -> None:
        """See :meth:`WakeUp.notify`."""
        self.here().notify(uid)


class WakeUp:
    """Wakes the callers that wait for a command in this process."""

    def __init__(self, store: object) -> None:
        self._store = store if isinstance(store, Announcing) else None
        self._lock = threading.Lock()  # held for a few lines, never for a call to the store
        self._opening = threading.Lock()
        self._waiting: dict[str, set[Waiter]] = {}
        self._count = 0
        self._end: Callable[[], None] | None = None
        self._is_announced = False

    def notify(self, uid: str) -> None:
        """Something became of this command; an empty id: perhaps of any. From any thread."""
        with self._lock:
            found = self._waiting.get(uid, ()) if uid else [each for some in self._waiting.values() for each in some]
            woken = list(found)
        for waiter in woken:
            waiter.wake()

    def pause(self, looked: int) -> float:
        """The seconds until the next look of a waiter that has looked so often."""
        alone = min(_FIRST_LOOK * 2.0 ** min(looked, 10), _LONGEST_LOOK)
        return max(_ANNOUNCED_LOOK if self._is_announced else alone, self._count / _LOOKS)

    @asynccontextmanager
    async def waiting(self, uid: str, mode: Mode, waiter: Waiter) -> AsyncIterator[Waiter]:
        """A waiter that is woken from now on, until the end of the block."""
        lift = _LIFTS[mode]
        is_first = self._join(uid, waiter)
        try:
            if is_first:
                await lift(self._subscribe)
            yield waiter
        finally:
            end = self._leave(uid, waiter)
            if end is not None:
                await lift(end)

    def _join(self, uid: str, waiter: Waiter) -> bool:
        """True where the store has to be subscribed to."""
        with self._lock:
            self._waiting.setdefault(uid, set()).add(waiter)
            self._count += 1
            return self._store is not None and self._end is None

    def _subscribe(self) -> None:
        """The first that waits subscribes; the others wait for that, or find it done."""
        with self._opening:
            if self._store is None or self._end is not None:
                return
            end = self._store.announce(self._announced)
            with self._lock:
                self._end = end

    def _leave(self, uid: str, waiter: Waiter) -> Callable[[], None] | None:
        """What ends the subscription, where this was the last that waited."""
        with self._lock:
            self._waiting[uid].remove(waiter)
            if not self._waiting[uid]:
                del self._waiting[uid]
            self._count -= 1
            if self._count:
                return None
            end, self._end = self._end, None
            self._is_announced = False
            return end

    def _announced(self, uid: str) -> None:
        self._is_announced = True
        self.notify(uid)
