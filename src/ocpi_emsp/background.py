"""The loops of the background work, in threads or in tasks.

Rules of this module: the loops wait here, and survive every failure, including our own bugs, since nothing would
restart them: one warning per outage, with the traceback.
"""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Any

import anyio
from attrs import frozen

from ocpi_emsp import logs
from ocpi_emsp._bridge import rest, run


@frozen
class Loop:
    """Work that is repeated: ``once`` returns the number of handled items."""

    what: str
    once: Callable[[], Coroutine[Any, Any, int]]
    every: float


@contextmanager
def in_threads(loops: Sequence[Loop], stop: threading.Event) -> Iterator[None]:
    """Run each loop in its own thread until the end of the block, which waits for the current rounds."""
    threads = [
        threading.Thread(target=_keep_running, args=(loop, stop), name=f"ocpi-emsp {loop.what}", daemon=True)
        for loop in loops
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _keep_running(loop: Loop, stop: threading.Event) -> None:
    keep_doing(lambda: run(loop.once()), loop.what, stop, loop.every)


@asynccontextmanager
async def in_tasks(loops: Sequence[Loop]) -> AsyncIterator[None]:
    """Run each loop in its own task until the end of the block, which cancels the current rounds."""
    async with anyio.create_task_group() as group:
        for loop in loops:
            group.start_soon(keep_awaiting, partial(_driven, loop), loop.what, loop.every)
        try:
            yield
        finally:
            group.cancel_scope.cancel()


async def _driven(loop: Loop) -> int:
    from ocpi_emsp._pieces import driven

    return await driven(loop.once())


def keep_doing(once: Callable[[], int], what: str, stop: threading.Event, every: float) -> None:
    """Call ``once`` until ``stop`` is set; wait ``every`` seconds if there was nothing to do."""
    pace = _Pace(what, every)
    while not stop.is_set():
        try:
            seconds = pace.after(once())
        except Exception as error:  # noqa: BLE001 # it is logged, and tried again
            seconds = pace.failed(error)
        stop.wait(seconds)


async def keep_awaiting(once: Callable[[], Awaitable[int]], what: str, every: float) -> None:
    """Do the same as :func:`keep_doing`, until cancelled."""
    pace = _Pace(what, every)
    while True:
        try:
            seconds = pace.after(await once())
        except Exception as error:  # noqa: BLE001 # it is logged, and tried again
            seconds = pace.failed(error)
        await rest(seconds)


class Seldom:
    """Work that a loop does now and then: in its first round, and at intervals of ``every`` seconds."""

    def __init__(self, every: float) -> None:
        self._every = every
        self._next = 0.0

    def is_due(self) -> bool:
        """Return True if it is due; the next interval begins now."""
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + self._every
        return True

    def rest(self, seconds: float) -> None:
        """Wait for at least this many seconds before the next time."""
        self._next = max(self._next, time.monotonic() + seconds)


class _Pace:
    """How long a loop waits, and what it logs: an outage is one warning, however long it takes."""

    longest = 60.0
    """Most seconds: work resumes within a minute after an outage, at one attempt a minute."""

    def __init__(self, what: str, every: float) -> None:
        self._what = what
        self._every = every
        self._failures = 0

    def after(self, done: int) -> float:
        """Return the seconds to wait after a round that handled ``done`` items."""
        if self._failures:
            logs.info("loop.recovered", what=self._what, failures=self._failures)
        self._failures = 0
        return 0.0 if done else self._every

    def failed(self, error: Exception) -> float:
        """Return the seconds to wait after a round that failed."""
        self._failures += 1
        if self._failures == 1:
            logs.warning("loop.failed", trace=error, what=self._what, error=error)
        return float(max(self._every, min(self._every * 2 ** min(self._failures, 30), self.longest)))
