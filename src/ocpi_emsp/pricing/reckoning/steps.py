"""What ``step_size`` adds to the volumes of a session.

Rules of this module (mod_tariffs.md 4.2, mod_cdrs of 2.2.1, the readings ``step``, ``step_volume``):
- a volume is billed in blocks; readings decide which volumes are added up first, and whose price and block count;
- the last part in time that has a price determines the block, and the added volume is billed at its price;
- a step_size of 0 rounds nothing; a volume of 0 is not rounded;
- if the rounded volume is uncertain, anything from nothing to one block may be added.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from fractions import Fraction
from itertools import groupby
from typing import Final, NamedTuple, TypeAlias

from ocpi_emsp.pricing.exact import Rational
from ocpi_emsp.pricing.readings import Readings
from ocpi_emsp.pricing.reckoning.choice import Chooser
from ocpi_emsp.pricing.reckoning.money import Amount
from ocpi_emsp.pricing.reckoning.parts import Part, bound, raise_lows
from ocpi_emsp.pricing.reckoning.restrictions import ENERGY, PARKING_TIME, SESSION_TIME, TIME, Rate
from ocpi_emsp.pricing.reckoning.shared import Share, highest, lowest

Group: TypeAlias = Sequence[Part]
Key: TypeAlias = tuple[str, Decimal] | Rate

MAX_SHARES: Final = 8
"""Most prices for which the fit of their blocks into the shared volume is examined; with more, each price adds a
block.
"""


class _Blocks(NamedTuple):
    """The longest block of each component, or price, that may apply; and the bounds of their cost."""

    longest: dict[Key, Rate]
    low: int
    high: int
    shared: dict[Key, Rate]
    """The prices other than 0, with their own blocks; empty if there are too many, or if one has blocks of two
    lengths.
    """
    free: bool
    """True if one of them costs nothing."""


class Rounding:
    """Adds blocks to the parts of one session, which are in the order of time."""

    def __init__(self, chooser: Chooser, readings: Readings) -> None:
        self._chooser = chooser
        self._all = readings.step_volume == "all"
        # A price per block has no part of a block: the blocks of each component are counted.
        self._step = "per_component" if readings.price_unit == "step" else readings.step
        self._known: dict[tuple[str, int], _Blocks] = {}
        self._prices: dict[Key, Rate] = {}

    def apply(self, parts: Sequence[Part]) -> None:
        """Add the blocks that the reading asks for."""
        if self._step == "none":
            return
        if self._step == "per_period":
            for _, some in groupby(parts, lambda part: part.position):
                self._per_key(list(some))
            return
        if self._step in ("per_component", "per_price"):
            self._per_key(parts)
            return
        groups: dict[str, list[Part]] = {ENERGY: [], TIME: [], PARKING_TIME: [], SESSION_TIME: []}
        for part in parts:
            groups[part.dimension].append(part)
        self._round(groups[ENERGY])
        self._round(groups[SESSION_TIME])
        self._times(groups[TIME], groups[PARKING_TIME], parts)

    def _times(self, charging: Group, parking: Group, parts: Group) -> None:
        if self._step == "per_dimension":
            self._round(charging)
            self._round(parking)
        elif self._step == "time_total":
            self._round([part for part in parts if part.dimension in (TIME, PARKING_TIME)])
        elif self._step == "session_last_sequence":
            self._of_last([part for part in parts if part.dimension in (TIME, PARKING_TIME)], charging, parking)
        else:
            self._parking_first(charging, parking)

    def _parking_first(self, charging: Group, parking: Group) -> None:
        """Round the parking if it has a price, otherwise the charging."""
        last, priced = _last(parking)
        self._round(parking)  # does nothing if no part of it has a price
        if not priced:
            self._round(charging, certain=not last)

    def _of_last(self, times: Group, charging: Group, parking: Group) -> None:
        """Round the one of the two durations that comes last."""
        last, certain = _last(times)
        possible = {part.dimension for part in last}
        for group, dimension in ((charging, TIME), (parking, PARKING_TIME)):
            if dimension in possible:
                self._round(group, certain=certain and len(possible) == 1)

    def _round(self, group: Group, *, certain: bool = True) -> None:
        """Round the total of some parts up to the block of the last one."""
        last, priced = _last(group)
        if not last:
            return
        counted = group if self._all else [part for part in group if part.options.elements]
        known = self._all or not any(part.options.free for part in counted)
        total = sum(part.volume for part in counted) if known else None
        if total is None and certain:
            rates = self._rates(group)
            if len({(rate.each, rate.step) for rate in rates}) == 1:
                self._add_between(last[0], group, rates[0])
                return
        self._add(last[0], self._rates(last), total, certain=certain and priced)

    def _rates(self, parts: Iterable[Part]) -> list[Rate]:
        """Return the components that may apply to any of these parts."""
        elements: dict[str, int] = {}
        for part in parts:
            elements[part.dimension] = elements.get(part.dimension, 0) | part.options.elements
        return [rate for dimension, bits in elements.items() for rate in self._chooser.rates(dimension, bits)]

    def _add_between(self, part: Part, group: Group, rate: Rate) -> None:
        """Add to a part what one price may add to volumes of which only bounds are known."""
        if rate.step <= 0 or not rate.each:
            return
        # Rounding up keeps the order of volumes: the least volume gives one bound, the greatest the other.
        low = rate.each * (-Fraction(sum(each.low for each in group), rate.each) % rate.step)
        high = rate.each * (-Fraction(sum(each.high for each in group), rate.each) % rate.step)
        part.low += min(low, high)
        part.high += high
        raise_lows(group, low - high)

    def _add(self, part: Part, rates: Iterable[Rate], total: Rational | None, *, certain: bool) -> None:
        """Add to a part what one of these prices may add."""
        found: list[tuple[Amount, Rational | None]] = []
        for rate in rates:
            if rate.step <= 0:
                found.append((0, 0))
            elif total is None:
                found += [(0, None), (rate.each * _most(rate), None)]
            else:
                added = -total % rate.step
                found.append((rate.each * added, added))
        if not certain:
            found.append((0, None))
        costs = [cost for cost, _ in found]
        part.low += min(costs)
        part.high += max(costs)
        volumes = {added for _, added in found}
        if len(volumes) == 1:
            part.added += volumes.pop() or 0

    def _per_key(self, parts: Group) -> None:
        """Round the total of each component, or of each price."""
        certain: dict[Key, list[Part]] = {}
        unsure: dict[str, list[Part]] = {}
        for part in parts:
            rate = part.options.rate
            if rate is not None:
                certain.setdefault(self._key(rate), []).append(part)
            elif part.options.elements:
                unsure.setdefault(part.dimension, []).append(part)
        for some in unsure.values():
            self._add_shared(some, certain)
        for some in certain.values():
            last = some[-1].options.rate
            if last is not None:
                self._add(some[-1], [last], sum(part.volume for part in some), certain=True)

    def _add_shared(self, group: Group, certain: dict[Key, list[Part]]) -> None:
        """Add blocks to parts of one dimension whose prices are uncertain.

        The certain parts of those prices share their blocks: they are removed from ``certain``.
        """
        elements = 0
        for part in group:
            elements |= part.options.elements
        prices = self._blocks(group[0].dimension, elements)
        taken = {key: certain.pop(key) for key in [*certain] if key in prices.longest}
        lows, highs = sum(part.low for part in group), sum(part.high for part in group)
        low, high = lows + prices.low, highs + prices.high
        shares = _shares(prices, taken)
        if shares:
            known = sum(part.low for parts in taken.values() for part in parts)
            if len(shares) == 1:
                # Rounding up keeps the order of volumes: the least volume gives one bound, the greatest the other.
                (share,) = shares
                ends = [share.cost(Fraction(cost, share.each)) - share.each * share.certain for cost in (lows, highs)]
                low, high = min(ends), max(ends)
            else:
                volume, unit = sum(part.volume for part in group), 0 if group[0].dimension == ENERGY else 1
                free = prices.free or any(part.options.free for part in group)
                low = max(low, lowest(volume, shares, unit, free=free) - known)
                high = min(high, highest(volume, shares, unit, free=free) - known)
        bound(group, low, high)

    def _key(self, rate: Rate) -> Key:
        return (rate.dimension, rate.price) if self._step == "per_price" else rate

    def _blocks(self, dimension: str, elements: int) -> _Blocks:
        """Return the blocks of the components that may apply."""
        known = self._known.get((dimension, elements))
        if known is None:
            rates = self._chooser.rates(dimension, elements)
            longest = {self._key(rate): self._longest(rate) for rate in rates}
            costs = [rate.each * _most(rate) for rate in longest.values() if rate.step > 0]
            low, high = sum(cost for cost in costs if cost < 0), sum(cost for cost in costs if cost > 0)
            priced = {key: rate for key, rate in longest.items() if rate.each}
            steps = {(self._key(rate), rate.step) for rate in rates if rate.each}
            # The last part decides which of two steps a price has.
            few = len(steps) == len(priced) <= MAX_SHARES
            known = _Blocks(
                longest,
                low,
                high,
                {key: rate for rate in rates if (key := self._key(rate)) in priced} if few else {},
                len(priced) < len(longest),
            )
            self._known[dimension, elements] = known
        return known

    def _longest(self, rate: Rate) -> Rate:
        """Return the component with the longest block of all with the same price: it may be the last one."""
        if self._step != "per_price":
            return rate
        if not self._prices:
            for each in (each for rates in self._chooser.index.rates.values() for each in rates.values()):
                known = self._prices.setdefault(self._key(each), each)
                if each.step > known.step:
                    self._prices[self._key(each)] = each
        return self._prices[self._key(rate)]


def _last(parts: Group) -> tuple[list[Part], bool]:
    """Return the parts that may be the last with a price, the latest first; and whether one has a price for certain.

    The time of a volume of the whole session is unknown: a volume of another dimension may come after it.
    """
    found: list[Part] = []
    whole: str | None = None
    priced = False
    for part in reversed(parts):
        if not part.options.elements or part.dimension == whole:
            continue
        found.append(part)
        if part.options.free:
            continue
        priced = True
        if part.position is not None or whole is not None:
            break
        whole = part.dimension
    return found, priced


def _shares(prices: _Blocks, taken: dict[Key, list[Part]]) -> list[Share]:
    """Return the shares of the uncertain volumes; none if a price may have another block."""
    found = []
    for key, rate in prices.shared.items():
        certain = taken.get(key, [])
        if any(part.options.rate is None or part.options.rate.step != rate.step for part in certain):
            return []
        found.append(Share(rate.each, rate.step, sum(part.volume for part in certain)))
    return found


def _most(rate: Rate) -> int:
    """Return the most that a block adds to a volume: durations are whole seconds."""
    return rate.step if rate.dimension == ENERGY else rate.step - 1
