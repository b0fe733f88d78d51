"""Which failed syncs are tried again, and when.

Rules of this module:
- a failure that another attempt cannot correct (NotRegistered, a forbidden URL, a wrong argument) is not retried;
- a stopped sync is run again at once, by any worker, and continues where it was;
- nothing is retried once the next turn is due: that one replaces it;
- a retry has a lower priority than a requested job.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from attrs import frozen
from procrastinate import BaseRetryStrategy, RetryDecision
from procrastinate.jobs import DEFAULT_PRIORITY, Job

from ocpi_emsp.contrib.procrastinate.settings import WorkerSettings
from ocpi_emsp.errors import NotRegistered, OcpiError, StoreFailed, UnsafeUrl

_PERMANENT = (NotRegistered, UnsafeUrl, ValueError, TypeError)
_SHORTEST = 1.0
"""Shortest wait in seconds, for periods of less than a minute."""
_STORE = 2.0
"""Seconds of the first wait if our database failed: it also holds the jobs, so it most likely works again."""


class SyncFailed(OcpiError):
    """A sync failed; the message has the reason. The next one continues from its checkpoint."""


class SyncStopped(OcpiError):
    """A sync was stopped because its worker is ending; another worker continues it."""


@frozen
class SyncRetries(BaseRetryStrategy):
    """Exponential waits until the retries are used up, or the next turn is due."""

    settings: WorkerSettings

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision | None:
        """Return when the job is tried again, or None."""
        at = self._retry_at(exception, job.attempts)
        ends = turn_ends(job, self.settings)
        if at is None or (ends is not None and at >= ends):
            return None
        return RetryDecision(retry_at=at, priority=DEFAULT_PRIORITY)

    def _retry_at(self, exception: BaseException, attempts: int) -> datetime | None:
        now = datetime.now(UTC)
        if isinstance(exception, SyncStopped | asyncio.CancelledError):
            return now
        if isinstance(exception, _PERMANENT) or attempts >= self.settings.retries:
            return None
        first = max(self.settings.seconds / self.settings.retry_part, _SHORTEST)
        if isinstance(exception, StoreFailed):
            first = min(first, _STORE)
        return now + timedelta(seconds=first * 2.0**attempts)


def turn_ends(job: Job, settings: WorkerSettings) -> datetime | None:
    """Return when the next turn of this job's party and module begins; None for a requested job."""
    turn = job.task_kwargs.get("timestamp")
    return datetime.fromtimestamp(turn, UTC) + settings.period if isinstance(turn, int) else None
