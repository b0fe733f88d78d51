"""Ratios within one run: the two sides take turns, so that a busy machine slows both alike."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from statistics import median

from attrs import frozen

ROUNDS = 41


@frozen
class Result:
    """Medians of one call in microseconds, and the median of the rounds' ratios."""

    name: str
    ours: float
    reference: float
    ratio: float


def compare(name: str, ours: Callable[[], object], reference: Callable[[], object], calls: int) -> Result:
    """Time both sides ``ROUNDS`` times in turns, ``calls`` calls each."""
    _time(ours, calls), _time(reference, calls)
    pairs = [(_time(ours, calls), _time(reference, calls)) for _ in range(ROUNDS)]
    return Result(
        name,
        median(one for one, _ in pairs),
        median(other for _, other in pairs),
        median(one / other for one, other in pairs),
    )


def _time(function: Callable[[], object], calls: int) -> float:
    gc.collect()
    gc.disable()
    try:
        start = time.thread_time()
        for _ in range(calls):
            function()
        return (time.thread_time() - start) / calls * 1e6
    finally:
        gc.enable()
