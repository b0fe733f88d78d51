"""Pieces that share a commit: in a store with a single writer, all waiting pieces are written together.

Rules of this module:
- one thread per event loop writes, so its callers never wait for each other; pieces that arrive during a commit form
  the next batch. Under load a batch has as many pieces as there are callers; a single caller has a commit of its own;
- with separate threads, each waited for the others' commits and for the interpreter: a PATCH of an EVSE took 940 us of
  processor time, and takes 670 now. PostgreSQL holds row locks until a commit, so nothing is shared there;
- a piece sees what earlier pieces of its batch wrote; its caller continues after the commit. If the commit fails, all
  pieces of the batch fail with that error, and none of them is stored;
- a piece that fails is rolled back alone; if the store cannot do that, the batch fails;
- a long piece ends its batch, so that earlier pieces do not wait for later ones;
- a piece that has begun is completed, even if its caller is cancelled, as in _pieces.py.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from contextvars import Context, copy_context
from time import monotonic
from typing import Final, TypeAlias

import anyio

from ocpi_emsp._pieces import Manager, Step
from ocpi_emsp.errors import OcpiError, StoreFailed

MOST: Final = 32
"""Most pieces that share a commit."""
_LONG_SECONDS: Final = 0.02
"""Seconds after which a batch commits before its next piece."""

Batch: TypeAlias = AbstractContextManager[Callable[[], Manager]]
"""A batch, committed at its end: it returns the transaction of each piece, or raises if it accepts no more."""


class _Job:
    """A piece, and its caller."""

    __slots__ = ("context", "done", "ended", "error", "loop", "step")

    def __init__(self, step: Step) -> None:
        self.step = step
        self.context: Context = copy_context()
        self.loop = asyncio.get_running_loop()
        self.done = self.loop.create_future()
        self.ended = False
        self.error: BaseException | None = None

    def end(self, error: BaseException | None) -> None:
        """Notify the caller of the end; runs on its event loop."""
        self.ended, self.error = True, error
        if not self.done.done():
            self.done.set_result(None)


class Batches:
    """One event loop's writes to a store. ``begin`` begins a batch of a number of pieces; ``overdue`` creates the error
    of a piece that has waited for ``timeout`` seconds.
    """

    def __init__(self, begin: Callable[[int], Batch], timeout: float, overdue: Callable[[], Exception]) -> None:
        self._begin = begin
        self._timeout = timeout
        self._overdue = overdue
        self._waiting: deque[_Job] = deque()
        self._lock = threading.Lock()
        self._is_writing = False
        self._thread = ThreadPoolExecutor(1, "ocpi-emsp-writer")

    async def run(self, step: Step) -> None:
        """Call ``step`` in the writer's thread with a transaction, and return after the commit."""
        job = _Job(step)
        expiry = job.loop.call_later(self._timeout, self._expire, job)
        self._add(job)
        try:
            await job.done
        except asyncio.CancelledError:
            if not self._withdrawn(job):
                with anyio.CancelScope(shield=True):
                    await _end_of(job)
            raise
        finally:
            expiry.cancel()
        if job.error is not None:
            raise job.error

    def _add(self, job: _Job) -> None:
        with self._lock:
            self._waiting.append(job)
            if self._is_writing:
                return
            self._is_writing = True
        self._thread.submit(self._write)

    def _withdrawn(self, job: _Job) -> bool:
        """Withdraw a piece; return True if it had not begun."""
        with self._lock:
            try:
                self._waiting.remove(job)
            except ValueError:
                return False
        return True

    def _expire(self, job: _Job) -> None:
        if self._withdrawn(job):
            job.end(self._overdue())

    # --- in the writer's thread -----------------------------------------------------------------------------------

    def _write(self) -> None:
        """Write until no piece waits."""
        while jobs := self._next():
            done = deque[_Job]()
            error: BaseException | None = None
            try:
                with self._begin(len(jobs)) as transaction:
                    _step_through(jobs, done, transaction)
            except BaseException as raised:  # noqa: BLE001 # the callers receive it
                error = raised if len(done) < 2 else _shared(raised)
                if not done:  # the first one could not begin
                    done, jobs = jobs, done
            if jobs:
                with self._lock:
                    self._waiting.extendleft(reversed(jobs))
            _tell(done, error)

    def _next(self) -> deque[_Job]:
        with self._lock:
            jobs = deque(self._waiting.popleft() for _ in range(min(MOST, len(self._waiting))))
            self._is_writing = bool(jobs)
        return jobs


def _step_through(jobs: deque[_Job], done: deque[_Job], transaction: Callable[[], Manager]) -> None:
    """Run jobs and move them to ``done`` while there is time."""
    until = monotonic() + _LONG_SECONDS
    while jobs and (not done or monotonic() < until):
        manager = transaction()
        job = jobs.popleft()
        done.append(job)
        job.context.run(job.step, manager)


def _shared(error: BaseException) -> BaseException:
    """Return the error for each piece of a batch: it is unknown which piece caused it."""
    if isinstance(error, OcpiError):
        told = StoreFailed(f"a commit that was shared with other requests failed: {error}")
        told.__cause__ = error
        return told
    return error


def _tell(jobs: Sequence[_Job], error: BaseException | None) -> None:
    """Wake the event loop of these jobs once."""
    with suppress(RuntimeError):  # the loop has ended
        jobs[0].loop.call_soon_threadsafe(_end_all, jobs, error)


def _end_all(jobs: Sequence[_Job], error: BaseException | None) -> None:
    for job in jobs:
        job.end(error)


async def _end_of(job: _Job) -> None:
    while not job.ended:
        job.done = job.loop.create_future()
        with suppress(asyncio.CancelledError):  # it was already cancelled
            await job.done
