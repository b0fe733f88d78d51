"""``ocpi-emsp worker``: syncs CPOs as jobs in PostgreSQL, beside any number of other workers.

Rules of this module:
- the database and both schemas are looked at before it works; which database it is stands on stderr;
- what happens is logged on stderr, a line for each sync that ends; a partner that fails is no traceback;
- SIGTERM and Ctrl-C end it in order, and a reader of its output that goes away does, too.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from argparse import Namespace
from collections.abc import Iterator
from typing import TYPE_CHECKING

from attrs import define, field

from ocpi_emsp.cli import output
from ocpi_emsp.cli.errors import Outside, Usage
from ocpi_emsp.cli.settings import read_settings, store_url
from ocpi_emsp.cli.stores import BASE_PATH, make_emsp, open_store
from ocpi_emsp.cli.worker_arguments import NEVER
from ocpi_emsp.emsp import Emsp
from ocpi_emsp.errors import OcpiError
from ocpi_emsp.flows.sync.report import SyncReport

if TYPE_CHECKING:
    from ocpi_emsp.contrib.procrastinate import WorkerSettings
    from ocpi_emsp.storage import SqlStore


def run(arguments: Namespace) -> int:
    """Work until SIGTERM or Ctrl-C."""
    settings = read_settings(arguments, os.environ)
    url = store_url(arguments, os.environ)
    if not url.startswith("postgresql"):
        raise Usage(
            "workers share their jobs in PostgreSQL, and this store is on "
            f"{url.partition(':')[0]}: give --store postgresql+psycopg://user@host/database"
        )
    output.require("procrastinate", "worker")
    times = _times(arguments)
    store = open_store(url, auto_upgrade=arguments.upgrade)
    output.say(f"everything is kept in {store}")
    emsp = make_emsp(settings, settings.url or f"http://127.0.0.1{BASE_PATH}", store)
    with _log_on_stderr():
        asyncio.run(_work(_Printer(arguments.json), emsp, store, url, times, arguments))
    return 0


def _times(arguments: Namespace) -> WorkerSettings:
    from ocpi_emsp.contrib.procrastinate import WorkerSettings

    try:
        return WorkerSettings(
            period=arguments.period,
            full_every=None if arguments.full_every == NEVER else arguments.full_every,
            take_over_after=arguments.take_over_after,
        )
    except ValueError as error:
        raise Usage(str(error)) from None


async def _work(
    printer: _Printer, emsp: Emsp, store: SqlStore, url: str, times: WorkerSettings, arguments: Namespace
) -> None:
    from ocpi_emsp.contrib.procrastinate import run_worker

    try:
        _stop_at_signals(printer.stop)
        await _look_at_schema(emsp, url, upgrades=arguments.upgrade)
        printer.begin(emsp, times, arguments.concurrency)
        await run_worker(
            emsp, url, stop=printer.stop, concurrency=arguments.concurrency, settings=times, on_report=printer.end
        )
    finally:
        await store.aclose()
    if printer.failure is not None:
        raise printer.failure


def _stop_at_signals(stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    with contextlib.suppress(ValueError, RuntimeError, NotImplementedError):  # in a thread, or on Windows
        for each in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(each, stop.set)


async def _look_at_schema(emsp: Emsp, url: str, *, upgrades: bool) -> None:
    """Raises Outside where Procrastinate's tables are missing, or the database fails."""
    import psycopg
    from procrastinate.exceptions import ConnectorException

    from ocpi_emsp.contrib.procrastinate import make_app, upgrade

    app = make_app(emsp, url)
    try:
        async with app.open_async():
            if upgrades and await upgrade(app):
                output.say("made the tables of Procrastinate")
            if not await app.check_connection_async():
                raise Outside("the database has no tables of Procrastinate: `ocpi-emsp worker --upgrade` makes them")
    except (ConnectorException, psycopg.Error) as error:
        cause = str(error.__cause__ or error).partition("\n")[0]
        raise Outside(f"the database cannot be used for jobs: {cause}") from None


@define
class _Printer:
    """What is printed on stdout. Where nobody reads it any more, the worker stops."""

    _as_json: bool
    stop: asyncio.Event = field(factory=asyncio.Event)
    failure: Outside | None = None

    def begin(self, emsp: Emsp, times: WorkerSettings, concurrency: int) -> None:
        """Say that it works now. Raises Outside."""
        party = f"{emsp.identity.country_code}-{emsp.identity.party_id}"
        if self._as_json:
            seconds = times.seconds
            output.write_json({"worker": party, "period": seconds, "concurrency": concurrency}, indent=None)
        else:
            output.write(f"worker of {party}: each party and module once in {times.period}, {concurrency} at once\n")
            output.flush()

    def end(self, report: SyncReport) -> None:
        """Print the report of a sync, for programs."""
        if not self._as_json or self.failure is not None:
            return
        try:
            output.write_json(report.as_json(), indent=None)
        except Outside as failure:
            self.failure = failure
            self.stop.set()


class _Lines(logging.Formatter):
    """A failure that has a sentence is no traceback: the sentence follows."""

    def format(self, record: logging.LogRecord) -> str:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, OcpiError):
            record = logging.makeLogRecord({**record.__dict__, "exc_info": None, "exc_text": None})
            record.msg, record.args = f"{record.getMessage()}: {error.message}", ()
        return output.printable(super().format(record)) if not record.exc_info else super().format(record)


@contextlib.contextmanager
def _log_on_stderr() -> Iterator[None]:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Lines("%(asctime)s %(levelname)s %(name)s %(message)s"))
    levels = {"ocpi_emsp": logging.INFO, "procrastinate": logging.WARNING}
    before = {name: logging.getLogger(name).level for name in levels}
    for name, level in levels.items():
        logging.getLogger(name).addHandler(handler)
        logging.getLogger(name).setLevel(level)
    try:
        yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).removeHandler(handler)
            logging.getLogger(name).setLevel(level)
