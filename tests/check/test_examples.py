"""The registry: every rule has an example that breaks it and no other, and the base documents break none."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest

from ocpi_emsp import models
from ocpi_emsp.check import CHAPTERS, EXAMPLES, RULES, Example, Policy, accept, check, examine
from ocpi_emsp.check.common import DATED, NUMBERS, URLS
from ocpi_emsp.check.examples import KINDS, base
from ocpi_emsp.check.rules import OBJECT_RULES
from ocpi_emsp.codec import decode_strict, dump
from ocpi_emsp.codec.rules import SCHEMA_RULES
from ocpi_emsp.errors import InvalidObject
from ocpi_emsp.findings import Severity

ROOT = Path(__file__).parent.parent.parent
CENSUS: dict[str, Any] = json.loads((ROOT / "tests/vectors/spec/census.json").read_text(encoding="utf-8"))
OURS = {"CDR": "Cdr", "EVSE": "Evse"}
"""The specification's names of models that are ours in another spelling."""


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: str(kind.__name__))
def test_a_base_document_has_no_finding(kind: type[Any]) -> None:
    assert check(dump(base(kind)), kind).findings == ()
    assert decode_strict(kind, dump(base(kind))) is not None


def test_every_model_has_a_base_document() -> None:
    assert set(KINDS) == set(filter(attrs.has, models.OBJECTS_AND_ENUMS.values()))
    assert len(KINDS) == len(set(KINDS))


def test_every_rule_has_an_example() -> None:
    assert EXAMPLES.keys() == RULES.keys()


@pytest.mark.parametrize("id_", RULES)
def test_an_example_breaks_its_rule_and_no_other(id_: str) -> None:
    example = EXAMPLES[id_]
    value, report = examine(example.document, example.kind)
    assert [finding.rule for finding in report] == [id_]
    assert report.severity is RULES[id_].severity
    assert (value is None) == (RULES[id_].severity is Severity.ERROR)


@pytest.mark.parametrize("object_rule", OBJECT_RULES, ids=lambda object_rule: str(object_rule.rule.id))
def test_a_rule_of_sense_is_no_error_and_concerns_its_example(object_rule: Any) -> None:
    assert object_rule.rule.severity is not Severity.ERROR
    assert object_rule.models
    assert decode_strict(object_rule.example.kind, object_rule.example.document) is not None


@pytest.mark.parametrize("object_rule", OBJECT_RULES, ids=lambda object_rule: str(object_rule.rule.id))
def test_the_policies_agree_with_the_severity(object_rule: Any) -> None:
    kind, document = object_rule.example.kind, object_rule.example.document
    assert isinstance(accept(document, kind, Policy.tolerant()), kind)
    if object_rule.rule.severity is Severity.NOTE:
        assert isinstance(accept(document, kind, Policy.strict()), kind)
    else:
        with pytest.raises(InvalidObject):
            accept(document, kind, Policy.strict())


def test_rules_come_in_the_order_of_the_specification() -> None:
    assert list(RULES) == [
        "json.syntax",
        *(rule.id for rule in SCHEMA_RULES),
        *(object_rule.rule.id for chapter in CHAPTERS for object_rule in chapter.rules),
    ]
    contents = [
        "transport_and_format.md",
        "version_information_endpoint.md",
        "credentials.md",
        "mod_locations.md",
        "mod_sessions.md",
        "mod_cdrs.md",
        "mod_tariffs.md",
        "mod_tokens.md",
        "mod_commands.md",
        "types.md",
    ]
    assert list(dict.fromkeys(chapter.file for chapter in CHAPTERS)) == contents


def fields_of_type(type_: str) -> set[tuple[str, str]]:
    return {
        (OURS.get(name, name), field["name"])
        for name, table in CENSUS["objects"].items()
        for field in table["fields"]
        if field["type"] == type_
    }


def test_urls_and_numbers_are_those_of_the_tables() -> None:
    assert {(kind.__name__, name) for kind, names in URLS.items() for name in names} == fields_of_type("URL")
    assert {(kind.__name__, name) for kind, names in NUMBERS.items() for name in names} == fields_of_type("number")


def test_dated_are_the_models_with_last_updated() -> None:
    dated = {
        OURS.get(name, name)
        for name, table in CENSUS["objects"].items()
        for field in table["fields"]
        if field["name"] == "last_updated"
    }
    assert {kind.__name__ for kind in DATED} == dated


def test_an_example_reads_as_base_and_change() -> None:
    assert str(EXAMPLES["location.country.alpha2"]) == 'Location with /country "BE"'
    assert str(EXAMPLES["session.completed.end"]) == "Session with /end_datetime left out"
    assert str(EXAMPLES["json.syntax"]) == 'DisplayText {"language": "en"'
    two = Example(models.GeoLocation, {"/latitude": "0.000000", "/longitude": "0.000000"})
    assert str(two) == 'GeoLocation with /latitude "0.000000" and /longitude "0.000000"'
    assert json.loads(two.document) == {"latitude": "0.000000", "longitude": "0.000000"}


def test_base_documents_are_not_shared() -> None:
    base(models.Location)["evses"][0]["connectors"].clear()
    assert base(models.Connector)["id"] == "1"


# --- the present ----------------------------------------------------------------------------------------------------

DAY = timedelta(days=1)
UPDATED = datetime(2015, 6, 29, 20, 39, 9, tzinfo=UTC)
NOT_YET = ["last_updated.future"]


@pytest.mark.parametrize(("now", "rules"), [(UPDATED, []), (UPDATED - DAY, []), (UPDATED - 1.01 * DAY, NOT_YET)])
def test_the_present_is_given(now: datetime, rules: list[str]) -> None:
    document = dump(base(models.Tariff))
    assert [finding.rule for finding in check(document, models.Tariff, now=now)] == rules
    assert [finding.rule for finding in examine(document, models.Tariff, now=now)[1]] == rules
    accept(document, models.Tariff, Policy.tolerant(), now=now)
    if rules:
        with pytest.raises(InvalidObject):
            accept(document, models.Tariff, Policy.strict(), now=now)
    else:
        accept(document, models.Tariff, Policy.strict(), now=now)


def test_a_reservation_expires() -> None:
    document = Example(models.ReserveNow, {"/expiry_date": "2015-06-29T23:00:00Z"}).document
    expires = datetime(2015, 6, 29, 23, tzinfo=UTC)
    for now, expected in ((expires - timedelta(seconds=1), set()), (expires, {"reserve_now.expired"})):
        assert {finding.rule for finding in check(document, models.ReserveNow, now=now)} == expected


@pytest.mark.parametrize("now", [datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)])
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: str(kind.__name__))
def test_no_present_is_too_far(kind: type[Any], now: datetime) -> None:
    found = {finding.rule for finding in check(dump(base(kind)), kind, now=now)}
    assert found <= {"last_updated.future", "reserve_now.expired"}
