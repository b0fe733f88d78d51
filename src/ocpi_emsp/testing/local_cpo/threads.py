"""The thread of a test, which calls the application of a blocking host while it waits for the simulated CPO.

Rules of this module:
- such a host may have state that belongs to one thread: a transaction of Django's TestCase, a connection of SQLite in
  memory;
- so its functions are run by the thread that created the CPO, which runs them inside each of its own calls, also nested
  ones, and while it waits for a command; if it does neither for some seconds, a worker thread runs them;
- all CPOs of a thread share its queue, so that it serves one while it calls another.
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
"""Seconds that a function waits for the thread."""


class _Work(threading.local):
    """The queue of a thread; None wakes it."""

    def __init__(self) -> None:
        self.queue: SimpleQueue[Callable[[], None] | None] = SimpleQueue()


_work = _Work()


class CallerThread:
    """The thread in which this object is created."""

    def __init__(self) -> None:
        self._ident = threading.get_ident()
        self._work = _work.queue

    def wait(self, future: Future[T]) -> T:
        """Return the result of a future. In this thread, run queued functions meanwhile."""
        if threading.get_ident() == self._ident:
            future.add_done_callback(lambda _: self._work.put(None))
            while not future.done():
                if work := self._work.get():
                    work()
        return future.result()

    def waiter(self) -> Waiter:
        """Return a waiter for a command; in this thread, it runs queued functions meanwhile."""
        return _ServingWaiter(self._work) if threading.get_ident() == self._ident else ThreadWaiter()

    async def run(self, function: Callable[[], T]) -> T:
        """Run a function in this thread and return its result."""
        result: Future[T] = Future()
        work = partial(_run, function, result, threading.Lock())
        self._work.put(work)
        awaited = asyncio.wrap_future(result)
        await asyncio.wait({awaited}, timeout=SECONDS)
        if not awaited.done():
            await anyio.to_thread.run_sync(work)
        return await awaited


class _ServingWaiter:
    """Waits for a command in the thread of a test."""

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
    """Run a function once, unless its result is no longer awaited."""
    if not claim.acquire(blocking=False) or not result.set_running_or_notify_cancel():
        return
    try:
        result.set_result(function())
    except BaseException as error:  # noqa: BLE001 # raised where the result is awaited
        result.set_exception(error)
