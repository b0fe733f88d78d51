"""What would make a wrong total right: each found, none lost to the sieve, and few reckonings for it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import tzinfo
from decimal import Decimal
from typing import Any

import pytest

from ocpi_emsp import Cdr, Tariff, decode
from ocpi_emsp.pricing import Readings, Verdict, audit
from ocpi_emsp.pricing.readings import others
from ocpi_emsp.pricing.reckoning.reckon import Reckoning, reckon
from ocpi_emsp.pricing.session.metered import Metered
from ocpi_emsp.pricing.verdict import appraisal, explanations
from pricing.documents import STOP, as_bytes, cdr, period, price, tariff
from pricing.vectors import cdr as of_vector, given, vectors, verdict

EXAMPLES = int(os.environ.get("LAW_EXAMPLES", "0"))
BLOCKS = tariff([price("ENERGY", "0.30", 3000)])
"""10 kWh are 4 blocks: 3.60; bare 3.00; three whole blocks 2.70; 4 x 0.30 by the block 1.20."""
TWO_FEES = tariff([price("FLAT", 1), price("ENERGY", "0.30")], id="T1")
TWO = [period(ENERGY=5, TIME="0.5"), period("2024-03-05T16:30:00Z", ENERGY=5, TIME="0.5")]

CASES: list[tuple[str, dict[str, Any], dict[str, Any], list[tuple[str, dict[str, str]]]]] = [
    ("VAT", cdr("3.63"), {}, [("vat", {"vat": "21"})]),
    ("no VAT", cdr(3), {"vat": "21"}, [("vat", {})]),
    ("cents", cdr(300), {}, [("cents", {})]),
    ("fils", cdr(3000, tariff(currency="KWD"), currency="KWD"), {}, [("cents", {})]),
    ("Wh as kWh", cdr(3000, total_energy=10), {}, [("wh", {})]),
    ("volumes in Wh", cdr(3, charging_periods=[period(ENERGY=10000, TIME=1)]), {}, [("wh", {})]),
    ("all energies in Wh", cdr(3, charging_periods=[period(ENERGY=10000, TIME=1)], total_energy=10000), {},
     [("wh", {})]),
    ("another step", cdr(3, BLOCKS), {}, [("reading", {"step": "none"})]),
    ("a price for each block", cdr("1.20", BLOCKS), {}, [("price_per_step", {"price_unit": "step"})]),
    ("blocks rounded down", cdr("2.70", BLOCKS), {}, [("rounded_down", {})]),
    ("a whole unit", cdr(3, tariff([price("ENERGY", "0.37")])), {}, [("rounded_down", {})]),
    ("cents rounded down", cdr("3.33", tariff([price("ENERGY", "0.3337")])), {"rounding": "half_up"},
     [("rounded_down", {"rounding": "down"})]),
    ("a fee for each period", cdr(5, TWO_FEES, charging_periods=TWO), {}, [("reading", {"flat": "each_period"})]),
    ("volumes of a credit", cdr(3, total_energy=10) | {"total_cost": Decimal(-3)}, {"credit": "off"},
     [("reading", {"credit": "negative_total"}), ("reading", {"credit": "negative_volumes"})]),
    ("another rounding", cdr("3.34", tariff([price("ENERGY", "0.3337")])), {"rounding": "down"},
     [("reading", {"rounding": "common"}), ("reading", {"rounding": "half_up"})]),
    ("nothing", cdr("6.66"), {}, []),
]  # fmt: skip


@pytest.mark.parametrize(
    ("document", "settings", "expected"), [each[1:] for each in CASES], ids=[each[0] for each in CASES]
)
def test_what_would_make_it_right(
    document: dict[str, Any], settings: dict[str, Any], expected: list[tuple[str, dict[str, str]]]
) -> None:
    readings = Readings.of(settings)
    found = audit(as_bytes(document), readings=readings)
    assert found.verdict is not Verdict.RIGHT
    said = [(each.code, dict(each.settings)) for each in found.explanations]
    assert [each for each in said if each in expected] == expected
    assert bool(said) == bool(expected)
    for each in found.explanations:
        if each.settings:
            assert audit(document, readings=readings.changed(**each.settings)).verdict is Verdict.RIGHT
        assert each.message.startswith("right ")


WRONG = {name: each for name, each in vectors() if verdict(each) == "wrong"}


def test_no_reading_that_would_make_a_vector_right_is_lost_to_the_sieve() -> None:
    assert len(WRONG) > 20
    tried = WRONG if EXAMPLES else dict(list(WRONG.items())[::3])
    assert {name: lost for name, each in tried.items() if (lost := lost_of(each))} == {}


def lost_of(vector: Mapping[str, Any]) -> set[tuple[str, str | None]]:
    """The readings that make it right, and are not said."""
    document = decode(Cdr, as_bytes(of_vector(vector)))
    tariffs = [decode(Tariff, as_bytes(each)) for each in given(vector)]
    readings = Readings.of(vector.get("readings", {}))
    found = audit(document, tariffs=tariffs, readings=readings)
    said = {pair for each in found.explanations for pair in each.settings.items()}
    right = set[tuple[str, str | None]]()
    for other in others(readings):
        if audit(document, tariffs=tariffs, readings=other).verdict is Verdict.RIGHT:
            right |= set(other.as_json().items()) - set(readings.as_json().items())
    return right - said


def test_a_wrong_total_costs_few_reckonings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Readings that cannot matter are not tried: there are 35."""
    reckoned: list[str] = []

    def counted(metered: Metered, priced: Tariff, readings: Readings, zone: tzinfo, cells: int) -> Reckoning:
        reckoned.append(priced.id)
        return reckon(metered, priced, readings, zone, cells)

    monkeypatch.setattr(appraisal, "reckon", counted)
    rich = tariff(
        [price("FLAT", 1)],
        ([price("ENERGY", "0.40"), price("TIME", 1, 300)], {"end_time": "17:30"}),
        ([price("ENERGY", "0.30"), price("TIME", 2, 300)], {"min_kwh": 5}),
        [price("ENERGY", "0.25"), price("TIME", 3, 600)],
    )
    for total in ("0.10", "99", "999"):
        found = audit(cdr(total, rich, charging_periods=TWO, stop_date_time=STOP))
        assert found.verdict is Verdict.WRONG
        assert len(reckoned) == 1  # the explanations are looked for when they are read
        assert len(found.explanations) < 2
        assert len(reckoned) <= 3
        reckoned.clear()


def test_a_total_of_nothing_is_in_no_other_unit() -> None:
    assert [each.code for each in audit(cdr(0)).explanations] == []
    fee = tariff([price("FLAT", 1)])
    assert [each.settings for each in audit(cdr(0, fee)).explanations] == [{"flat": "dimension"}]


def test_only_so_many_periods_and_elements_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    found = audit(cdr(5, TWO_FEES, charging_periods=TWO))
    assert [each.settings for each in found.explanations][:1] == [{"flat": "each_period"}]
    monkeypatch.setattr(explanations, "MAX_TRIED", 1)  # two periods and one element are more
    assert [each.code for each in audit(cdr(5, TWO_FEES, charging_periods=TWO)).explanations] == ["vat"]
