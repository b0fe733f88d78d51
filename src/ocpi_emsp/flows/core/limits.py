"""How often, how fast and how long a partner is called, as state in values.

Rules of this module:
- state is frozen; a step is a pure function of the state and the time, and returns the next state;
- a stored time beyond any that could have been set comes from a clock that has since gone back: it is ignored.
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
    """What one sync may spend on retries, and what it has spent. It belongs to one task or thread."""

    policy: RetryPolicy
    retries: int = 0
    """Retries so far."""
    waited: timedelta = _NO_TIME
    """Total time waited before them."""
    refused: int = 0
    """Retries that were skipped because the budget was used up."""

    def spend(self, wait: timedelta) -> bool:
        """Take a retry after this wait; return False if the budget is used up."""
        if self.retries >= self.policy.retries_per_sync or self.waited + wait > self.policy.waiting_per_sync:
            self.refused += 1
            return False
        self.retries += 1
        self.waited += wait
        return True


_JITTER = random.SystemRandom()
"""Not the generator of the random module, which a host may seed and which Hypothesis watches while it draws."""


def jittered(first: timedelta, growth: int, longest: timedelta, failures: int) -> timedelta:
    """Return the wait after so many failures: a random time up to a bound that grows with each (full jitter)."""
    # The exponent is bounded: beyond the longest wait a larger bound would be computed for nothing.
    seconds = min(first.total_seconds() * growth ** min(failures - 1, 30), longest.total_seconds())
    return timedelta(seconds=_JITTER.uniform(0, seconds))


@frozen(kw_only=True)
class Breaker:
    """A circuit breaker: closed, open for a time, then half open: one probe decides.

    Whether it opens depends on the consecutive failures. :meth:`admitted` is the state after a call was let through;
    one of ``after_success``, ``after_failure`` and ``after_nothing`` follows.
    """

    limit: int = 5
    first: timedelta = timedelta(seconds=60)
    longest: timedelta = timedelta(minutes=15)
    failures: int = 0
    """Consecutive failures while it is closed."""
    opened_at: datetime | None = None
    wait: timedelta = _NO_TIME
    """How long it stays open."""
    is_probing: bool = False

    @classmethod
    def of(cls, policy: RetryPolicy) -> Breaker:
        """Return a closed breaker with these settings."""
        longest = max(policy.breaker_wait, policy.longest_breaker_wait)
        return cls(limit=policy.breaker_failures, first=policy.breaker_wait, longest=longest)

    @property
    def until(self) -> datetime | None:
        """When it allows a probe; None while it is closed."""
        return None if self.opened_at is None else self.opened_at + self.wait

    def may_call(self, now: datetime) -> bool:
        """Return True if it is closed, or a probe is due and none is in progress."""
        if self.opened_at is None:
            return True
        return not self.is_probing and not _NO_TIME <= now - self.opened_at < self.wait

    def admitted(self) -> Breaker:
        """Return the state after a call was let through."""
        return self if self.opened_at is None else evolve(self, is_probing=True)

    def after_success(self, _now: datetime) -> Breaker:
        """Return the closed state: the partner answers."""
        return evolve(self, failures=0, opened_at=None, wait=_NO_TIME, is_probing=False)

    def after_failure(self, now: datetime) -> Breaker:
        """Count one more failure: it opens after too many, and for twice as long after a failed probe."""
        if self.is_probing:
            return evolve(self, opened_at=now, wait=min(self.wait * 2, self.longest), is_probing=False)
        if self.opened_at is not None:
            return self  # this call began before the breaker opened: its failure changes nothing
        failures = self.failures + 1
        if failures < self.limit:
            return evolve(self, failures=failures)
        return evolve(self, failures=failures, opened_at=now, wait=self.first)

    def after_nothing(self, _now: datetime) -> Breaker:
        """Return the state unchanged, except that another call may probe: this call was ended by our side."""
        return evolve(self, is_probing=False)

    def held(self, now: datetime, wait: timedelta) -> Breaker:
        """Return the state that is open for as long as the partner asked, up to the longest time."""
        return evolve(self, opened_at=now, wait=min(max(wait, self.first), self.longest), is_probing=False)


@frozen
class Bucket:
    """A token bucket of size one: requests are spaced evenly, so no second has more than its share."""

    free_at: datetime | None = None
    """When the next token is available."""

    def take(self, now: datetime, interval: timedelta, slots: int) -> tuple[Bucket, timedelta]:
        """Return the bucket after a token was used, and how long to wait for that token.

        ``interval`` is the time between two tokens; ``slots`` is how many callers may wait at once, which bounds the
        wait.
        """
        ahead = _NO_TIME if self.free_at is None else max(self.free_at - now, _NO_TIME)
        wait = min(ahead, interval * slots)
        return Bucket(now + wait + interval), wait


@frozen(kw_only=True)
class Health:
    """The state of one party between calls."""

    breaker: Breaker
    bucket: Bucket = Bucket()

    @classmethod
    def of(cls, policy: RetryPolicy) -> Health:
        """Return the state of a party that was not called yet."""
        return cls(breaker=Breaker.of(policy))


class RateLimiter(Protocol):
    """Holds the state of every party for all clients of one shell; safe in threads and tasks."""

    def slot(self, party: PartyId, slots: int, seconds: float) -> AbstractAsyncContextManager[None]:
        """Return one of the party's slots. Raises PartnerUnavailable if none is free within ``seconds``.

        A caller with a slot must not ask for another: two such callers could wait for each other.
        """

    def step(self, party: PartyId, function: Callable[[Health], tuple[Health, T]]) -> T:
        """Replace the party's state by the one that ``function`` returns, atomically; return its other result.

        The function must be pure and short.
        """


class Handshakes(Protocol):
    """Counts the handshakes in progress in this process that partners started; safe in threads and tasks."""

    def enter(self, party: PartyId) -> AbstractContextManager[bool]:
        """Count one more handshake of this party within the block; yields False, and counts nothing, if there are too
        many.
        """
