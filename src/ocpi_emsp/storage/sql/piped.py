"""Several statements in one round trip: PostgreSQL's pipeline, as psycopg has it.

Rules of this module:
- the statements run one after the other, each on what was committed before it began: what one statement locks, the
  next one reads as it is then;
- the first statement that fails is raised; those behind it are not executed;
- a driver without pipelines, an older libpq, and a host's connection in pipeline mode get the statements one by one;
- in a thread this is for transactions of many records: a pipeline costs psycopg 40 us and the server 10 us, which is a
  third of two statements for one record. Sending BEGIN or COMMIT with a neighbour costs 70 us of the client and 40 us
  of the server, which is more than a round trip. On an event loop, direct.py has none of these costs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from sqlalchemy import Connection
from sqlalchemy.util import await_only
from sqlalchemy.util.concurrency import in_greenlet

from ocpi_emsp.storage.sql.prepared import PSYCOPG, Prepared, forget_if_lost, say


class Asked(NamedTuple):
    """A statement with its values, as the driver takes them, or one that has none."""

    text: str
    values: Any = None
    statement: Prepared | None = None
    many: bool = False
    """It is executed for each of the values, and gives no rows."""

    @classmethod
    def of(cls, statement: Prepared, values: Any) -> Asked:
        """A statement with values by name."""
        return cls(statement.text, statement.arranged(values), statement)

    @classmethod
    def of_each(cls, statement: Prepared, values: Sequence[Any]) -> Asked:
        """A statement for each of the values."""
        if len(values) == 1:
            return cls.of(statement, values[0])
        return cls(statement.text, [statement.arranged(each) for each in values], statement, many=True)


def may_pipe(connection: Connection) -> bool:
    """Whether :func:`ask` sends over this connection at once."""
    dialect = connection.dialect
    if dialect.driver not in PSYCOPG or not dialect.loaded_dbapi.Pipeline.is_supported():
        return False
    driver: Any = connection.connection.driver_connection
    return not driver.pgconn.pipeline_status


def ask(connection: Connection, asked: Sequence[Asked]) -> list[list[Any]]:
    """Execute them in their order, at once; the rows that each gives."""
    driver: Any = connection.connection.driver_connection
    try:
        found = await_only(_piped_async(driver, asked)) if connection.dialect.is_async else _piped(driver, asked)
    except connection.dialect.loaded_dbapi.Error as error:
        first = _first(connection, error)
        forget_if_lost(connection, first)
        if first is error:
            raise
        raise first from None
    pairs = zip(asked, found, strict=True)
    return [rows if each.statement is None else each.statement.converted(rows) for each, rows in pairs]


class Sender(Protocol):
    """Sends statements over a connection, while an event loop waits: direct.py."""

    def ask(self, asked: Sequence[Asked]) -> list[list[Any]] | None:
        """The rows that each gives; None where psycopg has to execute them. Raises psycopg.Error."""


def sender_of(connection: Connection) -> Sender | None:
    """The sender of a connection that belongs to an event loop (on_loop.py), in a greenlet of that."""
    found: Sender | None = getattr(connection.connection.driver_connection, "direct", None)
    return found if found is not None and in_greenlet() else None  # a loop may have ended, and left it to the pool


def ask_directly(sender: Sender, connection: Connection, asked: Sequence[Asked]) -> list[list[Any]]:
    """Do as :func:`ask`, while an event loop waits."""
    try:
        found = sender.ask(asked)
    except connection.dialect.loaded_dbapi.Error as error:
        forget_if_lost(connection, error)
        raise
    if found is not None:
        return found
    return ask(connection, asked) if len(asked) > 1 else ask_one_by_one(connection, asked)


def ask_one_by_one(connection: Connection, asked: Sequence[Asked]) -> list[list[Any]]:
    """Do as :func:`ask`, over any connection."""
    return [_alone(connection, each) for each in asked]


def _alone(connection: Connection, asked: Asked) -> list[Any]:
    if asked.statement is not None:
        return asked.statement.executed(connection, asked.values, many=asked.many)
    say(connection, asked.text)
    return []


def _first(connection: Connection, error: BaseException) -> BaseException:
    """What failed: psycopg may raise that something behind it was not executed."""
    aborted = connection.dialect.loaded_dbapi.errors.PipelineAborted
    while isinstance(error, aborted) and error.__context__ is not None:
        error = error.__context__
    return error


def _piped(driver: Any, asked: Sequence[Asked]) -> list[list[Any]]:
    cursors = [driver.cursor() for _ in asked]
    with driver.pipeline():
        for cursor, each in zip(cursors, asked, strict=True):
            (cursor.executemany if each.many else cursor.execute)(each.text, each.values)
    return [cursor.fetchall() if cursor.description else [] for cursor in cursors]


async def _piped_async(driver: Any, asked: Sequence[Asked]) -> list[list[Any]]:
    cursors = [driver.cursor() for _ in asked]
    async with driver.pipeline():
        for cursor, each in zip(cursors, asked, strict=True):
            await (cursor.executemany if each.many else cursor.execute)(each.text, each.values)
    return [await cursor.fetchall() if cursor.description else [] for cursor in cursors]
