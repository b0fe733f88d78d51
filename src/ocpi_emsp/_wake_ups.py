"""Wakes the callers that wait for a command in this process, threads or tasks.

Rules of this module:
- a waiter is woken by this process after a commit, or by a store that announces other processes' writes; or it looks by
  itself, seldom if the store is known to announce, often otherwise;
- a wake-up only means that reading is worthwhile, so one too many does no harm;
- a thread or task costs nothing while it waits; the store has one subscription, while any caller waits.
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
"""Seconds: a charge point takes longer, and a driver hardly notices."""
_LONGEST_LOOK: Final = 2.0
_LOOKS: Final = 200
"""Looks of a process per second: with more than 400 waiters, each looks less often."""
_ANNOUNCED_LOOK: Final = 10.0
"""Seconds if the store is known to announce: an announcement may be lost with a connection, and a clock may be set."""


class Waiter(Protocol):
    """A waiting thread or task; any thread may wake it."""

    def wake(self) -> None:
        """End the wait, or the next one."""

    def rearm(self) -> None:
        """Drop the wake-ups so far."""

    async def wait(self, seconds: float) -> None:
        """Wait for a wake-up, or this many seconds."""


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
        with contextlib.suppress(RuntimeError):  # the loop is closed: its tasks have ended
            self._loop.call_soon_threadsafe(self._woken.set)

    def rearm(self) -> None:
        self._woken.clear()

    async def wait(self, seconds: float) -> None:
        with at_most(seconds):
            await self._woken.wait()


_LIFTS: Final[dict[Mode, Lift]] = {"sync": in_place, "async": in_thread}


class WakeUps:
    """The waiters of each process: a forked child has none of its parent's waiters, and no subscription."""

    def __init__(self, store: object) -> None:
        self._store = store
        self._of_process: dict[int, WakeUp] = {}
        self.thread_waiter: Callable[[], Waiter] = ThreadWaiter
        """How a thread waits: that of a test with a simulated CPO answers the CPO meanwhile."""

    def here(self) -> WakeUp:
        """Return the object of this process."""
        pid = os.getpid()
        # setdefault is atomic: after a fork, two threads may be the first
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
        self._lock = threading.Lock()  # held for a few lines, never during a call to the store
        self._opening = threading.Lock()
        self._waiting: dict[str, set[Waiter]] = {}
        self._count = 0
        self._end: Callable[[], None] | None = None
        self._is_announced = False

    def notify(self, uid: str) -> None:
        """Wake the waiters of a changed command; for an empty id, all of them. Callable from any thread."""
        with self._lock:
            found = self._waiting.get(uid, ()) if uid else [each for some in self._waiting.values() for each in some]
            woken = list(found)
        for waiter in woken:
            waiter.wake()

    def pause(self, looked: int) -> float:
        """Return the seconds until the next look of a waiter that has already looked ``looked`` times."""
        alone = min(_FIRST_LOOK * 2.0 ** min(looked, 10), _LONGEST_LOOK)
        return max(_ANNOUNCED_LOOK if self._is_announced else alone, self._count / _LOOKS)

    @asynccontextmanager
    async def waiting(self, uid: str, mode: Mode, waiter: Waiter) -> AsyncIterator[Waiter]:
        """Yield a waiter that is woken from now on, until the end of the block."""
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
        """Add a waiter; return True if the store must be subscribed to."""
        with self._lock:
            self._waiting.setdefault(uid, set()).add(waiter)
            self._count += 1
            return self._store is not None and self._end is None

    def _subscribe(self) -> None:
        """Subscribe, if no other waiter has; others wait for that, or find it done."""
        with self._opening:
            if self._store is None or self._end is not None:
                return
            end = self._store.announce(self._announced)
            with self._lock:
                self._end = end

    def _leave(self, uid: str, waiter: Waiter) -> Callable[[], None] | None:
        """Remove a waiter; return the function that ends the subscription, if this was the last one."""
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
