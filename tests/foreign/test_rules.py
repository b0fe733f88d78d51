"""Rules that mean what they say (issue 11, number 27)."""

import logging
import re
from typing import Any

import pytest
from attrs import evolve

from flows.support import peer
from foreign.cases import cases, named
from ocpi_emsp import Cdr, Policy, check
from ocpi_emsp.check import RULES
from ocpi_emsp.codec.readings import shown
from ocpi_emsp.findings import Severity
from ocpi_emsp.flows.parties.party import RuleAction, policy_of
from ocpi_emsp.models import DisplayText
from ocpi_emsp.testing.cpo import samples

Case = dict[str, Any]
UNKNOWN = named("rules")["unknown"]
UNUSABLE = sorted(rule.id for rule in RULES.values() if rule.severity is Severity.ERROR)


@pytest.mark.parametrize("rule", UNUSABLE)
@pytest.mark.parametrize("action", ["ignore", "note", "warning"])
def test_what_no_policy_can_do_is_refused_at_the_call(rule: str, action: str) -> None:
    expected = f"invalid action '{action}' for the rule '{rule}': expected error"
    with pytest.raises(ValueError, match=expected):
        Policy.tolerant().with_rule(rule, action)
    with pytest.raises(ValueError, match=expected):
        Policy(Severity.ERROR, {rule: action})
    with pytest.raises(ValueError, match=expected):
        Policy.from_json({"refuses": "error", "rules": {rule: action}})
    with pytest.raises(ValueError, match=expected):
        peer().emsp.partner("NL-TNM").set_profile(refuses="error", actions={rule: action})
    assert Policy.tolerant().with_rule(rule, "error").actions == ((rule, "error"),)


@pytest.mark.parametrize("rule", UNKNOWN["input"])
@pytest.mark.parametrize("action", ["ignore", "error"])
def test_a_rule_that_no_document_can_break_is_refused_at_the_call(rule: Any, action: str) -> None:
    shows = re.escape(f"invalid rule {shown(rule)}: expected a rule of docs/reference/rules.md, for example ")
    nearest = UNKNOWN["nearest"].get(str(rule), "")
    with pytest.raises(ValueError, match=f"^{shows}{nearest}"):
        Policy.tolerant().with_rule(rule, action)
    with pytest.raises(ValueError, match=shows):
        Policy(Severity.ERROR, {rule: action})
    with pytest.raises(ValueError, match=f"^invalid actions: {shows}"):
        peer().emsp.partner("NL-TNM").set_profile(refuses="error", actions={rule: action})


def test_a_rule_that_is_stored_and_does_not_exist_is_ignored(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "ocpi_emsp")
    cpo = peer()
    cpo.set_profile(refuses="error", actions=(RuleAction(rule="nope.rule", action="error"),))
    assert cpo.push("PUT", "tariffs/*/TAR1", samples.tariff("TAR1")).code == 1000
    assert Policy.from_json({"refuses": "error", "rules": {"nope.rule": "note"}}) == Policy.tolerant()
    assert [each for each in caplog.messages if each.startswith("policy.rule_unknown rule=nope.rule action=")] != []


def test_what_was_stored_before_it_was_refused_does_nothing() -> None:
    cpo = peer()
    actions = (RuleAction(rule="field.required", action="ignore"), RuleAction(rule="string.length", action="error"))
    cpo.set_profile(refuses="error", actions=actions)
    profile = cpo.party().profile
    assert policy_of(profile, Policy.strict()).actions == (("string.length", "error"),)
    assert cpo.push("PUT", "tariffs/*/TAR1", samples.tariff("TAR1")).code == 1000
    assert evolve(profile, actions=()).actions == ()


@cases("driver", "language-*")
def test_a_language_code_has_no_case(case: Case) -> None:
    found = [each.rule for each in check({"language": case["input"], "text": "x"}, DisplayText)]
    assert found == case["outcome"]["rules"]


@cases("driver", "time-*")
def test_a_period_may_leave_its_time_out(case: Case) -> None:
    cdr = samples.cdr()
    assert "cdr.time.dimensions" not in [each.rule for each in check(cdr, Cdr)]
    start = cdr["start_date_time"]
    cdr["charging_periods"] = [
        {"start_date_time": start, "dimensions": [{"type": name, "volume": volume} for name, volume in period.items()]}
        for period in case["input"]["periods"]
    ]
    cdr |= {"total_time": case["input"]["total_time"], "total_parking_time": case["input"]["total_parking_time"]}
    found = [each.rule for each in check(cdr, Cdr)]
    assert [each for each in found if each in ("cdr.time.dimensions", "cdr.parking.total")] == case["outcome"]["rules"]
