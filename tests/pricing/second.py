"""A second implementation of the audit's arithmetic, written from the table of readings without the library's code.

Rules: as plain as possible, no speed. Divisions are tried one by one, so that ``low`` and ``high`` are amounts that a
division does give: the library's bounds must hold them, and be these where ``tight``.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from itertools import combinations, product
from typing import Any

from dateutil import tz

from pricing.second_divide import MANY, Share, Way, Ways
from pricing.second_state import Component, Document, Period, Readings, Session, State, power_bounds

UNITS = {"ENERGY": 1000, "TIME": 3600, "PARKING_TIME": 3600}
KEYED = ("per_component", "per_price", "per_period")
"""The readings of ``step`` under which each price has blocks of its own."""


@dataclass(frozen=True)
class Amounts:
    """The lowest and the highest amount found, and whether they are the bounds: all divisions were looked at."""

    low: Fraction
    high: Fraction
    tight: bool = True
    slack: Fraction = Fraction(0)
    """How far bounds may be wider where the blocks of step_size depend on the division: see ``Bill.slack``."""

    def __add__(self, other: Amounts) -> Amounts:
        return Amounts(
            self.low + other.low, self.high + other.high, self.tight and other.tight, self.slack + other.slack
        )

    def hull(self, other: Amounts) -> Amounts:
        """From the lower of two to the higher."""
        return Amounts(
            min(self.low, other.low),
            max(self.high, other.high),
            self.tight and other.tight,
            max(self.slack, other.slack),
        )

    def times(self, factor: Fraction) -> Amounts:
        """Multiplied."""
        ends = sorted((self.low * factor, self.high * factor))
        return Amounts(ends[0], ends[1], self.tight, self.slack * abs(factor))


def audited(cdr: Document, readings: Readings) -> Amounts:
    """What a CDR costs under these readings. Its numbers are Decimals; it has a tariff, and a time zone."""
    if readings["credit"] == "negative_volumes" and cdr["total_cost"] < 0:
        cdr = _unsigned(cdr)
    tariffs = list(cdr["tariffs"])
    connector = cdr["location"]["evses"][0]["connectors"][0]
    named = [each for each in tariffs if each["id"] == connector.get("tariff_id")]
    if readings["tariffs"] == "first":
        tariffs = tariffs[:1]
    elif len(named) == 1:
        tariffs = named
    found = [_with_missing(cdr, each["elements"], readings) for each in tariffs]
    amounts = found[0]
    for each in found[1:]:
        amounts = amounts.hull(each)
    if readings["vat"] is not None:
        amounts = amounts.times(1 + Fraction(readings["vat"]) / 100)
    if readings["credit"] != "off" and cdr["total_cost"] < 0:
        amounts = amounts.times(Fraction(-1))
    return amounts


def _unsigned(cdr: Document) -> Document:
    periods = [
        {**each, "dimensions": [{**one, "volume": abs(one["volume"])} for one in each["dimensions"]]}
        for each in cdr["charging_periods"]
    ]
    totals = {name: abs(cdr[name]) for name in ("total_energy", "total_time", "total_parking_time") if name in cdr}
    return {**cdr, **totals, "charging_periods": periods}


def _with_missing(cdr: Document, elements: list[Any], readings: Readings) -> Amounts:
    session = taken(cdr)
    reported = {name for each in session.periods for name in each.volumes}
    priced = {one["type"] for each in elements for one in each["price_components"] if one["price"]}
    by_energy = any("kwh" in name for each in elements for name in each.get("restrictions") or {})
    missing = {"TIME", "ENERGY"} & priced - reported
    if "PARKING_TIME" in priced - reported and cdr.get("total_parking_time"):
        missing |= {"PARKING_TIME"}
    if readings["missing"] == "explicit":
        missing = set()
    subsets = [set(some) for size in range(len(missing) + 1) for some in combinations(sorted(missing), size)]
    if readings["missing"] == "derive":
        subsets = [missing]
    found = [reckoned(_derived(session, some) if some else session, elements, readings) for some in subsets]
    amounts = found[0]
    for each in found[1:]:
        amounts = amounts.hull(each)
    # How far the energy was at which time is another question that is not tried here.
    return replace(amounts, tight=amounts.tight and not (by_energy and "ENERGY" not in reported))


def _derived(session: Session, missing: set[str]) -> Session:
    hours = {name: seconds(session.totals.get(name) or Decimal(0)) for name in ("total_time", "total_parking_time")}
    energy = Fraction(session.totals["total_energy"]) * 1000
    wholes = {"ENERGY": energy, "PARKING_TIME": hours["total_parking_time"]}
    charging = hours["total_time"] - hours["total_parking_time"]
    each_time = [each.length - each.volume("PARKING_TIME") for each in session.periods]
    periods = session.periods
    if "TIME" in missing and abs(sum(each_time) - charging) <= 1 and min(each_time) >= 0:
        periods = tuple(
            replace(each, volumes={**each.volumes, "TIME": Fraction(time)})
            for each, time in zip(periods, each_time, strict=True)
        )
    else:
        wholes["TIME"] = charging
    whole = {name: wholes[name] for name in missing & set(wholes)}
    extra = Period(-1, session.start, session.stop, whole, Fraction(0), Fraction(0), Fraction(0))
    return replace(session, periods=(*_counted(periods), *([extra] if whole else [])))


def _counted(periods: Iterable[Period]) -> Iterator[Period]:
    sums = dict.fromkeys(("ENERGY", "TIME", "PARKING_TIME"), Fraction(0))
    for each in periods:
        yield replace(each, first_wh=sums["ENERGY"], first_time=sums["TIME"], first_parking=sums["PARKING_TIME"])
        for name in sums:
            sums[name] += each.volume(name)


def seconds(hours: Decimal, length: int = 0) -> Fraction:
    """Hours as the whole seconds that they came from: those of the period, if its length rounds to them."""
    exact = Fraction(hours) * 3600
    digits = -int(Decimal(hours).as_tuple().exponent)
    if digits >= 3 and exact.denominator > 1 and abs(exact - length) <= Fraction(1800, 10**digits):
        return Fraction(length)
    return Fraction(round(exact))


def taken(cdr: Document) -> Session:
    """Take a CDR apart: periods in order, each to the start of the next."""
    start, stop = _time(cdr["start_date_time"]), _time(cdr["stop_date_time"])
    given = sorted(enumerate(cdr["charging_periods"]), key=lambda each: _time(each[1]["start_date_time"]))
    begins = [_time(each["start_date_time"]) for _, each in given]
    periods = []
    for (index, each), begin, end in zip(given, begins, [*begins[1:], max(stop, begins[-1])], strict=True):
        volumes: dict[str, Fraction] = {}
        for one in each["dimensions"]:
            name, amount = one["type"], Fraction(one["volume"])
            if name == "ENERGY":
                amount *= 1000
            elif name in ("TIME", "PARKING_TIME"):
                amount = seconds(one["volume"], int((end - begin).total_seconds()))
            if name.endswith("CURRENT") and name in volumes:
                volumes[name] = (min if name == "MIN_CURRENT" else max)(volumes[name], amount)
            else:
                volumes[name] = volumes.get(name, Fraction(0)) + amount
        periods.append(Period(index, begin, end, volumes, Fraction(0), Fraction(0), Fraction(0)))
    zone = tz.gettz(cdr["location"]["time_zone"])
    assert zone is not None
    return Session(start, stop, tuple(_counted(periods)), cdr["location"]["evses"][0]["connectors"][0], zone, cdr)


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC).replace(microsecond=0)


def reckoned(session: Session, elements: list[Any], readings: Readings) -> Amounts:
    """The lowest and the highest cost of a session under one tariff."""
    energy = _extremes(session, elements, readings, ("ENERGY",))
    times = _extremes(session, elements, readings, ("TIME", "PARKING_TIME"))
    return energy + times + _flat(session, elements, readings)


def _extremes(session: Session, elements: list[Any], readings: Readings, dimensions: tuple[str, ...]) -> Amounts:
    ways = Ways(session, elements, readings)
    lists = [ways.of(period, each) for period in session.periods for each in dimensions]
    combined, many = 1, False
    for each in lists:
        combined *= len(each)
        many = many or combined > MANY
    bill = Bill(elements, readings)
    if many:
        ways.complete = False
        lowest = [min(each, key=bill.without_blocks) for each in lists]
        highest = [max(each, key=bill.without_blocks) for each in lists]
        draw = random.Random(len(lists))
        tried: Iterable[Any] = [lowest, highest, *([draw.choice(each) for each in lists] for _ in range(500))]
    else:
        tried = product(*lists)
    costs = [bill.cost([share for way in each for share in way]) for each in tried]
    low, high = min(costs), max(costs)
    return Amounts(low, high, ways.complete, bill.slack(dimensions, lists))


class Bill:
    """Adds up shares: volumes at their prices, and the blocks of step_size."""

    def __init__(self, elements: list[Any], readings: Readings) -> None:
        self.elements, self.readings = elements, readings

    def component(self, at: Component) -> Any:
        """A price component by its place."""
        return self.elements[at[0]]["price_components"][at[1]]

    def price(self, share: Share) -> Fraction:
        """The price of a Wh or a second."""
        assert share.component is not None
        return Fraction(self.component(share.component)["price"]) / UNITS[share.dimension]

    def without_blocks(self, way: Iterable[Share]) -> Fraction:
        """What shares cost to the second and Wh."""
        return sum((share.volume * self.price(share) for share in way if share.component), Fraction(0))

    def slack(self, dimensions: tuple[str, ...], lists: Iterable[list[Way]]) -> Fraction:
        """How far bounds may be wider than these ways, which are the ends of what is possible.

        One block of each dimension, at the dearest price for the longest block. Where each price has blocks of its own
        (``KEYED``), a volume that several may have may be cut anywhere: so each of them may begin a block for next to
        nothing of it, or have one that is full; in each period, where each is rounded by itself.
        """
        by_block = self.readings["price_unit"] == "step"
        step = "per_component" if by_block else self.readings["step"]
        if step == "none":
            return Fraction(0)
        found = Fraction(0)
        for name in dimensions:
            mine = [one for each in self.elements for one in each["price_components"] if one["type"] == name]
            steps = [one["step_size"] for one in mine if one["step_size"] > 0]
            if steps:
                dearest = max(abs(Fraction(one["price"])) for one in mine)
                block = dearest if by_block else dearest * max(steps) / UNITS[name]
                found += block * (max(1, self._open(name, step, lists)) if step in KEYED else 1)
        return found

    def _open(self, dimension: str, step: str, lists: Iterable[list[Way]]) -> int:
        """How many prices have a volume that is not certain; in each period, where each is rounded by itself."""
        found = {
            (share.component if step != "per_price" else self.price(share), share.period if step == "per_period" else 0)
            for ways in lists
            for way in ways
            for share in way
            if len(ways) > 1 and share.component and share.dimension == dimension
        }
        return len(found)

    def cost(self, shares: list[Share]) -> Fraction:
        """What shares cost with the blocks that this reading rounds to."""
        if self.readings["price_unit"] == "step":
            return self._by_block(shares)
        cost = self.without_blocks(shares)
        for total, last in self._rounded(shares):
            assert last.component is not None
            step = self.component(last.component)["step_size"]
            if step > 0:
                cost += -total % step * self.price(last)
        return cost

    def _by_block(self, shares: list[Share]) -> Fraction:
        sums: dict[Component, Fraction] = {}
        for each in shares:
            if each.component:
                sums[each.component] = sums.get(each.component, Fraction(0)) + each.volume
        cost = Fraction(0)
        for at, volume in sums.items():
            one = self.component(at)
            step = one["step_size"]
            cost += Fraction(one["price"]) * (-(-volume // step) if step > 0 else volume / UNITS[one["type"]])
        return cost

    def _rounded(self, shares: list[Share]) -> list[tuple[Fraction, Share]]:
        """The totals that are rounded up, each with the share whose step_size does it and whose price is paid."""
        step = self.readings["step"]
        priced = [each for each in shares if each.component]
        if step == "none" or not priced:
            return []
        keys: dict[str, Callable[[Share], object]] = {
            "per_period": lambda each: (each.period, each.component),
            "per_component": lambda each: each.component,
            "per_price": lambda each: (each.dimension, self.price(each)),
        }
        groups: dict[object, list[Share]] = {}
        for each in priced:
            groups.setdefault(keys[step](each) if step in keys else each.dimension, []).append(each)
        if step in keys:
            return [(sum((one.volume for one in each), Fraction(0)), each[-1]) for each in groups.values()]
        names: list[tuple[str, ...]] = [(each,) for each in ("ENERGY", "TIME", "PARKING_TIME")]
        if step == "time_total":
            names = [("ENERGY",), ("TIME", "PARKING_TIME")]
        elif step != "per_dimension":
            last = "PARKING_TIME" if "PARKING_TIME" in groups else "TIME"
            if step == "session_last_sequence":
                last = priced[-1].dimension
            names = [("ENERGY",), (last,)] if priced[-1].dimension != "ENERGY" else [("ENERGY",)]
        counted = shares if self.readings["step_volume"] == "all" else priced
        found = []
        for group in names:
            mine = [each for each in priced if each.dimension in group]
            if mine:
                found.append((sum((one.volume for one in counted if one.dimension in group), Fraction(0)), mine[-1]))
        return found


def _flat(session: Session, elements: list[Any], readings: Readings) -> Amounts:
    """The fees: which are active is a question of moments."""
    ways = Ways(session, elements, readings)
    walks = [_walks(ways, each) for each in session.periods if each.index >= 0]
    prices: set[Fraction] = set()
    for walk in ways.limited(product(*walks)):
        stops = [stop for each in walk for stop in each]
        if readings["flat"] == "each_component":
            prices |= {_fee(tuple(each), [], elements, readings) for each in _ever([choices for choices, _ in stops])}
            continue
        for picked in ways.limited(product(*(choices for choices, _ in stops))):
            prices.add(_fee(picked, [volume for _, volume in stops], elements, readings))
    return Amounts(min(prices), max(prices), ways.complete)


def _ever(stops: list[list[Component | None]]) -> set[frozenset[Component | None]]:
    """The fees that are ever active, in every way: at a stop one of its candidates, or several one after the other.

    What makes several candidates is a power of which bounds are known, or a restriction that is not known: both may
    change during a period.
    """
    found: set[frozenset[Component | None]] = {frozenset()}
    for choices in stops:
        some = [each for size in range(1, len(choices) + 1) for each in combinations(choices, size)]
        found = {before | set(each) for before in found for each in some}
    return found


def _walks(ways: Ways, period: Period) -> list[list[tuple[list[Component | None], Fraction]]]:
    """Each way through a period, as the fees that may be active on it one after the other, with the FLAT volume."""
    power = power_bounds(ways.session, period, "FLAT", ways.readings)
    volume = period.volume("FLAT")

    def fees(states: Iterable[State]) -> list[tuple[list[Component | None], Fraction]]:
        found = [(ways.candidates("FLAT", each, power), volume) for each in states]
        return [each for number, each in enumerate(found) if not number or each != found[number - 1]]

    if ways.readings["flat"] in ("each_period", "dimension") or ways.readings["boundary"] == "period_start":
        return [fees([ways.start_of(period)])]
    if ways.readings["boundary"] == "proportional" and period.length:
        return [fees(state for _, _, state in ways.flow(period))]
    slices, levels = ways.slices(period), ways.levels(period)
    point = (period.first_time, period.first_time)
    found = []
    for path in ways.limited(_lattice(len(slices), len(levels))):
        walk = fees(ways._state(period, slices[clock], levels[level], point, point) for clock, level in path)
        if walk not in found:
            found.append(walk)
    return found


def _lattice(width: int, height: int) -> Iterator[list[tuple[int, int]]]:
    def onward(at: tuple[int, int]) -> Iterator[list[tuple[int, int]]]:
        if at == (width - 1, height - 1):
            yield [at]
        for step in ((1, 0), (0, 1), (1, 1)):
            to = (at[0] + step[0], at[1] + step[1])
            if to[0] < width and to[1] < height:
                for rest in onward(to):
                    yield [at, *rest]

    return onward((0, 0))


def _fee(
    picked: tuple[Component | None, ...], volumes: list[Fraction], elements: list[Any], readings: Readings
) -> Fraction:
    def price(at: Component) -> Fraction:
        return Fraction(elements[at[0]]["price_components"][at[1]]["price"])

    active = [each for each in picked if each]
    if readings["flat"] == "session":
        return price(active[0]) if active else Fraction(0)
    if readings["flat"] == "each_component":
        return sum((price(each) for each in dict.fromkeys(active)), Fraction(0))
    if readings["flat"] == "each_period":
        return sum((price(each) for each in active), Fraction(0))
    return sum((price(at) * volume for at, volume in zip(picked, volumes, strict=True) if at), Fraction(0))
