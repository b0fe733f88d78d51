"""Syncs, token pushes and relays as Procrastinate tasks on the same PostgreSQL (docs/worker.md); extra ``worker``.

Rules of this package:
- a task does one thing of the eMSP, for one party and module at a time: Procrastinate's locks see to that;
- a task may be run twice (its worker died, or was taken for dead): everything here may be repeated;
- whatever waits has an end: retries end with the turn, a stalled job is run again or given up.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from ocpi_emsp import logs
from ocpi_emsp._extras import extra

with extra("worker"):
    import procrastinate

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


def __getattr__(name: str) -> Any:
    """``app``, for Procrastinate's own command: of the settings that ``ocpi-emsp worker`` would take without flags."""
    if name != "app":
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return _app()


@lru_cache(maxsize=1)
def _app() -> procrastinate.App:
    import os
    from argparse import Namespace

    from ocpi_emsp.cli.errors import CommandFailed
    from ocpi_emsp.cli.settings import read_settings, store_url
    from ocpi_emsp.cli.stores import BASE_PATH, make_emsp
    from ocpi_emsp.storage import SqlStore

    try:
        flags = Namespace()
        settings, url = read_settings(flags, os.environ), store_url(flags, os.environ)
        emsp = make_emsp(settings, settings.url or f"http://127.0.0.1{BASE_PATH}", SqlStore(url))
        return make_app(emsp, url)
    except (CommandFailed, ValueError) as error:
        logs.error("worker.no_app", error=error)  # Procrastinate's command does not say why
        raise AttributeError(f"cannot create the app: {error}") from error
