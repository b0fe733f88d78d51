"""What holds for the audit of any CDR, whatever its tariff and its readings.

``make test`` tries a few CDRs, always the same; ``make laws`` tries 10,000 new ones for each law.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from copy import deepcopy
from datetime import datetime, timedelta
from decimal import Context, Decimal
from fractions import Fraction
from random import Random
from typing import Any

from attrs import evolve
from hypothesis import HealthCheck, assume, example, given, settings, strategies as st

from ocpi_emsp import Cdr, decode
from ocpi_emsp.errors import InvalidObject
from ocpi_emsp.models import TariffRestrictions
from ocpi_emsp.pricing import Audit, Plan, Readings, Verdict, audit, quote
from ocpi_emsp.pricing.readings import CHOICES
from pricing.documents import as_bytes
from pricing.random_cdrs import random_cdr

EXAMPLES = int(os.environ.get("LAW_EXAMPLES", "0"))
lawful = settings(
    max_examples=EXAMPLES or 10,
    derandomize=not EXAMPLES,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
seeds = st.integers(0, 2**32)
EXACT = Context(prec=400)


def readings_of(draw: Random, *, without: tuple[str, ...] = ()) -> Readings:
    """Readings of which one or two are not the usual ones."""
    names = [name for name in CHOICES if name not in (*without, "rounding")]
    return Readings.of({name: draw.choice(CHOICES[name]) for name in draw.sample(names, draw.randint(0, 2))})


def certain(draw: Random, **without: Any) -> tuple[dict[str, Any], Readings, Audit, Decimal]:
    """A CDR whose amount is certain, with its audit and its amount; another one is assumed."""
    document, readings = random_cdr(draw), readings_of(draw, **without)
    found = audit(document, readings=readings)
    assume(found.expected is not None)
    assert found.expected is not None
    return document, readings, found, found.expected


@lawful
@given(seed=seeds)
def test_lines_add_up_to_the_amount(seed: int) -> None:
    _, _, found, expected = certain(Random(seed))
    total = Decimal(0)
    for line in found.lines:
        assert line.cost is not None
        assert line.low == line.high == line.cost
        total = EXACT.add(total, line.cost)
    assert total == expected


@lawful
@example(seed=1812)  # the least volume adds more to a block than the greatest
@given(seed=seeds)
def test_bounds_of_lines_add_up_to_the_bounds(seed: int) -> None:
    draw = Random(seed)
    document = random_cdr(draw)
    document["tariffs"] = document["tariffs"][:1]
    found = audit(document, readings=readings_of(draw, without=("missing",)))
    assume(
        found.low is not None and found.lines and not any(each.code == "dimension.missing" for each in found.reasons)
    )
    for end, amount in (("low", found.low), ("high", found.high)):
        total = sum(Fraction(getattr(line, end)) for line in found.lines)
        assert amount is not None
        assert abs(total - Fraction(amount)) < Fraction(1, 10**20)


@lawful
@given(seed=seeds)
def test_the_expected_total_is_right_and_any_other_is_wrong_by_the_difference(seed: int) -> None:
    draw = Random(seed)
    document, readings, _, expected = certain(draw, without=("credit",))
    assert audit(document | {"total_cost": expected}, readings=readings).verdict is same_sign(expected, document)
    off = Decimal(draw.choice([-500, -1, 1, 7, 300])) / 100
    total = EXACT.add(expected, off)
    assume((total < 0) == (document["total_cost"] < 0))
    strict = readings.changed(rounding="exact")
    found = audit(document | {"total_cost": total}, readings=strict)
    assert (found.verdict, found.difference, found.at_least) == (Verdict.WRONG, off, False)


def same_sign(expected: Decimal, document: dict[str, Any]) -> Verdict:
    """A total with another sign is that of a credit, and of no use to the law."""
    assume((expected < 0) == (document["total_cost"] < 0))
    return Verdict.RIGHT


@lawful
@given(seed=seeds)
def test_ten_times_the_price_is_ten_times_the_total(seed: int) -> None:
    draw = Random(seed)
    document, readings = random_cdr(draw), readings_of(draw)
    found = audit(document, readings=readings)
    for tariff in document["tariffs"]:
        for element in tariff["elements"]:
            for component in element["price_components"]:
                component["price"] *= 10
    dearer = audit(document, readings=readings)
    assert (dearer.low is None) == (found.low is None)
    for one, other in ((found.low, dearer.low), (found.high, dearer.high)):
        if one is not None and other is not None:
            assert abs(Fraction(one) * 10 - Fraction(other)) < Fraction(1, 10**20)


@lawful
@given(seed=seeds)
def test_the_order_of_the_periods_changes_nothing(seed: int) -> None:
    draw = Random(seed)
    document, readings = random_cdr(draw), readings_of(draw)
    found = audit(document, readings=readings)
    draw.shuffle(document["charging_periods"])
    again = audit(document, readings=readings)
    assert (again.low, again.high, again.verdict) == (found.low, found.high, found.verdict)


# --- cutting periods ------------------------------------------------------------------------------------------------

PIECES = ("step", "flat", "power", "boundary", "step_volume", "price_unit")
"""Readings under which a cut may add a block, a fee or another mean: they count pieces."""


def ends(document: dict[str, Any]) -> list[str]:
    """Where each period of a CDR ends, in its order."""
    starts = [each["start_date_time"] for each in document["charging_periods"]]
    return [min([each for each in starts if each > start], default=document["stop_date_time"]) for start in starts]


def cut(draw: Random, document: dict[str, Any], place: int) -> dict[str, Any]:
    """The CDR with one period cut in two, and its volumes divided as they may have been."""
    period, end = document["charging_periods"][place], ends(document)[place]
    start, length = period["start_date_time"], seconds_between(period["start_date_time"], end)
    assume(length > 1)
    first = draw.randrange(1, length)
    volumes = {each["type"]: each["volume"] for each in period["dimensions"]}
    times = {name: round(volumes[name] * 3600) for name in ("TIME", "PARKING_TIME") if name in volumes}
    assume(sum(times.values()) <= length)
    parts: tuple[dict[str, Any], dict[str, Any]] = ({}, {})
    room = first, length - first
    for name, time in times.items():
        least, most = max(0, time - room[1]), min(time, room[0])
        share = draw.randint(least, most)
        parts[0][name], parts[1][name] = Decimal(share) / 3600, Decimal(time - share) / 3600
        room = room[0] - share, room[1] - (time - share)
    if "ENERGY" in volumes:
        parts[0]["ENERGY"] = volumes["ENERGY"] * draw.randint(0, 4) / 4
        parts[1]["ENERGY"] = volumes["ENERGY"] - parts[0]["ENERGY"]
    for name in ("MIN_CURRENT", "MAX_CURRENT"):
        if name in volumes:
            parts[0][name] = parts[1][name] = volumes[name]
    moment = datetime.fromisoformat(start) + timedelta(seconds=first)
    halves = [
        {"start_date_time": begins, "dimensions": [{"type": name, "volume": volume} for name, volume in part.items()]}
        for begins, part in ((start, parts[0]), (f"{moment:%Y-%m-%dT%H:%M:%SZ}", parts[1]))
    ]
    periods = document["charging_periods"]
    return document | {"charging_periods": [*periods[:place], *halves, *periods[place + 1 :]]}


def seconds_between(start: str, end: str) -> int:
    return int((datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds())


def parks_by_energy(document: dict[str, Any]) -> bool:
    """Whether a price of parking has a limit of energy: parking comes after the charging of its period, which a cut
    through both would change."""
    elements = [element for tariff in document["tariffs"] for element in tariff["elements"]]
    return any(
        {"min_kwh", "max_kwh"} & element.get("restrictions", {}).keys()
        and any(each["type"] == "PARKING_TIME" for each in element["price_components"])
        for element in elements
    )


def ends_at_a_limit(document: dict[str, Any]) -> bool:
    """Whether a period begins or ends exactly at a limit of energy: it is not passed within it, but a cut may leave a
    piece without energy that lies at the limit."""
    elements = [element for tariff in document["tariffs"] for element in tariff["elements"]]
    limits = {each.get("restrictions", {}).get(name) for each in elements for name in ("min_kwh", "max_kwh")}
    energy = Decimal(0)
    reached = {energy}
    for period in sorted(document["charging_periods"], key=lambda each: each["start_date_time"]):
        energy += sum(each["volume"] for each in period["dimensions"] if each["type"] == "ENERGY")
        reached.add(energy)
    return not limits.isdisjoint(reached)


@lawful
@given(seed=seeds)
def test_every_division_of_a_period_lies_within_the_bounds(seed: int) -> None:
    draw = Random(seed)
    document = random_cdr(draw)
    # Blocks of a price, or of a component, are counted over the whole session: a cut adds none.
    readings = readings_of(draw, without=PIECES).changed(
        step=draw.choice(["session_last", "per_component", "per_price"])
    )
    found = audit(document, readings=readings)
    assume(found.low is not None and found.high is not None and not parks_by_energy(document))
    assume(not ends_at_a_limit(document))
    divided = document
    for _ in range(draw.randint(1, 4)):
        assume(all(each["dimensions"] for each in divided["charging_periods"]))
        divided = cut(draw, divided, draw.randrange(len(divided["charging_periods"])))
    inner = audit(divided, readings=readings)
    assert inner.low is not None
    assert inner.high is not None
    assert found.low is not None
    assert found.high is not None
    assert found.low - NEAR <= inner.low
    assert inner.high <= found.high + NEAR


NEAR = Decimal("1e-20")


@lawful
@given(seed=seeds)
def test_a_cut_where_no_price_changes_changes_nothing(seed: int) -> None:
    draw = Random(seed)
    document, readings, _, _ = certain(draw, without=PIECES)
    for tariff in document["tariffs"]:
        for element in tariff["elements"]:
            element.pop("restrictions", None)
    found = audit(document, readings=readings)
    again = audit(cut(draw, document, draw.randrange(len(document["charging_periods"]))), readings=readings)
    assert (again.low, again.high) == (found.low, found.high)


# --- quotes ---------------------------------------------------------------------------------------------------------


@lawful
@given(seed=seeds, power=st.sampled_from([None, "2.3", "6.9", "20.7"]))
def test_the_quote_of_a_plan_is_the_audit_of_its_cdr(seed: int, power: str | None) -> None:
    draw = Random(seed)
    document, readings = random_cdr(draw), readings_of(draw, without=("tariffs", "credit", "missing"))
    start = datetime.fromisoformat(document["start_date_time"])
    plan = Plan(
        start=start,
        energy_kwh=Decimal(draw.randint(0, 200)) / 10,
        charging=timedelta(minutes=draw.randint(1, 90)),
        parking=timedelta(minutes=draw.choice([0, 0, 5, 30])),
        power_kw=None if power is None else Decimal(power),
    )
    tariff = document["tariffs"][0]
    found = audit(cdr_of(plan, document | {"tariffs": [tariff]}), readings=readings)
    quoted = quote(tariff, plan, location=document["location"], readings=readings)
    assert (quoted.low, quoted.high, quoted.total) == (found.low, found.high, found.expected)
    assert quoted.lines == found.lines


def cdr_of(plan: Plan, document: dict[str, Any]) -> dict[str, Any]:
    """The CDR that a plan leads to, at the place of a document."""
    connector = document["location"]["evses"][0]["connectors"][0]
    phases = 3 if connector["power_type"] == "AC_3_PHASE" else 1
    hours = Decimal(plan.charging.total_seconds()) / 3600
    power = (
        plan.power_kw
        if plan.power_kw is not None
        else Fraction(plan.energy_kwh) * 3600 / int(plan.charging.total_seconds())
    )
    current = Fraction(power) * 1000 / (connector["voltage"] * phases)
    amperes = Context(prec=60).divide(Decimal(current.numerator), Decimal(current.denominator))
    assume(Fraction(amperes) == current)  # a limit may lie at exactly this power
    periods = [period_of(plan.start, ENERGY=plan.energy_kwh, TIME=hours, MIN_CURRENT=amperes, MAX_CURRENT=amperes)]
    if plan.parking:
        parked = Decimal(plan.parking.total_seconds()) / 3600
        periods.append(period_of(plan.start + plan.charging, PARKING_TIME=parked))
    stop = plan.start + plan.charging + plan.parking
    return document | {
        "total_parking_time": plan.parking / timedelta(hours=1),
        "charging_periods": periods,
        "stop_date_time": f"{stop:%Y-%m-%dT%H:%M:%SZ}",
        "total_energy": plan.energy_kwh,
        "total_time": (stop - plan.start) / timedelta(hours=1),
        "total_cost": 1,
    }


def period_of(start: datetime, **volumes: Decimal) -> dict[str, Any]:
    dimensions = [{"type": name, "volume": volume} for name, volume in volumes.items()]
    return {"start_date_time": f"{start:%Y-%m-%dT%H:%M:%SZ}", "dimensions": dimensions}


# --- any document ---------------------------------------------------------------------------------------------------

JUNK: tuple[Any, ...] = (
    None, "", "x", "00:00", "24:00", "25:99", "2023-02-30", "0001-01-01", "9999-12-31", "9999-12-31T23:59:59Z",
    "0001-01-01T00:00:00Z", "MONDAY", "SOMEDAY", 0, -1, 10**30, Decimal("1e-30"), Decimal("-1e30"), Decimal("1e400"),
    Decimal("0e999999"), True, [], {}, [{}], "\u0000", "EUR", "T1",
)  # fmt: skip


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every container in a document, with each of its keys."""
    for key, item in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield value, key
        yield from places(item)


@lawful
@given(seed=seeds)
def test_no_document_raises_anything_but_invalid_object(seed: int) -> None:
    draw = Random(seed)
    document, readings = random_cdr(draw), readings_of(draw)
    for _ in range(draw.randint(1, 4)):
        container, key = draw.choice(list(places(document)))
        container[key] = draw.choice([*JUNK, *deepcopy(list(document.values()))])
        if isinstance(container, list) and draw.random() < 0.2:
            container.extend(container[:3] * draw.randint(1, 5))
    given_beside = draw.choice([[], [random_cdr(draw)["tariffs"][0]]])
    with suppress(InvalidObject):
        found = audit(as_bytes(document), tariffs=given_beside, readings=readings)
        assert found.as_json()["verdict"] in ("right", "wrong", "undecidable")


@lawful
@given(seed=seeds)
def test_models_that_no_document_gives_raise_nothing(seed: int) -> None:
    """Models are built without any check of their texts and numbers."""
    draw = Random(seed)
    document = random_cdr(draw)
    cdr = decode(Cdr, as_bytes(document))
    elements = []
    for element in cdr.tariffs[0].elements:
        texts = ["", "x", "25:99", "2023-02-30", "-1", "12:3", "\uff12\uff14:00", "0000-00-00", "9999-12-31"]
        names = draw.sample(("start_time", "end_time", "start_date", "end_date"), 2)
        written: dict[str, Any] = {name: draw.choice(texts) for name in names}
        rest = TariffRestrictions(**written, min_duration=draw.choice([None, -5]))
        elements.append(evolve(element, restrictions=rest))
    found = audit(evolve(cdr, tariffs=(evolve(cdr.tariffs[0], elements=tuple(elements)),)), readings=readings_of(draw))
    assert found.verdict in Verdict
