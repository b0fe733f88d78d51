"""Random CDRs with their tariff: few periods, and limits of every kind near to what was measured."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from pricing.vectors import cdr, hours

ZONES = {"Europe/London": "GBR", "Europe/Berlin": "DEU", "Asia/Kolkata": "IND"}
NIGHTS = (datetime(2024, 3, 30, 22, tzinfo=UTC), datetime(2024, 10, 26, 21, tzinfo=UTC))
"""Before clocks change."""
PRICES = [Decimal(each) for each in ("0", "0.1", "0.25", "0.333", "1", "2.4", "5", "-0.2")]
STEPS = [0, 1, 1, 300, 500, 600, 900, 1000]
WEEK = ("MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY")
DIMENSIONS = ("ENERGY", "TIME", "PARKING_TIME", "FLAT")


def random_cdr(draw: Random) -> dict[str, Any]:
    """A CDR with one tariff, or two. Its total is not the one that its tariff gives."""
    zone = draw.choice(list(ZONES))
    start = draw.choice(NIGHTS) if draw.random() < 0.1 else datetime(2024, 1, 1, tzinfo=UTC)
    start += timedelta(days=draw.randrange(366) if start.day == 1 else 0, minutes=draw.randrange(0, 1440, 5))
    if draw.random() < 0.1:
        start += timedelta(seconds=30)
    moments = start
    periods: list[tuple[str, dict[str, Any]]] = []
    for _ in range(draw.randint(1, 4)):
        length = draw.choice([5, 10, 15, 20, 30, 45, 60, 90])
        periods.append((_text(moments), _dimensions(draw, length)))
        moments += timedelta(minutes=length)
    energy = sum((each.get("ENERGY", Decimal(0)) for _, each in periods), Decimal(0))
    limits = {"start": start, "stop": moments, "kwh": energy}
    if draw.random() < 0.1:
        draw.shuffle(periods)
    names = ["A", "B"] if draw.random() < 0.1 else ["A"]
    power = draw.choice(["AC_1_PHASE", "AC_3_PHASE", "DC"])
    return cdr(
        {
            "session": [_text(start), _text(moments)],
            "periods": periods,
            "zone": zone,
            "country": ZONES[zone],
            "tariffs": {name: _elements(draw, limits, zone) for name in names},
            "connector": {"tariff_id": draw.choice("AB"), "power_type": power, "amperage": draw.choice([16, 32, 63])},
            "claimed": draw.choice(["1", "1", "-1"]),
        }
    )


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _dimensions(draw: Random, length: int) -> dict[str, Any]:
    kind = draw.random()
    found: dict[str, Any] = {}
    if kind < 0.75 and draw.random() < 0.9:
        found["ENERGY"] = Decimal(draw.randint(0, 60)) / draw.choice([1, 2, 10])
    if kind < 0.45:
        found["TIME"] = hours(length * 60)
    elif kind < 0.6:
        found["TIME"] = hours(draw.randint(1, length) * 60)
    elif kind < 0.8:
        found["PARKING_TIME"] = hours(length * 60)
    elif kind < 0.9:
        found["PARKING_TIME"] = hours(draw.randint(1, length) * 60)
    else:
        parts = draw.randint(1, length - 1)
        found["TIME"], found["PARKING_TIME"] = hours(parts * 60), hours((length - parts) * 60)
    if draw.random() < 0.5:
        found["MAX_CURRENT"] = Decimal(draw.choice([10, 16, 20, 32]))
    if draw.random() < 0.3:
        found["MIN_CURRENT"] = min(Decimal(draw.choice([6, 10, 16, 32])), found.get("MAX_CURRENT", Decimal(16)))
    if draw.random() < 0.2:
        found["FLAT"] = Decimal(draw.randint(1, 2))
    return found


def _elements(draw: Random, limits: dict[str, Any], zone: str) -> list[dict[str, Any]]:
    elements = []
    for _ in range(draw.randint(1, 4)):
        names = draw.sample(DIMENSIONS, draw.choice([1, 1, 2, 3]))
        element: dict[str, Any] = {name: [draw.choice(PRICES), draw.choice(STEPS)] for name in names}
        if draw.random() < 0.1:
            element = {"components": [[names[0], 1, 1], [names[0], 2, 1]]}
        if rest := _restrictions(draw, limits, zone):
            element["if"] = rest
        elements.append(element)
    return elements


def _restrictions(draw: Random, limits: dict[str, Any], zone: str) -> dict[str, Any]:
    rest: dict[str, Any] = {}
    start: datetime = limits["start"]
    length = int((limits["stop"] - start).total_seconds())
    shift = {"Europe/London": 0, "Europe/Berlin": 60, "Asia/Kolkata": 330}[zone]

    def near() -> datetime:
        moment = start + timedelta(seconds=draw.randint(-1800, length + 1800), minutes=shift)
        return moment.replace(minute=draw.choice([0, 30, moment.minute]))

    for kind in draw.sample(
        ("times", "days", "dates", "kwh", "power", "duration", "unknown"), draw.choice([0, 1, 1, 2])
    ):
        sides = draw.choice([("start", "min"), ("end", "max"), ("start", "min", "end", "max")])
        if kind == "times":
            rest |= {f"{side}_time": near().strftime("%H:%M") for side in sides if side in ("start", "end")}
            rest |= {"end_time": "00:00"} if draw.random() < 0.1 and "start_time" in rest else {}
        elif kind == "days":
            rest["day_of_week"] = draw.sample(WEEK, draw.randint(1, 6))
        elif kind == "dates":
            days = {"start": draw.choice([-1, 0, 1]), "end": draw.choice([0, 1, 2])}
            rest |= {
                f"{side}_date": (near() + timedelta(days=days[side])).strftime("%Y-%m-%d")
                for side in sides
                if side in days
            }
        elif kind == "kwh":
            kwh = sorted(draw.randint(0, int(limits["kwh"] * 2) + 2) for _ in range(2))
            rest |= {f"{side}_kwh": Decimal(kwh[side == "max"]) / 2 for side in sides if side in ("min", "max")}
        elif kind == "power":
            power = sorted(draw.choice([2, 4, 7, 11, 16, 22]) for _ in range(2))
            rest |= {f"{side}_power": Decimal(power[side == "max"]) for side in sides if side in ("min", "max")}
        elif kind == "duration":
            times = sorted(draw.randrange(0, length + 600, 300) for _ in range(2))
            rest |= {f"{side}_duration": times[side == "max"] for side in sides if side in ("min", "max")}
        elif draw.random() < 0.5:
            rest["max_current"] = Decimal(16)
    return rest
