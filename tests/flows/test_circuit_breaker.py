"""The circuit breaker: a party that fails is not called for a while, and one probe finds it well again."""

import pytest

from flows.calls_desk import OK, RESET, SECOND, TOO_LARGE, Interrupted, busy, cpo, stage
from ocpi_emsp.errors import PartnerUnavailable, TransportFailed
from ocpi_emsp.wire import Response


@pytest.mark.parametrize("failure", [RESET, TOO_LARGE], ids=["reset", "too large"])
def test_a_party_that_fails_five_calls_is_not_called_for_a_minute(failure: TransportFailed) -> None:
    played = stage(failure)
    played.fail(5)
    played.partner.then(OK)
    again = played.clock.now() + 60 * SECOND
    with pytest.raises(PartnerUnavailable, match="the circuit breaker of NL-TNM is open") as caught:
        played.call()
    assert caught.value.until == again
    assert not caught.value.retryable
    assert played.partner.asked == []
    played.clock.time = again
    assert played.call() is OK


@pytest.mark.parametrize("status", [500, 501, 503])
def test_a_server_error_is_a_failed_call(status: int) -> None:
    played = stage(Response(status))
    for _ in range(5):
        played.call()
    with pytest.raises(PartnerUnavailable):
        played.call()


@pytest.mark.parametrize("status", [400, 401, 404, 408, 425, 429])
def test_a_partner_that_answers_is_well(status: int) -> None:
    played = stage(Response(status))
    for _ in range(12):
        assert played.call().status == status


def test_only_failures_in_a_row_count() -> None:
    played = stage(RESET)
    for _ in range(4):
        played.partner.then(RESET)
        played.fail(4)
        played.partner.then(OK)
        played.call()


def test_each_probe_that_fails_doubles_the_rest_up_to_a_quarter_of_an_hour() -> None:
    played = stage(RESET)
    played.fail(5)
    for minutes in (1, 2, 4, 8, 15, 15):
        played.clock.advance(minutes=minutes, seconds=-1)
        played.partner.then(RESET)
        with pytest.raises(PartnerUnavailable):
            played.call()
        assert played.partner.asked == []
        played.clock.advance(seconds=1)
        with pytest.raises(TransportFailed, match="reset"):
            played.call()
        assert len(played.partner.asked) == 1  # a probe has no retries
    played.clock.advance(minutes=15)
    played.partner.then(OK)
    played.call()
    played.partner.then(RESET)
    played.fail(5)
    with pytest.raises(PartnerUnavailable) as caught:
        played.call()
    assert caught.value.until == played.clock.now() + 60 * SECOND


def test_one_probe_is_let_through_at_a_time() -> None:
    played = stage(RESET)
    played.fail(5)
    played.clock.advance(minutes=1)

    def meanwhile() -> None:
        with pytest.raises(PartnerUnavailable, match="another call probes it now"):
            played.call()

    played.partner.then(meanwhile, OK)
    assert played.call() is OK
    assert len(played.partner.asked) == 1
    assert played.call() is OK


def test_a_probe_that_is_given_up_lets_another_one_through() -> None:
    played = stage(RESET)
    played.fail(5)
    played.clock.advance(minutes=1)
    played.partner.then(Interrupted(), OK)
    with pytest.raises(Interrupted):
        played.call()
    assert played.call() is OK


def test_a_probe_that_is_asked_to_wait_has_found_the_partner_well() -> None:
    played = stage(RESET)
    played.fail(5)
    played.clock.advance(minutes=1)
    played.partner.then(busy("30", 429), OK)
    assert played.call() is OK
    assert played.slept[-1] == 30


def test_a_clock_that_goes_back_shuts_nobody_out() -> None:
    played = stage(RESET)
    played.fail(5)
    played.clock.advance(days=-1)
    played.partner.then(OK)
    assert played.call() is OK


def test_another_party_is_called_all_the_same() -> None:
    played = stage(RESET)
    played.fail(5)
    played.partner.then(OK)
    assert played.call(party=cpo("XYZ")) is OK
