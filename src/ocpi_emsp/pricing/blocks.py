"""What other readings of ``step_size`` would bill, from the lines of a bill.

Rules of this module: this is a sieve for explanations, in place of a reckoning for each reading; what passes it is
reckoned. It sees certain lines only.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from fractions import Fraction
from typing import Final, NamedTuple

from ocpi_emsp.pricing.exact import Rational, rational
from ocpi_emsp.pricing.result import Line

PER_UNIT: Final = {"Wh": 1000, "s": 3600}
"""How many of a unit its price is for."""
_TIMES: Final = ("TIME", "PARKING_TIME")


class Piece(NamedTuple):
    """A volume with its price."""

    dimension: str
    period: int | None
    component: tuple[int | None, int | None]
    volume: Rational
    step: int
    price: Fraction
    """Of one Wh or second."""


class Bill(NamedTuple):
    """The volumes of a bill that have a price, and what is not billed by volume."""

    pieces: tuple[Piece, ...]
    fees: Fraction

    @classmethod
    def of(cls, lines: Sequence[Line]) -> Bill | None:
        """The bill that these lines are; None where one of them is not certain."""
        pieces, fees = list[Piece](), Fraction()
        for line in lines:
            if line.cost is None:
                return None
            per = PER_UNIT.get(line.unit)
            if per is None:
                fees += rational(line.cost) if line.unit == "" else 0
            elif line.price is not None and line.measured:
                price = Fraction(rational(line.price), per)
                place = line.element, line.component
                volume = rational(line.measured)
                pieces.append(Piece(line.dimension, line.period, place, volume, max(line.step_size or 0, 0), price))
        return cls(tuple(pieces), fees)

    def bare(self) -> Fraction:
        """The total without any rounding of volumes."""
        return self.fees + sum((each.volume * each.price for each in self.pieces), Fraction())

    def most(self) -> Fraction:
        """The most that blocks may add, without sign: one for each piece."""
        return sum((each.step * abs(each.price) for each in self.pieces), Fraction())

    def stepped(self, reading: str) -> Fraction:
        """The total under a reading of ``step``."""
        return self.bare() + sum((_added(group) for group in self._groups(reading)), Fraction())

    def by_blocks(self) -> Fraction:
        """The total if a price is that of each block."""
        groups = _grouped(self.pieces, lambda each: each.component)
        return self.fees + sum((_blocks(group) for group in groups), Fraction())

    def unfinished(self) -> Fraction:
        """What the last block of each dimension costs, as far as it is used."""
        return (
            sum(
                (sum(each.volume for each in group) % group[-1].step * group[-1].price)
                for group in _grouped(self.pieces, lambda each: each.dimension)
                if group[-1].step
            )
            + Fraction()
        )

    def _groups(self, reading: str) -> Iterator[Sequence[Piece]]:
        """The volumes that are rounded together, each by the block of its last."""
        key = _KEYS.get(reading)
        if key is not None:
            yield from _grouped(self.pieces, key)
        elif reading != "none":
            yield [each for each in self.pieces if each.dimension == "ENERGY"]
            times = [each for each in self.pieces if each.dimension in _TIMES]
            if reading == "time_total":
                yield times
            elif times:
                parks = any(each.dimension == "PARKING_TIME" for each in times)
                last = times[-1].dimension if reading == "session_last_sequence" else _TIMES[parks]
                yield [each for each in times if each.dimension == last]


_KEYS: Final[dict[str, Callable[[Piece], Hashable]]] = {
    "per_dimension": lambda each: each.dimension,
    "per_component": lambda each: each.component,
    "per_price": lambda each: (each.dimension, each.price),
    "per_period": lambda each: (each.period, each.component),
}


def _grouped(pieces: Sequence[Piece], key: Callable[[Piece], Hashable]) -> Iterator[Sequence[Piece]]:
    groups: dict[Hashable, list[Piece]] = {}
    for each in pieces:
        groups.setdefault(key(each), []).append(each)
    yield from groups.values()


def _added(group: Sequence[Piece]) -> Fraction:
    """What is added to volumes that are rounded together."""
    if not group or not group[-1].step:
        return Fraction()
    return -sum(each.volume for each in group) % group[-1].step * group[-1].price


def _blocks(group: Sequence[Piece]) -> Fraction:
    last = group[-1]
    volume = sum(each.volume for each in group)
    return last.price * _per(last) * (-(-volume // last.step) if last.step else Fraction(volume, _per(last)))


def _per(piece: Piece) -> int:
    return PER_UNIT["Wh" if piece.dimension == "ENERGY" else "s"]
