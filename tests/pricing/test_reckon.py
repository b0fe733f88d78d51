"""What a session costs under one tariff, from what was measured: amounts reckoned by hand."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from ocpi_emsp.codec import decode
from ocpi_emsp.models import Tariff
from ocpi_emsp.pricing import Readings
from ocpi_emsp.pricing.exact import decimal, epoch, moment, seconds
from ocpi_emsp.pricing.reckoning.reckon import Reckoning, reckon
from ocpi_emsp.pricing.session.metered import Metered, MeteredPeriod

NOON = epoch(datetime(2024, 3, 5, 12, tzinfo=UTC))
HOUR = 3600


def tariff(*elements: dict[str, Any]) -> Tariff:
    """A tariff from elements such as ``{"TIME": ("2.00", 300), "if": {"max_kwh": 5}}``."""
    document = {
        "id": "T1",
        "currency": "EUR",
        "elements": [
            {
                "price_components": [_component(name, *value) for name, value in each.items() if name != "if"],
                **({"restrictions": each["if"]} if "if" in each else {}),
            }
            for each in elements
        ],
        "last_updated": "2024-01-01T00:00:00Z",
    }
    return decode(Tariff, document)


def _component(name: str, price: str, step: int) -> dict[str, Any]:
    return {"type": name, "price": Decimal(price), "step_size": step}


def session(*periods: dict[str, Any], hours: int = 1, **given: Any) -> Metered:
    """A session at noon of as many hours as it has periods, each of that length."""
    length = hours * HOUR
    rows = [
        MeteredPeriod(place, NOON + place * length, NOON + (place + 1) * length, **each)
        for place, each in enumerate(periods)
    ]
    return Metered(start=NOON, stop=NOON + len(rows) * length, periods=tuple(rows), **given)


def reckoned(metered: Metered, prices: Tariff, zone: str = "UTC", **settings: Any) -> Reckoning:
    return reckon(metered, prices, Readings(**settings), ZoneInfo(zone))


def bounds(found: Reckoning) -> tuple[str, str]:
    """The bounds as text."""
    return tuple(str(decimal(each)) if each is not None else "none" for each in (found.low, found.high))  # type: ignore[return-value]


ENERGY_BY_HOUR = ({"ENERGY": ("0.30", 1), "if": {"end_time": "12:30"}}, {"ENERGY": ("0.40", 1)})

CASES: list[tuple[str, Metered, Tariff, dict[str, str], tuple[str, str]]] = [
    # 10 kWh x 0.30 + 1 h x 2.00
    (
        "prices add up",
        session({"wh": 10000, "seconds": HOUR}),
        tariff({"ENERGY": ("0.30", 1), "TIME": ("2", 1)}),
        {},
        ("5", "5"),
    ),
    # 12:30 lies within: all at 0.30 to all at 0.40
    ("energy across a price change", session({"wh": 10000}), tariff(*ENERGY_BY_HOUR), {}, ("3", "4")),
    ("energy at the start", session({"wh": 10000}), tariff(*ENERGY_BY_HOUR), {"boundary": "period_start"}, ("3", "3")),
    # half of 10 kWh at each price
    (
        "energy flows evenly",
        session({"wh": 10000}),
        tariff(*ENERGY_BY_HOUR),
        {"boundary": "proportional"},
        ("3.5", "3.5"),
    ),
    # 10 kWh of the whole session lie anywhere: the first hour has both prices, the second one
    ("energy of the session", session({}, {}, whole_wh=10000), tariff(*ENERGY_BY_HOUR), {}, ("3", "4")),
    # 2 h of charging fill the session: 0.5 h x 2 + 1.5 h x 4
    (
        "time of the session",
        session({}, {}, whole_seconds=2 * HOUR),
        tariff({"TIME": ("2", 1), "if": {"end_time": "12:30"}}, {"TIME": ("4", 1)}),
        {},
        ("7", "7"),
    ),
    # where the session's energy stands in a period is not known: 1 h at 1 or at 4
    (
        "time by the energy of the session",
        session({"seconds": HOUR}, whole_wh=10000),
        tariff({"TIME": ("1", 1), "if": {"max_kwh": 5}}, {"TIME": ("4", 1)}),
        {},
        ("1", "4"),
    ),
    # a type that is not known may cost anything above 3
    (
        "a type that is not known",
        session({"wh": 10000}),
        tariff({"ENERGY": ("0.30", 1), "NIGHT": ("1", 1)}),
        {},
        ("3", "none"),
    ),
    (
        "a rebate that is not known",
        session({"wh": 10000}),
        tariff({"ENERGY": ("0.30", 1), "NIGHT": ("-1", 1)}),
        {},
        ("none", "3"),
    ),
    ("a type at no price", session({"wh": 10000}), tariff({"ENERGY": ("0.30", 1), "NIGHT": ("0", 1)}), {}, ("3", "3")),
    (
        "a type that never applies",
        session({"wh": 10000}),
        tariff({"NIGHT": ("1", 1), "if": {"start_time": "20:00"}}, {"ENERGY": ("0.30", 1)}),
        {},
        ("3", "3"),
    ),
    # 1 h of charging and 1 h of parking at 5 an hour
    (
        "a hub's session time",
        session({"seconds": HOUR}, {"parking": HOUR}),
        tariff({"SESSION_TIME": ("5", 1)}),
        {"session_time": "on"},
        ("10", "10"),
    ),
    # 10 kWh x 0.30: the second element is not asked
    (
        "restrictions that ask for nothing",
        session({"wh": 10000}),
        tariff({"ENERGY": ("0.30", 1), "if": {}}, {"ENERGY": ("0.40", 1), "if": {"min_power": 5}}),
        {},
        ("3", "3"),
    ),
    # half an hour of each: whether 5 kW were reached while it charged is not known, while it parked they were not
    (
        "a hub's session time by power",
        session({"seconds": HOUR // 2, "parking": HOUR // 2, "min_current": 32}, voltage=230),
        tariff({"SESSION_TIME": ("5", 1), "if": {"min_power": 5}}, {"SESSION_TIME": ("1", 1)}),
        {"session_time": "on"},
        ("1", "5"),
    ),
    ("session time is not known", session({"seconds": HOUR}), tariff({"SESSION_TIME": ("5", 1)}), {}, ("0", "none")),
    # the window of the energy is over, whatever the time of charging does
    (
        "energy by the clock and by the time of charging",
        session({"wh": 10000, "seconds": HOUR}),
        tariff({"ENERGY": ("1", 1), "if": {"end_time": "11:00", "max_duration": 1800}}, {"TIME": ("0", 1)}),
        {"duration": "dimension"},
        ("0", "0"),
    ),
    # 5 min and 5 min may be billed as one block of 15 min, or the second alone: 0.25 h x 4 either way
    (
        "a block that is full either way",
        session({"seconds": 300, "max_current": 32}, {"seconds": 300, "max_current": 10}, voltage=230),
        tariff({"TIME": ("4", 900), "if": {"max_power": 4}}),
        {},
        ("1", "1"),
    ),
    ("a negative step_size", session({"wh": 10000}), tariff({"ENERGY": ("0.30", -1)}), {}, ("none", "none")),
    ("a negative step_size of a fee", session({"wh": 10000}), tariff({"FLAT": ("1", -1)}), {}, ("1", "1")),
    ("no block is asked for", session({"wh": 10000}), tariff({"ENERGY": ("0.30", -1)}), {"step": "none"}, ("3", "3")),
    ("an absurd price", session({"wh": 10000}), tariff({"ENERGY": ("1e-70", 1)}), {}, ("none", "none")),
    (
        "an absurd limit",
        session({"wh": 1}),
        tariff({"ENERGY": ("1", 1), "if": {"max_kwh": 10**70}}),
        {},
        ("none", "none"),
    ),
]


@pytest.mark.parametrize(
    ("metered", "prices", "settings", "expected"), [each[1:] for each in CASES], ids=[each[0] for each in CASES]
)
def test_a_session_costs(metered: Metered, prices: Tariff, settings: dict[str, str], expected: tuple[str, str]) -> None:
    assert bounds(reckoned(metered, prices, **settings)) == expected


def test_lines_add_up_to_the_total_where_none_of_them_ends_as_a_decimal() -> None:
    # 100 s, 200 s and 3300 s at 1.00 an hour: 1/36 + 2/36 + 33/36 = 1
    metered = session({"seconds": 100}, {"seconds": 200}, {"seconds": 3300})
    found = reckoned(metered, tariff({"TIME": ("1", 1)}))
    assert [str(each.cost) for each in found.lines] == ["0.027777777777", "0.055555555555", "0.916666666668"]
    assert sum(each.cost or 0 for each in found.lines) == found.low == 1


def test_a_line_says_what_was_measured_billed_and_why() -> None:
    # 50 min in blocks of 15 min are 60 min; parking has no price
    metered = session({"seconds": 3000, "parking": 600})
    first, second = reckoned(metered, tariff({"TIME": ("2", 900), "if": {"start_time": "09:00"}})).lines
    assert (first.dimension, first.period, first.start, first.end) == ("TIME", 0, moment(NOON), moment(NOON + HOUR))
    assert (first.measured, first.billed, first.unit) == (Decimal(3000), Decimal(3600), "s")
    assert (first.price, first.step_size, first.element, first.component, first.tariff_id) == (
        Decimal(2),
        900,
        0,
        0,
        "T1",
    )
    assert first.cost == first.low == first.high == 2
    assert first.why == "element 0 is the first that matches and has a price for TIME: start_time 09:00"
    assert (second.dimension, second.price, second.element, second.cost) == ("PARKING_TIME", None, None, Decimal(0))
    assert second.why == "no element that matches has a price for PARKING_TIME"


def test_lines_add_up_where_the_total_is_certain_and_its_parts_are_not() -> None:
    metered = session({"seconds": 300, "max_current": 32}, {"seconds": 300, "max_current": 10}, voltage=230)
    found = reckoned(metered, tariff({"TIME": ("4", 900), "if": {"max_power": 4}}))
    assert sum(each.cost or 0 for each in found.lines) == found.low == found.high == 1
    assert found.reasons == ()


def test_a_block_that_is_not_certain_has_the_reason_of_the_volume_that_is_not() -> None:
    # 5 min at 6 an hour are a block of 600 s; with the 10 min before, if they are not free, 15 min are two
    prices = tariff({"TIME": ("6", 600), "if": {"start_time": "13:00"}}, {"TIME": ("6", 600), "if": {"min_power": 5}})
    metered = session({"seconds": 600, "max_current": 32}, {"seconds": 300}, voltage=230)
    found = reckoned(metered, prices)
    assert bounds(found) == ("1", "2")
    assert [(each.code, each.pointer) for each in found.reasons] == [("power.unknown", "/charging_periods/0")]


def test_a_line_that_is_not_certain_has_bounds_and_a_reason() -> None:
    found = reckoned(session({"wh": 10000}), tariff(*ENERGY_BY_HOUR))
    (line,) = found.lines
    assert (line.cost, line.low, line.high, line.price, line.element) == (None, Decimal(3), Decimal(4), None, None)
    assert line.why == "one or several of the elements 0, 1 may have the price for ENERGY"
    (reason,) = found.reasons
    assert (reason.code, reason.pointer) == ("boundary.unknown", "/charging_periods/0")
    assert reason.message.endswith("the division is not known. ENERGY at 0.3 or 0.4.")


@pytest.mark.parametrize(
    ("hours", "expected"),
    # four decimals come from whole seconds: 5 min, 1 min, 7103 s, half a second up
    [("0.0834", 300), ("0.0833", 300), ("0.0167", 60), ("1.973", 7103), ("0", 0), ("0.00125", 5)],
)
def test_hours_are_read_as_whole_seconds(hours: str, expected: int) -> None:
    assert seconds(Decimal(hours)) == expected


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (Fraction(5, 4), "1.25"),
        (Fraction(-1, 8), "-0.125"),
        (3, "3"),
        (Fraction(1, 10**30), "1E-30"),
        (Fraction(2, 3), "0." + "6" * 49 + "7"),
    ],
)
def test_a_fraction_becomes_a_decimal(number: Fraction, text: str) -> None:
    assert str(decimal(number)) == text
