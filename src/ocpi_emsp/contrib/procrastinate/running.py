"""A worker: runs jobs until it is asked to stop.

Rules of this module:
- the upkeep has its own worker in the process, since it must not wait for syncs that take hours; and its own app, since
  two workers of one app would share the state of its timetable;
- once it is asked to stop, no job is begun, a sync ends after the current page, and its job returns to the queue;
- it retries when the database fails.
"""

from __future__ import annotations

import asyncio
import contextlib
from datetime import timedelta

import psycopg
from procrastinate import App
from procrastinate.exceptions import ConnectorException

from ocpi_emsp import logs
from ocpi_emsp.contrib.procrastinate.apps import make_app
from ocpi_emsp.contrib.procrastinate.settings import QUEUE, STOP, UPKEEP, WorkerSettings
from ocpi_emsp.contrib.procrastinate.tasks import ReportListener
from ocpi_emsp.emsp import Emsp
from ocpi_emsp.events import PublishFunction

_POLL = 2.0
"""Seconds between two checks for jobs: new ones announce themselves, retried ones do not."""
_REST = 2.0
"""Seconds before a failed database is tried again."""
_UPKEEP = 2
"""Jobs of the upkeep at once: a relay that waits for its broker does not delay the planner."""
_GRACE = timedelta(seconds=20)
"""How long the current page may take at the end: supervisors kill after 30 seconds or later."""


async def run_worker(
    emsp: Emsp,
    url: str,
    *,
    stop: asyncio.Event,
    concurrency: int = 4,
    grace: timedelta = _GRACE,
    settings: WorkerSettings | None = None,
    publish: PublishFunction | None = None,
    on_report: ReportListener | None = None,
) -> None:
    """Run jobs, up to ``concurrency`` syncs at once, until ``stop`` is set; the arguments of :func:`make_app`.

    Returns when no job runs any more: a sync has ``grace`` to finish its page. Survives database failures. Raises
    ValueError if the URL is of another database.
    """
    settings = settings or WorkerSettings()
    while not stop.is_set():
        syncs, upkeep = (make_app(emsp, url, settings=settings, publish=publish, on_report=on_report) for _ in range(2))
        try:
            async with syncs.open_async(), upkeep.open_async():
                await _run(stop, grace, settings, {QUEUE: (syncs, concurrency), UPKEEP: (upkeep, _UPKEEP)})
        except (ConnectorException, psycopg.Error) as error:
            cause = error.__cause__ or error
            logs.warning("worker.database_failed", error=str(cause).partition("\n")[0])
        if not stop.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _REST)


async def _run(
    stop: asyncio.Event, grace: timedelta, settings: WorkerSettings, apps: dict[str, tuple[App, int]]
) -> None:
    """Run a worker for each queue until one ends or all should stop. Raises what a worker raised."""
    silent = settings.take_over_after.total_seconds()
    workers = [
        asyncio.create_task(
            app.run_worker_async(
                queues=[queue],
                name=queue,
                concurrency=concurrency,
                fetch_job_polling_interval=_POLL,
                shutdown_graceful_timeout=grace.total_seconds(),
                delete_jobs="successful" if queue == UPKEEP else "never",
                additional_context={STOP: stop.is_set},
                install_signal_handlers=False,
                update_heartbeat_interval=silent / 3,
                stalled_worker_timeout=silent,
            )
        )
        for queue, (app, concurrency) in apps.items()
    ]
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({stopping, *workers}, return_when=asyncio.FIRST_COMPLETED)
        logs.info("worker.stopping", syncs="end after the current page")
    finally:
        for task in (stopping, *workers):
            task.cancel()  # a cancelled worker ends in order
        ended = await asyncio.gather(stopping, *workers, return_exceptions=True)
    for error in ended:
        if isinstance(error, Exception):
            raise error
