"""A part of a bill: a volume of one charging period, with the prices that may apply to it."""

from __future__ import annotations

from ocpi_emsp.pricing.exact import Rational
from ocpi_emsp.pricing.reckoning.choice import Options
from ocpi_emsp.pricing.reckoning.money import Amount


class Part:
    """A volume and what it costs, between two bounds that are equal where it is certain."""

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
