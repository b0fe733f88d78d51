"""A document with its deviations marked, as failures show it."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis.vendor.pretty import pretty

from ocpi_emsp import Cdr, Location
from ocpi_emsp.testing.marked import AROUND, WHOLE, marked
from ocpi_emsp.testing.payloads import Payload
from ocpi_emsp.testing.strategies import locations


def test_a_short_document_is_shown_whole() -> None:
    document = b'{"id":"1","price":0.30,"empty":[],"evses":[{"uid":"E1","status":"busy"}]}'
    marks = [("/evses/0/status", "enum.case"), ("/currency", "field.required"), ("/evses/0/status", "other")]
    assert marked(document, marks).splitlines() == [
        "{  <-- currency: field.required",
        '  "id": "1",',
        '  "price": 0.30,',
        '  "empty": [],',
        '  "evses": [',
        "    {",
        '      "uid": "E1",',
        '      "status": "busy"  <-- enum.case; other',
        "    }",
        "  ]",
        "}",
    ]


def test_of_a_long_document_the_lines_around_the_marks_are_shown() -> None:
    document = json.dumps({f"n{number}": number for number in range(WHOLE * 2)}).encode()
    shown = marked(document, [("/n30", "here"), ("/n60", "there")]).splitlines()
    assert [shown[0], shown[-1], shown.count("...")] == ["...", "...", 3]
    assert shown[AROUND + 1] == '  "n30": 30,  <-- here'
    assert len(shown) == 2 * (2 * AROUND + 1) + 3


def test_what_is_not_json_is_shown_as_text() -> None:
    assert marked(b'{"a":\xff', [("", "json.syntax")]) == '{"a":\ufffd  <-- json.syntax'
    assert marked(b"7", [("", "value.type")]) == "7  <-- value.type"


def test_hypothesis_shows_a_payload_that_is_marked() -> None:
    places = frozenset({("/country", "location.country.alpha2")})
    payload = Payload(kind=Cdr, sort="quirky", name="alpha-2", document=b'{"country":"BE"}', places=places)
    assert pretty(payload) == (
        'Cdr quirky: alpha-2 at /country\n{\n  "country": "BE"  <-- location.country.alpha2\n}\n'
    )


def test_a_failing_property_shrinks_in_few_runs() -> None:
    """Each run draws a document. It was three times as many while Hypothesis had parts to vary after the shrink."""
    runs = 0

    @settings(derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(locations())
    def fails(location: Location) -> None:
        nonlocal runs
        runs += 1
        assert location.opening_times is None

    with pytest.raises(AssertionError):
        fails()
    assert runs < 150
