"""Our tokens to a party: what is sent, in which order, and what a PATCH that fails is followed by."""

import json
from typing import Any

import anyio
import httpx
import pytest
from attrs import evolve

from client.support import MODES, Mode, registered, simulated
from flows.tokens_desk import (
    OFF,
    PARTY,
    REFUSALS,
    Desk,
    by_name,
    counts,
    failing,
    invalidated,
    said,
    world,
)
from ocpi_emsp import PartyId, encode
from ocpi_emsp.errors import NotRegistered, UnsafeUrl
from ocpi_emsp.flows.parties.party import find_party, put_party
from ocpi_emsp.flows.tokens.push import party_run as module
from ocpi_emsp.models import TokenType
from ocpi_emsp.ports import Key, Kind
from ocpi_emsp.resources import TokenFailure, TokensPushed
from ocpi_emsp.storage import SqlStore
from our_emsp import NOW, FakeClock, make_emsp, token
from scripted_cpo import ScriptedCpo, envelope

# --- what is sent ---------------------------------------------------------------------------------------------------


def test_all_tokens_are_put_first_and_the_invalid_ones_before_the_others() -> None:
    it = world()
    for uid in ("A", "B", "C", "D"):
        it.put(uid, valid=uid in "AC")
    report = it.push()
    assert it.desk.taken() == [("PUT", "B"), ("PUT", "D"), ("PUT", "A"), ("PUT", "C")]
    assert counts(report) == (4, 0, 0, 0)
    assert (report.country_code, report.party_id, report.ended, report.why) == ("NL", "TNM", "done", "")
    assert it.desk.tokens["A"]["auth_id"] == "IT-BEC-1"
    assert counts(it.push()) == (0, 0, 4, 0)
    assert it.desk.taken() == []


def test_what_changed_is_put_and_valid_alone_is_patched() -> None:
    it = world()
    for uid in ("N", "A", "B", "C", "D", "E"):
        it.put(uid, valid=uid not in "EN")
    it.push()
    it.desk.taken()
    it.put("N", valid=False, issuer="Other")
    it.put("A", issuer="Other")
    it.put("B", valid=False)
    it.put("C")  # a later last_updated alone says nothing
    it.put("D", valid=False, issuer="Other")
    it.put("E", valid=True)
    assert counts(it.push()) == (3, 2, 1, 0)
    assert it.desk.taken() == [("PATCH", "B"), ("PUT", "D"), ("PUT", "N"), ("PUT", "A"), ("PATCH", "E")]
    assert it.desk.bodies[6] == {"valid": False, "last_updated": "2024-06-01T12:00:10Z"}
    assert it.desk.tokens["B"]["valid"] is False
    assert it.desk.tokens["B"]["issuer"] == "Be Charge"


def test_tokens_of_long_ago_are_not_looked_at_again_but_for_a_full_push() -> None:
    it = world()
    it.put("A")
    it.push()
    it.clock.advance(minutes=14)
    assert counts(it.push()) == (0, 0, 1, 0)
    it.clock.advance(minutes=14)
    it.put("B")
    assert counts(it.push()) == (1, 0, 1, 0), "the push before was 14 minutes after A"
    it.clock.advance(hours=1)
    assert counts(it.push()) == (0, 0, 1, 0), "and the push before this one right after B"
    assert counts(it.push()) == (0, 0, 0, 0)
    assert counts(it.push(full=True)) == (0, 0, 2, 0)
    it.read(lambda tx: tx.delete(Key(Kind.PUSHED, *PARTY, "A", "RFID")))
    assert counts(it.push()) == (0, 0, 0, 0)
    assert counts(it.push(full=True)) == (1, 0, 1, 0)


def test_each_party_has_its_own_state() -> None:
    it = world()
    it.put("A")
    party = it.read(lambda tx: find_party(tx, *PARTY))
    it.read(lambda tx: put_party(tx, evolve(party, country_code="DE", issued=()), NOW))
    assert counts(it.push()) == (1, 0, 0, 0)
    assert counts(it.emsp.partner("de-tnm").push_tokens()) == (1, 0, 0, 0)
    assert counts(it.push()) == (0, 0, 1, 0)


def test_a_uid_of_two_types_is_never_patched_since_the_url_does_not_say_which() -> None:
    it = world()
    it.put("A")
    it.put("A", type=TokenType.OTHER)
    it.put("B")
    it.push()
    it.desk.taken()
    it.put("A", type=TokenType.OTHER, valid=False)
    it.put("B", valid=False)
    assert counts(it.push()) == (1, 1, 1, 0)
    assert it.desk.taken() == [("PUT", "A"), ("PATCH", "B")]
    assert it.desk.tokens["A"]["type"] == "OTHER"


@pytest.mark.parametrize("size", [1, 2, 5])
def test_pages_of_any_size_give_the_same(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PAGE", size)
    it = world()
    for number in range(5):
        it.put(f"T{number}", valid=number % 2 == 0)
    it.desk.script = failing(("PUT", "T1"), ("PUT", "T2"), by=said(400, 2001))
    assert counts(it.push()) == (3, 0, 0, 2)
    assert it.desk.taken() == [("PUT", f"T{number}") for number in (1, 3, 0, 2, 4)]
    it.desk.obey()
    assert counts(it.push()) == (2, 0, 3, 0)
    assert it.desk.taken() == [("PUT", "T1"), ("PUT", "T2")]


# --- a PATCH that fails ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", REFUSALS.values(), ids=REFUSALS)
def test_a_failed_patch_is_followed_by_get_and_put(answer: httpx.Response) -> None:
    it = invalidated()
    it.desk.script = failing(("PATCH", "A"), by=answer)
    assert counts(it.push()) == (1, 0, 0, 0)
    assert it.desk.taken() == [("PATCH", "A"), ("GET", "A"), ("PUT", "A")]
    assert it.desk.tokens["A"]["valid"] is False


@pytest.mark.parametrize("answer", REFUSALS.values(), ids=REFUSALS)
def test_a_get_that_fails_then_is_followed_by_put_too(answer: httpx.Response) -> None:
    it = invalidated()
    it.desk.script = failing(("PATCH", "A"), ("GET", "A"), by=answer)
    assert counts(it.push()) == (1, 0, 0, 0)
    assert it.desk.taken() == [("PATCH", "A"), ("GET", "A"), ("PUT", "A")]


@pytest.mark.parametrize("answer", REFUSALS.values(), ids=REFUSALS)
def test_there_is_no_put_where_the_get_shows_that_the_patch_did_its_work(answer: httpx.Response) -> None:
    it = invalidated()
    it.desk.lost = failing(("PATCH", "A"), by=answer)
    assert counts(it.push()) == (0, 1, 0, 0)
    assert it.desk.taken() == [("PATCH", "A"), ("GET", "A")]
    assert counts(it.push()) == (0, 0, 1, 0)


def test_a_patch_without_an_answer_is_left_to_the_next_push() -> None:
    it = invalidated()
    it.desk.script = failing(("PATCH", "A"), by=OFF)
    report = it.push()
    assert (counts(report), report.ended) == ((0, 0, 0, 1), "failed")
    assert it.desk.taken() == [("PATCH", "A")]
    it.desk.obey()
    assert counts(it.push()) == (1, 0, 0, 0)
    assert it.desk.taken() == [("PUT", "A")], "what the PATCH did is not known, so all is sent"


def test_a_get_without_an_answer_is_a_failure_and_nothing_is_put() -> None:
    it = invalidated()
    it.desk.script = by_name(0, PATCH=said(500, 3000), GET=OFF)
    report = it.push()
    assert it.desk.taken() == [("PATCH", "A"), ("GET", "A")]
    assert counts(report) == (0, 0, 0, 1)


def test_a_put_that_fails_after_a_failed_patch_is_a_failure() -> None:
    it = invalidated()
    it.desk.script = failing(("PATCH", "A"), ("PUT", "A"), by=said(200, 2001, "no"))
    report = it.push()
    assert it.desk.taken() == [("PATCH", "A"), ("GET", "A"), ("PUT", "A")]
    assert counts(report) == (0, 0, 0, 1)
    assert report.failures[0].error.startswith("PUT https://cpo.test/cpo/2.1.1/tokens/IT/BEC/A answered HTTP 200, 2001")


# --- the support matrix ---------------------------------------------------------------------------------------------


def test_without_the_patch_row_everything_is_put() -> None:
    it = invalidated()
    it.switch_off("PATCH")
    assert counts(it.push()) == (1, 0, 0, 0)
    assert it.desk.taken() == [("PUT", "A")]


def test_without_the_get_row_a_failed_patch_is_followed_by_put_alone() -> None:
    it = invalidated()
    it.switch_off("GET")
    it.desk.script = failing(("PATCH", "A"), by=said(404, 2000))
    report = it.push(verify=True)
    assert (counts(report), report.verified) == ((1, 0, 0, 0), 0)
    assert it.desk.taken() == [("PATCH", "A"), ("PUT", "A")]
    assert report.why == "nothing was verified: GET tokens is off in the support matrix"
    assert report.ended == "done"


def test_without_the_put_row_nothing_is_pushed_and_it_is_said() -> None:
    it = invalidated()
    it.switch_off("PUT")
    report = it.push()
    assert (counts(report), it.desk.taken(), report.ended) == ((0, 0, 0, 0), [], "done")
    assert report.why == ("nothing was pushed: the support matrix switches PUT /tokens/:path (MSP -> CPO) off")
    it.clock.advance(hours=2)
    it.emsp.partner(PartyId(*PARTY)).set_matrix(None)
    assert counts(it.push()) == (0, 1, 0, 0), "nothing was forgotten meanwhile"


def test_a_party_without_the_module_gets_nothing_and_it_is_said() -> None:
    it = invalidated()
    party = it.read(lambda tx: find_party(tx, *PARTY))
    it.read(lambda tx: put_party(tx, evolve(party, endpoints=()), NOW))
    report = it.push()
    assert (report.why, report.ended) == ("nothing was pushed: NL-TNM offers no tokens endpoint", "done")
    assert it.desk.taken() == []


def test_whoever_is_not_registered_gets_nothing() -> None:
    with pytest.raises(NotRegistered, match="DE-ABC"):
        make_emsp().partner("DE-ABC").push_tokens()


def test_an_endpoint_that_the_url_policy_forbids_is_not_called() -> None:
    it = invalidated()
    party = it.read(lambda tx: find_party(tx, *PARTY))
    plain = tuple(evolve(each, url=each.url.replace("https", "http")) for each in party.endpoints)
    it.read(lambda tx: put_party(tx, evolve(party, endpoints=plain), NOW))
    with pytest.raises(UnsafeUrl):
        it.push()
    assert it.desk.taken() == []


# --- verifying ------------------------------------------------------------------------------------------------------


def test_verifying_asks_for_each_token_that_was_sent() -> None:
    it = invalidated()
    it.put("B")
    report = it.push(verify=True)
    assert (counts(report), report.verified) == ((1, 1, 0, 0), 2)
    assert it.desk.taken() == [("PATCH", "A"), ("GET", "A"), ("PUT", "B"), ("GET", "B")]
    assert it.push(verify=True).verified == 0
    assert it.desk.taken() == []


def test_last_updated_and_fields_of_the_partys_own_are_no_difference() -> None:
    it = world()
    it.put("A")
    theirs = json.loads(encode(it.emsp.tokens.get("A")))
    theirs |= {"last_updated": "2025-01-01T00:00:00Z", "x_stored_by": "us", "visual_number": None}
    it.desk.script = failing(("GET", "A"), by=httpx.Response(200, json=envelope(theirs)))
    assert it.push(verify=True).verified == 1


def test_what_the_party_has_otherwise_is_a_failure_and_put_the_next_time() -> None:
    it = world()
    it.put("A", visual_number="DF-1")
    it.put("B")
    it.desk.lost = lambda sent: _spoil(it.desk) if sent == ("PUT", "A") else None
    report = it.push(verify=True)
    assert (counts(report), report.verified, report.ended) == ((1, 0, 0, 1), 1, "done")
    assert report.failures == (
        TokenFailure(
            "A",
            "RFID",
            "the partner has another token: visual_number is missing there and 'DF-1' here; "
            "valid is false there and true here",
        ),
    )
    it.desk.obey()
    it.desk.taken()
    assert counts(it.push(verify=True)) == (1, 0, 1, 0)
    assert it.desk.taken() == [("PUT", "A"), ("GET", "A")]


def _spoil(desk: Desk) -> None:
    desk.tokens["A"] = {name: value for name, value in desk.tokens["A"].items() if name != "visual_number"}
    desk.tokens["A"]["valid"] = False


@pytest.mark.parametrize("answer", [*REFUSALS.values(), httpx.Response(200, json=envelope({"uid": 5}))])
def test_what_cannot_be_verified_is_a_failure(answer: httpx.Response) -> None:
    it = world()
    it.put("A")
    it.desk.script = failing(("GET", "A"), by=answer)
    report = it.push(verify=True)
    assert (counts(report), report.verified, report.ended) == ((0, 0, 0, 1), 0, "done")


# --- the simulated CPO, and a database ------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_a_simulated_cpo_gets_our_tokens(mode: Mode) -> None:
    with simulated(mode, {}) as pair:
        pair.emsp.tokens.put(token("A/1 *"))
        pair.emsp.tokens.put(token("B"))

        def push(**options: Any) -> TokensPushed:
            if mode == "sync":
                return pair.emsp.partner(PartyId(*PARTY)).push_tokens(**options)

            async def run() -> TokensPushed:
                return await pair.emsp.aio.partner(PartyId(*PARTY)).push_tokens(**options)

            return pair.portal.call(run)

        report = push(verify=True)
        assert (counts(report), report.verified, report.failures) == ((2, 0, 0, 0), 2, ())
        pair.emsp.tokens.put(token("B", valid=False))
        report = push(verify=True)
        assert (counts(report), report.verified) == ((0, 1, 1, 0), 1)
        assert [(each["uid"], each["valid"]) for each in pair.cpo.tokens] == [("A/1 *", True), ("B", False)]
        asked = [(each.method, each.status_code) for each in pair.received("tokens")]
        assert asked == [("PUT", 1000), ("GET", 1000)] * 2 + [("PATCH", 1000), ("GET", 1000)]


def test_a_cpo_that_lost_a_token_gets_it_by_put_when_its_patch_fails() -> None:
    with simulated("sync", {}) as pair:
        pair.emsp.tokens.put(token("A"))
        pair.emsp.partner(PartyId(*PARTY)).push_tokens()
        pair.cpo.token_store.clear()
        pair.emsp.tokens.put(token("A", valid=False))
        assert counts(pair.emsp.partner(PartyId(*PARTY)).push_tokens()) == (1, 0, 0, 0)
        asked = [(each.method, each.status) for each in pair.received("tokens")]
        assert asked == [("PUT", 201), ("PATCH", 404), ("GET", 404), ("PUT", 201)]


def test_it_works_on_a_database_as_well(tmp_path: Any) -> None:
    store = SqlStore(f"sqlite:///{tmp_path}/emsp.db", auto_upgrade=True)
    desk, clock = Desk(), FakeClock()
    emsp = registered(ScriptedCpo(desk), store=store, clock=clock)
    for uid in "AB":
        emsp.tokens.put(token(uid))
    desk.script = failing(("PUT", "A"), by=said(200, 2001, "\x00"))
    assert counts(emsp.partner(PartyId(*PARTY)).push_tokens()) == (1, 0, 0, 1)
    clock.advance(hours=5)
    desk.obey()

    async def both() -> TokensPushed:
        emsp._contexts.setup.aio_http_client = lambda: httpx.AsyncClient(transport=httpx.MockTransport(desk))
        return await emsp.aio.partner(PartyId(*PARTY)).push_tokens()

    assert counts(anyio.run(both)) == (1, 0, 1, 0)
    assert set(desk.tokens) == {"A", "B"}
    store.close()
