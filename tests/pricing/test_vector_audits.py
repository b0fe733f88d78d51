"""The audit gives what was reckoned by hand, for bytes, for dicts and for models."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from decimal import Context, Decimal, Inexact, localcontext
from fractions import Fraction
from typing import Any

import msgspec
import pytest
from attrs import evolve

from ocpi_emsp import Cdr, Tariff, decode
from ocpi_emsp.pricing import Audit, Readings, audit
from ocpi_emsp.pricing.readings import CHOICES
from ocpi_emsp.pricing.reckoning.clock import Clock, Slice
from ocpi_emsp.pricing.reckoning.limits import MAX_CELLS
from pricing.vectors import amounts, cdr, given, vectors, verdict

ALL = dict(vectors())
COARSE = Context(prec=3, traps=[Inexact])
"""What an application may have set for its own arithmetic."""
NEAR = Fraction(1, 10**30)
"""So far a number may be off that has no end as a decimal."""


def test_every_value_of_every_reading_has_a_vector() -> None:
    tried = {(name, value) for each in ALL.values() for name, value in each.get("readings", {}).items()}
    tried |= {(name, values[0]) for name, values in CHOICES.items()}
    assert {(name, value) for name, values in CHOICES.items() for value in values} - tried == set()


@pytest.mark.parametrize("name", ALL)
def test_the_audit_gives_what_was_reckoned_by_hand(name: str) -> None:
    vector = ALL[name]
    document = msgspec.json.Encoder(decimal_format="number").encode(cdr(vector))
    known = [msgspec.json.Encoder(decimal_format="number").encode(each) for each in given(vector)]
    readings = Readings.of(vector.get("readings", {}))
    found = audit(document, tariffs=known, readings=readings)
    agrees(vector, found)
    with localcontext(COARSE):
        of_dicts = audit(json.loads(document), tariffs=[json.loads(each) for each in known], readings=readings)
        assert of_dicts.as_json() == found.as_json()
    models = [decode(Tariff, each) for each in known]
    # A model does not have the members that 2.1.1 does not know: nothing is said of them.
    assert (
        evolve(audit(decode(Cdr, document), tariffs=models, readings=readings), assumptions=found.assumptions) == found
    )


def agrees(vector: Mapping[str, Any], found: Audit) -> None:
    """What a vector says, the audit says; and its lines add up."""
    low, high = amounts(vector)
    assert (found.verdict, found.reasons) == (verdict(vector), found.reasons)
    assert same(found.low, low)
    assert same(found.high, high)
    assert same(found.expected, low if low == high else None)
    if found.verdict == "wrong":
        near = low if low is not None and (low == high or found.claimed < low) else high
        assert near is not None
        assert same(found.difference, Fraction(found.claimed) - near)
        assert found.at_least == (low != high)
    else:
        assert not found.at_least
    if "difference" in vector:
        assert same(found.difference, Fraction(vector["difference"]))
    assert set(vector.get("reasons", ())) <= {each.code for each in found.reasons}
    assert set(vector.get("explanations", ())) <= {each.code for each in found.explanations}
    if vector.get("assumed"):
        assert found.assumptions
    if found.expected is not None:
        assert sum(Fraction(each.cost or 0) for each in found.lines) == Fraction(found.expected)


def same(found: Decimal | None, wanted: Fraction | None) -> bool:
    """Whether a number is the wanted one, as exactly as it can be written."""
    if found is None or wanted is None:
        return found is None and wanted is None
    return abs(Fraction(found) - wanted) <= NEAR


def test_zones_share_the_work_of_one_session(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = 0
    walk = Clock._walk

    def counted(clock: Clock, *args: Any) -> Iterator[Slice]:
        nonlocal steps
        for each in walk(clock, *args):
            steps += 1
            yield each

    monkeypatch.setattr(Clock, "_walk", counted)
    start, stop = "1970-01-02T00:00:00Z", "2024-03-05T17:00:00Z"
    long = {**ALL["undecidable: zone not known"], "session": [start, stop], "periods": [[start, {"ENERGY": 10}]]}
    found = audit(cdr(long))
    assert "work.limit" in {each.code for each in found.reasons}
    assert MAX_CELLS // 2 < steps < 2 * MAX_CELLS
