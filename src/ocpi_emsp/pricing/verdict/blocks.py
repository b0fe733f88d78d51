"""What other readings of ``step_size`` would bill, from the lines of a bill.

Rules of this module:
- this is a sieve for explanations, which saves a reckoning for each reading: only what passes it is reckoned;
- amounts and volumes are whole numbers of the small unit of fine.py: fast, accurate enough for a sieve, and independent
  of the decimal context;
- it only uses certain lines.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Final, NamedTuple

from ocpi_emsp.pricing.result import Line
from ocpi_emsp.pricing.verdict.fine import FINE, fine

PER_UNIT: Final = {"Wh": 1000, "s": 3600}
"""The volume that a price is for, by unit."""
_TIMES: Final = ("TIME", "PARKING_TIME")


class Piece(NamedTuple):
    """A volume with its price."""

    dimension: str
    period: int | None
    component: tuple[int | None, int | None]
    volume: int
    """Volume in the small unit of a Wh or second; likewise ``step``."""
    step: int
    price: int
    """Price of one Wh or second, in the small unit."""
    per: int

    @property
    def cost(self) -> int:
        """Return the cost of the volume without blocks."""
        return self.volume * self.price // FINE


class Bill(NamedTuple):
    """The volumes of a bill that have a price, and the amounts that are not billed by volume."""

    pieces: tuple[Piece, ...]
    fees: int
    total: int
    bare: int
    """The total without any rounding of volumes."""

    @classmethod
    def of(cls, lines: Sequence[Line]) -> Bill | None:
        """Return the bill of these lines; None if one of them is uncertain."""
        pieces, fees, total = list[Piece](), 0, 0
        for line in lines:
            if line.cost is None:
                return None
            cost = fine(line.cost)
            total += cost
            per = PER_UNIT.get(line.unit)
            if per is None:
                fees += cost
            elif line.price is not None and line.measured:
                place, step = (line.element, line.component), max(line.step_size or 0, 0) * FINE
                price, volume = fine(line.price) // per, fine(line.measured)
                pieces.append(Piece(line.dimension, line.period, place, volume, step, price, per))
        return cls(tuple(pieces), fees, total, fees + sum(each.cost for each in pieces))

    def most(self) -> int:
        """Return the most that blocks may add, without sign: one for each piece."""
        return sum(each.step // FINE * abs(each.price) for each in self.pieces)

    def stepped(self, reading: str) -> int:
        """Return the total under a reading of ``step``."""
        return self.bare + sum(_added(group) for group in self._groups(reading))

    def by_blocks(self) -> int:
        """Return the total if a price is that of each block."""
        return self.fees + sum(_blocks(group) for group in _grouped(self.pieces, lambda each: each.component))

    def unfinished(self) -> int:
        """Return the cost of the used part of each dimension's last block."""
        return sum(
            _volume(group) % group[-1].step * group[-1].price // FINE
            for group in _grouped(self.pieces, lambda each: each.dimension)
            if group[-1].step
        )

    def _groups(self, reading: str) -> Iterator[Sequence[Piece]]:
        """Yield the volumes that are rounded together, each group by the block of its last."""
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


def _volume(group: Sequence[Piece]) -> int:
    return sum(each.volume for each in group)


def _added(group: Sequence[Piece]) -> int:
    """Return what is added to volumes that are rounded together."""
    if not group or not group[-1].step:
        return 0
    return -_volume(group) % group[-1].step * group[-1].price // FINE


def _blocks(group: Sequence[Piece]) -> int:
    last, volume = group[-1], _volume(group)
    if not last.step:
        return volume * last.price // FINE
    return last.price * last.per * -(-volume // last.step)
