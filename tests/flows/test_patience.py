"""Retries, breaks and the pace of calls. The ports are played: a clock, a sleep that moves it, a partner by rote."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal
from email.utils import format_datetime
from itertools import pairwise

import pytest
from attrs import evolve
from hypothesis import example, given, strategies as st

from flows.calls_desk import GET, OK, RESET, SECOND, TOO_LARGE, Interrupted, Stage, busy, cpo, stage
from ocpi_emsp import Limits
from ocpi_emsp._bridge import run
from ocpi_emsp.errors import PartnerUnavailable, TransportFailed
from ocpi_emsp.flows.calls.retries import RETRIED, rate_limited_send, retry_after
from ocpi_emsp.flows.core.limits import jittered
from ocpi_emsp.flows.parties.party import put_party
from ocpi_emsp.resources import Party
from ocpi_emsp.settings import AuthorizeLimits, HttpLimits, RateLimit, RetryPolicy, SyncLimits
from ocpi_emsp.wire import Request, Response
from our_emsp import FakeClock

# --- what is retried ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("failure", [*map(Response, sorted(RETRIED)), RESET], ids=lambda each: str(each)[:30])
def test_a_get_is_sent_again_until_it_succeeds(failure: Response | TransportFailed) -> None:
    played = stage(failure, failure, OK)
    budget = played.budget()
    assert played.call(budget=budget) is OK
    assert len(played.partner.asked) == 3
    assert (budget.retries, budget.refused) == (2, 0)
    assert budget.waited.total_seconds() == pytest.approx(sum(played.slept))


@pytest.mark.parametrize("status", [200, 201, 204, 301, 304, 400, 401, 403, 404, 405, 409, 410, 413, 422, 501, 505])
def test_any_other_status_is_the_answer(status: int) -> None:
    played = stage(Response(status))
    assert played.call().status == status
    assert len(played.partner.asked) == 1


@pytest.mark.parametrize("code", [2001, 3000])
def test_an_ocpi_error_is_the_answer(code: int) -> None:
    played = stage(Response(200, body=b'{"status_code": %d}' % code))
    played.call()
    assert len(played.partner.asked) == 1


def test_a_failure_that_would_come_again_is_not_retried() -> None:
    played = stage(TOO_LARGE)
    with pytest.raises(TransportFailed) as caught:
        played.call()
    assert caught.value is TOO_LARGE
    assert len(played.partner.asked) == 1


@pytest.mark.parametrize("method", ["DELETE", "PATCH", "POST", "PUT"])
@pytest.mark.parametrize("failure", [Response(503), busy("1"), busy("9999"), RESET], ids=["503", "1", "9999", "reset"])
def test_what_changes_something_is_sent_once(method: str, failure: Response | TransportFailed) -> None:
    played = stage(failure)
    if isinstance(failure, TransportFailed):
        with pytest.raises(TransportFailed, match="reset"):
            played.call(Request(method, GET.url))
    else:
        assert played.call(Request(method, GET.url)) is failure
    assert (len(played.partner.asked), played.slept) == (1, [])


def test_the_last_answer_or_error_is_given_when_all_tries_failed() -> None:
    played = stage(Response(503))
    assert played.call().status == 503
    assert len(played.partner.asked) == 5
    played.partner.then(RESET)
    with pytest.raises(TransportFailed) as caught:
        played.call()
    assert caught.value is RESET
    assert len(played.partner.asked) == 5


def test_no_slot_is_held_while_a_call_waits_for_its_next_try() -> None:
    played = stage(RESET, OK, concurrent_requests=1)
    others: list[Response] = []
    waited = played.context.sleep

    async def sleep(seconds: float) -> None:
        await waited(seconds)
        others.append(await rate_limited_send(played.context, played.context.send, "NL", "TNM")(GET))

    played.context = evolve(played.context, sleep=sleep)
    assert played.call() is OK
    assert others == [OK]


# --- how long is waited ---------------------------------------------------------------------------------------------


def test_each_wait_is_below_a_bound_that_doubles() -> None:
    played = stage(
        RESET,
        attempts=9,
        longest_wait=8 * SECOND,
        breaker_failures=10**6,
        retries_per_sync=10**6,
        waiting_per_sync=timedelta(days=9),
    )
    longest = [0.0] * 8
    for _ in range(200):
        played.slept.clear()
        played.fail()
        longest = [max(*each) for each in zip(longest, played.slept, strict=True)]
    bounds = [0.5, 1, 2, 4, 8, 8, 8, 8]
    assert all(0.8 * bound < found <= bound for found, bound in zip(longest, bounds, strict=True))


@given(
    st.timedeltas(timedelta(0), timedelta(hours=1)),
    st.integers(1, 10),
    st.timedeltas(timedelta(0), timedelta(days=1)),
    st.integers(1, 10**9),
)
def test_a_wait_is_never_longer_than_its_bounds(first: timedelta, growth: int, longest: timedelta, failed: int) -> None:
    wait = jittered(first, growth, longest, failed)
    assert timedelta(0) <= wait <= longest
    if failed == 1:
        assert wait <= first


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_in_seconds_is_kept(status: int) -> None:
    played = stage(busy("120", status), OK)
    assert played.call() is OK
    assert played.slept == [120]


def test_retry_after_as_a_date_is_kept() -> None:
    played = stage(OK)
    played.partner.then(busy(format_datetime(played.clock.now() + 90 * SECOND, usegmt=True)), OK)
    assert played.call() is OK
    assert played.slept == [90]


@pytest.mark.parametrize("word", ["", "-1", "1.5", "soon", "Sat, 01 Jan 2000 00:00:00 GMT", "0"])
def test_retry_after_that_asks_for_nothing_leaves_our_own_wait(word: str) -> None:
    played = stage(busy(word), OK)
    assert played.call() is OK
    assert 0 <= played.slept[0] <= 0.5


@pytest.mark.parametrize(
    "word",
    [
        "Sat, 01 Jun 2024 12:01:00 GMT",
        "Saturday, 01-Jun-24 12:01:00 GMT",
        "Sat Jun  1 12:01:00 2024",
        "Sat, 01 Jun 2024 14:01:00 +0200",
        "60",
        " 060 ",
    ],
)
def test_every_form_of_a_date_is_read(word: str) -> None:
    assert retry_after(busy(word), FakeClock().now()) == timedelta(minutes=1)


@given(st.text(max_size=60) | st.integers(-10, 10**30).map(str) | st.datetimes().map(format_datetime))
@example("9" * 5000)
@example("²")
@example("Fri, 31 Dec 9999 23:59:59 -2359")
@example("Sat, 01 Jan 0001 00:00:00 +2359")
@example("Sat, 99 Jun 2024 99:01:00 GMT")
def test_retry_after_may_say_anything(word: str) -> None:
    asked = retry_after(busy(word), FakeClock().now())
    assert asked is None or timedelta(0) <= asked <= timedelta(days=365)


def test_a_partner_that_wants_a_longer_rest_gets_it() -> None:
    played = stage(busy("600", 429), OK)
    with pytest.raises(PartnerUnavailable, match="NL-TNM asked to retry after 2024-06-01T12:10:00Z") as caught:
        played.call()
    assert caught.value.until == played.clock.now() + 600 * SECOND
    assert (caught.value.method, caught.value.url) == ("GET", GET.url)
    played.clock.advance(seconds=599)
    with pytest.raises(PartnerUnavailable, match="calls resume after 2024-06-01T12:10:00Z"):
        played.call()
    assert (len(played.partner.asked), played.slept) == (1, [])
    played.clock.advance(seconds=1)
    assert played.call() is OK


def test_a_partner_that_wants_a_rest_for_ever_is_asked_again_in_a_while() -> None:
    played = stage(busy("9" * 100), OK)
    with pytest.raises(PartnerUnavailable):
        played.call()
    played.clock.advance(minutes=15)
    assert played.call() is OK


# --- the budget of a sync -------------------------------------------------------------------------------------------


def test_a_sync_has_so_many_retries() -> None:
    played = stage(Response(503), retries_per_sync=6)
    budget = played.budget()
    for sends in (5, 3, 1):
        played.partner.then(Response(503))
        assert played.call(budget=budget).status == 503
        assert len(played.partner.asked) == sends
    assert (budget.retries, budget.refused) == (6, 2)


def test_a_sync_waits_so_long() -> None:
    played = stage(busy("200", 429))
    budget = played.budget()
    assert played.call(budget=budget).status == 429
    assert budget.waited == 600 * SECOND
    assert (len(played.partner.asked), budget.retries, budget.refused) == (4, 3, 1)


# --- the pace -------------------------------------------------------------------------------------------------------


def put(played: Stage, party: Party) -> None:
    async def store() -> None:
        async with played.context.store.transaction() as tx:
            await put_party(tx, party, played.clock.now())

    run(store())


def gaps(moments: Iterable[datetime]) -> list[float]:
    return [(late - early).total_seconds() for early, late in pairwise(moments)]


def paced(played: Stage, party_id: str = "tnm") -> Response:
    return run(rate_limited_send(played.context, played.context.send, "nl", party_id)(GET))


def test_requests_keep_the_rate_of_the_party() -> None:
    played = stage(OK, requests_per_second=Decimal(10))
    put(played, cpo(requests_per_second=Decimal(4)))
    for _ in range(4):
        paced(played)
    assert gaps(played.partner.asked) == [0.25] * 3
    played.clock.advance(seconds=60)
    played.partner.then(OK)
    for _ in range(3):
        paced(played)
    assert gaps(played.partner.asked) == [0.25] * 2  # a pause earns no burst


def test_clients_and_syncs_share_the_rate() -> None:
    played = stage(OK)
    slow = cpo(requests_per_second=Decimal("0.5"))
    put(played, slow)
    paced(played)
    played.call(party=slow)
    paced(played)
    assert gaps(played.partner.asked) == [2, 2]


def test_a_party_without_a_rate_has_that_of_the_emsp_and_one_of_its_own() -> None:
    played = stage(OK, requests_per_second=Decimal(10))
    for party_id in ("TNM", "XYZ", "TNM"):
        paced(played, party_id)
    assert gaps(played.partner.asked) == [0, 0.1]


def test_retries_keep_the_rate() -> None:
    played = stage(RESET, RESET, OK, first_wait=timedelta(0))
    assert played.call(party=cpo(requests_per_second=Decimal(1))) is OK
    assert gaps(played.partner.asked) == [1, 1]


def test_a_client_retries_nothing_and_is_never_refused() -> None:
    played = stage(RESET)
    for _ in range(12):
        with pytest.raises(TransportFailed, match="reset"):
            paced(played)
    assert len(played.partner.asked) == 12
    assert played.slept == []
    played.partner.then(OK)
    assert played.call() is OK


@pytest.mark.parametrize("failure", [RESET, Interrupted()], ids=["failed", "given up"])
def test_a_call_that_ends_badly_frees_its_slot(failure: BaseException) -> None:
    played = stage(failure, failure, OK, attempts=1, concurrent_requests=1)
    with pytest.raises(type(failure)):
        played.call()
    with pytest.raises(type(failure)):
        paced(played)
    assert played.call() is OK


def test_a_call_has_one_slot_however_it_is_wrapped() -> None:
    played = stage(OK, slot_timeout=timedelta(microseconds=1))
    once = cpo(concurrent_requests=1)
    put(played, once)
    for _ in range(3):
        played.context = evolve(
            played.context, send=rate_limited_send(played.context, played.context.send, "NL", "TNM")
        )
        assert played.call(party=once) is OK
        played.context = evolve(played.context, send=played.send(once))
        assert paced(played) is OK


def test_a_call_without_a_free_slot_says_so() -> None:
    played = stage(OK, slot_timeout=timedelta(microseconds=1), concurrent_requests=1)

    def meanwhile() -> None:
        with pytest.raises(PartnerUnavailable, match="NL-TNM: no slot was free"):
            paced(played)

    played.partner.then(meanwhile)
    assert paced(played) is OK


@pytest.mark.parametrize(
    ("make", "setting", "value", "expected"),
    [
        (RetryPolicy, "attempts", 0, "a whole number of 1 or more, for example 5"),
        (RateLimit, "concurrent_requests", 0, "a whole number of 1 or more, for example 4"),
        (RetryPolicy, "breaker_failures", 0, "a whole number of 1 or more, for example 5"),
        (RetryPolicy, "growth", 0, "a whole number of 1 or more, for example 2"),
        (RetryPolicy, "first_wait", -SECOND, "a timedelta of 0 or more, for example timedelta(seconds=0.5)"),
        (RateLimit, "slot_timeout", timedelta(0), "a timedelta above 0, for example timedelta(seconds=600)"),
        (RateLimit, "requests_per_second", Decimal(0), "a Decimal of 0.01 or more, for example 2"),
        (RateLimit, "requests_per_second", Decimal("0.001"), "a Decimal of 0.01 or more, for example 2"),
        (RateLimit, "requests_per_second", Decimal("Infinity"), "a Decimal of 0.01 or more, for example 2"),
        (RateLimit, "requests_per_second", Decimal("NaN"), "a Decimal of 0.01 or more, for example 2"),
        (RetryPolicy, "breaker_wait", timedelta(0), "a timedelta above 0, for example timedelta(seconds=60)"),
        (RetryPolicy, "retries_per_sync", -1, "a whole number of 0 or more, for example 100"),
        (HttpLimits, "request_body", 0, "a whole number of 1 or more, for example 4194304"),
        (HttpLimits, "read_timeout", 0, "seconds above 0, for example 30.0"),
        (AuthorizeLimits, "timeout", -1.5, "seconds above 0, or None, for example 5.0"),
        (AuthorizeLimits, "threads", 0, "a whole number of 1 or more, for example 40"),
        (SyncLimits, "vanishing_share", 1.5, "a share from 0 to 1, for example 0.2"),
    ],
)  # fmt: skip
def test_a_setting_with_which_nothing_works_is_refused(make: type, setting: str, value: object, expected: str) -> None:
    with pytest.raises(ValueError, match=r"^invalid ") as caught:
        make(**{setting: value})
    assert str(caught.value) == f"invalid {make.__name__}.{setting} '{value}': expected {expected}"


@pytest.mark.parametrize(
    ("make", "setting", "value"),
    [
        (RetryPolicy, "attempts", "5"),
        (RetryPolicy, "attempts", True),
        (RetryPolicy, "first_wait", 30),
        (RateLimit, "requests_per_second", 2),
        (HttpLimits, "read_timeout", timedelta(seconds=30)),
        (HttpLimits, "request_body", None),
        (Limits, "http", SyncLimits()),
        (Limits, "delivery", None),
    ],
)
def test_a_setting_of_another_type_is_refused(make: type, setting: str, value: object) -> None:
    with pytest.raises(TypeError, match=rf"^invalid {make.__name__}\.{setting} '.*': expected .*, for example "):
        make(**{setting: value})
