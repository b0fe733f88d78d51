"""A host's transaction, in whichever way the host has it: of SQLAlchemy's Core, its ORM, or a driver's own connection.

Rules of this module: nothing here begins, commits, rolls back or closes what is the host's.
"""

from __future__ import annotations

from copy import copy

from sqlalchemy import Connection, Engine, StaticPool
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.orm import Session


def joinable(engine: Engine, host: object) -> Connection | AsyncConnection:
    """The connection to join. Raises TypeError for what has no transaction that this database knows."""
    if isinstance(host, Connection | AsyncConnection):
        return host
    if isinstance(host, Session):
        return host.connection()
    if isinstance(host, getattr(engine.dialect.loaded_dbapi, "Connection", ())):
        return _borrowed(engine, host)
    expected = f"expected a Connection or Session of SQLAlchemy, or a connection of {engine.dialect.driver}"
    raise TypeError(f"invalid connection '{type(host).__name__}': {expected}")


async def awaited_joinable(engine: Engine, host: object) -> Connection | AsyncConnection:
    """:func:`joinable`, also for an AsyncSession."""
    return await host.connection() if isinstance(host, AsyncSession) else joinable(engine, host)


def _borrowed(engine: Engine, raw: object) -> Connection:
    """SQLAlchemy over a driver's connection, which it neither ends a transaction of nor closes."""
    if getattr(engine.dialect, "server_version_info", None) is None:
        engine.connect().close()  # what a dialect has to know of its server
    dialect = copy(engine.dialect)
    for name in ("do_commit", "do_rollback", "do_close"):
        setattr(dialect, name, lambda _: None)
    return Engine(StaticPool(lambda: raw, dialect=dialect, reset_on_return=None), dialect, engine.url).connect()  # type: ignore[arg-type] # a DB-API connection
