"""Which FLAT fees a session pays: a question of states at moments, not of volumes.

Rules of this module (mod_tariffs.md 4.4, the reading ``flat``):
- ``session``: the first fee that is active, once; a later one is not charged;
- ``each_component``: each fee that is ever active, once;
- ``each_period``: the one that is active at the start of each period; ``dimension``: that one, as often as the
  period reports FLAT;
- on an unknown way through a period each stretch of the clock is passed, and each level of energy.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ocpi_emsp.pricing.reckoning.choice import Options
from ocpi_emsp.pricing.reckoning.divide import Divider, Section
from ocpi_emsp.pricing.reckoning.limits import TooManySteps
from ocpi_emsp.pricing.reckoning.parts import Part
from ocpi_emsp.pricing.reckoning.restrictions import FLAT
from ocpi_emsp.pricing.reckoning.spans import Span
from ocpi_emsp.pricing.session.metered import Metered


class Fees:
    """Finds the fees of one session."""

    def __init__(self, divider: Divider, metered: Metered, spans: Sequence[Span]) -> None:
        self._divider, self._chooser = divider, divider.chooser
        self._session = metered.start, max(metered.start, metered.stop)
        self._spans = [span for span in spans if span.position is not None]

    def parts(self, reading: str) -> list[Part]:
        """The fees under a reading."""
        if not self._chooser.index.priced.get(FLAT):
            return []
        if reading == "session":
            return self._first()
        if reading == "each_component":
            return self._each_component()
        return list(self._of_periods(by_volume=reading == "dimension"))

    def stages(self, dimension: str) -> Iterator[tuple[Span, Options]]:
        """What may be active, one after the other: on every way through the session one of each is passed."""
        for span in self._spans:
            fixed = self._chooser.fixed(dimension)
            if fixed is not None:
                yield span, fixed
                continue
            try:
                steady = self._divider.steady(span, dimension)
                rows = self._rows(span, dimension) if steady is None else [steady]
            except TooManySteps:
                yield span, self._chooser.everything(dimension)
                continue
            for options in rows:
                yield span, options

    def _rows(self, span: Span, dimension: str) -> list[Options]:
        divider = self._divider
        if divider.boundary == "period_start" or (divider.boundary == "proportional" and not span.length):
            return [divider.at_start(span, dimension)]
        if divider.boundary == "proportional":
            return [self._options(span, dimension, each) for each in divider.flow(span, dimension, 1)]
        slices, levels = divider.slices(span, dimension), divider.levels(span, dimension)
        if not divider.budget.spend(len(slices) * len(levels)):
            raise TooManySteps
        grid = [[self._options(span, dimension, each, level) for level in levels] for each in slices]
        if len(slices) == 1:
            return grid[0]
        if len(levels) == 1:
            return [row[0] for row in grid]
        union = self._chooser.union
        columns = [union(dimension, [row[place] for row in grid]) for place in range(len(levels))]
        # The first cell is passed first. Rows and columns overlap: which fee is the first shows in the rows already.
        return [grid[0][0], *(union(dimension, row) for row in grid), *columns]

    def _options(self, span: Span, dimension: str, *sections: Section) -> Options:
        return self._divider.cell(span, dimension, sections[0], *([each] for each in sections[1:]))

    def _first(self) -> list[Part]:
        found: list[Options] = []
        causes: dict[tuple[str, str], None] = {}
        for span, options in self.stages(FLAT):
            if options.elements:
                found.append(options)
                if not options.certain:
                    causes |= dict.fromkeys(self._divider.causes(span, FLAT, [options]))
            if not options.free:
                break
        else:
            found.append(self._chooser.of(FLAT, 0, True))
        start, stop = self._session
        elements = 0
        for each in found:
            elements |= each.elements
        part = Part(FLAT, None, start, stop, 1, self._chooser.of(FLAT, elements, found[-1].free))
        part.causes = tuple(causes)
        return [part] if part.options.elements else []

    def _each_component(self) -> list[Part]:
        sure = possible = 0
        causes: dict[tuple[str, str], None] = {}
        for span, options in self.stages(FLAT):
            possible |= options.elements
            if options.certain:
                sure |= options.elements
            else:
                causes |= dict.fromkeys(self._divider.causes(span, FLAT, [options]))
        start, stop = self._session
        found = []
        for rate in self._chooser.rates(FLAT, possible):
            bit = 1 << rate.element
            part = Part(FLAT, None, start, stop, 1, self._chooser.of(FLAT, bit, not sure & bit))
            part.causes = () if sure & bit else tuple(causes)
            found.append(part)
        return found

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


def ever_active(fees: Fees, dimension: str) -> int:
    """The elements that may be active at some time of the session and have a price of this type."""
    found = 0
    for _, options in fees.stages(dimension):
        found |= options.elements
    return found
