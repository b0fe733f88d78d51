"""Rules that mean what they say (issue 11, number 27)."""

from typing import Any

import pytest
from attrs import evolve

from flows.support import peer
from foreign.cases import cases
from ocpi_emsp import Cdr, Policy, check
from ocpi_emsp.check import RULES
from ocpi_emsp.findings import Severity
from ocpi_emsp.flows.parties.party import RuleAction, policy_of
from ocpi_emsp.models import DisplayText
from ocpi_emsp.testing.cpo import samples

Case = dict[str, Any]
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
