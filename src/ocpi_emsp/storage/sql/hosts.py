"""A host's transaction, opened with SQLAlchemy's Core, its ORM, or a driver's own connection.

Rules of this module: nothing here begins, commits, rolls back or closes what belongs to the host.
"""

from __future__ import annotations

from copy import copy

from sqlalchemy import Connection, Engine, StaticPool
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.orm import Session


def joinable(engine: Engine, host: object) -> Connection | AsyncConnection:
    """Return the connection to join. Raises TypeError for anything without a transaction of this database."""
    if isinstance(host, Connection | AsyncConnection):
        return host
    if isinstance(host, Session):
        return host.connection()
    if isinstance(host, getattr(engine.dialect.loaded_dbapi, "Connection", ())):
        return _borrowed(engine, host)
    expected = f"expected a Connection or Session of SQLAlchemy, or a connection of {engine.dialect.driver}"
    raise TypeError(f"invalid connection '{type(host).__name__}': {expected}")


async def awaited_joinable(engine: Engine, host: object) -> Connection | AsyncConnection:
    """Do as :func:`joinable`, for an AsyncSession as well."""
    return await host.connection() if isinstance(host, AsyncSession) else joinable(engine, host)


def _borrowed(engine: Engine, raw: object) -> Connection:
    """Return a SQLAlchemy connection over a driver's one, which it neither commits, rolls back nor closes."""
    if getattr(engine.dialect, "server_version_info", None) is None:
        engine.connect().close()  # the dialect reads its server's version on first use
    dialect = copy(engine.dialect)
    for name in ("do_commit", "do_rollback", "do_close"):
        setattr(dialect, name, lambda _: None)
    return Engine(StaticPool(lambda: raw, dialect=dialect, reset_on_return=None), dialect, engine.url).connect()  # type: ignore[arg-type] # a DB-API connection
