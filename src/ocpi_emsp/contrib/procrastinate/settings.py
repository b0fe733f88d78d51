"""Settings of a worker: names and numbers.

Rules of this module: each limit has a default and a reason; all workers of one database have the same settings.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from attrs import Attribute, field, frozen
from attrs.validators import ge

from ocpi_emsp.contrib.procrastinate.planning import cron
from ocpi_emsp.resources import MODULES, require_modules

QUEUE: Final = "ocpi_emsp"
"""Queue of jobs that call partners, and may take hours."""
UPKEEP: Final = "ocpi_emsp_upkeep"
"""Queue of jobs that take seconds and must not wait for those: planning, relaying, taking over, deadlines, audits."""

SYNC: Final = "ocpi_emsp.sync"
PUSH_TOKENS: Final = "ocpi_emsp.push_tokens"

STOP: Final = "ocpi_emsp_stop"
"""In the worker's ``additional_context``: a function without arguments that returns True once jobs should end."""


def _at_least(shortest: timedelta) -> Any:
    def check(_instance: Any, attribute: Attribute[Any], value: timedelta | None) -> None:
        if value is not None and value < shortest:
            raise ValueError(f"invalid {attribute.name} {value}: expected {shortest} or more")

    return check


def _modules(_instance: Any, _attribute: Attribute[Any], value: tuple[str, ...]) -> None:
    if not value:
        raise ValueError(f"invalid modules '': expected some of {', '.join(MODULES)}, for example {MODULES[0]}")
    require_modules(value)


def _seconds_of_a_minute(_instance: Any, _attribute: Attribute[Any], value: int) -> None:
    cron(value)


@frozen(kw_only=True)
class WorkerSettings:
    """Intervals and retries of a worker. Raises ValueError if a value is out of range."""

    period: timedelta = field(default=timedelta(hours=4), validator=_at_least(timedelta(seconds=5)))
    """Each party and module is synced once in this time: OCPI says that partners are polled in hours."""
    modules: tuple[str, ...] = field(default=MODULES, validator=_modules)
    """The modules that are planned, as far as a party has them."""
    full_every: timedelta | None = field(default=timedelta(days=7), validator=_at_least(timedelta(minutes=1)))
    """How often a sync is a full one, which detects vanished objects, and costs the partner its whole list; None:
    never.
    """
    retries: int = field(default=5, validator=ge(0))
    """How often a failed sync is tried again before the next turn: with the waits below, half a period passes."""
    retry_part: int = field(default=64, validator=ge(1))
    """The first wait before a retry is this part of the period (of 4 hours: 225 seconds), each other twice as long."""
    relay_every: int = field(default=5, validator=_seconds_of_a_minute)
    """Seconds between two checks for events to relay, a divisor of 60: a broker behind a worker needs no less."""
    fan_out_every: int = field(default=5, validator=_seconds_of_a_minute)
    """Seconds between two checks for parties that changed tokens must be pushed to, a divisor of 60."""
    expire_every: int = field(default=5, validator=_seconds_of_a_minute)
    """Seconds between two checks for deadlines that passed, a divisor of 60: they are minutes long."""
    audit_every: int = field(default=5, validator=_seconds_of_a_minute)
    """Seconds between two checks for CDRs that are to be audited, a divisor of 60."""
    take_over_after: timedelta = field(default=timedelta(seconds=30), validator=_at_least(timedelta(seconds=2)))
    """Silence after which a worker counts as dead, and its jobs are run by others: a busy one is late by seconds."""
    deaths: int = field(default=10, validator=ge(1))
    """How often a job is run before it is no longer taken over: it most likely kills its worker."""
    keep_jobs: timedelta = field(default=timedelta(days=7), validator=_at_least(timedelta(hours=1)))
    """How long ended jobs are stored; those of the upkeep for an hour."""

    @property
    def seconds(self) -> int:
        """The period in whole seconds."""
        return int(self.period.total_seconds())

    @property
    def full_seconds(self) -> int | None:
        """The time between two full syncs in whole seconds."""
        return None if self.full_every is None else int(self.full_every.total_seconds())
