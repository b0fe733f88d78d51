"""check() and accept(): nothing makes check raise, a policy decides, and every semantic rule hits what it means."""

import json
from collections.abc import Callable
from decimal import Decimal
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from ocpi_emsp import models
from ocpi_emsp.check import RULES, Policy, accept, check, examine
from ocpi_emsp.check.rules import OBJECT_RULES
from ocpi_emsp.codec.rules import SCHEMA_RULES
from ocpi_emsp.errors import InvalidObject, NotJson
from ocpi_emsp.findings import MAX_FINDINGS, Report, Severity
from ocpi_emsp.models import Connector, DisplayText, Hours, Location, Session

KINDS: list[type[Any]] = [kind for kind in models.OBJECTS_AND_ENUMS.values() if attrs.has(kind)]
ANCHORS: dict[str, list[str]] = json.loads(
    (Path(__file__).parent.parent / "vectors/spec/anchors.json").read_text(encoding="utf-8")
)
"""The files of the specification, branch release-2.1.1-bugfixes, and the anchors of their headings."""


def _strategies() -> Any:
    """tests/codec/strategies.py, which is on no path when these tests are run alone."""
    path = Path(__file__).parent.parent / "codec/strategies.py"
    spec = spec_from_file_location("strategies_of_the_codec_tests", path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


documents: Callable[[type[Any]], st.SearchStrategy[Any]] = _strategies().documents

# --- check never raises ---------------------------------------------------------------------------------------------

NAMES = st.text(max_size=5) | st.sampled_from(sorted({field.name for kind in KINDS for field in attrs.fields(kind)}))
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.decimals()
    | st.text()
    | st.binary(max_size=5)
    | st.datetimes()
    | st.sampled_from(["BE", "24:00", "NaN", "2015-06-29T20:39:09", "51.047599", "1E+999999", Decimal("1E+999999")])
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(NAMES, inner, max_size=8)
        | st.dictionaries(st.none() | st.integers() | st.floats() | st.tuples(), inner, max_size=2)
    ),
    max_leaves=20,
)
many = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
each_kind = st.sampled_from(KINDS)


def well_formed(report: Report) -> None:
    for finding in report:
        rule = RULES[finding.rule]
        assert finding.severity is rule.severity
        file, _, anchor = finding.clause.partition("#")
        assert anchor in ANCHORS[file]
        assert finding.message
        assert finding.pointer == "" or finding.pointer.startswith("/")
    assert [finding.pointer for finding in report] == sorted(finding.pointer for finding in report)


@many
@given(data=VALUES, kind=each_kind)
def test_check_never_raises_on_a_value(data: Any, kind: type[Any]) -> None:
    well_formed(check(data, kind))


@many
@given(data=st.binary(), kind=each_kind)
def test_check_never_raises_on_bytes(data: bytes, kind: type[Any]) -> None:
    value, report = examine(data, kind)
    well_formed(report)
    assert report.ok == (value is not None)
    assert report == check(data, kind)


@many
@given(data=st.data())
def test_check_never_raises_on_a_damaged_document(data: st.DataObject) -> None:
    whole = bytearray(json.dumps(session(kwh="1E+999999", volume="-1E+999999")).encode())
    for _ in range(data.draw(st.integers(1, 5))):
        place = data.draw(st.integers(0, len(whole) - 1))
        whole[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    well_formed(check(bytes(whole), Session))
    well_formed(check(bytes(whole).decode("utf-8", "surrogateescape"), Session))


@many
@given(data=st.data(), kind=each_kind)
def test_check_never_raises_on_what_the_schema_takes(data: st.DataObject, kind: type[Any]) -> None:
    report = check(data.draw(documents(kind)), kind)
    well_formed(report)
    assert report.ok


@pytest.mark.parametrize(
    "data", [b"", b"[" * 100_000, b"\xff", "\ud83d", object(), {"a": {1, 2}}, [10**5000], {None: 1}]
)
def test_check_never_raises_on_what_is_no_json_at_all(data: Any) -> None:
    report = check(data, Location)
    well_formed(report)
    assert not report.ok


def test_a_report_of_a_hostile_document_is_bounded() -> None:
    report = check({"evses": [{} for _ in range(MAX_FINDINGS)]}, Location)
    assert len(report) == MAX_FINDINGS
    assert report.more > 0
    assert not report.ok


# --- the rules ------------------------------------------------------------------------------------------------------


def location(country: str = "BEL", latitude: str = "51.047599", longitude: str = "3.729944") -> dict[str, Any]:
    return {
        "id": "LOC1",
        "type": "ON_STREET",
        "address": "F.Rooseveltlaan 3A",
        "city": "Gent",
        "postal_code": "9000",
        "country": country,
        "coordinates": {"latitude": latitude, "longitude": longitude},
        "last_updated": "2015-06-29T20:39:09Z",
    }


def session(kwh: str, volume: str, kind: str = "ENERGY") -> dict[str, Any]:
    return {
        "id": "101",
        "start_datetime": "2015-06-29T22:39:09Z",
        "kwh": kwh,
        "auth_id": "DE8ACC12E46L89",
        "auth_method": "WHITELIST",
        "location": location(),
        "currency": "EUR",
        "charging_periods": [
            {"start_date_time": "2015-06-29T22:39:09Z", "dimensions": [{"type": "MAX_CURRENT", "volume": 30}]},
            {"start_date_time": "2015-06-29T22:40:54Z", "dimensions": [{"type": kind, "volume": volume}]},
        ],
        "status": "COMPLETED",
        "last_updated": "2015-06-29T23:09:10Z",
    }


def hours(*ends: str, flag: bool | None = None) -> dict[str, Any]:
    regular = [{"weekday": 1, "period_begin": "08:00", "period_end": end} for end in ends]
    return {"twentyfourseven": flag, "regular_hours": regular}


VOLUME = "/charging_periods/1/dimensions/0/volume"
HITS: dict[str, list[tuple[type[Any], Any, str]]] = {
    "location.coordinates.swapped": [
        (Location, location(latitude="3.729944", longitude="51.047599"), "/coordinates"),
        (Location, location("bel", latitude="3.729944", longitude="51.047599"), "/coordinates"),
        (Location, location("NLD", latitude="4.900000", longitude="52.370000"), "/coordinates"),
        (
            Session,
            session("1", "1") | {"location": location(latitude="3.729944", longitude="51.047599")},
            "/location/coordinates",
        ),
    ],
    "hours.choice": [
        (Hours, hours("20:00", flag=True), "/twentyfourseven"),
        (Hours, hours(), "/regular_hours"),
        (Hours, hours(flag=False), "/regular_hours"),
        (Hours, {}, "/regular_hours"),
        (Location, location() | {"opening_times": {}}, "/opening_times/regular_hours"),
    ],
    "hours.flag": [(Hours, hours("20:00", flag=False), "/twentyfourseven")],
    "hours.midnight": [
        (Hours, hours("20:00", "00:00"), "/regular_hours/1/period_end"),
        (Hours, hours("24:00"), "/regular_hours/0/period_end"),
    ],
    "session.energy.unit": [
        (Session, session("41.00", "41000"), VOLUME),
        (Session, session("0.4", "40.1"), VOLUME),
        (Session, session("1E-999999", "1E+999999"), VOLUME),
        (Session, session("1", "1E+99999999"), VOLUME),
    ],
}
MISSES: dict[str, list[tuple[type[Any], Any]]] = {
    "location.coordinates.swapped": [
        (Location, location()),
        (Location, location("KEN", latitude="3.729944", longitude="51.047599")),  # no box: nothing is suspected
        (Location, location("BEL", latitude="3.729944", longitude="3.729944")),  # in Belgium neither way
        (Location, location("NOR", latitude="60.000000", longitude="11.000000")),
    ],
    "hours.choice": [(Hours, hours("20:00")), (Hours, hours(flag=True)), (Hours, hours("20:00", flag=False))],
    "hours.flag": [(Hours, hours("20:00")), (Hours, hours(flag=False)), (Hours, hours("20:00", flag=True))],
    "hours.midnight": [(Hours, hours("23:59", "00:01"))],
    "session.energy.unit": [
        (Session, session("41.00", "41.00")),
        (Session, session("0.4", "40")),
        (Session, session("0.00", "41000")),
        (Session, session("41.00", "41000", kind="PARKING_TIME")),
        (Session, session("9E+999999", "9E+999999")),
        (Session, session("9E+99999999", "-9E+99999999")),
    ],
}


def test_these_rules_have_hits_and_misses() -> None:
    """test_rules.py has those of all others."""
    assert HITS.keys() == MISSES.keys()
    assert HITS.keys() <= {object_rule.rule.id for object_rule in OBJECT_RULES}


@pytest.mark.parametrize(("rule", "case"), [(rule, case) for rule, cases in HITS.items() for case in cases])
def test_a_rule_hits(rule: str, case: tuple[type[Any], Any, str]) -> None:
    kind, document, pointer = case
    report = check(document, kind)
    well_formed(report)
    assert [finding.pointer for finding in report if finding.rule == rule] == [pointer]
    assert report.ok


@pytest.mark.parametrize(("rule", "case"), [(rule, case) for rule, cases in MISSES.items() for case in cases])
def test_a_rule_misses(rule: str, case: tuple[type[Any], Any]) -> None:
    kind, document = case
    report = check(document, kind)
    well_formed(report)
    assert report.ok
    assert rule not in {finding.rule for finding in report}


def test_rules_are_unique_and_say_what_they_mean() -> None:
    given_rules = [*SCHEMA_RULES, *(object_rule.rule for object_rule in OBJECT_RULES)]
    ids = [rule.id for rule in given_rules]
    assert len(ids) == len(set(ids))
    assert RULES.keys() == {*ids, "json.syntax"}
    assert {id_: rule.id for id_, rule in RULES.items()} == {id_: id_ for id_ in RULES}
    sentences = [rule.sentence for rule in RULES.values()]
    assert len(sentences) == len(set(sentences))


@pytest.mark.parametrize("id_", RULES)
def test_a_rule_has_sentence_severity_and_clause(id_: str) -> None:
    rule = RULES[id_]
    assert rule.severity in Severity
    assert rule.sentence.endswith(".")
    assert len(rule.sentence) > 20
    several = {each.rule.id for each in OBJECT_RULES if len(each.models) > 1}
    if rule.clause or not (rule in SCHEMA_RULES or rule.id in several):  # none stands for that of the object
        file, _, anchor = rule.clause.partition("#")
        assert anchor in ANCHORS[file]


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_has_a_clause(kind: type[Any]) -> None:
    file, _, anchor = kind.clause.partition("#")
    assert anchor in ANCHORS[file]


# --- policies -------------------------------------------------------------------------------------------------------

VALID = b'{"language": "en", "text": "Standard Tariff"}'
NOTED = '{"language": "de", "text": "für alle", "vendor": 1}'.encode()
WARNED = b'{"language": "eng", "text": "Standard Tariff"}'
WRONG = b'{"language": "en", "text": true}'
NO_JSON = b'{"language": "en"'


@pytest.mark.parametrize(
    ("data", "tolerant", "strict"),
    [(VALID, True, True), (NOTED, True, True), (WARNED, True, False), (WRONG, False, False), (b"[]", False, False)],
)
def test_a_policy_decides(data: bytes, tolerant: bool, strict: bool) -> None:
    for policy, accepted in ((Policy.tolerant(), tolerant), (Policy.strict(), strict)):
        if accepted:
            value = accept(data, DisplayText, policy)
            assert isinstance(value, DisplayText)
            assert value == examine(data, DisplayText)[0]
        else:
            with pytest.raises(InvalidObject) as caught:
                accept(data, DisplayText, policy)
            assert caught.value.findings == check(data, DisplayText).findings
            assert caught.value.findings != ()


@pytest.mark.parametrize("policy", [Policy.tolerant(), Policy.strict(), Policy(Severity.NOTE)])
@pytest.mark.parametrize("data", [NO_JSON, b"", b"\xff", b"[" * 100_000])
def test_no_policy_takes_what_is_no_json(data: bytes, policy: Policy) -> None:
    with pytest.raises(NotJson):
        accept(data, DisplayText, policy)


def test_a_policy_may_refuse_notes() -> None:
    assert accept(VALID, DisplayText, Policy(Severity.NOTE)).text == "Standard Tariff"
    with pytest.raises(InvalidObject):
        accept(NOTED, DisplayText, Policy(Severity.NOTE))


def test_rules_of_sense_count_for_the_strict_policy_only() -> None:
    swapped = json.dumps(location(latitude="3.729944", longitude="51.047599")).encode()
    assert accept(swapped, Location, Policy.tolerant()).coordinates.latitude == "3.729944"
    with pytest.raises(InvalidObject) as caught:
        accept(swapped, Location, Policy.strict())
    assert [finding.rule for finding in caught.value.findings] == ["location.coordinates.swapped"]


def test_a_refusal_names_notes_too() -> None:
    data = b'{"id": "1", "id": "2", "standard": "DOMESTIC_A", "format": "SOCKET", "power_type": "DC", "voltage": "230"}'
    with pytest.raises(InvalidObject) as caught:
        accept(data, Connector, Policy.strict())
    assert {finding.pointer: finding.rule for finding in caught.value.findings} == {
        "/amperage": "field.required",
        "/id": "json.repeated",
        "/last_updated": "last_updated.missing",
        "/voltage": "integer.string",
    }


def test_examine_gives_view_and_report() -> None:
    value, report = examine(WARNED, DisplayText)
    assert value == DisplayText(language="eng", text="Standard Tariff")
    assert [finding.rule for finding in report] == ["string.length"]
    assert examine(NO_JSON, DisplayText)[0] is None
