"""Which FLAT fees a session pays: depends on states at moments, not on volumes.

Rules of this module (mod_tariffs.md 4.4, the reading ``flat``):
- ``session``: the first active fee, once; later ones are not charged;
- ``each_component``: each fee that is ever active, once; of several that may be active at a moment at least one is,
  unless none may be;
- ``each_period``: the active fee at the start of each period; ``dimension``: the same, as often as the period reports
  FLAT;
- on an unknown way through a period each stretch of the clock and each level of energy is passed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import Final

from ocpi_emsp.pricing.reckoning.choice import Options
from ocpi_emsp.pricing.reckoning.divide import Divider, Section
from ocpi_emsp.pricing.reckoning.limits import TooManySteps
from ocpi_emsp.pricing.reckoning.parts import Part, bound
from ocpi_emsp.pricing.reckoning.restrictions import FLAT
from ocpi_emsp.pricing.reckoning.spans import Span
from ocpi_emsp.pricing.session.metered import Metered

MAX_FEES: Final = 8
"""Most fees for which every combination is examined for the least amount due."""


class Fees:
    """Finds the fees of one session."""

    def __init__(self, divider: Divider, metered: Metered, spans: Sequence[Span]) -> None:
        self._divider, self._chooser = divider, divider.chooser
        self._session = metered.start, max(metered.start, metered.stop)
        self._spans = [span for span in spans if span.position is not None]

    def parts(self, reading: str) -> list[Part]:
        """Return the fees under a reading."""
        if not self._chooser.index.priced.get(FLAT):
            return []
        if reading == "session":
            return self._first()
        if reading == "each_component":
            return self._each_component()
        return list(self._of_periods(by_volume=reading == "dimension"))

    def stages(self, dimension: str) -> Iterator[tuple[Span, Options]]:
        """Yield sets of options; every way through the session passes at least one option of each set."""
        for span, grid in self._grids(dimension):
            for options in self._passed(grid, dimension):
                yield span, options

    def _grids(self, dimension: str) -> Iterator[tuple[Span, list[list[Options]]]]:
        """Yield the options in each span: by stretches of the clock, and in each of them by levels of energy."""
        for span in self._spans:
            fixed = self._chooser.fixed(dimension)
            if fixed is not None:
                yield span, [[fixed]]
                continue
            try:
                steady = self._divider.steady(span, dimension)
                grid = self._grid(span, dimension) if steady is None else [[steady]]
            except TooManySteps:
                grid = [[self._chooser.everything(dimension)]]
            yield span, grid

    def _passed(self, grid: list[list[Options]], dimension: str) -> list[Options]:
        if len(grid) == 1 or len(grid[0]) == 1:
            return [options for row in grid for options in row]
        union = self._chooser.union
        columns = [union(dimension, [row[place] for row in grid]) for place in range(len(grid[0]))]
        # Every way passes the first and the last cell, and one cell of each row and of each column.
        return [grid[0][0], *(union(dimension, row) for row in grid), *columns, grid[-1][-1]]

    def _grid(self, span: Span, dimension: str) -> list[list[Options]]:
        """Return the options by consecutive stretches of the clock and, in each, levels of energy; both advance."""
        divider = self._divider
        if divider.boundary == "period_start" or (divider.boundary == "proportional" and not span.length):
            return [[divider.at_start(span, dimension)]]
        if divider.boundary == "proportional":
            return [[self._options(span, dimension, each) for each in divider.flow(span, dimension, 1)]]
        slices, levels = divider.slices(span, dimension), divider.levels(span, dimension)
        if not divider.budget.spend(len(slices) * len(levels)):
            raise TooManySteps
        return [[self._options(span, dimension, each, level) for level in levels] for each in slices]

    def _options(self, span: Span, dimension: str, *sections: Section) -> Options:
        return self._divider.cell(span, dimension, sections[0], *([each] for each in sections[1:]))

    def _first(self) -> list[Part]:
        causes: dict[tuple[str, str], None] = {}
        elements, free = 0, True
        for span, grid in self._grids(FLAT):
            found = self._chooser.of(FLAT, *_first_of(grid))
            if found.elements and not found.certain:
                causes |= dict.fromkeys(self._divider.causes(span, FLAT, [found]))
            elements |= found.elements
            free = found.free
            if not free:
                break
        start, stop = self._session
        part = Part(FLAT, None, start, stop, 1, self._chooser.of(FLAT, elements, free))
        part.causes = tuple(causes)
        return [part] if elements else []

    def _each_component(self) -> list[Part]:
        possible = 0
        due: dict[int, None] = {}
        causes: dict[tuple[str, str], None] = {}
        for span, options in self.stages(FLAT):
            possible |= options.elements
            if not options.free:
                due[options.elements] = None
            if not options.certain:
                causes |= dict.fromkeys(self._divider.causes(span, FLAT, [options]))
        start, stop = self._session
        found = []
        prices: dict[int, int] = {}
        for rate in self._chooser.rates(FLAT, possible):
            bit = 1 << rate.element
            part = Part(FLAT, None, start, stop, 1, self._chooser.of(FLAT, bit, bit not in due))
            part.causes = () if bit in due else tuple(causes)
            found.append(part)
            prices[bit] = rate.each
        self._narrow(found, due, prices)
        return found

    def _narrow(self, fees: Sequence[Part], due: Iterable[int], prices: Mapping[int, int]) -> None:
        """Narrow the bounds: if no single fee is certain at a moment, one of several may still be due for certain."""
        unsure = sorted((part for part in fees if not part.options.certain), key=lambda part: part.high - part.low)
        if unsure:
            sure = sum(part.options.elements for part in fees if part.options.certain)
            left = [each for each in due if not each & sure]
            low = sum(part.low for part in unsure) + least_due(left, prices)
            high = sum(part.high for part in unsure) - least_due(left, {bit: -each for bit, each in prices.items()})
            bound(unsure, low, high)

    def _of_periods(self, *, by_volume: bool) -> Iterator[Part]:
        for span in self._spans:
            volume = span.flat if by_volume else 1
            if not volume:
                continue
            options = self._chooser.fixed(FLAT) or self._divider.at_start(span, FLAT)
            if not options.elements:
                continue
            part = Part(FLAT, span.position, span.start, span.end, volume, options)
            part.causes = () if options.certain else self._divider.causes(span, FLAT, [options])
            yield part


def _first_of(grid: Sequence[Sequence[Options]]) -> tuple[int, bool]:
    """Return the fees that may be the first on a way through a grid, and whether possibly none is.

    A way begins at the first cell and ends at the last one; each step advances in one direction, or in both at once.
    """
    elements = 0
    before: list[bool] = []
    for row in grid:
        reached: list[bool] = []
        for place, options in enumerate(row):
            ways = [*before[max(0, place - 1) : place + 1], *reached[-1:]]
            open_ = any(ways) or not (before or reached)
            elements |= options.elements if open_ else 0
            reached.append(open_ and options.free)
        before = reached
    return elements, before[-1]


def least_due(due: Iterable[int], prices: Mapping[int, int]) -> int:
    """Return the least amount due if one fee of each set is due: exact for a few fees, otherwise a lower bound.

    Args:
        due: Sets of fees, a bit each.
        prices: The price of each fee; fees that cost 0 or less are due wherever they may be.
    """
    freely = sum(bit for bit, price in prices.items() if price <= 0)
    sets = {each for each in due if not each & freely}
    asked = 0
    for each in sets:
        asked |= each
    fees = list(_bits(asked))
    if len(fees) > MAX_FEES:
        return _apart(sets, prices)
    chosen = (some for size in range(len(fees) + 1) for some in combinations(fees, size))
    return min(sum(prices[bit] for bit in some) for some in chosen if all(each & sum(some) for each in sets))


def _apart(sets: Iterable[int], prices: Mapping[int, int]) -> int:
    """Return a lower bound: the cost of sets that have no fee in common."""
    cost = seen = 0
    for each in sorted(sets, key=lambda each: (each.bit_count(), each)):
        if not each & seen:
            seen |= each
            cost += min(prices[bit] for bit in _bits(each))
    return cost


def _bits(elements: int) -> Iterator[int]:
    while elements:
        yield elements & -elements
        elements &= elements - 1


def ever_active(fees: Fees, dimension: str) -> int:
    """Return the elements that may be active at some time of the session and have a price of this type."""
    found = 0
    for _, options in fees.stages(dimension):
        found |= options.elements
    return found
