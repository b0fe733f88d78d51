"""The InboundGate port for both modes: the callers' use of this process, and their turns.

Rules of this module:
- a lock is held for a short function, never during a read or a wait;
- a task waits for its turn, for a bounded time; a thread does not, since it could serve no other caller meanwhile;
- turns are counted per event loop.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, nullcontext
from time import monotonic
from typing import Final

import anyio
from attrs import define, field

from ocpi_emsp._bridge import PerLoop, at_most
from ocpi_emsp.errors import TooManyRequests
from ocpi_emsp.findings import counted
from ocpi_emsp.flows.core.inbound_limits import InboundGate, PartyUsage, Strangers, Turn
from ocpi_emsp.flows.core.limits import PartyId
from ocpi_emsp.flows.core.settings import InboundLimits
from ocpi_emsp.ports import Mode

LONGEST_REST: Final = 2.0
"""Most seconds of rest after a large body: a longer one waited for a database, which others use meanwhile."""


@define
class Inbound:
    """The callers' use, in both modes of an eMSP together."""

    lock: threading.Lock = field(factory=threading.Lock)
    parties: dict[PartyId, PartyUsage] = field(factory=dict)
    strangers: Strangers = field(factory=Strangers)
    unnamed: Strangers = field(factory=Strangers)
    """Callers without a token, which no limit rejects."""


def make_gate(mode: Mode, inbound: Inbound) -> InboundGate:
    """Return the port for a shell."""
    return _SyncGate(inbound) if mode == "sync" else _AsyncGate(inbound)


class _Gate:
    def __init__(self, inbound: Inbound) -> None:
        self._lock = inbound.lock
        self._parties = inbound.parties
        self._strangers = inbound.strangers
        self._unnamed = inbound.unnamed

    def has_strangers(self) -> bool:
        return bool(self._strangers.addresses)

    def over(self, address: str, now: float, limits: InboundLimits) -> bool:
        with self._lock:
            return self._strangers.over(address, now, limits) > 0

    def refuse(self, address: str, now: float, limits: InboundLimits) -> TooManyRequests:
        with self._lock:
            return self._strangers.refuse(address, now, limits)

    def failed(self, address: str, hashes: Iterable[str], now: float, limits: InboundLimits) -> None:
        with self._lock:
            self._strangers.failed(address, hashes, now, limits)

    def unnamed(self, address: str, now: float, limits: InboundLimits) -> TooManyRequests | None:
        with self._lock:
            return self._unnamed.unnamed(address, now, limits)

    def begin_list(self, now: float) -> bool:
        with self._lock:
            return self._strangers.begin_list(now)

    def listed(self, hashes: set[str], pages: int) -> None:
        with self._lock:
            self._strangers.listed(hashes, pages)

    def issued(self, sha256: str) -> None:
        with self._lock:
            self._strangers.issued(sha256)

    def works(self, hashes: Iterable[str]) -> bool:
        with self._lock:
            return not self._strangers.valid.isdisjoint(hashes)

    def enter(self, party: PartyId, now: float, limits: InboundLimits) -> int:
        with self._lock:
            usage = self._parties.get(party)
            return (self._usage(party) if usage is None else usage).enter(now, limits)

    def leave(self, party: PartyId, sent: int, limits: InboundLimits) -> None:
        with self._lock:
            self._parties[party].leave(sent, limits)

    def _usage(self, party: PartyId) -> PartyUsage:
        usage = self._parties.get(party)
        if usage is None:
            usage = self._parties[party] = PartyUsage()
        return usage

    def _no_room(self, party: PartyId, now: float, limits: InboundLimits) -> TooManyRequests:
        message = f"you have {counted(limits.large_bodies, 'large request')} in progress"
        return self._usage(party).episode.refuse(now, "large_bodies", message, 1.0)


class _SyncGate(_Gate):
    """For threads."""

    @asynccontextmanager
    async def large(self, party: PartyId, now: float, limits: InboundLimits) -> AsyncIterator[Turn]:
        with self._lock:
            usage = self._usage(party)
            if usage.large >= limits.large_bodies:
                raise self._no_room(party, now, limits)
            usage.large += 1
        try:
            yield nullcontext()
        finally:
            with self._lock:
                usage.large -= 1


class _Lane:
    """The large bodies of one party in one event loop."""

    def __init__(self, limits: InboundLimits) -> None:
        self.room = anyio.CapacityLimiter(limits.large_bodies)
        self.turn = anyio.Lock()
        self.rests_until = 0.0


class _AsyncGate(_Gate):
    """For tasks."""

    def __init__(self, inbound: Inbound) -> None:
        super().__init__(inbound)
        self._lanes: PerLoop[dict[PartyId, _Lane]] = PerLoop(dict)

    @asynccontextmanager
    async def large(self, party: PartyId, now: float, limits: InboundLimits) -> AsyncIterator[Turn]:
        lanes = self._lanes.here()
        lane = lanes.get(party)
        if lane is None:
            lane = lanes[party] = _Lane(limits)
        borrower = object()
        with at_most(limits.large_body_wait) as waiting:
            await lane.room.acquire_on_behalf_of(borrower)
        if waiting.cancelled_caught:
            with self._lock:
                raise self._no_room(party, now, limits)
        try:
            yield _turn(lane, limits.large_body_rest)
        finally:
            lane.room.release_on_behalf_of(borrower)


@asynccontextmanager
async def _turn(lane: _Lane, rest: float) -> AsyncIterator[None]:
    """Run one body at a time; then the lane rests for a multiple of its duration, and others get the processor."""
    async with lane.turn:
        await anyio.sleep(max(lane.rests_until - monotonic(), 0.0))
        began = monotonic()
        try:
            yield
        finally:
            ended = monotonic()
            lane.rests_until = ended + min((ended - began) * rest, LONGEST_REST)
