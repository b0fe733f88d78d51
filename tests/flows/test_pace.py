"""Laws of the circuit breaker and of the token bucket, whatever happens in whichever order."""

from datetime import UTC, datetime, timedelta

from attrs import define, evolve, field
from hypothesis import given, strategies as st

from ocpi_emsp.flows.core.limits import Breaker, Bucket
from ocpi_emsp.settings import RetryPolicy

NOW = datetime(2024, 6, 1, 12, tzinfo=UTC)
SOME_TIME = st.timedeltas(timedelta(0), timedelta(hours=1))


@define
class Played:
    """A breaker that calls meet, as they would: a result follows only a call that was let through."""

    breaker: Breaker
    now: datetime = NOW
    under_way: int = 0
    closed_failures: int = field(default=0)

    def play(self, step: str, passed: timedelta) -> None:
        self.now += passed
        if step == "call":
            if self.breaker.may_call(self.now):
                self.breaker = self.breaker.admitted()
                self.under_way += 1
        elif step == "hold":
            self.breaker = self.breaker.held(self.now, passed)
        elif self.under_way:
            self.under_way -= 1
            self.breaker = getattr(self.breaker, step)(self.now)


STEPS = st.lists(
    st.tuples(st.sampled_from(["call", "after_failure", "after_nothing", "after_success", "hold"]), SOME_TIME),
    max_size=40,
)
BREAKERS = st.builds(
    lambda failures, rest, longest: Breaker.of(
        RetryPolicy(breaker_failures=failures, breaker_wait=rest, longest_breaker_wait=longest)
    ),
    st.integers(1, 6),
    st.timedeltas(timedelta(seconds=1), timedelta(hours=1)),
    st.timedeltas(timedelta(seconds=1), timedelta(hours=1)),
)


@given(BREAKERS, STEPS)
def test_a_breaker_is_closed_or_rests_within_its_bounds(breaker: Breaker, steps: list[tuple[str, timedelta]]) -> None:
    played = Played(breaker)
    for step in steps:
        played.play(*step)
        state = played.breaker
        if state.opened_at is None:
            assert state.may_call(played.now)
            assert state.failures < state.limit
            assert not state.is_probing
            assert state.until is None
        else:
            assert state.first <= state.wait <= state.longest
            assert state.until == state.opened_at + state.wait
            assert state.opened_at <= played.now


@given(BREAKERS, STEPS)
def test_nobody_is_shut_out_for_longer_than_the_longest_rest(
    breaker: Breaker, steps: list[tuple[str, timedelta]]
) -> None:
    played = Played(breaker)
    for step in steps:
        played.play(*step)
    state = played.breaker.after_nothing(played.now)  # a probe under way ends in some way
    assert state.may_call(played.now + state.longest)
    assert state.may_call(NOW - timedelta(days=1))  # the clock went back


@given(BREAKERS, STEPS)
def test_one_probe_at_a_time_and_none_before_its_time(breaker: Breaker, steps: list[tuple[str, timedelta]]) -> None:
    played = Played(breaker)
    for name, passed in steps:
        met = played.breaker
        played.play(name, passed)
        if name == "call" and met.opened_at is not None:
            was_let_through = played.breaker != met
            assert was_let_through == (not met.is_probing and played.now >= met.opened_at + met.wait)
            if was_let_through:
                assert not played.breaker.may_call(played.now + timedelta(days=1))


@given(BREAKERS, STEPS, SOME_TIME)
def test_a_success_closes_it_whatever_was(
    breaker: Breaker, steps: list[tuple[str, timedelta]], passed: timedelta
) -> None:
    played = Played(breaker)
    for step in steps:
        played.play(*step)
    assert played.breaker.after_success(played.now + passed) == breaker


@given(BREAKERS, st.integers(0, 12))
def test_it_opens_at_the_limit_of_failures_in_a_row(breaker: Breaker, failures: int) -> None:
    state = breaker
    for _ in range(failures):
        state = state.after_failure(NOW)
    assert (state.opened_at is None) == (failures < breaker.limit)
    assert state.may_call(NOW) == (failures < breaker.limit)


@given(BREAKERS, st.integers(1, 12))
def test_each_probe_that_fails_doubles_the_rest(breaker: Breaker, probes: int) -> None:
    state = evolve(breaker, opened_at=NOW, wait=breaker.first)
    for _ in range(probes):
        state = state.admitted().after_failure(NOW)
    assert state.wait == min(breaker.first * 2**probes, breaker.longest)


INTERVALS = st.timedeltas(timedelta(milliseconds=1), timedelta(seconds=100))


@given(INTERVALS, st.lists(SOME_TIME, min_size=2, max_size=30))
def test_tokens_are_spaced_evenly(interval: timedelta, passed: list[timedelta]) -> None:
    bucket, now, starts = Bucket(), NOW, list[datetime]()
    for step in passed:
        now += step
        bucket, wait = bucket.take(now, interval, len(passed))
        starts.append(now + wait)
        if len(starts) > 1:
            assert starts[-1] - starts[-2] >= interval
            assert not wait or starts[-1] - starts[-2] == interval  # none is wasted
    assert starts[0] == NOW + passed[0]


@given(INTERVALS, st.integers(1, 10), st.datetimes(timezones=st.just(UTC)).map(Bucket), st.integers(0, 20))
def test_a_token_is_waited_for_no_longer_than_the_slots_take(
    interval: timedelta, slots: int, bucket: Bucket, takers: int
) -> None:
    """Also after the clock went back by years."""
    for _ in range(takers):
        bucket, wait = bucket.take(NOW, interval, slots)
        assert timedelta(0) <= wait <= interval * slots
