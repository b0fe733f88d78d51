"""A clock that a test sets: the time of an eMSP, and of the simulated CPO that is registered with it.

Rules of this module: the clock stands still until it is set or advanced; a wait on it takes no real time, and advances
it.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from attrs import define, field

if TYPE_CHECKING:
    from ocpi_emsp import Emsp
    from ocpi_emsp.ports import Clock, Sleep

__all__ = ["START", "ManualClock"]

START = datetime(2024, 6, 1, 12, tzinfo=UTC)
"""Initial time of a clock: later than everything that the simulated CPO has initially."""


@define(eq=False)
class ManualClock:
    """The time of an eMSP: ``Emsp(clock=clock, sleep=clock.sleep)``, or :meth:`drive` for an existing one."""

    _time: datetime = START
    _driven: list[tuple[Emsp, Clock, Sleep | None]] = field(factory=list, init=False, repr=False)

    def now(self) -> datetime:
        """Return the time, aware, in UTC."""
        return self._time

    def set(self, moment: datetime) -> None:
        """Set the time. Raises ValueError if ``moment`` has no time zone."""
        if moment.tzinfo is None:
            raise ValueError(f"invalid moment '{moment}': expected a time zone, for example {START.isoformat()}")
        self._time = moment.astimezone(UTC)

    def advance(self, step: timedelta | None = None, **parts: float) -> None:
        """Advance the time by a step, or by the arguments of timedelta: ``advance(minutes=5)``."""
        self._time += timedelta(**parts) + (step or timedelta())

    async def sleep(self, seconds: float) -> None:
        """Advance the time by these seconds and return at once."""
        self.advance(seconds=seconds)

    def drive(self, emsp: Emsp) -> None:
        """Make this the clock of an existing Emsp, until :meth:`release`."""
        setup = emsp._contexts.setup
        self._driven.append((emsp, setup.clock, setup.sleep))
        _give(emsp, self, self.sleep)

    def release(self) -> None:
        """Give every driven Emsp its own clock back."""
        while self._driven:
            _give(*self._driven.pop())


def _give(emsp: Emsp, clock: Clock, sleep: Sleep | None) -> None:
    setup = emsp._contexts.setup
    setup.clock, setup.sleep = clock, sleep
    setup.changes += 1  # contexts are created again
