"""``ocpi-emsp worker``: syncs CPOs as jobs in PostgreSQL, beside any number of other workers.

Rules of this module:
- the database and both schemas are checked before it works; stderr names the database;
- it logs on stderr, a line for each sync that ends; a failing partner causes no traceback;
- SIGTERM, Ctrl-C and a closed stdout end it in order.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from attrs import define, field

from ocpi_emsp import logs
from ocpi_emsp.cli import output
from ocpi_emsp.cli.commands import arguments_of
from ocpi_emsp.cli.errors import CommandFailed, Outside, Usage
from ocpi_emsp.cli.options import Arguments
from ocpi_emsp.cli.settings import require_identity, store_url
from ocpi_emsp.cli.signals import on_signals
from ocpi_emsp.cli.stores import make_emsp, open_store, require_usable_identity, require_usable_key
from ocpi_emsp.emsp import Emsp
from ocpi_emsp.errors import OcpiError
from ocpi_emsp.resources import SyncReport

if TYPE_CHECKING:
    import procrastinate

    from ocpi_emsp.contrib.procrastinate import WorkerSettings
    from ocpi_emsp.storage import SqlStore


def run(arguments: Arguments) -> int:
    """Work until SIGTERM or Ctrl-C."""
    require_identity(arguments)
    url = store_url(arguments)
    if not url.startswith("postgresql"):
        raise Usage(
            f"invalid store on {url.partition(':')[0]}: workers share their jobs in PostgreSQL; "
            "set --store postgresql+psycopg://user@host/database"
        )
    require_usable_identity(arguments)
    output.require("procrastinate", "worker")
    times = _times(arguments)
    require_usable_key()
    store = open_store(url, auto_upgrade=arguments.upgrade)
    output.say(f"stores everything in {store}")
    emsp = make_emsp(arguments, store, audit=arguments.audit)
    if arguments.retention is not None:
        emsp.retention(arguments.retention)
    with output.log_on_stderr(_Lines, ocpi_emsp=logging.INFO, procrastinate=logging.WARNING):
        asyncio.run(_work(_Printer(arguments.json), emsp, store, url, times, arguments))
    return 0


def _times(arguments: Arguments) -> WorkerSettings:
    from ocpi_emsp.contrib.procrastinate import WorkerSettings

    try:
        return WorkerSettings(
            period=arguments.period,
            full_every=arguments.full_every,
            take_over_after=arguments.take_over_after,
        )
    except ValueError as error:
        raise Usage(str(error)) from None


async def _work(
    printer: _Printer, emsp: Emsp, store: SqlStore, url: str, times: WorkerSettings, arguments: Arguments
) -> None:
    from ocpi_emsp.contrib.procrastinate import run_worker

    try:
        with on_signals(lambda _: printer.stop.set(), signal.SIGTERM, signal.SIGINT):
            await _look_at_schema(emsp, url, upgrades=arguments.upgrade)
            printer.begin(emsp, times, arguments.concurrency)
            await run_worker(
                emsp, url, stop=printer.stop, concurrency=arguments.concurrency, settings=times, on_report=printer.end
            )
    finally:
        await store.aclose()
    if printer.failure is not None:
        raise printer.failure


async def _look_at_schema(emsp: Emsp, url: str, *, upgrades: bool) -> None:
    """Raise Outside if Procrastinate's tables are missing, or the database fails."""
    import psycopg
    from procrastinate.exceptions import ConnectorException

    from ocpi_emsp.contrib.procrastinate import make_app, upgrade

    app = make_app(emsp, url)
    try:
        async with app.open_async():
            if upgrades and await upgrade(app):
                output.say("created the tables of Procrastinate")
            if not await app.check_connection_async():
                raise Outside("the database has no tables of Procrastinate: run ocpi-emsp worker --upgrade")
    except (ConnectorException, psycopg.Error) as error:
        cause = str(error.__cause__ or error).partition("\n")[0]
        raise Outside(f"the database cannot be used for jobs: {cause}") from None


@define
class _Printer:
    """Prints on stdout. Once its reader has closed it, the worker stops."""

    _as_json: bool
    stop: asyncio.Event = field(factory=asyncio.Event)
    failure: Outside | None = None

    def begin(self, emsp: Emsp, times: WorkerSettings, concurrency: int) -> None:
        """Report that it works now. Raises Outside."""
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
    """Formats a failure that has a message without a traceback: the message follows."""

    def format(self, record: logging.LogRecord) -> str:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, OcpiError):
            record = logging.makeLogRecord({**record.__dict__, "exc_info": None, "exc_text": None})
            record.msg, record.args = f"{record.getMessage()}: {error.message}", ()
        return output.printable(super().format(record)) if not record.exc_info else super().format(record)


def __getattr__(name: str) -> Any:
    """Return ``app``, for Procrastinate's own command: with the settings that this command uses without flags."""
    if name != "app":
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return _app()


@lru_cache(maxsize=1)
def _app() -> procrastinate.App:
    from ocpi_emsp.contrib.procrastinate import make_app
    from ocpi_emsp.storage import SqlStore

    try:
        arguments = arguments_of("worker")
        require_identity(arguments)
        url = store_url(arguments)
        emsp = make_emsp(arguments, SqlStore(url), audit=arguments.audit)
        if arguments.retention is not None:
            emsp.retention(arguments.retention)
        return make_app(emsp, url)
    except (CommandFailed, ValueError) as error:
        logs.error("worker.no_app", error=error)  # Procrastinate's command does not say why
        raise AttributeError(f"there is no app: {error}") from error
