"""Which parties get our tokens, and what is tried again with one that fails."""

from typing import Any

import pytest
from attrs import evolve

from client.support import MODES, Mode, simulated
from flows.fan_out_desk import TWO, entries, waits, while_pushing
from flows.support import peer
from flows.tokens_desk import OFF, counts, failing, pushed, said, town
from ocpi_emsp import SupportMatrix
from ocpi_emsp.flows.parties import pending_push as push_wanted
from ocpi_emsp.flows.parties.party import find_party, put_party
from ocpi_emsp.ports import Transaction
from ocpi_emsp.resources import TokensPushed
from ocpi_emsp.support import TO_CPO
from our_emsp import FakeClock, token

# --- who gets tokens ------------------------------------------------------------------------------------------------


def test_a_party_whose_profile_switches_pushes_off_gets_nothing() -> None:
    it = town("NL-TNM")
    it.join("DE-ABC", push_tokens=False)
    it.put("A")
    assert it.waiting() == ["NL-TNM"]
    it.emsp.tokens.push_pending()
    report = it.emsp.partner("DE-ABC").push_tokens()
    assert (report.ended, report.why) == (
        "done",
        "nothing was pushed: push_tokens is off in the party's profile",
    )
    assert list(it.taken()) == ["NL-TNM"]


def test_whoever_is_switched_off_or_gone_meanwhile_does_not_wait_any_longer() -> None:
    it = town(*TWO, "BE-XYZ")
    it.put("A")
    it.join("NL-TNM", push_tokens=False)
    it.leave("DE-ABC")
    assert list(pushed(it.emsp.tokens.push_pending())) == ["BE-XYZ"]
    assert entries(it) == []


def test_whoever_is_switched_off_during_a_push_gets_no_other_token() -> None:
    it = town("NL-TNM")
    it.put("A")
    it.put("B")
    while_pushing(it, "NL-TNM", lambda: it.join("NL-TNM", push_tokens=False))
    (report,) = it.emsp.tokens.push_pending()
    assert (report.ended, report.why) == ("failed", "push_tokens was switched off in the profile of NL-TNM")
    assert it.taken() == {"NL-TNM": [("PUT", "A")]}
    assert it.emsp.tokens.push_pending(at_once=True) == []
    assert it.waiting() == []


@pytest.mark.parametrize("by", ["matrix", "profile"])
def test_a_party_that_takes_tokens_from_now_on_gets_all_of_them(by: str) -> None:
    it = town("NL-TNM")
    without = SupportMatrix.full().switch(False, module="tokens", direction=TO_CPO, method="PUT", path="/tokens/:path")
    it.emsp.partner("NL-TNM").set_matrix(without)
    it.put("A")
    it.emsp.tokens.push_pending()
    assert (it.taken(), it.waiting()) == ({}, [])
    it.emsp.partner("NL-TNM").set_matrix(without)
    assert it.waiting() == []
    if by == "matrix":
        it.emsp.partner("NL-TNM").set_matrix(None)
    else:
        it.emsp.partner("NL-TNM").set_profile(matrix=SupportMatrix.full())
    assert it.waiting() == ["NL-TNM"]
    it.emsp.tokens.push_pending()
    assert (it.taken(), it.waiting()) == ({"NL-TNM": [("PUT", "A")]}, [])


def test_a_party_that_is_only_invited_is_not_pushed_to() -> None:
    cpo = peer()
    cpo.emsp.parties.invite("DE-ABC")
    cpo.emsp.tokens.put(token("A"))
    assert [each.country_code for each in cpo.emsp.tokens.waiting()] == ["NL"]


def test_a_party_without_a_tokens_endpoint_is_said_and_waits_for_nothing() -> None:
    cpo = peer()
    cpo.emsp.tokens.put(token("A"))
    (report,) = cpo.emsp.tokens.push_pending(at_once=True)
    assert report.why == "nothing was pushed: NL-TNM offers no tokens endpoint"
    assert list(cpo.emsp.tokens.waiting()) == []


@pytest.mark.parametrize("mode", MODES)
def test_a_party_that_registers_gets_all_tokens_once_it_had_time_to_take_our_answer(mode: Mode) -> None:
    with simulated(mode, {}) as pair:
        (waiting,) = pair.emsp.tokens.waiting()
        assert waiting.due is not None
        assert waiting.due - waiting.at == push_wanted.AFTER_REGISTERING
        pair.emsp.tokens.put(token("A"))

        def push(**options: Any) -> list[TokensPushed]:
            if mode == "sync":
                return pair.emsp.tokens.push_pending(**options)
            return pair.portal.call(lambda: pair.emsp.aio.tokens.push_pending(**options))

        (report,) = push(at_once=True)
        assert (counts(report), [each["uid"] for each in pair.cpo.tokens]) == ((1, 0, 0, 0), ["A"])
        assert list(pair.emsp.tokens.waiting()) == []


# --- a party that fails ---------------------------------------------------------------------------------------------


def test_a_party_that_is_down_holds_up_nobody_and_is_tried_again() -> None:
    it = town(*TWO)
    for number in range(5):
        it.put(f"T{number}")
    it.desks["NL-TNM"].script = lambda _: OFF
    reports = {f"{each.country_code}-{each.party_id}": each for each in it.emsp.tokens.push_pending()}
    assert (reports["NL-TNM"].ended, counts(reports["DE-ABC"])) == ("failed", (5, 0, 0, 0))
    attempts, error, leased = waits(it, "NL-TNM")
    assert (attempts, leased, it.waiting()) == (1, False, ["NL-TNM"])
    assert "3 times in a row" in error
    it.clock.advance(hours=1)
    it.emsp.tokens.push_pending()
    assert waits(it, "NL-TNM")[0] == 2
    it.clock.advance(hours=1)
    it.desks["NL-TNM"].obey()
    assert pushed(it.emsp.tokens.push_pending()) == {"NL-TNM": (5, 0, 0, 0)}
    assert it.waiting() == []


@pytest.mark.usefixtures("no_jitter")
def test_one_that_is_down_is_not_asked_more_often_since_something_changed() -> None:
    it = town("NL-TNM")
    it.put("A")
    it.desks["NL-TNM"].script = lambda _: OFF
    it.emsp.tokens.push_pending()
    (before,) = entries(it)
    it.emsp.tokens.put(token("B"))
    assert entries(it) == [before]
    assert it.emsp.tokens.push_pending() == []
    it.taken()
    (report,) = it.emsp.tokens.push_pending(at_once=True)
    assert (report.ended, it.taken()["NL-TNM"]) == ("failed", [("PUT", "B"), ("PUT", "A")])


@pytest.mark.usefixtures("no_jitter")
def test_a_push_that_waits_logs_its_reason_without_a_token_or_a_partners_words(
    caplog: pytest.LogCaptureFixture,
) -> None:
    it = town("NL-TNM", "DE-ABC")
    it.put("DRIVER1")
    it.desks["NL-TNM"].script = failing(("PUT", "DRIVER1"), by=said(200, 2001, "DRIVER1 is odd"))
    it.desks["DE-ABC"].script = lambda _: OFF
    it.emsp.tokens.push_pending()
    lines = [line for line in caplog.messages if line.startswith("push.waits")]
    assert [line.partition(" reason=")[2] for line in lines] == [
        '"the partner answered HTTP 200, status_code 2001"',
        '"cannot connect: refused"',
    ]
    assert "DRIVER1" not in "".join(lines)


def test_a_single_token_that_is_refused_waits_and_no_change_waits_for_it() -> None:
    it = town("NL-TNM")
    it.put("A")
    it.put("B")
    it.desks["NL-TNM"].script = failing(("PUT", "A"), by=said(200, 2001, "no"))
    (report,) = it.emsp.tokens.push_pending()
    assert (report.ended, counts(report)) == ("done", (1, 0, 0, 1))
    assert waits(it, "NL-TNM")[0] == 1
    assert "1 token failed: PUT https://nl-tnm.test" in waits(it, "NL-TNM")[1]
    assert it.emsp.tokens.push_pending() == []
    it.emsp.tokens.invalidate("B")
    assert pushed(it.emsp.tokens.push_pending()) == {"NL-TNM": (0, 1, 0, 1)}
    assert waits(it, "NL-TNM")[0] == 2


@pytest.mark.usefixtures("no_jitter")
def test_the_waits_grow_up_to_an_hour() -> None:
    it = town("NL-TNM")
    it.put("A")
    it.desks["NL-TNM"].script = lambda _: OFF
    seconds = []
    for _ in range(9):
        assert len(it.emsp.tokens.push_pending()) == 1
        (waiting,) = it.emsp.tokens.waiting()
        assert waiting.due is not None
        seconds.append((waiting.due - it.clock.now()).total_seconds())
        it.clock.time = waiting.due
    assert seconds == [1, 4, 16, 64, 256, 1024, 3600, 3600, 3600]


def test_whatever_goes_wrong_with_one_party_the_others_get_theirs() -> None:
    it = town(*TWO)
    it.put("A")
    it.desks["NL-TNM"].script = lambda _: ValueError("a bug")
    assert pushed(it.emsp.tokens.push_pending()) == {"NL-TNM": (0, 0, 0, 0), "DE-ABC": (1, 0, 0, 0)}
    assert waits(it, "NL-TNM") == (1, "ValueError: a bug", False)


def test_an_endpoint_that_must_not_be_called_is_a_failure_like_any() -> None:
    it = town("NL-TNM")
    it.put("A")
    it.emsp = it.worker()
    it.write(lambda tx: _with_plain_url(tx, it.clock))
    (report,) = it.emsp.tokens.push_pending()
    assert (report.ended, waits(it, "NL-TNM")[0]) == ("failed", 1)
    assert "invalid URL 'http://nl-tnm.test" in report.why


async def _with_plain_url(tx: Transaction, clock: FakeClock) -> None:
    party = await find_party(tx, "NL", "TNM")
    assert party is not None
    plain = tuple(evolve(each, url=each.url.replace("https", "http")) for each in party.endpoints)
    await put_party(tx, evolve(party, endpoints=plain), clock.now())


@pytest.fixture
def no_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every wait is as long as it may be."""
    monkeypatch.setattr("ocpi_emsp.flows.core.limits._JITTER.uniform", lambda _least, most: most)
