"""Many parties at once, once or in rounds.

Rules of this module:
- a party is synced in a thread, and by one thread at a time: a run of it never overlaps its next;
- parties are looked up again for each round, so one that registered meanwhile takes part;
- the first signal stops all after the current page, and ends every wait; the second one ends the process;
- a failure here stops the others after their page, before it is raised: a thread cannot be cancelled.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
from collections.abc import AsyncIterator, Callable, Collection, Iterator

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup
from attrs import define, field, frozen

from ocpi_emsp.cli.errors import CommandFailed
from ocpi_emsp.cli.sync_schedule import PartyId, delay, next_round

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@frozen(kw_only=True)
class Plan:
    """How often, and how many at once."""

    parallel: int
    every: float | None = None
    """Seconds between the starts of two rounds; None for a single round."""
    splay: float = 0.0
    """Seconds over which the parties of a round are spread; the first round is not spread."""


@frozen(kw_only=True)
class Work:
    """The work; each function may block, and is called in a thread."""

    parties: Callable[[], Collection[PartyId]]
    """Returns the parties of a round."""
    sync: Callable[[PartyId], object]
    """Sync one party and report it. Raises CommandFailed if the command cannot continue."""
    overrun: Callable[[PartyId], object]
    """Say that a party is skipped, since its previous run is still in progress."""
    stopping: Callable[[], object]
    """Report the first signal. Called in the event loop, as the next one is."""
    at_once: Callable[[], object]
    """Called before the process is ended by a second signal; must not wait for anything."""


@define
class Runner:
    """Runs the work of a plan; ``run`` is called once."""

    _plan: Plan
    _work: Work
    asked: threading.Event = field(factory=threading.Event, init=False)
    """Set once a stop was requested."""
    stopped_by: signal.Signals | None = field(default=None, init=False)
    """The signal that requested the stop."""
    not_begun: set[PartyId] = field(factory=set, init=False)
    """Parties of a round whose turn did not come before the stop."""
    _wake: anyio.Event = field(init=False)
    _limiter: anyio.CapacityLimiter = field(init=False)
    _busy: set[PartyId] = field(factory=set, init=False)
    _failure: CommandFailed | None = field(default=None, init=False)

    def run(self) -> None:
        """Run until all is done, or until a signal. Raises the errors of the work."""
        anyio.run(self._run)
        if self._failure is not None:
            raise self._failure

    async def _run(self) -> None:
        self._wake, self._limiter = anyio.Event(), anyio.CapacityLimiter(self._plan.parallel)
        with _signals() as signals:
            async with anyio.create_task_group() as group:
                if signals is not None:
                    group.start_soon(self._heed, signals)
                with self._guarded():
                    await self._rounds()
                group.cancel_scope.cancel()

    async def _rounds(self) -> None:
        begun = anyio.current_time()
        async with anyio.create_task_group() as group:
            await self._begin(group, begun, 0.0)
            while self._plan.every is not None and not self.asked.is_set():
                at = next_round(begun, self._plan.every, anyio.current_time())
                await self._until(at)
                if not self.asked.is_set():
                    await self._begin(group, at, self._plan.splay)

    async def _begin(self, group: TaskGroup, at: float, splay: float) -> None:
        """Begin a round."""
        for party in await anyio.to_thread.run_sync(self._work.parties):
            if party in self._busy:
                await anyio.to_thread.run_sync(self._work.overrun, party)
                continue
            self._busy.add(party)
            group.start_soon(self._turn, party, at + delay(party, splay, random.random))

    async def _turn(self, party: PartyId, at: float) -> None:
        with self._guarded():
            try:
                await self._until(at)
                await anyio.to_thread.run_sync(self._sync, party, limiter=self._limiter)
            finally:
                self._busy.discard(party)

    def _sync(self, party: PartyId) -> None:
        if self.asked.is_set():
            self.not_begun.add(party)
        else:
            self._work.sync(party)

    async def _until(self, at: float) -> None:
        """Wait until then, or until a stop is requested."""
        with anyio.move_on_after(at - anyio.current_time()):
            await self._wake.wait()

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[None]:
        """Stop everything on an exception inside the block; a CommandFailed is raised at the end."""
        try:
            yield
        except CommandFailed as failure:
            self._failure = self._failure or failure
            self._stop()
        except BaseException:
            self._stop()
            raise

    def _stop(self) -> None:
        self.asked.set()
        self._wake.set()

    async def _heed(self, signals: AsyncIterator[signal.Signals]) -> None:
        async for each in signals:
            if self.stopped_by is not None:
                self._work.at_once()
                os._exit(128 + each)  # a thread that waits for a partner can only be abandoned
            self.stopped_by = each
            self._stop()
            self._work.stopping()


@contextlib.contextmanager
def _signals() -> Iterator[AsyncIterator[signal.Signals] | None]:
    """Yield the signals that arrive; None if they are unavailable: on Windows, and outside the main thread."""
    with contextlib.ExitStack() as stack:
        received = None
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
            received = stack.enter_context(anyio.open_signal_receiver(*SIGNALS))
        yield received
