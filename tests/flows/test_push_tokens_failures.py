"""Our tokens to a party: what a failure costs, what is remembered of it, and how a push goes on after any of them."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

import httpx
import pytest
from attrs import evolve
from hypothesis import given, strategies as st

from flows.tokens_desk import (
    OFF,
    OURS,
    PARTY,
    REFUSALS,
    Desk,
    Sent,
    World,
    by_name,
    counts,
    failing,
    html,
    invalidated,
    said,
    world,
)
from ocpi_emsp import encode
from ocpi_emsp._bridge import run
from ocpi_emsp.errors import PartnerUnavailable
from ocpi_emsp.flows.parties.party import delete_party, find_party, put_party
from ocpi_emsp.flows.tokens.push import party_run as module
from ocpi_emsp.flows.tokens.push.report import PushProgress
from ocpi_emsp.ports import Key, Kind, Query, Record
from ocpi_emsp.resources import TokensPushed
from ocpi_emsp.wire import Request, Response
from our_emsp import NOW, token
from processes import Killed

# --- failures -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", REFUSALS.values(), ids=REFUSALS)
def test_a_token_that_is_refused_stops_no_other_and_is_tried_again(answer: httpx.Response) -> None:
    it = world()
    for uid in "ABC":
        it.put(uid)
    it.desk.script = failing(("PUT", "A"), by=answer)
    for failures in (1, 2, 3):
        report = it.push()
        assert (report.failed, report.ended) == (1, "done")
        assert [(each.uid, each.type) for each in report.failures] == [("A", "RFID")]
        assert it.pushed("A")["failures"] == failures
        assert it.pushed("A")["error"] == report.failures[0].error
        it.clock.advance(hours=5)
    assert it.desk.taken() == [("PUT", "A"), ("PUT", "B"), ("PUT", "C"), ("PUT", "A"), ("PUT", "A")]
    it.desk.obey()
    assert counts(it.push()) == (1, 0, 0, 0)
    assert (it.pushed("A")["failures"], it.pushed("A")["error"]) == (0, "")
    assert it.desk.taken() == [("PUT", "A")]


OUTAGES = {
    "no connection": OFF,
    "timeout": httpx.ReadTimeout("slow"),
    "429": said(429, 2000),
    "502": html(502),
    "503": httpx.Response(503),
    "504": html(504),
}


@pytest.mark.parametrize("outage", OUTAGES.values(), ids=OUTAGES)
def test_three_requests_in_a_row_without_an_answer_end_the_push_and_the_rest_goes_on_next_time(outage: Any) -> None:
    it = world()
    for uid in "ABCDEF":
        it.put(uid)
    it.desk.script = failing(*(("PUT", uid) for uid in "BCD"), by=outage)
    report = it.push()
    assert (counts(report), report.ended) == ((1, 0, 0, 3), "failed")
    assert report.why.startswith("3 times in a row: PUT https://cpo.test/cpo/2.1.1/tokens/IT/BEC/D")
    assert it.desk.taken() == [("PUT", uid) for uid in "ABCD"]
    it.clock.advance(hours=5)
    report = it.push()
    assert it.desk.taken() == [("PUT", uid) for uid in "EFBCD"], "what failed does not hold up the others"
    assert (counts(report), report.ended) == ((2, 0, 1, 3), "failed")
    it.clock.advance(hours=5)
    it.desk.obey()
    assert it.push().put == 3
    assert set(it.desk.tokens) == set("ABCDEF")


@pytest.mark.parametrize("refused", [False, True])
def test_answers_between_them_make_it_no_outage(refused: bool) -> None:
    it = world()
    for uid in "ABCDEF":
        it.put(uid)
    answer = {"C": said(200, 2001)} if refused else {}
    it.desk.script = by_name(1, A=OFF, B=OFF, D=OFF, E=OFF, **answer)
    report = it.push()
    assert (counts(report), report.ended) == ((2 - refused, 0, 0, 4 + refused), "done")


def test_a_party_that_answers_nothing_at_all_is_out_of_reach_even_with_one_token() -> None:
    it = world()
    it.put("A")
    it.desk.script = failing(("PUT", "A"), by=OFF)
    report = it.push()
    assert (counts(report), report.ended) == ((0, 0, 0, 1), "failed")
    assert report.why.startswith("NL-TNM did not answer: PUT https://cpo.test")


@pytest.mark.parametrize("refused", ["PUT", "PATCH", "GET"])
def test_a_token_of_ours_that_opens_nothing_ends_the_push_at_once(refused: str) -> None:
    it = invalidated()
    it.put("B")
    refusals = {"PATCH": said(404, 2000)} if refused == "GET" else {}
    refusals[refused] = said(401, 2000)
    it.desk.script = by_name(0, **refusals)
    if refused == "PUT":
        it.put("A")
    report = it.push()
    assert (report.failed, report.ended) == (1, "failed")
    assert "answered HTTP 401, 2000" in report.why
    assert it.desk.taken()[-1][0] == refused
    assert len(it.desk.bodies) <= 3


def test_a_rotated_token_is_used_from_the_next_request_on() -> None:
    it = world()
    it.put("A")
    it.put("B")

    def rotate(sent: Sent) -> None:
        if sent == ("PUT", "A"):
            party = it.read(lambda tx: find_party(tx, *PARTY))
            it.read(lambda tx: put_party(tx, evolve(party, token="the-new-one"), NOW))

    it.desk.lost = rotate
    assert counts(it.push()) == (2, 0, 0, 0)
    assert it.desk.authorizations[1] == "Token the-new-one"
    assert it.desk.authorizations[0] != it.desk.authorizations[1]


def test_a_party_that_leaves_meanwhile_ends_the_push() -> None:
    it = world()
    it.put("A")
    it.put("B")
    party = it.read(lambda tx: find_party(tx, *PARTY))
    it.desk.lost = lambda _: it.read(lambda tx: delete_party(tx, party)) and None
    report = it.push()
    assert (counts(report), report.ended, report.why) == (
        (1, 0, 0, 0), "failed", "there is no registration with NL-TNM"
    )  # fmt: skip


def test_a_stored_token_that_is_not_valid_by_our_own_rules_is_a_failure_of_it_alone() -> None:
    it = world()
    it.put("A")
    documents = {"LONG": encode(token("LONG", issuer="x" * 65)), "NONE": b'{"uid": "NONE"}', "NO JSON": b"["}
    for uid, body in documents.items():
        key = Key(Kind.TOKEN, *OURS, uid, "RFID")
        it.write(Record(key, body, NOW, it.clock.now()))
    report = it.push()
    assert (counts(report), report.ended) == ((1, 0, 0, 3), "done")
    assert it.desk.taken() == [("PUT", "A")]
    assert [each.uid for each in report.failures] == list(documents)
    assert "/issuer" in report.failures[0].error
    it.put("LONG")
    assert counts(it.push()) == (1, 0, 1, 2)


def test_the_report_names_a_bounded_number_of_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LISTED_FAILURES", 2)
    it = world()
    for uid in "ABCD":
        it.put(uid)
    it.desk.script = lambda _: said(200, 2001, "\x00\x1b[2J" + "x" * 10_000)
    report = it.push()
    assert (report.failed, [each.uid for each in report.failures]) == (4, ["A", "B"])
    error = report.failures[0].error
    assert len(error) == 500
    assert "\\x00\\x1b[2Jxx" in error


def test_records_that_cannot_be_read_count_as_none() -> None:
    it = world()
    it.put("A")
    it.push()
    for key in (Key(Kind.PUSHED, *PARTY, "A", "RFID"), Key(Kind.CHECKPOINT, *PARTY, "tokens")):
        it.write(Record(key, b'{"at": 5}', NOW, NOW))
    it.clock.advance(hours=5)
    assert counts(it.push()) == (1, 0, 0, 0)
    assert counts(it.push()) == (0, 0, 0, 0)


# --- unknown outcomes, kills, stops ---------------------------------------------------------------------------------


@pytest.mark.parametrize("lost", [OFF, said(500, 3000), Killed()], ids=["no answer", "500", "killed"])
def test_a_token_that_went_back_meanwhile_is_put_since_nobody_knows_what_the_party_has(lost: Any) -> None:
    it = world()
    it.put("A", issuer="first")
    it.push()
    it.put("A", issuer="second")
    it.desk.lost = failing(("PUT", "A"), by=lost)
    _push_or_die(it)
    assert it.desk.tokens["A"]["issuer"] == "second"
    it.put("A", issuer="first")
    it.desk.obey()
    assert counts(it.push()) == (1, 0, 0, 0)
    assert it.desk.tokens["A"]["issuer"] == "first"


def _push_or_die(it: World, **options: Any) -> TokensPushed | None:
    try:
        return it.push(**options)
    except Killed:
        return None


@pytest.mark.parametrize("served", [False, True])
@pytest.mark.parametrize("at", range(4))
def test_a_killed_push_goes_on_where_it_was(at: int, served: bool) -> None:
    it = world()
    for uid in "ABCD":
        it.put(uid)
    setattr(it.desk, "lost" if served else "script", failing(("PUT", "ABCD"[at]), by=Killed()))
    with pytest.raises(Killed):
        it.push()
    it.desk.taken()
    it.desk.obey()
    it.clock.advance(hours=5)
    assert counts(it.push()) == (4 - at, 0, at, 0)
    assert it.desk.taken() == [("PUT", uid) for uid in "ABCD"[at:]]
    it.clock.advance(hours=5)
    assert counts(it.push()) == (0, 0, 0, 0)


def test_no_transaction_is_open_during_a_request() -> None:
    """The store has one lock: another transaction inside of one would fail."""
    it = invalidated()
    it.put("B")
    totals = list[int]()

    def count(_: Sent) -> None:
        totals.append(len(it.read(lambda tx: tx.page(Query(kind=Kind.TOKEN))).records))

    it.desk.script = count
    assert counts(it.push(verify=True)) == (1, 1, 0, 0)
    assert totals == [2] * 4


def test_stopping_between_two_tokens_and_going_on() -> None:
    it = world()
    for uid in "ABC":
        it.put(uid, valid=uid != "C")
    report = it.push(stop=lambda: len(it.desk.log) == 2)
    assert (counts(report), report.ended, report.why) == ((2, 0, 0, 0), "stopped", "stopped on request")
    assert it.desk.taken() == [("PUT", "C"), ("PUT", "A")]
    it.clock.advance(hours=5)
    assert counts(it.push()) == (1, 0, 2, 0)
    assert it.push(stop=lambda: True).ended == "stopped"


def test_whoever_watches_sees_every_token_and_the_duration_is_in_seconds() -> None:
    it = world()
    for uid in "ABC":
        it.put(uid)
    it.desk.script = failing(("PUT", "B"), by=said(200, 2001))
    it.desk.lost = lambda _: it.clock.advance(seconds=2)
    context = it.emsp._contexts()
    party = it.read(lambda tx: find_party(tx, *PARTY))
    seen = list[PushProgress]()
    report = run(module.push_tokens(context, party, watch=seen.append))
    assert [(each.put, each.failed) for each in seen] == [(1, 0), (1, 1), (2, 1)]
    assert report.duration == 4.0


def test_a_party_that_is_not_called_for_now_ends_the_push_and_fails_no_token() -> None:
    it = world()
    it.put("A")

    async def send(request: Request) -> Response:
        raise PartnerUnavailable("calls resume after", url=request.url)

    party = it.read(lambda tx: find_party(tx, *PARTY))
    context = evolve(it.emsp._contexts(), send=send)
    report = run(module.push_tokens(context, party))
    assert (counts(report), report.ended, report.why) == ((0, 0, 0, 0), "failed", "calls resume after")
    assert counts(it.push()) == (1, 0, 0, 0)


def test_a_clock_that_goes_back_loses_nothing() -> None:
    it = world()
    it.put("A")
    it.push()
    it.clock.time = NOW - timedelta(days=1)
    it.put("B")
    assert counts(it.push()) == (1, 0, 1, 0)


# --- any sequence ---------------------------------------------------------------------------------------------------

OUTCOMES: Mapping[str, Any] = {
    "pass": None,
    "refused": said(200, 2001),
    "failed": said(500, 3000),
    "outage": httpx.Response(503),
    "unauthorized": said(401, 2000),
    "no answer": OFF,
    "html": html(200),
    "killed": Killed(),
}

puts = st.tuples(
    st.sampled_from(["A", "B", "C", "D"]),
    st.sampled_from(["one", "two"]),
    st.booleans(),
    st.integers(0, 40),
)
exchanges = st.tuples(st.sampled_from(sorted(OUTCOMES)), st.booleans())
pushes = st.tuples(st.lists(exchanges, max_size=6), st.booleans(), st.booleans(), st.integers(0, 40))


@given(st.lists(puts | pushes, max_size=12))
def test_after_any_failures_a_push_without_them_leaves_the_cpo_with_exactly_our_tokens(
    steps: Sequence[Any],
) -> None:
    it = world()
    for *what, minutes in steps:
        if isinstance(what[0], str):
            it.put(what[0], issuer=what[1], valid=what[2])
        else:
            it.desk.script, it.desk.lost = _played(what[0])
            _push_or_die(it, verify=what[1], full=what[2])
        it.clock.advance(minutes=minutes)
    it.desk.obey()
    it.desk.taken()
    it.desk.bodies.clear()
    before = {uid: dict(each) for uid, each in it.desk.tokens.items()}
    report = it.push()
    assert (report.failed, report.ended) == (0, "done")
    assert {uid: _said(each) for uid, each in it.desk.tokens.items()} == {
        each.uid: _said(json.loads(encode(each))) for each in it.emsp.tokens.list()
    }
    _assert_invalidations_first(before, it.desk)
    it.desk.taken()
    assert it.push(full=True).unchanged == len(it.desk.tokens)
    assert it.desk.taken() == []


def _played(outcomes: Sequence[tuple[str, bool]]) -> tuple[Any, Any]:
    """Scripts that play these outcomes, one per request: before it is served, or after."""
    left: Iterator[tuple[str, bool]] = iter(outcomes)
    current: list[tuple[str, bool]] = []

    def script(_: Sent) -> Any:
        current[:] = [next(left, ("pass", False))]
        return None if current[0][1] else OUTCOMES[current[0][0]]

    return script, lambda _: OUTCOMES[current[0][0]] if current[0][1] else None


def _said(document: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name != "last_updated"}


def _assert_invalidations_first(before: Mapping[str, Mapping[str, Any]], desk: Desk) -> None:
    others = False
    for (_, uid), body in zip(desk.log, desk.bodies, strict=True):
        invalidates = body["valid"] is False and before.get(uid, {"valid": True})["valid"]
        assert not (invalidates and others), desk.log
        others = others or body["valid"]
