"""What check costs per EVSE of a location: the same for ten as for ten thousand, or it does not grow linearly."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from statistics import median

from measure import Result
from ocpi_emsp import Location, check
from samples import location

SIZES = (10, 100, 1_000, 10_000)
_ROUNDS = 7
_EVSES = 10_000
"""EVSEs that are checked for one measurement, in one location or in many."""


def results() -> Iterator[Result]:
    """Microseconds per EVSE; the reference is the smallest location's, measured in the same round."""
    documents = {evses: location(evses) for evses in SIZES}
    rounds = [{evses: _per_evse(document, evses) for evses, document in documents.items()} for _ in range(_ROUNDS)]
    for evses in SIZES:
        ours, reference = (median(each[size] for each in rounds) for size in (evses, SIZES[0]))
        ratio = median(each[evses] / each[SIZES[0]] for each in rounds)
        yield Result(f"Location, {evses:,} EVSEs", ours, reference, ratio)


def _per_evse(document: bytes, evses: int) -> float:
    gc.collect()
    gc.disable()
    try:
        start = time.thread_time()
        for _ in range(_EVSES // evses):
            check(document, Location)
        return (time.thread_time() - start) / _EVSES * 1e6
    finally:
        gc.enable()


if __name__ == "__main__":
    for result in results():
        print(f"{result.name}: {result.ours:.1f} µs per EVSE, {result.ratio:.2f} of the smallest location's")
