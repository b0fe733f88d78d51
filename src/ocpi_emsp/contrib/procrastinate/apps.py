"""A Procrastinate app on the database of a store.

Rules of this module: Procrastinate's tables are its own, beside ours; a URL is never repeated, since it may hold a
password.
"""

from __future__ import annotations

import psycopg.conninfo
from procrastinate import App, PsycopgConnector
from procrastinate.exceptions import ConnectorException

from ocpi_emsp.contrib.procrastinate.settings import WorkerSettings
from ocpi_emsp.contrib.procrastinate.tasks import ReportListener, tasks
from ocpi_emsp.emsp import Emsp
from ocpi_emsp.events import PublishFunction
from ocpi_emsp.storage.sql.engine import prepare_threshold, usable_url

_CONNECTIONS = 4
"""Connections of an app: jobs are fetched, finished and deferred in milliseconds, so a few serve any concurrency."""
_CONNECT_SECONDS = 10
"""The same as for the store: a server that does not accept a connection within this time is down."""


def make_app(
    emsp: Emsp,
    url: str,
    *,
    settings: WorkerSettings | None = None,
    publish: PublishFunction | None = None,
    on_report: ReportListener | None = None,
) -> App:
    """Return a Procrastinate app with our tasks (:func:`tasks`) on the PostgreSQL database of the store.

    The app is not open yet. Raises ValueError if the URL is not of a PostgreSQL database.
    """
    connector = PsycopgConnector(
        conninfo=conninfo(url),
        kwargs=prepare_threshold(usable_url(url)),
        min_size=1,
        max_size=_CONNECTIONS,
        timeout=float(_CONNECT_SECONDS),
    )
    app = App(connector=connector)
    app.add_tasks_from(tasks(emsp, settings=settings, publish=publish, on_report=on_report), namespace="")
    return app


def conninfo(url: str) -> str:
    """Return a store's URL in the form of libpq. Raises ValueError for another database than PostgreSQL."""
    parsed = usable_url(url)
    if not parsed.drivername.startswith("postgresql"):
        raise ValueError(
            f"invalid store '{parsed.drivername}': Procrastinate requires postgresql+psycopg://user@host/db"
        )
    _, arguments = parsed.get_dialect()().create_connect_args(parsed)
    arguments.pop("context", None)  # how SQLAlchemy adapts values
    arguments.pop("prepare_threshold", None)  # psycopg's own option, unknown to libpq
    return psycopg.conninfo.make_conninfo(**{"connect_timeout": _CONNECT_SECONDS, **arguments})


async def upgrade(app: App) -> bool:
    """Create Procrastinate's tables if they are missing; return True if it did. The app must be open.

    Tables of an older Procrastinate are not changed: its documentation says how to migrate them. Raises
    ConnectorException.
    """
    if await app.check_connection_async():
        return False
    try:
        await app.schema_manager.apply_schema_async()
    except ConnectorException:
        if not await app.check_connection_async():
            raise
        return False  # another process created them meanwhile
    return True
