"""The thread of a test, which calls the application of a blocking host while it waits for the simulated CPO.

Rules of this module:
- such a host may have what belongs to one thread: a transaction of Django's TestCase, a connection of SQLite in memory;
- so its functions are run by the thread that made the CPO, which runs them inside each of its own calls, nested calls
  too, and while it waits for a command; where it does neither for some seconds, a worker thread runs them;
- all CPOs of a thread share what it has to run, so that it serves one while it calls another.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from queue import Empty, SimpleQueue
from typing import TypeVar

import anyio.to_thread

from ocpi_emsp._wake_ups import ThreadWaiter, Waiter

T = TypeVar("T")

SECONDS = 5.0
"""How long a function waits for the thread."""


class _Work(threading.local):
    """What a thread has to run; None wakes it."""

    def __init__(self) -> None:
        self.queue: SimpleQueue[Callable[[], None] | None] = SimpleQueue()


_work = _Work()


class CallerThread:
    """The thread in which it is made."""

    def __init__(self) -> None:
        self._ident = threading.get_ident()
        self._work = _work.queue

    def wait(self, future: Future[T]) -> T:
        """Return what a future brings. In this thread, run what comes meanwhile."""
        if threading.get_ident() == self._ident:
            future.add_done_callback(lambda _: self._work.put(None))
            while not future.done():
                if work := self._work.get():
                    work()
        return future.result()

    def waiter(self) -> Waiter:
        """What has the calling thread wait for a command: this thread runs what comes meanwhile."""
        return _ServingWaiter(self._work) if threading.get_ident() == self._ident else ThreadWaiter()

    async def run(self, function: Callable[[], T]) -> T:
        """Return what a function returns that this thread runs."""
        result: Future[T] = Future()
        work = partial(_run, function, result, threading.Lock())
        self._work.put(work)
        awaited = asyncio.wrap_future(result)
        await asyncio.wait({awaited}, timeout=SECONDS)
        if not awaited.done():
            await anyio.to_thread.run_sync(work)
        return await awaited


class _ServingWaiter:
    """The thread of a test that waits for a command."""

    def __init__(self, work: SimpleQueue[Callable[[], None] | None]) -> None:
        self._work = work
        self._is_woken = False

    def wake(self) -> None:
        self._is_woken = True
        self._work.put(None)

    def rearm(self) -> None:
        self._is_woken = False

    async def wait(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while not self._is_woken and (left := end - time.monotonic()) > 0:
            try:
                work = self._work.get(timeout=left)
            except Empty:
                return
            if work:
                work()


def _run(function: Callable[[], T], result: Future[T], claim: threading.Lock) -> None:
    """Run a function once, unless its result is not awaited any more."""
    if not claim.acquire(blocking=False) or not result.set_running_or_notify_cancel():
        return
    try:
        result.set_result(function())
    except BaseException as error:  # noqa: BLE001 # it is raised where the result is awaited
        result.set_exception(error)
