"""Requests for syncs, beside the planned ones.

Rules of this module:
- any Procrastinate app on the database can request a sync, whether or not it knows the tasks;
- a requested job precedes planned ones; one that is already waiting is not queued twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import procrastinate
from procrastinate.jobs import Job, JobDeferrer
from procrastinate.utils import add_namespace

from ocpi_emsp.contrib.procrastinate.planning import Pair
from ocpi_emsp.contrib.procrastinate.settings import PUSH_TOKENS, QUEUE, SYNC
from ocpi_emsp.party_id import PartyId, PartyLike
from ocpi_emsp.resources import MODULES, require_modules

ASKED = 10
"""The priority of requested jobs."""
TOKENS = "tokens"


def lock_of(pair: Pair) -> str:
    """Return the lock of all jobs of one party and module."""
    return f"sync/{pair}"


def changes_of(country_code: str, party_id: str) -> str:
    """Return the queueing lock of a push of changes: at most one waits for each party."""
    return f"changes/{country_code}-{party_id}"


def job_arguments(pair: Pair, *, full: bool) -> tuple[str, dict[str, Any]]:
    """Return the name of the task that syncs a pair, and its arguments."""
    party = {"country_code": pair.country_code, "party_id": pair.party_id}
    if pair.module == TOKENS:
        return PUSH_TOKENS, party
    return SYNC, {**party, "module": pair.module, "full": full}


def defer_sync(
    app: procrastinate.App,
    party: PartyLike,
    *,
    modules: Iterable[str] = MODULES,
    full: bool = False,
    namespace: str = "",
) -> list[int]:
    """Request a sync of a party: one job per module, ahead of planned ones. Returns the ids of the new jobs.

    A module whose request is already queued is skipped. ``namespace``: that of ``app.add_tasks_from``. The app must be
    open. ``aio.defer_sync`` is the async twin. Raises ValueError if a party or module is invalid, ConnectorException of
    Procrastinate.
    """
    return [
        deferrer.defer()
        for deferrer in _asked(app, party, modules, full, namespace)
        if not _waits(app.job_manager.list_jobs(**_waiting(deferrer.job)), deferrer.job)
    ]


async def awaited_defer_sync(
    app: procrastinate.App,
    party: PartyLike,
    *,
    modules: Iterable[str] = MODULES,
    full: bool = False,
    namespace: str = "",
) -> list[int]:
    """:func:`defer_sync`, awaited."""
    return [
        await deferrer.defer_async()
        for deferrer in _asked(app, party, modules, full, namespace)
        if not _waits(await app.job_manager.list_jobs_async(**_waiting(deferrer.job)), deferrer.job)
    ]


def _asked(
    app: procrastinate.App, party: PartyLike, modules: Iterable[str], full: bool, namespace: str
) -> Iterator[JobDeferrer]:
    owner, wanted = PartyId.of(party), {module.lower() for module in modules}
    require_modules(wanted)
    for module in MODULES:
        if module in wanted:
            pair = Pair(*owner, module)
            name, arguments = job_arguments(pair, full=full)
            task = add_namespace(name, namespace)
            yield app.configure_task(task, queue=QUEUE, priority=ASKED, lock=lock_of(pair), task_kwargs=arguments)


def _waiting(job: Job) -> dict[str, Any]:
    return {"task": job.task_name, "lock": job.lock, "status": "todo"}


def _waits(jobs: Iterable[Job], wanted: Job) -> bool:
    """Return True if a job that does the same is waiting. A queueing lock cannot do this: a retry of a running job
    would violate it, and Procrastinate would then never end that job.
    """
    return any(job.task_kwargs == wanted.task_kwargs for job in jobs)
