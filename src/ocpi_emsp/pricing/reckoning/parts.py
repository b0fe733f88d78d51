"""A part of a bill: a volume of one charging period, with the prices that may apply to it."""

from __future__ import annotations

from collections.abc import Sequence

from ocpi_emsp.pricing.exact import Rational
from ocpi_emsp.pricing.reckoning.choice import Options
from ocpi_emsp.pricing.reckoning.money import Amount


class Part:
    """A volume and its cost, between two bounds that are equal if the cost is certain."""

    __slots__ = (
        "added",
        "causes",
        "dimension",
        "end",
        "high",
        "low",
        "options",
        "position",
        "start",
        "volume",
    )

    def __init__(
        self, dimension: str, position: int | None, start: int, end: int, volume: Rational, options: Options
    ) -> None:
        self.dimension = dimension
        self.position = position
        """The index of the charging period; None for the session as a whole."""
        self.start, self.end = start, end
        self.volume = volume
        self.options = options
        self.low: Amount = options.low * volume
        self.high: Amount = self.low if options.certain else options.high * volume
        self.added: Rational = 0
        """What step_size adds to the volume, if that is certain."""
        self.causes: tuple[tuple[str, str], ...] = ()
        """Codes and pointers: why the price is not certain."""

    @property
    def priced(self) -> bool:
        """True if a price applies for certain."""
        return not self.options.free


def bound(group: Sequence[Part], low: Amount, high: Amount) -> None:
    """Set the bounds of a group of parts.

    If the group's bounds become wider, the last part takes the difference; if narrower, the later parts do, each
    without its own bounds crossing.
    """
    more, less = high - sum(part.high for part in group), low - sum(part.low for part in group)
    group[-1].high += max(0, more)
    group[-1].low += min(0, less)
    for part in reversed(group):
        cut = max(0, min(-more, part.high - part.low))
        part.high -= cut
        more += cut
    raise_lows(group, less)


def raise_lows(group: Sequence[Part], amount: Amount) -> None:
    """Raise the lower bound of a group by an amount, as far as the bounds of its parts allow, later parts first."""
    for part in reversed(group):
        if amount <= 0:
            return
        added = min(amount, part.high - part.low)
        part.low += added
        amount -= added
