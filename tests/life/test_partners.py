"""Tokens, authorizations and credentials between two workers and a CPO, each killed in the middle."""

from __future__ import annotations

import contextlib

import pytest

from life.support import PARTY, Failed, Scene, until

OURS = "IT/BEC"


def authorized(stage: Scene, uid: str) -> tuple[int, str | None]:
    """The HTTP status of an authorization, and what is allowed."""
    exchange = stage.cpo.call("POST", "tokens", f"{uid}/authorize", body={"location_id": "LOC1"})
    data = (exchange["body"] or {}).get("data")
    return exchange["status"], data["allowed"] if isinstance(data, dict) else None


def test_a_token_reaches_the_cpo_and_is_taken_back(stage: Scene) -> None:
    until(lambda: "A" in stage.cpo.tokens(), "the first token is pushed")
    stage.first.do("put_token", "B")
    until(lambda: stage.cpo.tokens().get("B") is True, "the new token is pushed")
    stage.second.do("invalidate", "B")
    until(lambda: stage.cpo.tokens().get("B") is False, "the invalidation is pushed")


def test_whoever_changes_a_token_may_die_before_it_is_pushed(stage: Scene) -> None:
    stage.cpo.tell("misbehave", preset="read-only-tokens")
    stage.first.do("put_token", "B")
    stage.first.kill()
    stage.second.kill()
    stage.cpo.tell("behave")
    stage.second.start()
    until(lambda: stage.cpo.tokens().get("B") is True, "the other worker pushes it")


def test_whoever_pushes_may_be_killed_in_the_middle_and_the_other_goes_on(stage: Scene) -> None:
    """Either worker has the party in hand, so each is killed once while tokens are sent slowly."""
    until(lambda: stage.cpo.tokens().get("A") is True, "the first token is pushed")
    uids = [f"T{number}" for number in range(50)]
    stage.first.do("set_pace", *PARTY, 10)
    stage.first.do("put_tokens", uids)
    until(lambda: len(stage.cpo.tokens()) > 3, "some are pushed")
    stage.first.kill()
    stage.second.do("invalidate", "A")
    until(lambda: stage.cpo.tokens()["A"] is False, "the invalidation arrives")
    stage.second.kill()
    stage.first.start()
    until(lambda: stage.cpo.tokens() == {"A": False} | dict.fromkeys(uids, True), "all are pushed")
    until(lambda: stage.first.do("waiting") == [], "nobody waits for a push any more")


def test_drivers_are_authorized_and_every_decision_is_seen_by_both_workers(stage: Scene) -> None:
    for uid in ("BLOCKED", "HANGS"):
        stage.first.do("put_token", uid)
    stage.first.do("invalidate", "BLOCKED")
    assert authorized(stage, "A") == (200, "ALLOWED")
    assert authorized(stage, "BLOCKED") == (200, "BLOCKED")
    assert authorized(stage, "HANGS") == (200, "ALLOWED"), "the fallback goes by the whitelist"
    assert authorized(stage, "UNKNOWN")[0] == 404
    for worker in (stage.first, stage.second):
        decisions = worker.do("decisions")
        assert decisions == [
            ["hook", "ALLOWED"],
            ["hook", "BLOCKED"],
            ["fallback", "ALLOWED"],
            ["request", "404/2000"],
        ]


def test_credentials_are_renewed_by_one_worker_while_the_other_serves(stage: Scene) -> None:
    assert stage.first.do("rotate", *PARTY) == "NL-TNM"
    assert stage.cpo.call("GET", "tokens")["status"] == 200, "the CPO has the new token"
    assert stage.second.do("sync", *PARTY, ["locations"]) == ["done"], "and so have we"
    assert stage.cpo.tell("update")["error"] is None, "the CPO renews them, too"
    assert stage.cpo.call("GET", "tokens")["status"] == 200
    assert stage.first.do("sync", *PARTY, ["locations"]) == ["done"]


def test_both_workers_and_the_cpo_renew_at_once(stage: Scene) -> None:
    """Some of the renewals may be refused; whatever comes of them, both sides get in afterwards."""
    for _ in range(3):
        begun = [(worker, worker.begin("rotate", *PARTY)) for worker in (stage.first, stage.second)]
        stage.cpo.tell("update")
        for worker, number in begun:
            with contextlib.suppress(Failed):
                worker.end(number)
        assert stage.cpo.call("GET", "tokens")["status"] == 200, "the CPO gets in"
        for worker in (stage.first, stage.second):
            assert worker.do("sync", *PARTY, ["locations"]) == ["done"], "and so does each worker"


def test_whoever_registers_may_die_in_the_middle(stage: Scene) -> None:
    other = stage.start_cpo("--party", "DE-ABC")
    stage.second.kill()  # so that the CPO's call back waits: the handshake stands still in its middle
    stage.first.begin("register", other.versions_url, other.token_a)
    until(lambda: len(other.state()["received"]) >= 2, "versions and details are read, the POST comes next")
    stage.first.kill()
    stage.first.start()
    stage.second.start()
    assert "NL-TNM REGISTERED" in stage.first.do("parties")
    again = stage.start_cpo("--party", "BE-XYZ")
    assert stage.first.do("register", again.versions_url, again.token_a) == "BE-XYZ"
    assert stage.cpo.call("GET", "tokens")["status"] == 200, "whoever was registered still is"


def test_whoever_renews_credentials_may_die_in_the_middle(stage: Scene) -> None:
    stage.second.kill()  # the CPO reads our versions before it answers, so the PUT stands still
    stage.first.begin("rotate", *PARTY)
    stage.first.kill()
    stage.first.start()
    stage.second.start()
    until(lambda: stage.cpo.call("GET", "tokens")["status"] == 200, "the CPO's token works")
    assert "NL-TNM REGISTERED" in stage.second.do("parties")


def test_a_cpo_that_registers_as_another_is_refused(stage: Scene) -> None:
    twin = stage.start_cpo("--party", "NL-TNM")
    with pytest.raises(Failed, match="registered"):
        stage.first.do("register", twin.versions_url, twin.token_a)
    assert stage.cpo.call("GET", "tokens")["status"] == 200
