"""A credit is one note, in either form; what is negative in any other CDR stays a warning for each number."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from ocpi_emsp.check import Policy, accept, check
from ocpi_emsp.check.examples import base
from ocpi_emsp.codec import dump
from ocpi_emsp.errors import InvalidObject
from ocpi_emsp.models import Cdr

TOTALS = ("total_energy", "total_time", "total_parking_time")


def credit(**changes: Any) -> Any:
    """The base CDR, taken back as OCPI 2.2 does it: a negative total, all else as it was."""
    return base(Cdr) | {"total_cost": Decimal("-7.1"), **changes}


def with_negative_volumes(cdr: Any, *totals: str) -> Any:
    """A CDR with negative volumes, and with these totals negative."""
    for period in cdr["charging_periods"]:
        for dimension in period["dimensions"]:
            dimension["volume"] = -dimension["volume"]
    return cdr | {name: -cdr[name] for name in totals}


def with_currents(cdr: Any) -> Any:
    cdr["charging_periods"][0]["dimensions"].append({"type": "MAX_CURRENT", "volume": 16})
    return cdr


def no_energy() -> Any:
    periods = base(Cdr)["charging_periods"]
    periods[0]["dimensions"][0]["volume"] = 0
    return periods


CREDITS = {
    "negative total": credit(),
    "negative total, no parking": credit(total_parking_time=None),
    "negative by next to nothing": credit(total_cost=Decimal("-0.0001")),
    "nothing charged": credit(total_energy=0, charging_periods=no_energy()),
    "negative throughout": with_negative_volumes(credit(), *TOTALS),
    "negative energy, times as they were": with_negative_volumes(credit(), "total_energy"),
    "negative volumes, totals as they were": with_negative_volumes(credit()),
    "negative volumes and currents": with_negative_volumes(with_currents(credit()), *TOTALS),
    "negative volumes beside currents": with_currents(with_negative_volumes(credit(), *TOTALS)),
    "2,000 periods": with_negative_volumes(
        credit(
            total_energy=15,
            charging_periods=[
                {
                    "start_date_time": f"2015-06-29T21:{index // 34:02}:{index % 34 + 0.5:06.3f}Z",
                    "dimensions": [{"type": "ENERGY", "volume": Decimal("0.0075")}],
                }
                for index in range(2_000)
            ],
        ),
        *TOTALS,
    ),
}


@pytest.mark.parametrize("form", [lambda document: document, dump], ids=["parsed", "bytes"])
@pytest.mark.parametrize("name", CREDITS)
def test_a_credit_is_one_note(name: str, form: Callable[[Any], Any]) -> None:
    report = check(form(CREDITS[name]), Cdr)
    assert [(each.rule, each.severity.value, each.pointer) for each in report] == [
        ("cdr.credit", "note", "/total_cost")
    ]
    assert report.more == 0
    assert isinstance(accept(dump(CREDITS[name]), Cdr, Policy.strict()), Cdr)


def test_a_policy_can_refuse_credits() -> None:
    with pytest.raises(InvalidObject, match=r"cdr\.credit"):
        accept(dump(CREDITS["negative total"]), Cdr, Policy.strict().with_rule("cdr.credit", "error"))


def test_the_totals_of_a_credit_are_compared_like_any_others() -> None:
    for total_energy in (-16, 16):
        wrong = with_negative_volumes(credit(), *TOTALS) | {"total_energy": total_energy}
        assert [each.rule for each in check(wrong, Cdr)] == ["cdr.credit", "cdr.energy.total"]


@pytest.mark.parametrize(
    ("cdr", "warnings"),
    [
        pytest.param(with_negative_volumes(base(Cdr), *TOTALS), 3 + 3, id="a total that charges"),
        pytest.param(with_negative_volumes(base(Cdr)), 3, id="volumes alone"),
        pytest.param(credit(total_energy=-15, total_time=-2), 3, id="totals that contradict the volumes"),
        pytest.param(with_negative_volumes(base(Cdr) | {"total_cost": Decimal("-0.0")}), 3, id="a total of 0"),
    ],
)
def test_other_negative_numbers_are_a_warning_each(cdr: Any, warnings: int) -> None:
    report = check(cdr, Cdr)
    found = [each for each in report if each.rule.endswith(".negative")]
    assert (len(found), {each.severity.value for each in found}) == (warnings, {"warning"})
    assert "cdr.credit" not in {each.rule for each in report}
