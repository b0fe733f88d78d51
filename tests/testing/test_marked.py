"""A document with its deviations marked, as failures show it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import hypothesis
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from hypothesis.strategies import SearchStrategy
from hypothesis.vendor.pretty import pretty

from ocpi_emsp import Cdr, Token
from ocpi_emsp.testing.marked import AROUND, WHOLE, marked
from ocpi_emsp.testing.payloads import Payload, payloads
from ocpi_emsp.testing.strategies import cdrs, full, locations

T = TypeVar("T")
HYPOTHESIS = Path(hypothesis.__file__).parent


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


def runs_of(strategy: st.SearchStrategy[T], fails: Callable[[T], bool], profile: str = "default") -> int:
    """How many documents Hypothesis draws for a property that fails."""
    runs = 0
    fixed = settings(derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck))

    @settings(fixed, phases=settings.get_profile(profile).phases)
    @given(strategy)
    def holds(drawn: T) -> None:
        nonlocal runs
        runs += 1
        assert not fails(drawn)

    with pytest.raises(AssertionError):
        holds()
    return runs


def test_a_failing_property_shrinks_in_few_runs() -> None:
    """It was three times as many while Hypothesis had parts to vary after the shrink."""
    assert runs_of(locations(), lambda location: location.opening_times is not None) < 150
    assert runs_of(payloads(Cdr, "quirky"), lambda payload: "string.length" in payload.rules, "ocpi") < 150


def test_the_profile_draws_no_documents_to_explain_a_failure() -> None:
    assert runs_of(payloads(Token, "quirky"), lambda _: True) > 100
    assert runs_of(payloads(Token, "quirky"), lambda _: True, "ocpi") < 30


def is_built_by_a_draw() -> bool:
    """Whether Hypothesis builds this strategy for itself while it draws; the lowest version does so ten times a CDR."""
    frame = sys._getframe(2)
    while Path(frame.f_code.co_filename).is_relative_to(HYPOTHESIS):
        if frame.f_code.co_name == "do_draw":
            return True
        assert frame.f_back is not None
        frame = frame.f_back
    return False


def test_no_strategy_is_built_for_each_document(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hypothesis looks through each new one: with 120 of them for each CDR that took longer than to draw."""
    built = 0
    init = SearchStrategy.__init__

    def count(self: SearchStrategy[Any]) -> None:
        nonlocal built
        built += not is_built_by_a_draw()
        init(self)

    @settings(derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(cdrs() | full(Cdr))
    def draw(_: Cdr) -> None: ...

    draw()  # what is built once, is built
    monkeypatch.setattr(SearchStrategy, "__init__", count)
    draw()
    assert built == 0
    st.none().map(str)
    assert built > 0  # what is built outside of a draw counts
