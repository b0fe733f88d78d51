"""How often, how fast and how long a partner is asked: settings, and state that is a value.

Rules of this module:
- state is frozen; a step is a pure function of it and of the time, and gives what is next;
- a time that lies ahead of every time that is ever set was set by a clock that has gone back since: it binds nobody;
- a limit has a default and a reason.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Protocol, TypeAlias, TypeVar

from attrs import Attribute, define, evolve, field, frozen
from attrs.validators import ge, gt

T = TypeVar("T")

PartyId: TypeAlias = tuple[str, str]
"""country_code and party_id, in upper case."""

SLOWEST_RATE = Decimal("0.01")
"""Requests per second at least: with fewer, a list of a few pages takes longer than anybody waits for it."""
_NO_TIME = timedelta(0)


def check_rate(rate: Decimal | None) -> None:
    """Raises ValueError for a rate that cannot be kept."""
    if rate is not None and not (rate.is_finite() and rate >= SLOWEST_RATE):
        raise ValueError(f"requests_per_second is {rate}, it is {SLOWEST_RATE} or more")


def check_slots(slots: int | None) -> None:
    """Raises ValueError for a number of concurrent requests with which none is ever sent."""
    if slots is not None and slots < 1:
        raise ValueError(f"concurrent_requests is {slots}, it is 1 or more")


def _rate(_instance: Any, _attribute: Attribute[Any], value: Decimal | None) -> None:
    check_rate(value)


def _slots(_instance: Any, _attribute: Attribute[Any], value: int) -> None:
    check_slots(value)


@frozen(kw_only=True)
class Patience:
    """What is borne from a partner. Retries and the circuit breaker are a sync's, the rest holds for every client.

    Raises ValueError for a number with which nothing would ever be sent.
    """

    attempts: int = field(default=5, validator=ge(1))
    """Sends of one GET, the first included: their waits take up to 7.5 seconds, about what a load balancer needs to
    turn to another server; a longer outage is left to the next sync."""
    first_wait: timedelta = field(default=timedelta(seconds=0.5), validator=ge(_NO_TIME))
    """The longest wait after the first failure: a reset connection is made again at once."""
    growth: int = field(default=2, validator=ge(1))
    """How many times as long each further wait may be."""
    longest_wait: timedelta = field(default=timedelta(seconds=30), validator=ge(_NO_TIME))
    """The longest wait that we choose ourselves: with more attempts, each goes on for half a minute at most."""
    longest_retry_after: timedelta = field(default=timedelta(seconds=300), validator=ge(_NO_TIME))
    """The longest ``Retry-After`` that is waited for: usual rate limits count in minutes; a partner that wants more is
    asked by a later sync."""
    retries: int = field(default=100, validator=ge(0))
    """Retries of one sync: one per page of a large partner now and then; more means that it is not well."""
    waiting: timedelta = field(default=timedelta(seconds=600), validator=ge(_NO_TIME))
    """Waits of one sync before retries, together: two full ``Retry-After``; a sync shall not hold up the next ones."""
    failures: int = field(default=5, validator=ge(1))
    """Failed calls in a row, each after its retries, until the party is not called for a while: with the default
    attempts these are 25 requests that nobody answered."""
    rest: timedelta = field(default=timedelta(seconds=60), validator=gt(_NO_TIME))
    """How long it is not called then: a restart takes less. Twice as long after each probe that fails."""
    longest_rest: timedelta = field(default=timedelta(minutes=15), validator=gt(_NO_TIME))
    """The longest such time: a partner is called again within a quarter of an hour after its outage."""
    requests_per_second: Decimal | None = field(default=None, validator=_rate)
    """Requests to one party, evenly spaced; None for no such limit: the specification names none."""
    concurrent_requests: int = field(default=4, validator=_slots)
    """Requests to one party at once: one per pulled module, so that no module waits for another."""
    longest_turn: timedelta = field(default=timedelta(seconds=600), validator=gt(_NO_TIME))
    """How long a call waits for its turn while others are under way: twice ``Limits.timeout_total``, so each of those
    has ended."""


@define
class Budget:
    """What one sync may spend on retries, and what it spent. It belongs to one task or thread."""

    patience: Patience
    retries: int = 0
    """Retries so far."""
    waited: timedelta = _NO_TIME
    """Waits before them, together."""
    refused: int = 0
    """Retries that were left out because nothing was left for them."""

    def spend(self, wait: timedelta) -> bool:
        """Take a retry after this wait; False where nothing is left for it."""
        if self.retries >= self.patience.retries or self.waited + wait > self.patience.waiting:
            self.refused += 1
            return False
        self.retries += 1
        self.waited += wait
        return True


def jittered(first: timedelta, growth: int, longest: timedelta, failures: int) -> timedelta:
    """The wait after so many failures: any time up to a bound that grows with each (full jitter)."""
    # The exponent is bounded: a bound beyond every limit is computed for nothing.
    seconds = min(first.total_seconds() * growth ** min(failures - 1, 30), longest.total_seconds())
    return timedelta(seconds=random.uniform(0, seconds))


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
    def of(cls, patience: Patience) -> Breaker:
        """A closed one with these settings."""
        return cls(limit=patience.failures, first=patience.rest, longest=max(patience.rest, patience.longest_rest))

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
            return self  # this call was let through before it opened: it tells nothing new
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
        """The bucket once a token was taken, and how long to wait for that token.

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
    def of(cls, patience: Patience) -> Health:
        """What is assumed of a party that was not called yet."""
        return cls(breaker=Breaker.of(patience))


class Pace(Protocol):
    """Keeps the state of every party for all clients of one shell; safe in threads and tasks."""

    def slot(self, party: PartyId, slots: int, seconds: float) -> AbstractAsyncContextManager[None]:
        """One of the party's slots. Raises PartnerUnavailable where none is free within so many seconds.

        Whoever has one must not ask for another: two such callers could wait for each other.
        """

    def step(self, party: PartyId, function: Callable[[Health], tuple[Health, T]]) -> T:
        """Replace the party's state by what the function makes of it, atomically; gives what else the function gives.

        The function is pure and short.
        """
