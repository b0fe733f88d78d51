"""How many requests and bytes a party, or an address without a known token, may send; state of one process.

Rules of this module:
- a step is a short function of the state and the time, without I/O; the caller holds a lock while it runs;
- if a clock is put back, no time passes; no party is locked out;
- an episode of rejections is reported once; it ends after a quiet period;
- state per address is bounded: the address that failed longest ago is dropped.

A meter is two numbers, as in GCRA. Alternatives that were not used: ``limits`` 5.8, which calls time.time() itself,
starts a timer thread every 10 ms for its memory, and has no token bucket; ``pyrate-limiter`` 4.5, which stores a
timestamp for each request, and four million for a weight of 4 MiB. Neither accepts our clock, and neither counts
requests in progress.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import AbstractAsyncContextManager
from math import ceil
from operator import itemgetter
from typing import Final, Protocol, TypeAlias

from attrs import define, field

from ocpi_emsp.errors import TooManyRequests
from ocpi_emsp.findings import counted
from ocpi_emsp.flows.core.limits import PartyId
from ocpi_emsp.flows.core.settings import InboundLimits

QUIET_SECONDS: Final = 60.0
"""Seconds after the last rejection at which an episode ends."""
_ROUNDING: Final = 1e-6
LIST_SECONDS: Final = 1.0
"""Seconds per page of valid tokens until the next listing, once unknown tokens exceed their limit."""
MOST_LISTED: Final = 50_000
"""Most tokens that are listed: 100 pages, and 6 MB."""
_OF_ADDRESS: Final = "unknown_tokens_per_minute"
_OF_ALL: Final = "unknown_tokens_of_all_per_minute"


@define
class Episode:
    """Consecutive rejections."""

    refused: int = 0
    refused_at: float = 0.0

    def refuse(self, now: float, limit: str, message: str, wait: float) -> TooManyRequests:
        """Count one more rejection; the returned error says whether it is the first of its episode."""
        self.recovered(now)
        self.refused, self.refused_at = self.refused + 1, now
        return TooManyRequests(
            f"{message}: send the request again after the time of Retry-After",
            retry_after=max(1, ceil(wait)),
            limit=limit,
            is_news=self.refused == 1,
        )

    def recovered(self, now: float) -> int:
        """Return how many requests were rejected in an episode that has ended; 0 otherwise."""
        if not self.refused or 0 <= now - self.refused_at < QUIET_SECONDS:
            return 0
        ended, self.refused = self.refused, 0
        return ended


@define
class PartyUsage:
    """A party's current and recent use: two token buckets, which empty at the allowed rates."""

    running: int = 0
    requests: float = 0.0
    """Requests ahead of the rate."""
    sent: float = 0.0
    """Bytes ahead of the rate."""
    seen_at: float = 0.0
    large: int = 0
    """Large bodies that are being read or handled; only counted where no task can wait."""
    episode: Episode = field(factory=Episode)

    def enter(self, now: float, limits: InboundLimits) -> int:
        """Begin a request; return the number of rejections in an episode that has ended. Raises TooManyRequests."""
        rate, per_minute, most = limits.requests_per_second, limits.bytes_per_minute, limits.concurrent_requests
        passed, self.seen_at = now - self.seen_at, now
        if passed > 0:
            requests, sent = self.requests - passed * (rate or 0), self.sent - passed * (per_minute or 0) / 60
            self.requests, self.sent = requests if requests > 0 else 0.0, sent if sent > 0 else 0.0
        if most is not None and self.running >= most:
            message = f"you have {counted(self.running, 'request')} in progress"
            raise self.episode.refuse(now, "concurrent_requests", message, 1.0)
        if per_minute is not None and self.sent >= limits.burst_bytes:
            wait = (self.sent - limits.burst_bytes) * 60 / per_minute
            raise self.episode.refuse(
                now, "bytes_per_minute", f"you sent more than {per_minute} bytes per minute", wait
            )
        if rate is not None:
            over = self.requests + 1 - limits.burst
            if over > _ROUNDING:
                message = f"your requests exceed {rate} per second"
                raise self.episode.refuse(now, "requests_per_second", message, over / rate)
            self.requests += 1
        self.running += 1
        return self.episode.recovered(now) if self.episode.refused else 0

    def leave(self, sent: int, limits: InboundLimits) -> None:
        """End a request whose body had ``sent`` bytes."""
        self.running -= 1
        if limits.bytes_per_minute is not None:
            self.sent += sent


@define
class _Address:
    failures: float = 0.0
    """Failures ahead of the rate."""
    seen_at: float = 0.0
    episode: Episode = field(factory=Episode)

    def fade(self, now: float, per_minute: int) -> float:
        """Return how many failures count now."""
        passed, self.seen_at = max(now - self.seen_at, 0.0), now
        self.failures = max(self.failures - passed * per_minute / 60, 0.0)
        return self.failures


@define
class Strangers:
    """The addresses that sent unknown tokens, and the tokens that are valid nevertheless.

    Beyond a limit single tokens are not looked up: all valid tokens are listed, at a bounded rate, and each of these is
    accepted. So unknown tokens have a bounded cost, however many are sent, and lock no partner out.
    """

    addresses: OrderedDict[str, _Address] = field(factory=OrderedDict)
    everywhere: _Address = field(factory=_Address)
    valid: set[str] = field(factory=set)
    """Hashes of the valid tokens: those of the last list, and those issued since."""
    listed_at: float | None = None
    rest: float = 0.0
    """Seconds between two lists."""

    def over(self, address: str, now: float, limits: InboundLimits) -> float:
        """Return the seconds until one more unknown token is allowed; 0 if it is allowed now."""
        return max((wait for _, wait in self._waits(address, now, limits)), default=0.0)

    def refuse(self, address: str, now: float, limits: InboundLimits) -> TooManyRequests:
        """Return the rejection of a token beyond the limit."""
        name, wait = max(self._waits(address, now, limits), key=itemgetter(1), default=(_OF_ADDRESS, 0.0))
        found = self.everywhere if name == _OF_ALL else self.addresses.get(address, self.everywhere)
        return found.episode.refuse(now, name, "too many unknown tokens", wait)

    def _waits(self, address: str, now: float, limits: InboundLimits) -> Iterator[tuple[str, float]]:
        counted = (
            (_OF_ADDRESS, self.addresses.get(address), limits.unknown_tokens_per_minute),
            (_OF_ALL, self.everywhere, limits.unknown_tokens_of_all_per_minute),
        )
        for name, found, most in counted:
            over = 0.0 if found is None or most is None else found.fade(now, most) + 1 - most
            if most is not None and over > _ROUNDING:
                yield name, over * 60 / most

    def failed(self, address: str, hashes: Iterable[str], now: float, limits: InboundLimits) -> None:
        """Count an unknown token."""
        self.valid.difference_update(hashes)
        if limits.unknown_tokens_per_minute is not None:
            found = self.addresses.setdefault(address, _Address())
            self.addresses.move_to_end(address)
            if len(self.addresses) > limits.addresses:
                self.addresses.popitem(last=False)
            found.failures = found.fade(now, limits.unknown_tokens_per_minute) + 1
        if limits.unknown_tokens_of_all_per_minute is not None:
            self.everywhere.failures = self.everywhere.fade(now, limits.unknown_tokens_of_all_per_minute) + 1

    def unnamed(self, address: str, now: float, limits: InboundLimits) -> TooManyRequests | None:
        """Count a request without a token, which costs no query; beyond the limit, return a notice for the log."""
        if self.over(address, now, limits):
            return self.refuse(address, now, limits)
        self.failed(address, (), now, limits)
        return None

    def begin_list(self, now: float) -> bool:
        """Return True if the valid tokens may be listed again; then the caller must do so."""
        if self.listed_at is not None and 0 <= now - self.listed_at < self.rest:
            return False
        self.listed_at, self.rest = now, LIST_SECONDS
        return True

    def listed(self, hashes: set[str], pages: int) -> None:
        """Store the listed tokens; the next list waits a second for each page of this one."""
        self.valid, self.rest = hashes, pages * LIST_SECONDS

    def issued(self, sha256: str) -> None:
        """Add a token that was just issued."""
        if len(self.valid) < MOST_LISTED:
            self.valid.add(sha256)


Turn: TypeAlias = AbstractAsyncContextManager[None]


class InboundGate(Protocol):
    """Holds the state of every party and address for one process; safe in threads and tasks."""

    def over(self, address: str, now: float, limits: InboundLimits) -> bool:
        """See :meth:`Strangers.over`."""

    def refuse(self, address: str, now: float, limits: InboundLimits) -> TooManyRequests:
        """See :meth:`Strangers.refuse`."""

    def failed(self, address: str, hashes: Iterable[str], now: float, limits: InboundLimits) -> None:
        """See :meth:`Strangers.failed`."""

    def begin_list(self, now: float) -> bool:
        """See :meth:`Strangers.begin_list`."""

    def listed(self, hashes: set[str], pages: int) -> None:
        """See :meth:`Strangers.listed`."""

    def issued(self, sha256: str) -> None:
        """See :meth:`Strangers.issued`."""

    def works(self, hashes: Iterable[str]) -> bool:
        """Return True if one of these tokens is known to be valid."""

    def unnamed(self, address: str, now: float, limits: InboundLimits) -> TooManyRequests | None:
        """See :meth:`Strangers.unnamed`."""

    def has_strangers(self) -> bool:
        """False while no address needs to be checked."""

    def enter(self, party: PartyId, now: float, limits: InboundLimits) -> int:
        """See :meth:`PartyUsage.enter`."""

    def leave(self, party: PartyId, sent: int, limits: InboundLimits) -> None:
        """See :meth:`PartyUsage.leave`."""

    def large(self, party: PartyId, now: float, limits: InboundLimits) -> AbstractAsyncContextManager[Turn]:
        """Return a turn for a large body of the party, which begins with room for reading it. Raises
        TooManyRequests.
        """
