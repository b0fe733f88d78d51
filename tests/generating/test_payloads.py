"""Payloads: the laws of valid, quirky and invalid documents, drawn and listed."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from ocpi_emsp import Location, Policy, Report, Token, check
from ocpi_emsp.check import EXAMPLES, RULES, accept
from ocpi_emsp.errors import InvalidObject, NotJson
from ocpi_emsp.findings import Severity
from ocpi_emsp.testing.payloads import PUSHED, QUIRKS, SORTS, Payload, Sort, examples, mutations, payloads, quirks
from ocpi_emsp.testing.strategies import KINDS, locations

each_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: str(kind.__name__))
each_sort = pytest.mark.parametrize("sort", SORTS)
few = settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
STRICT, TOLERANT = Policy.strict(), Policy.tolerant()


def found(report: Report, least: Severity = Severity.NOTE) -> set[tuple[str, str]]:
    return {(finding.pointer, finding.rule) for finding in report.at_least(least)}


def keeps_the_law(payload: Payload, policy: Policy = TOLERANT) -> None:
    """What a payload's sort says of it."""
    report = check(payload.document, payload.kind)
    assert payload.places <= found(report), report
    above_note = found(report, Severity.WARNING)
    if payload.sort == "valid":
        assert above_note == set()
    elif payload.sort == "quirky":
        assert above_note <= payload.places
    if payload.sort == "invalid":
        assert payload.refused_by(policy)
        with pytest.raises((InvalidObject, NotJson)) as refused:
            accept(payload.document, payload.kind, policy)
        if not isinstance(refused.value, NotJson):
            assert payload.pointers <= {finding.pointer for finding in refused.value.findings}
    else:
        assert isinstance(accept(payload.document, payload.kind, TOLERANT), payload.kind)


@each_sort
@each_kind
@few
@given(data=st.data())
def test_drawn_payloads_keep_the_law(kind: type[Any], sort: Sort, data: st.DataObject) -> None:
    keeps_the_law(data.draw(payloads(kind, sort)))


@each_kind
@few
@given(data=st.data())
def test_a_strict_policy_refuses_more(kind: type[Any], data: st.DataObject) -> None:
    keeps_the_law(data.draw(payloads(kind, "invalid", policy=STRICT)), STRICT)


@each_sort
@each_kind
def test_listed_payloads_keep_the_law(kind: type[Any], sort: Sort) -> None:
    listed = examples(kind, sort)
    assert listed == examples(kind, sort)
    for payload in listed:
        keeps_the_law(payload)
    assert len({str(payload) for payload in listed}) >= len(listed) - len(examples(kind, "valid"))


def test_every_quirk_of_a_document_is_listed() -> None:
    listed = [payload for kind in KINDS for payload in examples(kind, "quirky")]
    assert {payload.quirk for payload in listed} == set(QUIRKS)
    rules = {rule for payload in listed for rule in payload.rules}
    assert rules >= {
        *("datetime.zone", "datetime.offset", "datetime.form", "coordinate.form", "location.coordinates.swapped"),
        *("location.country.alpha2", "hours.choice", "hours.flag", "hours.midnight", "time_of_day.form"),
        *("number.string", "boolean.string", "integer.string", "integer.fraction", "string.number"),
        *("field.unknown", "enum.unknown", "enum.case", "string.length", "string.not_ascii"),
    }


def test_boundaries_are_hit() -> None:
    valid = [payload for kind in PUSHED for payload in examples(kind, "invalid", policy=STRICT)]
    assert {"37 characters at /id", "40 characters at /uid"} <= {str(each).partition(": ")[2] for each in valid}


def test_every_rule_is_broken_by_a_payload_that_strict_refuses() -> None:
    broken = {rule for kind in KINDS for payload in examples(kind, "invalid", policy=STRICT) for rule in payload.rules}
    wanted = {rule for rule in EXAMPLES if RULES[rule].severity is not Severity.NOTE}
    assert wanted <= broken


@given(payloads(Location, "quirky", model=locations(id="LOC1", country="NLD")))
@few
def test_the_models_can_be_given(payload: Payload) -> None:
    document = payload.json
    assert str(document["id"]).startswith("LOC1") or "/id" in payload.pointers
    assert document["country"] in ("NLD", "NL")


def test_a_payload_presents_itself() -> None:
    payload = next(each for each in examples(Token, "quirky") if each.rules == {"boolean.string"})
    assert str(payload) == "Token quirky: boolean as string at /valid"
    assert payload.pointers == {"/valid"}
    assert payload.quirk == 14
    assert not payload.refused_by(TOLERANT)
    assert payload.refused_by(STRICT)
    assert not payload.refused_by(STRICT.with_rule("boolean.string", "note"))
    assert payload.refused_by(TOLERANT.with_rule("boolean.string", "error"))


def test_what_is_no_object_has_no_mutations() -> None:
    assert mutations(Token, []) == quirks(Token, None) == []
