"""What a charge would cost: the plan, the connector, the zone. Amounts are reckoned in the comments."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from ocpi_emsp import Location, Tariff, decode
from ocpi_emsp.errors import InvalidObject
from ocpi_emsp.pricing import Plan, Readings, quote
from pricing.documents import as_bytes, location, price, tariff

HOUR = timedelta(hours=1)
AT_16 = datetime(2024, 3, 5, 16, tzinfo=UTC)
PLAN = Plan(start=AT_16, energy_kwh=Decimal(10), charging=HOUR, parking=timedelta(minutes=30))
ALL = tariff([price("FLAT", 1), price("ENERGY", "0.30"), price("TIME", 2), price("PARKING_TIME", 4)])
"""For the plan 1 + 3 + 2 + 2."""


@pytest.mark.parametrize("form", [lambda each: each, as_bytes, lambda each: as_bytes(each).decode(), None])
def test_a_tariff_may_come_in_every_form(form: Any) -> None:
    found = quote(decode(Tariff, as_bytes(ALL)) if form is None else form(ALL), PLAN)
    assert (found.total, found.low, found.high) == (Decimal(8), Decimal(8), Decimal(8))
    assert (found.currency, found.tariff_id, found.reasons, found.assumptions) == ("EUR", "T1", (), ())
    assert [line.cost for line in found.lines] == [Decimal(1), Decimal(3), Decimal(2), Decimal(2)]
    assert found.as_json()["total"] == "8"


def test_vat_is_put_on_top() -> None:
    found = quote(ALL, PLAN, readings=Readings(vat=Decimal(25)))
    assert (found.total, found.lines[-1].dimension, found.lines[-1].cost) == (Decimal(10), "VAT", Decimal(2))


def test_a_member_of_2_2_is_said() -> None:
    assert quote(ALL | {"min_price": 5}, PLAN).assumptions == (
        "/min_price is not of OCPI 2.1.1 and was not regarded (5)",
    )


EVENING = tariff(([price("ENERGY", "0.30")], {"end_time": "18:00"}), [price("ENERGY", "0.50")])


def test_the_zone_is_that_of_the_location_or_of_the_caller() -> None:
    assert quote(EVENING, PLAN, location=location()).total == 3  # 17:00 to 18:00 in Brussels
    found = quote(EVENING, PLAN, time_zone="Europe/Helsinki")
    assert (found.total, found.assumptions) == (
        Decimal(5),
        ("the time zone Europe/Helsinki is that of the party",),
    )
    found = quote(EVENING, PLAN)
    assert (found.total, found.low, found.high) == (None, Decimal(3), Decimal(5))
    assert [each.code for each in found.reasons][:1] == ["zone.unknown"]


STRONG = tariff(([price("ENERGY", 1)], {"min_power": 11}), [price("ENERGY", "0.30")])
"""10.00 from 11 kW on, else 3.00."""


@pytest.mark.parametrize(
    ("power", "readings", "place", "total"),
    [
        (11, Readings(), None, 10),
        ("10.9", Readings(), None, 3),
        (None, Readings(), None, 3),  # 10 kW in the mean
        (11, Readings(), location(), 10),
        (None, Readings(power="ampere"), location(), 10),  # 10 kW are 14.5 A on each of three phases
        (7, Readings(power="ampere"), location(), 3),  # 10.1 A
        (11, Readings(power="ampere"), None, None),  # amperes of no known connector
        (11, Readings(power="ignore"), None, 10),
    ],
)
def test_the_power_is_that_of_the_plan(power: Any, readings: Readings, place: Any, total: int | None) -> None:
    plan = Plan(start=AT_16, energy_kwh=Decimal(10), charging=HOUR, power_kw=power)
    assert quote(STRONG, plan, location=place, readings=readings).total == total


def test_of_several_connectors_the_one_that_names_the_tariff_is_used() -> None:
    place = location()
    evse = place["evses"][0]
    weak = {**evse["connectors"][0], "id": "2", "power_type": "AC_1_PHASE"}
    evse["connectors"] = [{**evse["connectors"][0], "tariff_id": "T1"}, weak]
    found = quote(STRONG, PLAN, location=decode(Location, as_bytes(place)), readings=Readings(power="ampere"))
    assert found.total == 10  # 14.5 A on three phases; 43 A on one


def test_a_plan_without_charging_is_a_time_of_parking() -> None:
    plan = Plan(start=AT_16, energy_kwh=0, charging=timedelta(), parking=HOUR)
    assert quote(ALL, plan).total == 5  # 1 + 4
    plan = Plan(start=AT_16, energy_kwh=1.5, charging=timedelta())
    assert quote(ALL, plan).total == Decimal("1.45")  # 1 + 0.45: no time
    assert plan.energy_kwh == Decimal("1.5")


WRONG_PLANS: list[tuple[dict[str, Any], str]] = [
    ({"start": datetime(2024, 3, 5)}, "invalid start '2024-03-05 00:00:00': expected a time with a zone, for example"),
    ({"start": "now"}, "invalid start 'now': expected a time with a zone"),
    ({"start": datetime(9999, 1, 1, tzinfo=UTC)}, "expected a year from 1970 to 9990"),
    ({"energy_kwh": -1}, "invalid energy_kwh '-1': expected a number of 0 or more, for example 20.5"),
    ({"energy_kwh": None}, "invalid energy_kwh 'None': expected a number"),
    ({"energy_kwh": "much"}, "invalid energy_kwh 'much': expected a number"),
    ({"energy_kwh": float("nan")}, "invalid energy_kwh 'NaN': expected a number"),
    ({"energy_kwh": Decimal("1e-999999999")}, "invalid energy_kwh '1E-999999999': expected a number"),
    ({"energy_kwh": Decimal("1e10")}, "invalid energy_kwh"),
    ({"power_kw": -1}, "invalid power_kw '-1': expected a number"),
    ({"charging": timedelta(minutes=-1)}, "invalid charging '-1 day, 23:59:00': expected a time of 0 to 366 days"),
    ({"charging": 30}, r"invalid charging '30': expected a time of 0 to 366 days, for example timedelta\(minutes=30\)"),
    ({"parking": timedelta(days=400)}, "invalid parking '400 days, 0:00:00': expected a time of 0 to 366 days"),
]  # fmt: skip


@pytest.mark.parametrize(("members", "message"), WRONG_PLANS)
def test_a_plan_that_cannot_be_is_named(members: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Plan(**{"start": AT_16, "energy_kwh": 10, "charging": HOUR, **members})


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(TypeError, match=r"invalid plan 'dict': expected a Plan, for example Plan\(start="):
        quote(ALL, {"start": AT_16})  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="invalid tariff '5': expected bytes, text, a dict or a Tariff"):
        quote(5, PLAN)  # type: ignore[arg-type]
    with pytest.raises(InvalidObject, match="Tariff is not usable"):
        quote(b"nothing", PLAN)
    with pytest.raises(TypeError, match="invalid readings"):
        quote(ALL, PLAN, readings=None)  # type: ignore[arg-type]
