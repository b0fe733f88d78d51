"""The work that one session makes: linear, with a limit that has a name; and clocks far off."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from ocpi_emsp.models import Tariff
from ocpi_emsp.pricing import Readings
from ocpi_emsp.pricing.exact import absurd, epoch
from ocpi_emsp.pricing.reckoning.axis import Axis, Limit, Match
from ocpi_emsp.pricing.reckoning.choice import Chooser
from ocpi_emsp.pricing.reckoning.clock import Clock, Window
from ocpi_emsp.pricing.reckoning.limits import MAX_CELLS, Budget, TooManySteps
from ocpi_emsp.pricing.reckoning.reckon import reckon
from ocpi_emsp.pricing.session.metered import Metered, MeteredPeriod
from pricing.test_reckon import NOON, bounds, reckoned, tariff

DAY = 86400
BERLIN = ZoneInfo("Europe/Berlin")


def windows(count: int) -> Tariff:
    """As many elements as hours of the week, or more, each with a window, a level of energy, and a price of its own."""
    days = ("MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY")
    return tariff(
        *(
            {
                "ENERGY": (f"0.{place % 97 + 1:02}", 1),
                "TIME": (f"1.{place % 89 + 1:02}", 300),
                "if": {
                    "start_time": f"{place % 24:02}:{place * 7 % 60:02}",
                    "end_time": f"{(place + 2) % 24:02}:00",
                    "day_of_week": [days[place % 7]],
                    "min_kwh": place % 50,
                    "min_power": place % 20,
                },
            }
            for place in range(count)
        )
    )


def quarters(count: int) -> Metered:
    """A session of quarters of an hour."""
    periods = tuple(
        MeteredPeriod(place, NOON + place * 900, NOON + place * 900 + 900, wh=1234, seconds=900)
        for place in range(count)
    )
    return Metered(start=NOON, stop=NOON + count * 900, periods=periods, voltage=230, amperage=32)


def looks(metered: Metered, prices: Tariff, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> int:
    """How often elements are chosen from, answers that are remembered left out; and prices looked at."""
    seen = 0
    choose, rates = Chooser._choice, Chooser.rates

    def counted(chooser: Chooser, *asked: Any) -> Any:
        nonlocal seen
        seen += 1
        return choose(chooser, *asked)

    def listed(chooser: Chooser, *asked: Any) -> Any:
        nonlocal seen
        found = rates(chooser, *asked)
        seen += len(found)
        return found

    with monkeypatch.context() as patched:
        patched.setattr(Chooser, "_choice", counted)
        patched.setattr(Chooser, "rates", listed)
        reckon(metered, prices, Readings(**settings), BERLIN)
    return seen


@pytest.mark.parametrize(
    "settings", [{}, {"boundary": "proportional"}, {"step": "per_period", "flat": "each_component"}], ids=str
)
def test_work_grows_with_periods_and_elements_and_not_with_their_product(
    settings: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert looks(quarters(400), windows(400), monkeypatch, **settings) < 10 * (400 + 400) < 400 * 400


def test_a_session_of_centuries_has_bounds_and_a_reason() -> None:
    prices = tariff(
        {"ENERGY": ("0.30", 1), "if": {"start_time": "08:00", "end_time": "20:00"}}, {"ENERGY": ("0.20", 1)}
    )
    start, stop = epoch(datetime(2, 1, 1, tzinfo=UTC)), epoch(datetime(9998, 1, 1, tzinfo=UTC))
    metered = Metered(start=start, stop=stop, periods=(MeteredPeriod(0, start, stop, wh=10000),))
    found = reckoned(metered, prices, "Europe/Berlin")
    # no more is known than that each kWh had one of the two prices
    assert bounds(found) == ("2", "3")
    assert "work.limit" in {each.code for each in found.reasons}


def test_more_divisions_than_are_looked_at_widen_the_bounds() -> None:
    # 120 days with two windows are 241 stretches, times 101 levels of energy
    levels = [{"ENERGY": ("0.10", 0), "if": {"max_kwh": each, "end_time": "12:00"}} for each in range(1, 101)]
    prices = tariff(*levels, {"ENERGY": ("0.50", 0)})
    length = 120 * DAY
    metered = Metered(start=NOON, stop=NOON + length, periods=(MeteredPeriod(0, NOON, NOON + length, wh=200_000),))
    found = reckoned(metered, prices)
    assert MAX_CELLS < 241 * 101
    assert found.low is not None
    assert found.high is not None
    # 100 kWh at 0.10 and 100 at 0.50 at least, 200 at 0.50 at most
    assert found.low <= 60 < 100 <= found.high
    assert [each.code for each in found.reasons] == ["work.limit", "work.limit"]


def test_reasons_of_many_periods_are_counted() -> None:
    prices = tariff({"ENERGY": ("0.30", 1), "if": {"min_power": 5}}, {"ENERGY": ("0.20", 1)})
    found = reckoned(quarters(40), prices)
    assert [each.pointer for each in found.reasons] == [
        *(f"/charging_periods/{n}" for n in range(5)),
        "/charging_periods",
    ]
    assert found.reasons[-1].message.endswith("35 more places like the ones before.")


@pytest.mark.parametrize(
    ("zone", "start", "stop", "expected"),
    [
        # the clock goes back from 03:00 to 02:00: both passes of 02:00 to 03:00 count
        (BERLIN, "2024-10-26T22:00", "2024-10-27T04:00", [(0, 7200, 0), (7200, 14400, 1), (14400, 21600, 0)]),
        # and forward from 02:00 to 03:00: there is no such hour
        (BERLIN, "2024-03-30T22:00", "2024-03-31T04:00", [(0, 21600, 0)]),
        (UTC, "2024-03-31T01:30", "2024-03-31T02:30", [(0, 1800, 0), (1800, 3600, 1)]),
        (
            timezone(timedelta(hours=5, minutes=45)),
            "2024-01-01T20:00",
            "2024-01-01T21:00",
            [(0, 900, 0), (900, 3600, 1)],
        ),
    ],
    ids=["back", "forward", "utc", "kathmandu"],
)
def test_a_window_from_two_to_three_by_the_local_clock(
    zone: tzinfo, start: str, stop: str, expected: list[tuple[int, int, int]]
) -> None:
    clock = Clock([Window(1, start=7200, end=10800)], 1, False, zone)
    begin, end = (epoch(datetime.fromisoformat(each).replace(tzinfo=UTC)) for each in (start, stop))
    found = clock.slices(begin, end, Budget())
    assert [(each.start - begin, each.end - begin, each.allowed) for each in found] == expected
    for each in found:
        assert clock.at(each.start) == clock.at((each.start + each.end) // 2) == each.allowed


@pytest.mark.parametrize("moment", [datetime.min, datetime.max], ids=["first", "last"])
@pytest.mark.parametrize("zone", [timezone(timedelta(hours=14)), timezone(-timedelta(hours=12)), BERLIN], ids=str)
def test_the_first_and_the_last_moment_have_a_clock(moment: datetime, zone: tzinfo) -> None:
    clock = Clock([Window(1, start=7200, end=10800)], 1, False, zone)
    assert clock.at(epoch(moment.replace(tzinfo=UTC))) in (0, 1)


def test_a_clock_takes_no_more_steps_than_it_may() -> None:
    clock = Clock([Window(1, start=7200, end=10800, days=frozenset({0}))], 1, False, UTC)
    with pytest.raises(TooManySteps):
        clock.slices(NOON, NOON + 100 * DAY, Budget(50))
    budget = Budget(1000)
    clock.slices(NOON, NOON + 100 * DAY, budget)
    assert 300 <= 1000 - budget.left <= 301  # 02:00, 03:00 and midnight of each day


def test_an_axis_knows_its_elements_at_a_point_above_it_and_between_two() -> None:
    axis = Axis([Limit(1, 5, None), Limit(2, None, 5), Limit(4, 3, 9)], every=15, inclusive=False)
    assert [axis.at(each) for each in (2, 3, 5, 9)] == [10, 14, 13, 9]
    assert [axis.above(each) for each in (2, 3, 5, 9)] == [10, 14, 13, 9]
    assert Axis([Limit(2, None, 5)], every=15, inclusive=True).at(5) == 15
    assert axis.cuts(3, 9) == [5]
    assert axis.between(4, 6) == Match(sure=12, possible=15)
    assert axis.between(0, 5) == Match(sure=10, possible=14)
    assert axis.between(6, None) == Match(sure=9, possible=13)


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        ("1e60", False),
        ("1e61", True),
        ("1e-60", False),
        ("1e-61", True),
        ("0", False),
        ("0e999999", False),
        ("1" * 61, False),
        ("1." + "1" * 120, True),
    ],
)
def test_a_number_that_is_not_reckoned_with(number: str, expected: bool) -> None:
    assert absurd(Decimal(number)) is expected
