"""What ``step_size`` adds to the volumes of a session.

Rules of this module (mod_tariffs.md 4.2, mod_cdrs of 2.2.1, the readings ``step``, ``step_volume``):
- a volume is billed in blocks; which volumes are added up first, and whose price and block count, is a reading;
- the last part in time that has a price says the block, and what is added is billed at its price;
- a step_size of 0 rounds nothing, nor does a volume of 0;
- where the volume that is rounded is not certain, anything from nothing to one block may be added.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from fractions import Fraction
from itertools import groupby
from typing import TypeAlias

from ocpi_emsp.pricing.choice import NOTHING, Chooser
from ocpi_emsp.pricing.exact import Rational
from ocpi_emsp.pricing.parts import Part
from ocpi_emsp.pricing.readings import Readings
from ocpi_emsp.pricing.restrictions import ENERGY, PARKING_TIME, SESSION_TIME, TIME, Rate

Group: TypeAlias = Sequence[Part]
Key: TypeAlias = tuple[str, Decimal] | Rate


class Rounding:
    """Adds blocks to the parts of one session. Their order is that of time."""

    def __init__(self, chooser: Chooser, readings: Readings) -> None:
        self._chooser = chooser
        self._all = readings.step_volume == "all"
        # A price for a block has no part of a block: the blocks of each component are counted.
        self._step = "per_component" if readings.price_unit == "step" else readings.step

    def apply(self, parts: Sequence[Part]) -> None:
        """Add the blocks that the reading asks for."""
        if self._step == "none":
            return
        if self._step == "per_period":
            for _, some in groupby(parts, lambda part: part.position):
                self._per_key(list(some), lambda rate: rate)
            return
        if self._step in ("per_component", "per_price"):
            self._per_key(parts, _itself if self._step == "per_component" else _price)
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
            self._of_last([*charging, *parking], charging, parking)

    def _of_last(self, times: Group, charging: Group, parking: Group) -> None:
        """Round the one of two times that comes last."""
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
        rates = dict.fromkeys(rate for part in last for rate in self._chooser.rates(part.dimension, part.options))
        if total is None and certain and len(rates) == 1:
            self._add_between(last[0], group, next(iter(rates)))
        else:
            self._add(last[0], rates, total, certain=certain and priced)

    def _add_between(self, part: Part, group: Group, rate: Rate) -> None:
        """Add to a part what one price bills for a volume that is known between bounds only."""
        same = all(self._chooser.rates(each.dimension, each.options) in ([], [rate]) for each in group)
        if not same or rate.step <= 0 or not rate.each:
            self._add(part, [rate], None, certain=False)
            return
        # Rounding up keeps the order of volumes: the least volume makes one bound, the greatest the other.
        part.low += rate.each * (-sum(each.low for each in group) / rate.each % rate.step)
        part.high += rate.each * (-sum(each.high for each in group) / rate.each % rate.step)

    def _add(self, part: Part, rates: Iterable[Rate], total: Rational | None, *, certain: bool) -> None:
        """Add to a part what one of these prices may bill."""
        found: list[tuple[Fraction, Rational | None]] = []
        for rate in rates:
            if rate.step <= 0:
                found.append((NOTHING, 0))
            elif total is None:
                found += [(NOTHING, None), (rate.each * rate.step, None)]
            else:
                added = -total % rate.step
                found.append((rate.each * added, added))
        if not certain:
            found.append((NOTHING, None))
        costs = [cost for cost, _ in found]
        part.low += min(costs)
        part.high += max(costs)
        volumes = {added for _, added in found}
        if len(volumes) == 1:
            part.added += volumes.pop() or 0

    def _per_key(self, parts: Group, key: Callable[[Rate], Key]) -> None:
        """Round the total of each component, or of each price."""
        certain: dict[Key, list[Part]] = {}
        last: dict[Key, tuple[Part, list[Rate]]] = {}
        maybe: dict[str, int] = {}
        final: dict[str, Part] = {}
        for part in parts:
            rate = part.options.rate
            if rate is not None:
                name = key(rate)
                certain.setdefault(name, []).append(part)
                last[name] = part, [rate]
            elif part.options.elements:
                maybe[part.dimension] = maybe.get(part.dimension, 0) | part.options.elements
                final[part.dimension] = part
        uncertain: dict[Key, list[Rate]] = {}
        for dimension, elements in maybe.items():
            for rate in self._chooser.rates(dimension, self._chooser.of(dimension, elements, True)):
                uncertain.setdefault(key(rate), []).append(rate)
        for name, (part, rates) in last.items():
            if name not in uncertain:
                self._add(part, rates, sum(each.volume for each in certain[name]), certain=True)
        for name, rates in uncertain.items():
            longest = max([*rates, *(last[name][1] if name in last else [])], key=lambda rate: rate.step)
            self._add(final[longest.dimension], [longest], None, certain=False)


def _last(parts: Group) -> tuple[list[Part], bool]:
    """The parts of which one is the last with a price, the latest first; and whether one has a price for certain.

    Where a volume of the session as a whole lies in time is not known: one of another dimension may come after it.
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


def _itself(rate: Rate) -> Key:
    return rate


def _price(rate: Rate) -> Key:
    return rate.dimension, rate.price
