"""The CDRs of a CPO that overcharges, kind by kind: the amounts of the documentation, which are reckoned by hand."""

import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ocpi_emsp import Cdr, audit, check
from ocpi_emsp.codec import dump
from ocpi_emsp.pricing import REASONS, Verdict
from ocpi_emsp.testing.cpo import PRESETS, SimulatedCpo
from ocpi_emsp.testing.cpo.overcharging import OVERCHARGES
from testing.support import API, Pair, pair, payload

DOCS = Path(__file__).parents[2] / "docs" / "how-to" / "simulated-cpo.md"
ROWS = re.findall(r"^\| (\d+) \| `([\w-]+)` \| .+ \| (-?[\d.]+) \| (.+) \|$", DOCS.read_text(), re.MULTILINE)
DEVIATING = {"other-currency": {"cdr.currency.tariff"}, "credit": {"cdr.credit"}}
"""What check finds; of all others nothing, since they fit together."""


def cdr(number: int, *kinds: str) -> Any:
    return SimulatedCpo(overcharging=kinds or tuple(OVERCHARGES), cdrs=40).catalogue.cdrs.get(f"CDR{number}")


def test_the_documentation_has_each_kind_in_its_place() -> None:
    assert [(number, kind) for number, kind, *_ in ROWS] == [
        (str(number), kind) for number, kind in enumerate(OVERCHARGES, start=1)
    ]


@pytest.mark.parametrize(("number", "kind", "total", "_"), ROWS)
def test_a_kind_has_the_total_of_the_documentation(number: str, kind: str, total: str, _: str) -> None:
    document = cdr(int(number))
    assert document["total_cost"] == Decimal(total)
    assert {each.rule for each in check(dump(document), Cdr)} == DEVIATING.get(kind, set())


EXPLAINED = {"vat": "vat", "cents": "cents", "watt-hours": "wh", "price-per-block": "price_per_step"}
"""The kinds that an explanation names, and its code."""
SUSPICIOUS = {"impossible-energy": {"power.exceeded"}, "not-significant": {"energy.without_cost", "cost.zero"}}
"""What is suspicious in the document alone."""


@pytest.mark.parametrize(("number", "kind", "total", "costs"), ROWS)
def test_a_kind_is_audited_as_the_documentation_says(number: str, kind: str, total: str, costs: str) -> None:
    found = audit(cdr(int(number)))
    amounts = [Decimal(each) for each in re.findall(r"-?\d+\.\d+", costs.partition(";")[0].partition(":")[0])]
    assert (found.low, found.high) == ((amounts[0], amounts[-1]) if amounts else (None, None))
    claimed = Decimal(total)
    if "undecidable" in costs:
        assert (found.verdict, found.expected, found.difference) == (Verdict.UNDECIDABLE, None, None)
    elif claimed in amounts:
        assert (found.verdict, found.difference) == (Verdict.RIGHT, Decimal(0))
    else:
        beyond = claimed - amounts[-1]
        assert (found.verdict, found.difference, found.at_least) == (Verdict.WRONG, beyond, len(amounts) > 1)
    assert {each.code for each in found.explanations} >= ({EXPLAINED[kind]} if kind in EXPLAINED else set())
    assert {each.code for each in found.reasons if REASONS[each.code].plausibility} == SUSPICIOUS.get(kind, set())


def test_kinds_come_in_turn_and_begin_again() -> None:
    assert cdr(17)["total_cost"] == Decimal("4.18")  # 10.5 kWh at 0.35 and 0.25 h at 2.00: 4.175
    totals = [cdr(number, "right", "amount")["total_cost"] for number in (1, 2, 3, 4)]
    assert totals == [Decimal("3.50"), Decimal("6.65"), Decimal("3.80"), Decimal("7.70")]


def test_a_duplicate_is_the_first_cdr_under_another_id() -> None:
    first, last = cdr(1), cdr(16)
    different = {name for name in first.keys() | last.keys() if first.get(name) != last.get(name)}
    assert different == {"id", "last_updated"}


@pytest.mark.parametrize("kind", OVERCHARGES)
def test_a_kind_needs_no_tariff(kind: str) -> None:
    cpo = SimulatedCpo(overcharging=(kind,), tariffs=0, cdrs=2)
    assert check(dump(cpo.catalogue.cdrs.get("CDR2")), Cdr).ok


@pytest.mark.parametrize("kinds", [("nothing",), "vat", 1])
def test_kinds_are_checked_when_set(kinds: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="overcharging"):
        SimulatedCpo(overcharging=kinds)


def test_a_list_of_the_preset_shows_them_all_in_order_of_time() -> None:
    async def scenario(peer: Pair) -> None:
        listed = payload(await peer.http.get(f"{API}/cdrs"))["data"]
        assert [each["total_cost"] for each in listed] == [Decimal(total) for _, _, total, _ in ROWS]
        updated = [each["last_updated"] for each in listed]
        assert updated == sorted(updated)

    pair(scenario, cdrs=16, page_limit=16, **PRESETS["overcharging"])
