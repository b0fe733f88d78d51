"""Syncs, token pushes and relays as Procrastinate tasks on one PostgreSQL (docs/how-to/worker.md); extra ``worker``.

Rules of this package:
- a task does one thing of the eMSP, for one party and module at a time: Procrastinate's locks ensure that;
- a task may be run twice (its worker died, or seemed to): everything here may be repeated;
- every wait has an end: retries end with the turn, a stalled job is run again or given up.
"""

from __future__ import annotations

from ocpi_emsp._extras import extra

with extra("worker"):
    from ocpi_emsp.contrib.procrastinate.apps import make_app, upgrade
    from ocpi_emsp.contrib.procrastinate.deferring import defer_sync
    from ocpi_emsp.contrib.procrastinate.retries import SyncFailed, SyncStopped
    from ocpi_emsp.contrib.procrastinate.running import run_worker
    from ocpi_emsp.contrib.procrastinate.settings import QUEUE, STOP, UPKEEP, WorkerSettings
    from ocpi_emsp.contrib.procrastinate.tasks import tasks

__all__ = [
    "QUEUE",
    "STOP",
    "UPKEEP",
    "SyncFailed",
    "SyncStopped",
    "WorkerSettings",
    "defer_sync",
    "make_app",
    "run_worker",
    "tasks",
    "upgrade",
]
