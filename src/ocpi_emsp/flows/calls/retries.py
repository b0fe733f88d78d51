"""Calls within a partner's limits: slots, rate, circuit breaker, and retries of a GET.

Rules of this module (docs/spec-choices.md; transport_and_format.md, offline behaviour):
- only a GET is sent again: the effect of a failed POST, PUT, PATCH or DELETE is unknown, and messages are not queued;
- only temporary failures are retried: a connection that failed, and the statuses of RETRIED; an OCPI error never;
- a call has at most one slot, and none while it waits for its next attempt;
- a partner's Retry-After (RFC 9110 10.2.3) is respected.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import TypeAlias

from attrs import evolve, frozen

from ocpi_emsp.errors import PartnerUnavailable, TransportFailed
from ocpi_emsp.flows.core.context import Context
from ocpi_emsp.flows.core.limits import Breaker, Budget, Health, PartyId, jittered
from ocpi_emsp.flows.parties.party import Party, Profile, find_party
from ocpi_emsp.ports import Send
from ocpi_emsp.wire import Request, Response, http_date

RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})
"""HTTP statuses after which the same GET may succeed (RFC 9110 15; 425: RFC 8470 5.2)."""
_LONGEST_ASKED = timedelta(days=365)
"""A longer Retry-After counts as this one, so that date arithmetic stays in range."""

_Outcome: TypeAlias = Response | TransportFailed


def retrying_send(context: Context, party: Party, budget: Budget) -> Send:
    """Return the Send port of a sync: GETs are retried within ``budget``, and a party that keeps failing is not called.

    Use it as ``evolve(context, send=retrying_send(context, party, budget))``; the budget counts the retries and their
    waits. Raises PartnerUnavailable while the party is not called, TransportFailed if the last attempt got no response;
    a last response such as 503 is returned.
    """
    return _RetryingSend(context, _bare(context.send), party, budget)


def rate_limited_send(context: Context, send: Send, country_code: str, party_id: str) -> Send:
    """Return ``send`` as the port of a client: it observes the party's rate and its concurrent requests, without
    retries.

    A client's caller wants the response at once. The party's profile is read for every request, so a change of it
    applies at once. Raises PartnerUnavailable if the party has no free slot for too long.
    """
    return _RateLimitedSend(context, _bare(send), (country_code.upper(), party_id.upper()))


def _bare(send: Send) -> Send:
    """Return the port inside a wrapper of this module: a call that held two slots could wait for itself."""
    return send.inner if isinstance(send, _RetryingSend | _RateLimitedSend) else send


@asynccontextmanager
async def _turn(context: Context, key: PartyId, profile: Profile) -> AsyncIterator[None]:
    """Hold one of the party's slots, once its rate allows a request. Raises PartnerUnavailable."""
    limit = context.rate_limit
    slots = profile.concurrent_requests or limit.concurrent_requests
    rate = profile.requests_per_second or limit.requests_per_second
    async with context.rate_limiter.slot(key, slots, limit.slot_timeout.total_seconds()):
        if rate is not None:
            interval = timedelta(seconds=float(1 / rate))
            wait = context.rate_limiter.step(key, lambda health: _take(health, context.clock.now(), interval, slots))
            if wait:
                await context.sleep(wait.total_seconds())
        yield


def _take(health: Health, now: datetime, interval: timedelta, slots: int) -> tuple[Health, timedelta]:
    bucket, wait = health.bucket.take(now, interval, slots)
    return evolve(health, bucket=bucket), wait


@frozen
class _RateLimitedSend:
    """A Send at the rate of one party."""

    context: Context
    inner: Send
    key: PartyId

    async def __call__(self, request: Request) -> Response:
        async with self.context.store.transaction(read_only=True) as tx:
            party = await find_party(tx, *self.key)
        profile = party.profile if party else Profile()
        async with _turn(self.context, self.key, profile):
            return await self.inner(request)


@frozen
class _RetryingSend:
    """A Send with retries, behind the circuit breaker of one party."""

    context: Context
    inner: Send
    party: Party
    budget: Budget

    async def __call__(self, request: Request) -> Response:
        failures = 0
        while True:
            outcome, is_probe = await self._try(request)
            failures += 1
            wait = self._next_wait(request, outcome, failures, is_probe=is_probe)
            if wait is None or not self.budget.spend(wait):
                self._note(Breaker.after_failure if _is_failure(outcome) else Breaker.after_success)
                if isinstance(outcome, TransportFailed):
                    raise outcome
                return outcome
            if is_probe:
                self._note(Breaker.after_success)  # the partner answers, so others may call while this call waits
            await self.context.sleep(wait.total_seconds())

    async def _try(self, request: Request) -> tuple[_Outcome, bool]:
        """Return the outcome of one exchange, and whether it was the breaker's probe. Raises PartnerUnavailable."""
        async with _turn(self.context, self.party.owner, self.party.profile):
            is_probe = self._admit(request)
            try:
                return await self.inner(request), is_probe
            except TransportFailed as error:
                return error, is_probe
            except BaseException:  # also if cancelled: the next call may probe
                if is_probe:
                    self._note(Breaker.after_nothing)
                raise

    def _next_wait(self, request: Request, outcome: _Outcome, failures: int, *, is_probe: bool) -> timedelta | None:
        """Return the wait before another attempt; None for none. Raises PartnerUnavailable if it would be too long."""
        may_pass = outcome.retryable if isinstance(outcome, TransportFailed) else outcome.status in RETRIED
        if request.method != "GET" or not may_pass:
            return None
        policy, now = self.context.retry_policy, self.context.clock.now()
        asked = retry_after(outcome, now) if isinstance(outcome, Response) else None
        if asked is not None and asked > policy.longest_retry_after:
            self._note(lambda breaker, now: breaker.held(now, asked))
            raise _unavailable(request, f"{self.party} asked to retry after", now + asked)
        if failures >= policy.attempts or (is_probe and _is_failure(outcome)):
            return None
        chosen = jittered(policy.first_wait, policy.growth, policy.longest_wait, failures)
        return max(chosen, asked or chosen)

    def _admit(self, request: Request) -> bool:
        """Pass the party's breaker; return True for its probe. Raises PartnerUnavailable."""
        now = self.context.clock.now()
        breaker = self.context.rate_limiter.step(self.party.owner, lambda health: _admitted(health, now))
        if breaker.may_call(now):
            return breaker.opened_at is not None
        if breaker.is_probing:
            raise _unavailable(request, f"the circuit breaker of {self.party} is open, and another call probes it now")
        raise _unavailable(
            request,
            f"the circuit breaker of {self.party} is open (repeated failures, or Retry-After); calls resume after",
            breaker.until,
        )

    def _note(self, change: Callable[[Breaker, datetime], Breaker]) -> None:
        """Change the party's breaker."""
        now = self.context.clock.now()
        self.context.rate_limiter.step(
            self.party.owner, lambda health: (evolve(health, breaker=change(health.breaker, now)), None)
        )


def _admitted(health: Health, now: datetime) -> tuple[Health, Breaker]:
    """Return the state after a call asked to be let through, and the breaker as that call found it."""
    met = health.breaker
    return (evolve(health, breaker=met.admitted()) if met.may_call(now) else health), met


def _unavailable(request: Request, reason: str, until: datetime | None = None) -> PartnerUnavailable:
    when = f" {until:%Y-%m-%dT%H:%M:%SZ}" if until else ""
    message = f"{request.method} {request.url}: {reason}{when}"
    return PartnerUnavailable(message, method=request.method, url=request.url, until=until)


def _is_failure(outcome: _Outcome) -> bool:
    """Return True if the partner itself fails; a partner that answers 429 works."""
    return isinstance(outcome, TransportFailed) or outcome.status >= 500


def retry_after(response: Response, now: datetime) -> timedelta | None:
    """Return how long the partner asks not to be called, by its Retry-After (seconds or a date), or None."""
    text = (response.header("retry-after") or "").strip()
    if text.isascii() and text.isdigit():
        return min(timedelta(seconds=int(text)), _LONGEST_ASKED) if len(text) < 10 else _LONGEST_ASKED
    moment = http_date(text)
    return None if moment is None else min(max(moment - now, timedelta(0)), _LONGEST_ASKED)
