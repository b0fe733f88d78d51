"""How often, how fast and how long a partner is asked: state that is a value.

Rules of this module:
- state is frozen; a step is a pure function of it and of the time, and gives what is next;
- a time that lies ahead of every time that is ever set was set by a clock that has gone back since: it is ignored.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from datetime import datetime, timedelta
from typing import Protocol, TypeAlias, TypeVar

from attrs import define, evolve, frozen

from ocpi_emsp.flows.core.settings import RetryPolicy

T = TypeVar("T")

PartyId: TypeAlias = tuple[str, str]
"""country_code and party_id, in upper case."""

_NO_TIME = timedelta(0)


@define
class Budget:
    """What one sync may spend on retries, and what it spent. It belongs to one task or thread."""

    policy: RetryPolicy
    retries: int = 0
    """Retries so far."""
    waited: timedelta = _NO_TIME
    """Waits before them, together."""
    refused: int = 0
    """Retries that were left out because nothing was left for them."""

    def spend(self, wait: timedelta) -> bool:
        """Take a retry after this wait; False where nothing is left for it."""
        if self.retries >= self.policy.retries_per_sync or self.waited + wait > self.policy.waiting_per_sync:
            self.refused += 1
            return False
        self.retries += 1
        self.waited += wait
        return True


_JITTER = random.SystemRandom()
"""Not the generator of the module random, which a host may seed, and which Hypothesis watches while it draws."""


def jittered(first: timedelta, growth: int, longest: timedelta, failures: int) -> timedelta:
    """The wait after so many failures: any time up to a bound that grows with each (full jitter)."""
    # The exponent is bounded: a bound beyond every limit is computed for nothing.
    seconds = min(first.total_seconds() * growth ** min(failures - 1, 30), longest.total_seconds())
    return timedelta(seconds=_JITTER.uniform(0, seconds))


@frozen(kw_only=True)
class Breaker:
    """A circuit breaker: closed, open for a time, then half open: one probe decides.

    Whether it opens is up to the failures in a row. :meth:`admitted` is the state once a call was let through; one of
    ``after_success``, ``after_failure`` and ``after_nothing`` follows.
    """

    limit: int = 5
    first: timedelta = timedelta(seconds=60)
    longest: timedelta = timedelta(minutes=15)
    failures: int = 0
    """Failures in a row while it is closed."""
    opened_at: datetime | None = None
    wait: timedelta = _NO_TIME
    """How long it stays open."""
    is_probing: bool = False

    @classmethod
    def of(cls, policy: RetryPolicy) -> Breaker:
        """A closed one with these settings."""
        longest = max(policy.breaker_wait, policy.longest_breaker_wait)
        return cls(limit=policy.breaker_failures, first=policy.breaker_wait, longest=longest)

    @property
    def until(self) -> datetime | None:
        """When it opens for a probe; None while it is closed."""
        return None if self.opened_at is None else self.opened_at + self.wait

    def may_call(self, now: datetime) -> bool:
        """True where it is closed, or a probe is due and none is under way."""
        if self.opened_at is None:
            return True
        return not self.is_probing and not _NO_TIME <= now - self.opened_at < self.wait

    def admitted(self) -> Breaker:
        """After a call was let through."""
        return self if self.opened_at is None else evolve(self, is_probing=True)

    def after_success(self, _now: datetime) -> Breaker:
        """Closed: the partner answers."""
        return evolve(self, failures=0, opened_at=None, wait=_NO_TIME, is_probing=False)

    def after_failure(self, now: datetime) -> Breaker:
        """One failure more: open once they are too many, open for twice as long after a probe."""
        if self.is_probing:
            return evolve(self, opened_at=now, wait=min(self.wait * 2, self.longest), is_probing=False)
        if self.opened_at is not None:
            return self  # this call was let through before it opened: its failure is no news
        failures = self.failures + 1
        if failures < self.limit:
            return evolve(self, failures=failures)
        return evolve(self, failures=failures, opened_at=now, wait=self.first)

    def after_nothing(self, _now: datetime) -> Breaker:
        """As before: the call was given up from our side; another one may probe."""
        return evolve(self, is_probing=False)

    def held(self, now: datetime, wait: timedelta) -> Breaker:
        """Open for as long as the partner asked for, up to the longest time."""
        return evolve(self, opened_at=now, wait=min(max(wait, self.first), self.longest), is_probing=False)


@frozen
class Bucket:
    """A token bucket that holds one token: requests are spaced evenly, so no second has more than its share."""

    free_at: datetime | None = None
    """When the next token is there."""

    def take(self, now: datetime, interval: timedelta, slots: int) -> tuple[Bucket, timedelta]:
        """The bucket once a token was used, and how long to wait for that token.

        ``interval``: between two tokens; ``slots``: how many may wait at once, so no wait is longer than they take.
        """
        ahead = _NO_TIME if self.free_at is None else max(self.free_at - now, _NO_TIME)
        wait = min(ahead, interval * slots)
        return Bucket(now + wait + interval), wait


@frozen(kw_only=True)
class Health:
    """What is remembered of one party between calls."""

    breaker: Breaker
    bucket: Bucket = Bucket()

    @classmethod
    def of(cls, policy: RetryPolicy) -> Health:
        """What is assumed of a party that was not called yet."""
        return cls(breaker=Breaker.of(policy))


class RateLimiter(Protocol):
    """Keeps the state of every party for all clients of one shell; safe in threads and tasks."""

    def slot(self, party: PartyId, slots: int, seconds: float) -> AbstractAsyncContextManager[None]:
        """One of the party's slots. Raises PartnerUnavailable where none is free within so many seconds.

        A caller that has one must not ask for another: two such callers could wait for each other.
        """

    def step(self, party: PartyId, function: Callable[[Health], tuple[Health, T]]) -> T:
        """Replace the party's state by what the function makes of it, atomically; return its other result.

        The function is pure and short.
        """


class Handshakes(Protocol):
    """Counts the handshakes that partners set off and that are under way in this process; safe in threads and tasks."""

    def enter(self, party: PartyId) -> AbstractContextManager[bool]:
        """A block for one more of this party; False where as many as may be are under way: then it is not counted."""
