"""Commands between two processes and a CPO: the result arrives at the worker that did not send the command."""

from __future__ import annotations

import pytest

from life.support import PARTY, Failed, Scene, until


def test_a_start_session_ends_in_a_cdr(stage: Scene) -> None:
    first = stage.first
    uid = first.do("start_session", PARTY, "A", "LOC1", "LOC1-E1")
    waiting = first.begin("result", PARTY, uid)
    assert first.end(waiting) == "ACCEPTED"
    session = stage.session_of(uid)
    assert first.do("command", PARTY, uid)["state"] == "ANSWERED"

    stopped = first.do("stop_session", PARTY, session)
    assert first.do("result", PARTY, stopped) == "ACCEPTED"
    stage.cpo.tell("wait-idle")
    stage.await_event("CdrReceived")
    assert [stage.told(name) for name in ("CommandResultReceived", "CommandLedToSession", "CdrReceived")] == [2, 1, 1]


def test_results_in_any_order_are_one_result(stage: Scene) -> None:
    presets = ("contradicting-results", "result-first", "result-twice")
    for told, preset in enumerate(presets, 1):
        stage.cpo.tell("misbehave", preset=preset)
        uid = stage.first.do("start_session", PARTY, "A", "LOC1", "LOC1-E1")
        assert stage.first.do("result", PARTY, uid) == "ACCEPTED"
        stage.cpo.tell("wait-idle")
        found = stage.second.do("command", PARTY, uid)
        assert (found["state"], found["acknowledgement"], found["result"]) == ("ANSWERED", "ACCEPTED", "ACCEPTED")
        stage.await_event("CommandResultReceived", told)
    assert stage.told("CommandResultReceived") == len(presets)


def test_a_result_that_never_comes_is_a_timeout_that_any_worker_finds(stage: Scene) -> None:
    stage.cpo.tell("misbehave", preset="no-result")
    uid = stage.first.do("start_session", PARTY, "A", "LOC1", "LOC1-E1", 2)
    stage.first.kill()
    found = until(
        lambda: (now := stage.second.do("command", PARTY, uid))["state"] == "TIMED_OUT" and now, "the deadline passes"
    )
    assert found["acknowledgement"] == "ACCEPTED"
    stage.first.start()
    assert stage.first.do("result", PARTY, uid) == "TIMEOUT"
    stage.await_event("CommandTimedOut")
    assert stage.told("CommandTimedOut") == 1


def test_a_late_result_is_recorded_and_its_session_is_linked(stage: Scene) -> None:
    stage.cpo.tell("misbehave", preset="late-result")
    uid = stage.first.do("start_session", PARTY, "A", "LOC1", "LOC1-E1", 1)
    assert stage.first.do("result", PARTY, uid) == "TIMEOUT"
    stage.session_of(uid)
    found = stage.first.do("command", PARTY, uid)
    assert (found["state"], found["result"]) == ("LATE", "ACCEPTED")


def test_a_command_that_is_answered_badly_has_its_result_nevertheless(stage: Scene) -> None:
    for preset in ("command-html", "command-no-answer", "command-not-json", "command-server-error"):
        stage.cpo.tell("misbehave", preset=preset)
        with pytest.raises(Failed, match=r"PartnerRefused|AnswerUnusable|TransportFailed"):
            stage.first.do("start_session", PARTY, "A", "LOC1", "LOC1-E1")
        uid = stage.second.do("commands")[-1]["uid"]
        assert stage.first.do("result", PARTY, uid) == "ACCEPTED"
        stage.session_of(uid)


def test_who_waits_is_killed_and_another_worker_goes_on(stage: Scene) -> None:
    stage.cpo.tell("misbehave", deviations={"result_delay": 2})
    uid = stage.first.do("start_session", PARTY, "A", "LOC1", "LOC1-E1")
    stage.first.begin("result", PARTY, uid)
    elsewhere = stage.second.begin("result", PARTY, uid)
    stage.first.kill()
    assert stage.second.end(elsewhere) == "ACCEPTED"
    stage.first.start()
    assert stage.first.do("result", PARTY, uid) == "ACCEPTED"


def test_who_serves_is_killed_and_the_result_waits_for_the_next(stage: Scene) -> None:
    stage.cpo.tell("misbehave", deviations={"result_delay": 1})
    uid = stage.first.do("start_session", PARTY, "A", "LOC1", "LOC1-E1")
    stage.second.kill()
    waiting = stage.first.begin("result", PARTY, uid)
    stage.second.start()
    assert stage.first.end(waiting) == "ACCEPTED"


def test_a_result_of_another_party_is_refused(stage: Scene) -> None:
    other = stage.start_cpo("--party", "DE-ABC")
    assert stage.first.do("register", other.versions_url, other.token_a) == "DE-ABC"
    stage.cpo.tell("misbehave", preset="no-result")
    uid = stage.first.do("start_session", PARTY, "A", "LOC1", "LOC1-E1")
    refused = other.call("POST", "commands", f"START_SESSION/{uid}", body={"result": "ACCEPTED"})
    assert (refused["status"], refused["status_code"]) == (404, 2000)
    for path, body, code in (
        ("START_SESSION/unknown", {"result": "ACCEPTED"}, 2000),
        (f"STOP_SESSION/{uid}", {"result": "ACCEPTED"}, 2000),
        (f"START_SESSION/{uid}", {"outcome": "ACCEPTED"}, 2001),
        (f"START_SESSION/{uid}", [], 2001),
    ):
        assert stage.cpo.call("POST", "commands", path, body=body)["status_code"] == code, (path, body)
    assert stage.second.do("command", PARTY, uid)["state"] == "ACKNOWLEDGED"


def test_a_reservation_is_replaced_and_ends(stage: Scene) -> None:
    first = stage.first.do("reserve_now", PARTY, "A", "LOC1", "LOC1-E1", 3600, 7)
    assert stage.first.do("result", PARTY, first) == "ACCEPTED"
    assert stage.second.do("reservation", PARTY, "LOC1", 7)["state"] == "ACTIVE"
    replaced = stage.second.do("reserve_now", PARTY, "A", "LOC1", "LOC1-E2", 3, 7)
    assert stage.first.do("result", PARTY, replaced) == "ACCEPTED"
    stage.first.kill()
    found = until(
        lambda: (now := stage.second.do("reservation", PARTY, "LOC1", 7))["state"] == "EXPIRED" and now,
        "the reservation ends",
    )
    assert found["evse_uid"] == "LOC1-E2"
