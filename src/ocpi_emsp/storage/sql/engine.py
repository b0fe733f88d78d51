"""Engines, and the translation of what their drivers raise.

Rules of this module:
- SQLite: WAL, so that readers never wait; synchronous=FULL, since an answered push must survive a power cut;
  foreign keys on; a locked file is waited for; only the owner may read the files;
- a document, key or entry that the driver refuses raises CannotStore; every other failure raises StoreFailed, which
  names the database without its password.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from sqlalchemy import URL, Connection, Engine, StaticPool, Transaction, create_engine, event, exc as sql, make_url

from ocpi_emsp.errors import CannotStore, StoreFailed
from ocpi_emsp.findings import Finding, Severity
from ocpi_emsp.storage.sql.on_loop import may_await
from ocpi_emsp.storage.sql.prepared import say

_BLOCKING = {"sqlite+aiosqlite": "sqlite"}
"""Async drivers that a URL may name, and the blocking ones used instead: a store has threads (_pieces.py)."""
_POOL = {"pool_size": 8, "max_overflow": 24}
"""Connections that stay open, and further ones under load: for several event loops, and the threads of sync hosts."""
_QUIET = {"hide_parameters": True}
"""Errors of SQLAlchemy are logged, and parameters in them would show drivers' tokens and auth ids."""
_CONNECT_SECONDS = 10
"""Seconds after which a server that accepts no connection counts as down."""
_CLAUSE = "status_codes.md#2xxx-client-errors"


_CHECKPOINT_PAGES = 4000
"""Pages in the write-ahead log from which a commit moves them into the file: 16 MB. With SQLite's default of 1000 a
PATCH writes nearly twice the bytes, and one in a hundred waits for that (among 6,000 EVSEs 115 KiB and 24 ms, with
4000 65 KiB and 14 ms). With 16,000 less is written, but nothing is faster. Mostly a thread has moved them before
(checkpoints.py)."""
_CACHE_KIB = 8000
"""A connection's cache of the file. With SQLite's default of 2000 a PATCH among 30,000 EVSEs takes a sixth longer."""
_WAL_TRIES = 20
"""More tries than there are processes that open a new file at the same moment."""


class MissingSlash(ValueError):
    """A URL of SQLite with its file in the place of a host."""


def usable_url(text: str | URL) -> URL:
    """Return the URL of a supported database. Raises MissingSlash if only a slash is missing, else ValueError."""
    try:
        url = make_url(text)
    except sql.ArgumentError:
        raise ValueError("invalid store: expected a database URL, for example sqlite:///emsp.db") from None
    if url.drivername == "postgresql":
        url = url.set(drivername="postgresql+psycopg")
    if url.drivername not in ("sqlite", "sqlite+pysqlite", "sqlite+aiosqlite", "postgresql+psycopg"):
        raise ValueError(
            f"invalid store '{url.drivername}': expected sqlite:///FILE or postgresql+psycopg://user@host/db"
        )
    if url.get_backend_name() == "sqlite" and url.host:
        raise MissingSlash(
            f"invalid store '{url.drivername}://…': expected a third slash, for example sqlite:///emsp.db"
        )
    prepare_threshold(url)
    return url


def prepare_threshold(url: URL) -> dict[str, int | None]:
    """Return the URL's ``prepare_threshold`` as psycopg expects it; in a URL it is text.

    ``prepare_threshold=none`` is for a pool that gives each transaction another connection. Raises ValueError.
    """
    text = url.query.get("prepare_threshold")
    if text is None:
        return {}
    if isinstance(text, str) and text.isascii() and (text.isdigit() or text.lower() == "none"):
        return {"prepare_threshold": None if text.lower() == "none" else int(text)}
    raise ValueError(f"invalid prepare_threshold '{text}': expected none or a number, for example none")


def blocking_engine(url: URL, timeout: float) -> Engine:
    """Create the engine of a URL, with a blocking driver."""
    engine = create_engine(url.set(drivername=_BLOCKING.get(url.drivername, url.drivername)), **_options(url, timeout))
    _prepare(engine)
    return engine


def may_prepare(engine: Engine) -> bool:
    """Return True if statements may be prepared on connections of our own engine: on PostgreSQL, unless a pool gives
    each transaction another connection."""
    return engine.dialect.name == "postgresql" and prepare_threshold(engine.url) != {"prepare_threshold": None}


def _prepare(engine: Engine) -> None:
    if may_prepare(engine):
        may_await(engine)
    if engine.dialect.name == "sqlite":
        if not is_in_memory(engine.url):
            event.listen(engine, "do_connect", _make_privately)
        event.listen(engine, "connect", _set_up_sqlite)


def _options(url: URL, timeout: float) -> dict[str, Any]:
    if not url.drivername.startswith("sqlite"):
        defaults: dict[str, Any] = {
            "connect_timeout": _CONNECT_SECONDS,
            "options": f"-c lock_timeout={int(timeout * 1000)}",
        }
        connect = {name: value for name, value in defaults.items() if name not in url.query}
        connect |= prepare_threshold(url)
        # Only our own BEGIN begins a transaction: reads need none, and switching for each would cost more than one.
        return {
            **_QUIET,
            **_POOL,
            "pool_timeout": timeout,
            "connect_args": connect,
            "isolation_level": "AUTOCOMMIT",
        }
    if is_in_memory(url):
        return {**_QUIET, "poolclass": StaticPool, "connect_args": {"check_same_thread": False}}
    return {**_QUIET, **_POOL, "pool_timeout": timeout, "connect_args": {"timeout": timeout}}


def is_in_memory(url: URL) -> bool:
    """Return True for a SQLite database that ends with its connection."""
    if not url.drivername.startswith("sqlite"):
        return False
    database = url.database or ""
    return database in ("", ":memory:", "file::memory:") or url.query.get("mode") == "memory"


def _make_privately(_: object, __: object, arguments: Any, options: dict[str, Any]) -> None:
    """Create a missing database file for its owner alone, whatever the umask: SQLite gives -wal, -shm and -journal the
    permissions of the file."""
    path = str(arguments[0])
    if options.get("uri"):
        parts = urlsplit(path)
        if parts.scheme != "file" or parse_qs(parts.query).get("mode", ["rwc"]) != ["rwc"]:
            return
        path = unquote(parts.path)
    try:
        descriptor = os.open(os.path.realpath(path), os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
    except OSError:  # it exists, or cannot be created, which SQLite then reports
        return
    os.close(descriptor)


def _set_up_sqlite(connection: Any, _: object) -> None:
    cursor = connection.cursor()
    try:
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.execute("PRAGMA synchronous = FULL")
        _write_ahead(cursor)
        cursor.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
        cursor.execute(f"PRAGMA cache_size = {-_CACHE_KIB}")
    except sqlite3.OperationalError as error:
        if "readonly" not in str(error):  # the first write then fails with a clear message
            raise
    finally:
        cursor.close()


def _write_ahead(cursor: Any) -> None:
    """Switch the file to a write-ahead log, while other processes that just opened it may do the same.

    SQLite does not wait there, but fails at once if the file is locked; BEGIN IMMEDIATE waits for the other process.
    """
    for _ in range(_WAL_TRIES):
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error):
                raise
            cursor.execute("BEGIN IMMEDIATE")
            cursor.execute("ROLLBACK")
        else:
            return
    cursor.execute("PRAGMA journal_mode = WAL")


def apart(engine: Engine) -> sqlite3.Connection:
    """Open a connection to an engine's SQLite file outside of its pool; it never waits, and creates no file."""
    (database,), options = engine.dialect.create_connect_args(engine.url)
    if not options.get("uri"):
        database, options = f"{Path(str(database)).absolute().as_uri()}?mode=rw", {**options, "uri": True}
    settings: dict[str, Any] = {**options, "timeout": 0, "isolation_level": None, "check_same_thread": False}
    connection: sqlite3.Connection = sqlite3.connect(str(database), **settings)
    return connection


def key_file(url: URL) -> Path:
    """Return the path of the key file: beside the SQLite file; in the working directory for a server."""
    if url.drivername.startswith("sqlite") and not is_in_memory(url):
        file = str(url.database)
        if file.startswith("file:"):  # a URI, as in sqlite:///file:/srv/emsp.db?mode=ro&uri=true
            file = unquote(urlsplit(file).path)
        return Path(f"{file}.key")
    return Path("ocpi-emsp.key")


def describe(engine: Engine) -> str:
    """Return the database's URL without its password."""
    return engine.url.render_as_string(hide_password=True)


def isolated(connection: Connection, *, read_only: bool, snapshots: bool) -> Connection:
    """Return the connection with the isolation level of a transaction. On PostgreSQL, reads need no transaction: each
    sees what is committed, as within one; that saves two round trips. With ``snapshots`` all of them see one moment."""
    if not read_only or connection.dialect.name != "postgresql" or begins_nothing(connection):
        return connection
    return connection.execution_options(isolation_level="REPEATABLE READ" if snapshots else "AUTOCOMMIT")


def begins_nothing(connection: Connection) -> bool:
    """Return True for a blocking psycopg connection that commits each statement by itself unless BEGIN is sent."""
    dialect = connection.dialect
    return dialect.driver == "psycopg" and bool(connection.connection.autocommit)


@contextmanager
def translated(engine: Engine) -> Iterator[None]:
    """Raise StoreFailed or CannotStore for what the driver raises inside."""
    try:
        yield
    except Exception as error:
        raised = translation(engine, error)
        if raised is error:
            raise
        raise raised from error


def translation(engine: Engine, error: Exception) -> Exception:
    """Return the error for what a driver or SQLAlchemy raised; any other error is returned as it is."""
    driver = error.orig if isinstance(error, sql.DBAPIError) else error
    if isinstance(driver, engine.dialect.loaded_dbapi.Error):
        cause = (str(driver).strip().splitlines() or ["the driver gave no reason"])[0]
        return refused(cause) if _refuses_a_value(engine, driver) else StoreFailed(f"{describe(engine)}: {cause}")
    if isinstance(error, UnicodeError | OverflowError):
        return refused(str(error))
    if isinstance(error, sql.SQLAlchemyError | OSError):
        return StoreFailed(f"{describe(engine)}: {error}")
    return error


def _refuses_a_value(engine: Engine, error: BaseException) -> bool:
    """Return True if the value is at fault; PostgreSQL: SQLSTATE classes 22 (data), 23 (integrity), 54 (limits)."""
    driver = engine.dialect.loaded_dbapi
    if isinstance(error, (driver.IntegrityError, getattr(driver, "DataError", sqlite3.DataError))):
        return True
    state = getattr(error, "sqlstate", None)
    return isinstance(state, str) and state[:2] in ("22", "23", "54")


def refused(cause: str) -> CannotStore:
    """Return the error for a value that the database cannot hold."""
    finding = Finding(
        pointer="",
        rule="store.refused",
        severity=Severity.ERROR,
        message=f"not storable: {cause}",
        clause=_CLAUSE,
    )
    return CannotStore("the database rejected the value", findings=(finding,))


@contextmanager
def ended(transaction: Transaction, engine: Engine, parties_changed: Callable[[], None]) -> Iterator[None]:
    """Commit a transaction at the end of the block, or roll it back if the block raises.

    ``parties_changed`` is also called if the commit failed and may have been done. Raises StoreFailed, CannotStore.
    """
    try:
        yield
    except BaseException:
        with translated(engine):
            transaction.rollback()
        raise
    try:
        with translated(engine):
            transaction.commit()
    finally:
        parties_changed()


BEGIN = "BEGIN ISOLATION LEVEL READ COMMITTED"
"""A statement sees what was committed before it, including what was committed while a lock was waited for."""
COMMIT = "COMMIT"
_BEGIN_SNAPSHOT = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"


def begin(connection: Connection, *, read_only: bool, snapshots: bool = False) -> None:
    """Begin a transaction; on SQLite it has the write lock from the start, unless it only reads."""
    if begins_nothing(connection):
        if snapshots or not read_only:
            say(connection, _BEGIN_SNAPSHOT if read_only else BEGIN)
        return
    if connection.dialect.name != "sqlite":
        return
    if _in_transaction(connection):  # the host's engine begins by itself, deferred
        say(connection, "ROLLBACK")
    say(connection, "BEGIN" if read_only else "BEGIN IMMEDIATE")


def begin_joined(connection: Connection) -> None:
    """Make sure that the host's transaction has begun: on SQLite its driver only begins with the first change."""
    if connection.dialect.name != "sqlite":
        return
    if not connection.in_transaction():
        connection.begin()
    if not _in_transaction(connection):
        say(connection, "BEGIN IMMEDIATE")


def _in_transaction(connection: Connection) -> bool:
    return bool(getattr(connection.connection.driver_connection, "in_transaction", False))
