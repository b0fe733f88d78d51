"""Each semantic rule beside its example: further documents that break it, with the place, and near misses."""

from typing import Any

import pytest

from check.rule_cases import HITS, MISSES, PERIOD, Changes
from ocpi_emsp.check import EXAMPLES, RULES, Example, check
from ocpi_emsp.check.rules import OBJECT_RULES
from ocpi_emsp.models import (
    Credentials,
)

ELSEWHERE = {
    "location.coordinates.swapped",
    "hours.choice",
    "hours.flag",
    "hours.midnight",
    "session.energy.unit",
    "cdr.credit",
}
"""test_check.py has these, and test_credits.py."""


def test_every_rule_has_hits_and_near_misses() -> None:
    rules = {object_rule.rule.id for object_rule in OBJECT_RULES}
    assert HITS.keys() == MISSES.keys() == rules - ELSEWHERE
    assert rules >= ELSEWHERE


@pytest.mark.parametrize(("rule", "case"), [(rule, case) for rule, cases in HITS.items() for case in cases])
def test_a_rule_hits(rule: str, case: tuple[type[Any], Changes, str]) -> None:
    kind, changes, pointer = case
    report = check(Example(kind, changes).document, kind)
    assert report.ok
    found = [finding for finding in report if finding.rule == rule]
    assert [finding.pointer for finding in found] == [pointer]
    assert found[0].severity is RULES[rule].severity
    assert 0 < len(found[0].message) < 250


@pytest.mark.parametrize(("rule", "case"), [(rule, case) for rule, cases in MISSES.items() for case in cases])
def test_a_rule_misses(rule: str, case: tuple[type[Any], Changes]) -> None:
    kind, changes = case
    report = check(Example(kind, changes).document, kind)
    assert report.ok
    assert rule not in {finding.rule for finding in report}


@pytest.mark.parametrize("object_rule", OBJECT_RULES, ids=lambda object_rule: str(object_rule.rule.id))
def test_an_example_is_broken_where_it_was_changed(object_rule: Any) -> None:
    """The finding lies at a change, in it or above it; some rules compare the change with another member."""
    rule = object_rule.rule.id
    [found] = check(EXAMPLES[rule].document, EXAMPLES[rule].kind)
    compared = {
        "cdr.currency.tariff": "/tariffs/0/currency",
        "cdr.time.total": "/total_time",
        "connector.power_type.direct": "/power_type",
        "energy_mix.green": "/is_green_energy",
        "location_references.connectors": "/connector_ids",
        "restrictions.never": "/max_kwh",
        "authorization.location": "/location",
        "session.running.end": "/end_datetime",
        "session.pending.energy": "/kwh",
        "tariff.elements.hidden": "/elements/1/price_components/0",
        "session.periods.order": PERIOD,
        "cdr.periods.order": PERIOD,
    }
    changes = EXAMPLES[rule].changes
    near = any(place.startswith(found.pointer) or found.pointer.startswith(place) for place in changes)
    assert found.pointer == compared[rule] if rule in compared else near


@pytest.mark.parametrize("text", ["geh\u00e9im-geheim", "geheim geheim", "geheim\tgeheim"])
def test_no_rule_of_sense_quotes_a_token(text: str) -> None:
    found = list(check(Example(Credentials, {"/token": text}).document, Credentials))
    assert found
    assert all("geh" not in finding.message for finding in found)
