"""The RateLimiter and Handshakes ports for both modes: waiting for a slot, the state of each party, and a count.

Rules of this module:
- a lock is held for a pure function or a count, never during a request or a wait;
- every wait is bounded;
- slots of the async shell are counted per event loop: a task cannot wait for another loop's.
"""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TypeVar

import anyio

from ocpi_emsp._bridge import PerLoop, at_most
from ocpi_emsp.errors import PartnerUnavailable
from ocpi_emsp.flows.core.limits import Health, PartyId, RateLimiter
from ocpi_emsp.ports import Mode

T = TypeVar("T")


def make_rate_limiter(mode: Mode, initial: Health) -> RateLimiter:
    """Return the port for a shell; ``initial`` is the initial state of every party."""
    return _SyncRateLimiter(initial) if mode == "sync" else _AsyncRateLimiter(initial)


class _States:
    """The state of every party."""

    def __init__(self, initial: Health) -> None:
        self._lock = threading.Lock()
        self._initial = initial
        self._states: dict[PartyId, Health] = {}

    def step(self, party: PartyId, function: Callable[[Health], tuple[Health, T]]) -> T:
        with self._lock:
            self._states[party], given = function(self._states.get(party, self._initial))
        return given


class _SyncRateLimiter(_States):
    """For threads."""

    def __init__(self, initial: Health) -> None:
        super().__init__(initial)
        self._freed = threading.Condition()
        self._used: dict[PartyId, int] = defaultdict(int)

    @asynccontextmanager
    async def slot(self, party: PartyId, slots: int, seconds: float) -> AsyncIterator[None]:
        with self._freed:
            if not self._freed.wait_for(lambda: self._used[party] < slots, seconds):
                raise _no_slot(party, slots, seconds)
            self._used[party] += 1
        try:
            yield
        finally:
            with self._freed:
                self._used[party] -= 1
                self._freed.notify_all()  # each thread waits for its own party's slot


class _AsyncRateLimiter(_States):
    """For tasks."""

    def __init__(self, initial: Health) -> None:
        super().__init__(initial)
        self._limiters: PerLoop[dict[PartyId, anyio.CapacityLimiter]] = PerLoop(dict)

    @asynccontextmanager
    async def slot(self, party: PartyId, slots: int, seconds: float) -> AsyncIterator[None]:
        limiters = self._limiters.here()
        limiter = limiters.get(party)
        if limiter is None:
            limiter = limiters[party] = anyio.CapacityLimiter(slots)
        limiter.total_tokens = slots
        borrower = object()  # a task may have several requests in progress
        with at_most(seconds) as waiting:
            await limiter.acquire_on_behalf_of(borrower)
        if waiting.cancelled_caught:
            raise _no_slot(party, slots, seconds)
        try:
            yield
        finally:
            limiter.release_on_behalf_of(borrower)


def _no_slot(party: PartyId, slots: int, seconds: float) -> PartnerUnavailable:
    return PartnerUnavailable(f"{'-'.join(party)}: no slot was free for {seconds:g} s (concurrent_requests is {slots})")


class CountedHandshakes:
    """The Handshakes port: ``each`` is the limit per party, ``in_all`` that of all parties."""

    def __init__(self, each: int, in_all: int) -> None:
        self._lock = threading.Lock()
        self._each = each
        self._in_all = in_all
        self._under_way = Counter[PartyId]()

    @contextmanager
    def enter(self, party: PartyId) -> Iterator[bool]:
        with self._lock:
            is_free = self._under_way[party] < self._each and self._under_way.total() < self._in_all
            self._under_way[party] += is_free
        try:
            yield is_free
        finally:
            with self._lock:
                self._under_way[party] -= is_free
                self._under_way += Counter()  # without those at zero
