"""Policies per party, rejections that are replayed, and the partner report of what was received."""

import json

import anyio
import pytest

from flows.support import Peer, at, drained, peer
from ocpi_emsp import Policy
from ocpi_emsp.errors import NotRegistered
from ocpi_emsp.findings import Severity
from ocpi_emsp.testing.cpo import samples
from ocpi_emsp.testing.cpo.wire import Document

SESSION = "sessions/*/SES1"


def session(**changes: object) -> Document:
    return {**samples.session("SES1"), "last_updated": at(0), **changes}


@pytest.fixture
def cpo() -> Peer:
    return peer()


LONG = {"meter_id": "m" * 256}
"""One deviation: a warning, string.length."""


def test_a_party_may_be_refused_for_warnings_while_others_are_not(cpo: Peer) -> None:
    other = cpo.other()
    cpo.emsp.partner("nl-tnm").set_policy(Policy.strict())
    assert cpo.push("PUT", SESSION, session(**LONG)).both == (200, 2001)
    assert other.push("PUT", SESSION, session(**LONG)).both == (201, 1000)


def test_the_default_policy_is_the_emsps(cpo: Peer) -> None:
    strict = peer(policy=Policy.strict())
    assert strict.push("PUT", SESSION, session(**LONG)).code == 2001
    strict.emsp.partner("NL-TNM").set_policy(Policy.tolerant())
    assert strict.push("PUT", SESSION, session(**LONG)).code == 1000
    strict.emsp.partner("NL-TNM").set_policy(None)
    assert strict.push("PUT", SESSION, session(**LONG)).code == 2001
    assert cpo.push("PUT", SESSION, session(**LONG)).code == 1000


@pytest.mark.parametrize(
    ("policy", "code"),
    [
        (Policy.strict().with_rule("string.length", "ignore"), 1000),
        (Policy.strict().with_rule("string.length", "note"), 1000),
        (Policy.tolerant().with_rule("string.length", "warning"), 1000),
        (Policy.tolerant().with_rule("string.length", "error"), 2001),
        (Policy(Severity.NOTE, {"string.length": "note"}), 2001),
    ],
)
def test_single_rules_can_be_made_something_else(cpo: Peer, policy: Policy, code: int) -> None:
    cpo.emsp.partner("NL-TNM").set_policy(policy)
    assert cpo.push("PUT", SESSION, session(**LONG)).code == code


def test_a_rule_of_sense_made_an_error_is_enforced_on_what_the_strict_lane_reads(cpo: Peer) -> None:
    backwards = session(start_datetime=at(10), end_datetime=at(5), status="COMPLETED")
    assert cpo.push("PUT", SESSION, backwards).code == 1000
    found = cpo.emsp.partner("NL-TNM").report().rules
    (rule,) = [each.rule for each in found if "end_datetime" in each.pointer]
    cpo.emsp.partner("NL-TNM").set_policy(Policy.tolerant().with_rule(rule, "error"))
    answer = cpo.push("PUT", "sessions/*/SES2", {**backwards, "id": "SES2"})
    assert answer.code == 2001
    assert rule in [each["rule"] for each in answer.data if each["severity"] == "error"]


def test_an_error_without_a_value_cannot_be_ignored(cpo: Peer) -> None:
    with pytest.raises(ValueError, match=r"'ignore' for the rule 'field\.required': expected error"):
        Policy.tolerant().with_rule("field.required", "ignore")
    broken = session()
    del broken["kwh"]
    answer = cpo.push("PUT", SESSION, broken)
    assert (answer.code, answer.findings) == (2001, [("/kwh", "field.required")])


def test_policies_are_data() -> None:
    policy = Policy.strict().with_rule("string.length", "ignore")
    assert Policy.from_json(json.loads(json.dumps(policy.as_json()))) == policy
    with pytest.raises(ValueError, match="invalid action 'forbid'"):
        Policy.strict().with_rule("string.length", "forbid")


def test_a_policy_needs_a_party_and_rules_that_exist(cpo: Peer) -> None:
    with pytest.raises(NotRegistered):
        cpo.emsp.partner("FR-XXX").set_policy(Policy.strict())
    with pytest.raises(ValueError, match=r"invalid rule 'string\.lenght'"):
        cpo.emsp.partner("NL-TNM").set_policy(Policy.strict().with_rule("string.lenght", "ignore"))


def test_a_rejection_is_accepted_when_it_is_replayed_under_another_policy(cpo: Peer) -> None:
    cpo.emsp.partner("NL-TNM").set_policy(Policy.strict())
    cpo.push("PUT", SESSION, session(**LONG))
    (rejection,) = cpo.emsp.rejections.list("nl-tnm")
    assert (rejection.method, rejection.route) == ("PUT", "sessions.put")
    assert [finding.rule for finding in rejection.findings if finding.severity is Severity.WARNING] == ["string.length"]
    assert cpo.emsp.rejections.get(rejection.id) == rejection
    assert list(cpo.emsp.rejections.list("DE-ABC")) == []

    refused = cpo.emsp.rejections.replay(rejection)
    assert json.loads(refused.body)["status_code"] == 2001
    assert list(cpo.emsp.rejections.list()) == [rejection], "refused again: neither lost nor doubled"

    cpo.emsp.partner("NL-TNM").set_policy(Policy.tolerant())
    accepted = cpo.emsp.rejections.replay(rejection)
    assert (accepted.status, json.loads(accepted.body)["status_code"]) == (201, 1000)
    assert list(cpo.emsp.rejections.list()) == []
    assert cpo.emsp.rejections.get(rejection.id) is None
    assert cpo.data(SESSION)["meter_id"] == LONG["meter_id"]


def test_a_rejection_is_accepted_with_a_corrected_body(cpo: Peer) -> None:
    broken = session(kwh="much")
    cpo.push("PUT", SESSION, broken)
    (rejection,) = cpo.emsp.rejections.list()
    corrected = rejection.body.replace(b'"much"', b"12.5")
    answer = anyio.run(lambda: cpo.emsp.aio.rejections.replay(rejection, body=corrected))
    assert answer.status == 201
    assert cpo.data(SESSION)["kwh"] == 12.5
    assert anyio.run(drained, cpo.emsp.aio.rejections.list()) == []
    assert anyio.run(cpo.emsp.aio.rejections.get, rejection.id) is None


def test_a_rejection_of_a_party_that_is_gone_cannot_be_replayed(cpo: Peer) -> None:
    cpo.push("PUT", SESSION, session(kwh="much"))
    (rejection,) = cpo.emsp.rejections.list()
    assert cpo.push("DELETE", "credentials").both == (200, 1000)
    with pytest.raises(NotRegistered):
        cpo.emsp.rejections.replay(rejection)


def test_the_report_counts_what_was_received_and_what_was_refused(cpo: Peer) -> None:
    other = cpo.other()
    first = cpo.clock.now()
    cpo.push("PUT", SESSION, session(**LONG))
    cpo.clock.advance(hours=1)
    cpo.push("PUT", "sessions/*/SES2", session(id="SES2", **LONG))
    cpo.push("PUT", "sessions/*/SES3", session(id="SES3", kwh="much"))
    cpo.push("PUT", "tariffs/*/TAR1", {**samples.tariff(), "last_updated": at(0)})
    other.push("PUT", SESSION, session(**LONG))

    report = cpo.emsp.partner("NL-TNM").report()
    rules = {each.rule: each for each in report.rules}
    assert (rules["string.length"].count, rules["string.length"].pointer) == (2, "/meter_id")
    assert (rules["string.length"].first_seen, rules["string.length"].last_seen) == (first, cpo.clock.now())
    assert rules["value.type"].count == 1
    assert (report.accepted, report.refused) == (3, 1)
    assert report.documents == {"Session": 3, "Tariff": 1}
    assert anyio.run(cpo.emsp.aio.partner("nl-tnm").report).as_json() == report.as_json()
    assert not cpo.emsp.partner("FR-XXX").report().total
    anyio.run(cpo.emsp.aio.partner("NL-TNM").set_policy, None)


def test_what_is_let_pass_is_named_in_the_answer(cpo: Peer) -> None:
    answer = cpo.push("PUT", SESSION, session(status="DREAMING", **LONG))
    assert answer.both == (201, 1000)
    assert answer.message.startswith("Success, although /meter_id: ")
    assert answer.message.endswith("[string.length] (1 more)")
    assert cpo.data(SESSION)["status"] == "DREAMING"
    assert cpo.push("PUT", SESSION, session()).message == "Success"
