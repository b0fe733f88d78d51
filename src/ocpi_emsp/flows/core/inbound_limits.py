"""How many requests and bytes a party may send, and an address without a known token: state of one process.

Rules of this module:
- a step is a short function of the state and the time, without I/O; whoever has the state holds a lock meanwhile;
- a clock that is put back locks nobody out: no time passes, and nothing else;
- an episode of refusals is news once; it ends with a quiet time;
- state per address is bounded: the address that failed longest ago is forgotten.
"""

from __future__ import annotations

from collections import OrderedDict
from contextlib import AbstractAsyncContextManager
from math import ceil
from typing import Final, Protocol, TypeAlias

from attrs import define, field

from ocpi_emsp.errors import TooManyRequests
from ocpi_emsp.flows.core.limits import PartyId
from ocpi_emsp.flows.core.settings import InboundLimits

QUIET_SECONDS: Final = 60.0
"""An episode of refusals ends when the last one is so long ago."""
KNOWN_HEADERS: Final = 4096
"""Authorization headers of partners that are remembered, by their hash, so that no stranger locks a partner out."""


@define
class Meter:
    """A token bucket (GCRA): how many seconds of the allowed rate were used ahead."""

    ahead: float = 0.0
    seen_at: float = 0.0

    def wait(self, now: float, cost: float, window: float) -> float:
        """Seconds until so much may be used; ``window``: how far ahead of the rate."""
        self._pass(now)
        return self.ahead + cost - window

    def use(self, now: float, cost: float) -> None:
        """Use so much."""
        self._pass(now)
        self.ahead += cost

    def _pass(self, now: float) -> None:
        self.ahead = max(self.ahead - max(now - self.seen_at, 0.0), 0.0)
        self.seen_at = now


@define
class Episode:
    """Refusals in a row."""

    refused: int = 0
    refused_at: float = 0.0

    def refuse(self, now: float, limit: str, message: str, wait: float) -> TooManyRequests:
        """One more; it says whether it is the first of its episode."""
        self.recovered(now)
        self.refused, self.refused_at = self.refused + 1, now
        return TooManyRequests(
            f"{message}: send the request again after the time of Retry-After",
            retry_after=max(1, ceil(wait)),
            limit=limit,
            is_news=self.refused == 1,
        )

    def recovered(self, now: float) -> int:
        """How many were refused in an episode that has ended; 0 otherwise."""
        if not self.refused or 0 <= now - self.refused_at < QUIET_SECONDS:
            return 0
        ended, self.refused = self.refused, 0
        return ended


@define
class PartyUsage:
    """What one party uses now, and used lately."""

    requests: Meter = field(factory=Meter)
    sent: Meter = field(factory=Meter)
    running: int = 0
    large: int = 0
    """Large bodies that are read or handled; counted where no task can wait."""
    episode: Episode = field(factory=Episode)

    def enter(self, now: float, limits: InboundLimits) -> int:
        """Begin a request; gives how many were refused in an episode that has ended. Raises TooManyRequests."""
        if limits.concurrent_requests is not None and self.running >= limits.concurrent_requests:
            message = f"{self.running} of your requests are being answered"
            raise self.episode.refuse(now, "concurrent_requests", message, 1.0)
        if limits.bytes_per_minute is not None:
            window = limits.burst_bytes * 60 / limits.bytes_per_minute
            if (wait := self.sent.wait(now, 0.0, window)) >= 0:
                message = f"you sent more than {limits.bytes_per_minute} bytes per minute"
                raise self.episode.refuse(now, "bytes_per_minute", message, wait)
        if limits.requests_per_second is not None:
            cost = 1 / limits.requests_per_second
            if (wait := self.requests.wait(now, cost, cost * limits.burst)) > cost / 1000:
                message = f"you send more than {limits.requests_per_second} requests per second"
                raise self.episode.refuse(now, "requests_per_second", message, wait)
            self.requests.use(now, cost)
        self.running += 1
        return self.episode.recovered(now) if self.episode.refused else 0

    def leave(self, now: float, sent: int, limits: InboundLimits) -> None:
        """End it; its body had so many bytes."""
        self.running -= 1
        if limits.bytes_per_minute is not None and sent:
            self.sent.use(now, sent * 60 / limits.bytes_per_minute)


@define
class _Address:
    failures: Meter = field(factory=Meter)
    episode: Episode = field(factory=Episode)


@define
class Strangers:
    """The addresses from which unknown tokens came, and the headers that are known."""

    addresses: OrderedDict[str, _Address] = field(factory=OrderedDict)
    known: dict[int, None] = field(factory=dict)

    def require_room(self, address: str, header: str, now: float, limits: InboundLimits) -> None:
        """Raises TooManyRequests where too many unknown tokens came from the address, and the header is not known."""
        found = self.addresses.get(address)
        if found is None or limits.unknown_tokens_per_minute is None or hash(header) in self.known:
            return
        cost = 60 / limits.unknown_tokens_per_minute
        if (wait := found.failures.wait(now, cost, 60.0)) > cost / 1000:
            raise found.episode.refuse(now, "unknown_tokens_per_minute", "too many unknown tokens", wait)

    def failed(self, address: str, header: str, now: float, limits: InboundLimits) -> None:
        """Count a token that is not known."""
        self.known.pop(hash(header), None)
        if limits.unknown_tokens_per_minute is None:
            return
        found = self.addresses.setdefault(address, _Address())
        self.addresses.move_to_end(address)
        if len(self.addresses) > limits.addresses:
            self.addresses.popitem(last=False)
        cost = 60 / limits.unknown_tokens_per_minute
        found.failures.use(now, cost)

    def succeeded(self, header: str) -> None:
        """Remember a header that is known."""
        if len(self.known) >= KNOWN_HEADERS:
            del self.known[next(iter(self.known))]
        self.known[hash(header)] = None


Turn: TypeAlias = AbstractAsyncContextManager[None]


class InboundGate(Protocol):
    """Holds the state of every party and address for one process; safe in threads and tasks."""

    def require_room(self, address: str, header: str, now: float, limits: InboundLimits) -> None:
        """See :meth:`Strangers.require_room`."""

    def failed(self, address: str, header: str, now: float, limits: InboundLimits) -> None:
        """See :meth:`Strangers.failed`."""

    def has_strangers(self) -> bool:
        """False while no address has to be looked at."""

    def enter(self, party: PartyId, header: str, now: float, limits: InboundLimits) -> int:
        """See :meth:`PartyUsage.enter`; the header is known from now on."""

    def leave(self, party: PartyId, now: float, sent: int, limits: InboundLimits) -> None:
        """See :meth:`PartyUsage.leave`."""

    def large(self, party: PartyId, now: float, limits: InboundLimits) -> AbstractAsyncContextManager[Turn]:
        """Room for a large body of the party, and what its turn to be handled is. Raises TooManyRequests."""
