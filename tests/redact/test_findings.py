"""What ``check`` finds is the same before and after, rule by rule and pointer by pointer."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from foreign.cases import cases
from ocpi_emsp import Location, check
from ocpi_emsp.check import EXAMPLES
from ocpi_emsp.check.examples import KINDS, base
from ocpi_emsp.codec.documents import dump
from ocpi_emsp.models import Evse, ReserveNow, Token
from ocpi_emsp.redact import Redactor
from ocpi_emsp.testing.payloads import SORTS, examples, payloads
from ocpi_emsp.testing.strategies import documents

OF_KIND: dict[str, type[Any]] = {kind.__name__.lower(): kind for kind in KINDS}
REDACTOR = Redactor(b"a key of the tests", parties=True)


def places(data: bytes, kind: type[Any]) -> list[tuple[str, str]]:
    return [(finding.pointer, finding.rule) for finding in check(data, kind)]


def require_same(data: bytes, kind: type[Any]) -> bytes:
    redacted = REDACTOR.document(data)
    assert places(redacted, kind) == places(data, kind), redacted
    return redacted


@pytest.mark.parametrize("rule", EXAMPLES)
def test_the_example_of_each_rule_breaks_it_still(rule: str) -> None:
    example = EXAMPLES[rule]
    assert rule in {found for _, found in places(require_same(example.document, example.kind), example.kind)}


@pytest.mark.parametrize("kind", [Location, Token], ids=lambda kind: kind.__name__)
def test_what_is_broken_at_any_place_stays_broken(kind: type[Any]) -> None:
    for sort in SORTS:
        for payload in examples(kind, sort)[::5]:
            require_same(payload.document, kind)


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data(), st.sampled_from(KINDS))
def test_any_document_has_its_findings_afterwards(data: st.DataObject, kind: type[Any]) -> None:
    document = data.draw(documents(kind).map(dump) | payloads(kind, "quirky").map(lambda payload: payload.document))
    assert len(require_same(document, kind)) == len(document)


@cases("bill")
def test_what_partners_really_send_is_read_as_before(case: dict[str, Any]) -> None:
    kind = OF_KIND[case["kind"]]
    document = {**base(kind), **case.get("changes", {})}
    for removed in case.get("removed", ()):
        document.pop(removed, None)
    require_same(dump(document), kind)


WRONG: list[tuple[str, Any]] = [
    ("country", "Belgium"), ("country", " be "), ("country", 123), ("time_zone", "CEST"),
    ("time_zone", "Europe/Nowhere"),
    ("last_updated", "2015-06-29 20:39"), ("last_updated", "29.06.2015 20:39"),
    ("last_updated", "2015-06-29A20:39:09Q"),
    ("last_updated", "2015-02-30T20:39:09Z"), ("last_updated", 1435617549), ("charging_when_closed", "Jane"),
    ("charging_when_closed", " TRUE "), ("type", "on_street"), ("type", "CAR WASH"), ("type", " ON_STREET"),
    ("id", "  "), ("id", 1234567), ("id", 0.125), ("id", 12e30), ("id", 12345.0), ("evses", "none at all"),
    ("evses", {}),
    ("name", {"a": "b"}),
    ("coordinates", {"latitude": "51,047599", "longitude": 3.729944}),
    ("coordinates", [{"latitude": "51.0", "longitude": "x"}]),
    ("coordinates", {"latitude": "53.9999999", "longitude": "-0.000000"}), ("coordinates", "51.047599, 3.729944"),
    ("coordinates", {"latitude": "3.729944", "longitude": "51.047599"}),
    ("coordinates", {"latitude": "5.1e1", "longitude": 7}),
    ("coordinates", {"latitude": "491711234567", "longitude": "-1711234567.5"}),
    ("coordinates", {"latitude": -1000, "longitude": "+1000"}),
    ("coordinates", {"latitude": 1e30, "longitude": "1000.000000"}),
    ("last_updated", "0171-12-3456"), ("last_updated", "0001-01-01T00:00:00Z"), ("last_updated", "31/12/2015 20:39"),
    ("id", "1.5E+4917112"), ("name", "Ⓙⓐⓝⓔ ⚡"),
    ("coordinates", {"latitude": "54.300000", "longitude": "8.000000"}), ("operator", {"name": "", "website": None}),
    ("operator", {"name": "J", "website": "https:/jane.example"}), ("operator", {"name": "J", "website": "http://[::1"}),
    ("operator", {"name": "J", "website": "https://u:p@[2001:db8::1]:99999/a b?c=%C3%A9#d"}),
    ("directions", [{"language": "english", "text": "see <b>Jane</b> &amp; co"}]),
    ("facilities", ["JANES", 4711, None]),
    ("opening_times", {"twentyfourseven": "yes", "regular_hours": [{"weekday": "9", "period_begin": "8:00"}]}),
    ("opening_times", {"regular_hours": [{"weekday": 9, "period_begin": "24:00", "period_end": "late"}]}),
]  # fmt: skip
"""A member of a location, and what does not belong there."""


@pytest.mark.parametrize(("name", "value"), WRONG, ids=str)
def test_a_wrong_value_stays_as_wrong_as_it_was(name: str, value: Any) -> None:
    document = json.loads(examples(Location)[5].document)
    require_same(json.dumps({**document, name: value}).encode(), Location)


@pytest.mark.parametrize("number", ["1234.0", "1234.50", "0.0", "12345678", "-12345", "1e3", "12.5e3", '"1234"'])
def test_an_id_that_is_a_number_stays_as_whole_as_it_was(number: str) -> None:
    document = dump(base(ReserveNow)).replace(b'"reservation_id":1', f'"reservation_id":{number}'.encode())
    assert number.encode() in document
    for key in (b"1", b"2", b"3"):
        assert places(Redactor(key).document(document), ReserveNow) == places(document, ReserveNow)


def test_no_id_gains_a_form_by_chance() -> None:
    """Of each 26 ids of letters and digits, one would be an EVSE-ID if any letter stood in for any other."""
    ids = [f"AB{number:03}F{number:02}" for number in range(100)]
    for number in range(0, 100, 10):
        evses = [{**base(Evse), "uid": each, "evse_id": each} for each in ids[number : number + 10]]
        document = {**base(Location), "evses": evses}
        assert sum(rule == "evse.evse_id.form" for _, rule in places(dump(document), Location)) == 10
        require_same(dump(document), Location)


BROKEN: dict[str, bytes] = {
    "cut off": b'{"id": "LOC1", "name": "Jane Doe',
    "a word": b'{"id": "LOC1", "name": undefined, "city": "Jane"}',
    "NaN": b'{"id": "LOC1", "total": NaN}',
    "a zero too many": b'{"id": 007123}',
    "single quotes": b"{'id': 'Jane'}",
    "no UTF-8": '{"name": "Zürich"}'.encode("latin-1"),
    "UTF-16": '{"name": "Иван Петров"}'.encode("utf-16"),
    "UTF-16 without a mark": '{"name": "Иван Петров"}'.encode("utf-16-be"),
    "a time zone": b'{"time_zone": "Europe/Brussels", "city": "Singapore", "x": 1e0000000000000000000000012',
    "half a character": b'{"name": "Jane \\ud83d Doe"}',
    "no escape": b'{"path": "C:\\Users\\Jane"}',
    "a number of any size": b'{"id": 1e9999999999999999999}',
    "a line break in a text": b'{"name": "Jane\nDoe"}',
    "too deep": b"[" * 1_000_000,
    "nothing": b"",
}


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN)
def test_what_is_no_json_stays_none(data: bytes) -> None:
    assert places(data, Location) == [("", "json.syntax")]
    redacted = require_same(data, Location)
    for encoding in ("utf-8", "utf-16", "utf-16-be"):
        text = redacted.decode(encoding, "replace")
        assert not any(each in text for each in ("Jane", "Doe", "Иван", "rich", "7123", "Users"))
