"""The engine that is always there: Hypothesis in rounds, until the time is up.

Rules of this module: every target gets its turn; a target that failed gets no further one, since it would fail again.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence

from cases import CASES
from hypothesis import HealthCheck, given, seed, settings
from targets import TARGETS, Case, fresh

from run import Found

_ROUND = 200
"""Cases of one turn: two or three seconds."""
_ROUNDS = {"openapi": 30}
"""Of targets whose cases take longer to draw."""


def fuzz(seconds: float, targets: Sequence[str] | None) -> int:
    """Fuzz these targets, or all."""
    found, started = Found(), time.monotonic()
    left = list(targets or TARGETS)
    while left and time.monotonic() - started < seconds:
        for target in list(left):
            if time.monotonic() - started < seconds and not _turn(target, found):
                left.remove(target)
    return found.summary(started)


def _turn(target: str, found: Found) -> bool:
    """One round of a target; False where it failed."""
    failures: list[tuple[Case, BaseException]] = []

    @seed(random.getrandbits(64))
    @settings(
        max_examples=_ROUNDS.get(target, _ROUND),
        deadline=None,
        database=None,
        print_blob=False,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    @given(CASES[target])
    def run(case: Case) -> None:
        found.tried[target] += 1
        try:
            TARGETS[target](case)
        except BaseException as error:
            failures.append((case, error))
            raise

    fresh()
    try:
        run()
    except KeyboardInterrupt:
        raise
    except BaseException:  # noqa: BLE001 # whatever it was, the failures are what counts
        # The last one is what Hypothesis shrank it to.
        found.crash(target, *failures[-1])
        return False
    return True
