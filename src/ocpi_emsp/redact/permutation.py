"""A secret permutation of the numbers below any size, without fixed points.

Rules of this module:
- a Feistel network over keyed hashes permutes a power of four; results beyond the size are permuted again
  (format-preserving encryption). So no table is stored, and two numbers never collide;
- the permutation is one step along a secret cycle through all numbers: applied repeatedly, it visits each of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import shake_256

_ROUNDS = range(8)


def step(key: bytes, number: int, size: int) -> int:
    """Return the successor of ``number`` on the cycle of ``key`` through all numbers from 0 to ``size`` - 1."""
    if size < 2:
        return number
    place = _walked(key, number, size, _ROUNDS, forth=True)
    return _walked(key, (place + 1) % size, size, reversed(_ROUNDS), forth=False)


def _walked(key: bytes, number: int, size: int, rounds: Iterable[int], *, forth: bool) -> int:
    half = ((size - 1).bit_length() + 1) // 2
    order = list(rounds)
    while True:
        number = _permuted(key + size.to_bytes((size.bit_length() + 7) // 8), number, half, order, forth=forth)
        if number < size:
            return number


def _permuted(key: bytes, number: int, half: int, rounds: list[int], *, forth: bool) -> int:
    mask, length = (1 << half) - 1, (half + 7) // 8
    left, right = number >> half, number & mask
    for each in rounds:
        hashed = right if forth else left
        pad = int.from_bytes(shake_256(key + bytes([each]) + hashed.to_bytes(length)).digest(length)) & mask
        left, right = (right, left ^ pad) if forth else (right ^ pad, left)
    return left << half | right
