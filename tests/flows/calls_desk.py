"""Calls whose ports are played: a clock, a sleep that moves it, a partner by rote."""

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from attrs import define, field

from ocpi_emsp import Limits, Policy, SupportMatrix
from ocpi_emsp._bridge import run
from ocpi_emsp._inbound_gate import Inbound, make_gate
from ocpi_emsp._rate_limiter import CountedHandshakes, make_rate_limiter
from ocpi_emsp.errors import TransportFailed
from ocpi_emsp.flows.calls.retries import retrying_send
from ocpi_emsp.flows.core.context import Context
from ocpi_emsp.flows.core.limits import Budget, Health
from ocpi_emsp.flows.core.settings import Identity
from ocpi_emsp.flows.parties.party import PartyState, Profile
from ocpi_emsp.models import BusinessDetails
from ocpi_emsp.ports import Send
from ocpi_emsp.resources import Party
from ocpi_emsp.settings import RateLimit, RetryPolicy
from ocpi_emsp.storage import MemoryStore
from ocpi_emsp.url_policy import UrlPolicy
from ocpi_emsp.wire import Request, Response
from our_emsp import FakeClock

GET = Request("GET", "https://cpo.test/locations")
RESET = TransportFailed("GET https://cpo.test/locations: reset", retryable=True)
TOO_LARGE = TransportFailed("GET https://cpo.test/locations: over the limit")
OK = Response(200)
SECOND = timedelta(seconds=1)


class Interrupted(BaseException):
    """Whatever ends a call from our side."""


@define
class Partner:
    """Answers by rote, the last answer for ever; remembers when it was asked."""

    clock: FakeClock
    answers: list[Response | BaseException | Callable[[], object]]
    asked: list[datetime] = field(factory=list)

    async def __call__(self, request: Request) -> Response:
        assert request.url == GET.url
        self.asked.append(self.clock.now())
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, BaseException):
            raise answer
        if not isinstance(answer, Response):
            answer()
            return OK
        return answer

    def then(self, *answers: Response | BaseException | Callable[[], object]) -> None:
        """Answer so from now on, and forget what was asked."""
        self.answers, self.asked = list(answers), []


@define
class Stage:
    """A context, the partner behind it and what was slept."""

    context: Context
    clock: FakeClock
    partner: Partner
    slept: list[float]

    def budget(self) -> Budget:
        return Budget(self.context.retry_policy)

    def send(self, party: Party | None = None, budget: Budget | None = None) -> Send:
        return retrying_send(self.context, party or cpo(), budget or self.budget())

    def call(self, request: Request = GET, *, budget: Budget | None = None, party: Party | None = None) -> Response:
        return run(self.send(party, budget)(request))

    def fail(self, times: int = 1) -> None:
        """Calls that fail after all their tries."""
        for _ in range(times):
            with pytest.raises(TransportFailed):
                self.call()


def cpo(party_id: str = "TNM", **profile: Any) -> Party:
    return Party(
        country_code="NL", party_id=party_id, state=PartyState.REGISTERED, token="t", profile=Profile(**profile)
    )


def stage(*answers: Response | BaseException | Callable[[], object], **settings: Any) -> Stage:
    clock, slept = FakeClock(), list[float]()
    partner = Partner(clock, list(answers))

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        clock.advance(seconds=seconds)

    rates = {name: settings.pop(name) for name in ("requests_per_second", "concurrent_requests") if name in settings}
    # One thread: who waits for a slot, waits for itself.
    rate_limit = RateLimit(slot_timeout=settings.pop("slot_timeout", SECOND), **rates)
    policy = RetryPolicy(**settings)
    context = Context(
        identity=Identity(
            country_code="IT", party_id="BEC", business_details=BusinessDetails(name="Be"), url="https://emsp.test"
        ),
        matrix=SupportMatrix.full(),
        limits=Limits(),
        url_policy=UrlPolicy.default(),
        policy=Policy.tolerant(),
        required_modules=frozenset(),
        store=MemoryStore(),
        clock=clock,
        sleep=sleep,
        monotonic=time.monotonic,
        rate_limiter=make_rate_limiter("sync", Health.of(policy)),
        handshakes=CountedHandshakes(1, 1),
        inbound=make_gate("sync", Inbound()),
        retry_policy=policy,
        rate_limit=rate_limit,
        send=partner,
        authorize=None,
        listeners=(),
        outbox_events=(),
    )
    return Stage(context, clock, partner, slept)


def busy(after: str, status: int = 503) -> Response:
    return Response(status, [("retry-after", after)])
