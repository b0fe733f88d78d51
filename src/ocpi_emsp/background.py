"""The loops that do what is due.

Rules of this module: they wait here, and outlive whatever fails, a bug of ours too, since nobody would start them
again: one warning per outage, with the traceback.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Awaitable, Callable

from ocpi_emsp import logs
from ocpi_emsp._bridge import rest


def keep_doing(once: Callable[[], int], what: str, stop: threading.Event, every: float) -> None:
    """Call ``once`` until ``stop`` is set; ``every`` so many seconds where there was nothing to do."""
    pace = _Pace(what, every)
    while not stop.is_set():
        try:
            seconds = pace.after(once())
        except Exception as error:  # noqa: BLE001 # it is said, and tried again
            seconds = pace.failed(error)
        stop.wait(seconds)


async def async_keep_doing(once: Callable[[], Awaitable[int]], what: str, every: float) -> None:
    """:func:`keep_doing`, until it is cancelled."""
    pace = _Pace(what, every)
    while True:
        try:
            seconds = pace.after(await once())
        except Exception as error:  # noqa: BLE001 # it is said, and tried again
            seconds = pace.failed(error)
        await rest(seconds)


class Seldom:
    """What a loop does now and then: at its first round, and once every so many seconds."""

    def __init__(self, every: float) -> None:
        self._every = every
        self._next = 0.0

    def is_due(self) -> bool:
        """True where it is time again; the next time counts from now on."""
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + self._every
        return True

    def rest(self, seconds: float) -> None:
        """Not again for so many seconds, or longer."""
        self._next = max(self._next, time.monotonic() + seconds)


class _Pace:
    """How long a loop rests, and what it says: an outage is one warning, however long it lasts."""

    longest = 60.0
    """Seconds: an outage is over within a minute of its end, and costs one try a minute."""

    def __init__(self, what: str, every: float) -> None:
        self._what = what
        self._every = every
        self._failures = 0

    def after(self, done: int) -> float:
        """The seconds to rest after a round that did something, or nothing."""
        if self._failures:
            logs.info("loop.recovered", what=self._what, failures=self._failures)
        self._failures = 0
        return 0.0 if done else self._every

    def failed(self, error: Exception) -> float:
        """The seconds to rest after a round that failed."""
        self._failures += 1
        if self._failures == 1:
            logs.warning("loop.failed", trace=error, what=self._what, error=error)
        return float(max(self._every, min(self._every * 2 ** min(self._failures, 30), self.longest)))
