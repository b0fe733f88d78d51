"""The eMSP that is killed while it syncs.

    syncer.py URL

Rules of this program:
- what is killed is a fork (forks.py); a message is an `Order`, a report is written to the file `report`;
- the time stands still during a sync, as the order says it: what is stored does not depend on how fast it went;
- a fork kills itself with its n-th statement where it is told to, so that a kill comes anywhere in a transaction.
"""

from __future__ import annotations

import os
import signal
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
from attrs import define, frozen
from sqlalchemy import event

from crash.forks import fork_for_each_message
from ocpi_emsp import Emsp, Limits
from ocpi_emsp.events import Event
from ocpi_emsp.settings import SyncLimits
from ocpi_emsp.storage import SqlStore
from ocpi_emsp.storage.sql import prepared
from our_emsp import FakeClock, make_emsp

REPORT = Path("report")


@frozen(kw_only=True)
class Order:
    """What a fork is to do."""

    now: datetime
    full: bool = False
    dies_at: int | None = None
    """The number of the statement or commit before which it is killed."""


@define
class Statements:
    """Counts what a database is asked for."""

    dies_at: int | None
    count: int = 0

    def attach(self, store: SqlStore) -> None:
        """From now on; SQLAlchemy's events tell only of statements that it executes itself."""
        execute = prepared._execute

        def counted(*args: Any, **options: Any) -> Any:
            self._next()
            return execute(*args, **options)

        prepared._execute = counted
        event.listen(store._engine, "before_cursor_execute", self._next)
        event.listen(store._engine, "commit", self._next)

    def _next(self, *_: Any) -> None:
        self.count += 1
        if self.count == self.dies_at:
            os.kill(os.getpid(), signal.SIGKILL)


def emsp_at(store: SqlStore, now: datetime) -> Emsp:
    """The eMSP on a store, at a time; what vanished counts at once."""
    return make_emsp(
        url="http://127.0.0.1/ocpi/emsp",
        store=store,
        limits=Limits(sync=SyncLimits(overlap=timedelta(minutes=15), missed_syncs=1)),
        url_policy="loopback",
        clock=FakeClock(now),
        outbox_events=[Event],
        http_client=lambda: httpx.Client(trust_env=False, verify=False),
    )


def main(url: str) -> None:
    """Sync once for each message on the input."""
    store = SqlStore(url)
    fork_for_each_message(lambda message: sync(store, msgspec.json.decode(message, type=Order)))


def sync(store: SqlStore, order: Order) -> None:
    """Sync, and say what became of it."""
    statements = Statements(order.dies_at)
    statements.attach(store)
    report = emsp_at(store, order.now).partner("NL-TNM").sync(full=order.full)
    assert report.ok, report
    REPORT.write_bytes(msgspec.json.encode({"statements": statements.count, "unchanged": report.unchanged}))


if __name__ == "__main__":
    main(sys.argv[1])
