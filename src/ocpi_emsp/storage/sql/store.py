"""SqlStore: the storage port over SQLAlchemy Core, for SQLite and PostgreSQL, under sync and async hosts.

Rules of this module:
- one implementation, :class:`SqlTransaction`, over a blocking connection; under an AsyncEngine SQLAlchemy's own bridge
  (``run_sync``) runs the same code;
- the schema is checked once, before the first transaction: a new SQLite file gets the schema; any other difference is
  SchemaMismatch, unless ``auto_upgrade`` is set;
- inside :meth:`SqlStore.joined` a transaction is a savepoint in a transaction of the host, which the host commits;
- listeners are notified of written commands (PostgreSQL, see announcements.py); SQLite does not notify;
- party_watch.py knows if parties that were read are unchanged, without a statement in a transaction.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TypeVar
from weakref import WeakKeyDictionary

from sqlalchemy import URL, Connection, Engine, Transaction
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ocpi_emsp._batches import Batches
from ocpi_emsp._bridge import in_thread, to_the_end
from ocpi_emsp.errors import StoreFailed
from ocpi_emsp.ports import BlockingStore, Key, Kind, Mode, Record, Store
from ocpi_emsp.storage import migrations
from ocpi_emsp.storage.secrets import KeyFileBox, SecretBox
from ocpi_emsp.storage.sql.announcements import Announcements
from ocpi_emsp.storage.sql.batch import committing
from ocpi_emsp.storage.sql.checkpoints import checkpoints
from ocpi_emsp.storage.sql.engine import (
    begin,
    begin_joined,
    begins_nothing,
    blocking_engine,
    describe,
    ended,
    is_in_memory,
    isolated,
    key_file,
    may_prepare,
    translated,
    usable_url,
)
from ocpi_emsp.storage.sql.hosts import awaited_joinable, joinable
from ocpi_emsp.storage.sql.modes import AsyncSqlStore, BlockingSqlStore
from ocpi_emsp.storage.sql.on_loop import LoopConnections, OnLoops
from ocpi_emsp.storage.sql.party_watch import party_watch
from ocpi_emsp.storage.sql.prepared import PSYCOPG
from ocpi_emsp.storage.sql.recording import RecordingTransaction
from ocpi_emsp.storage.sql.repeatable import Purpose, RepeatableTransaction, make_durable, unsynced
from ocpi_emsp.storage.sql.rotation import Rotated, checkpoint, rotate, wipe
from ocpi_emsp.storage.sql.shared import Shape, Shared, compiled, compiled_once
from ocpi_emsp.storage.sql.tables import PREFIX, Tables
from ocpi_emsp.storage.sql.transaction import SqlTransaction

T = TypeVar("T")


_KINDS: Mapping[Purpose, type[SqlTransaction]] = {
    "any": SqlTransaction,
    "recording": RecordingTransaction,
    "repeatable": RepeatableTransaction,
}


class SqlStore:
    """Objects in SQLite (``sqlite:///emsp.db``) or PostgreSQL (``postgresql+psycopg://user@host/db``).

    ``url_or_engine`` may be an Engine or an AsyncEngine of the host application; it then serves hosts of its mode.
    ``schema`` and ``prefix`` say where the tables are and how their names begin. ``secrets`` encrypts the tokens we
    present (default: the key in OCPI_EMSP_SECRET_KEY, or in a key file beside the SQLite file, or in
    ``ocpi-emsp.key``). Waiting longer than ``lock_timeout`` seconds for a connection or a lock raises StoreFailed.
    ``auto_upgrade`` upgrades an older schema, but not in a joined transaction, which is the host's. With ``snapshots``
    all reads of a read-only transaction see one moment (SQLite: always).

    Raises ValueError if the URL is of another database. Its transactions raise StoreFailed and SchemaMismatch.
    """

    def __init__(
        self,
        url_or_engine: str | URL | Engine | AsyncEngine,
        *,
        schema: str | None = None,
        prefix: str = PREFIX,
        secrets: SecretBox | None = None,
        lock_timeout: float = 30.0,
        auto_upgrade: bool = False,
        snapshots: bool = False,
    ) -> None:
        self._blocking, self._native = _engine(url_or_engine, lock_timeout)
        engine = self._engine
        self._in_memory = is_in_memory(engine.url)
        self._timeout = lock_timeout
        self._names = migrations.Names(schema=schema, prefix=prefix)
        self._auto_upgrade = auto_upgrade
        self._snapshots = snapshots
        shape = Shape(engine.dialect, schema, prefix)
        statements = compiled_once(shape) if isinstance(url_or_engine, str | URL) else compiled(shape)
        self._shared = Shared(statements, shape, secrets or KeyFileBox(key_file(engine.url)))
        self._announcements = self._made_announcements()
        self._parties = party_watch(engine, self._shared.tables, self._announcements)
        self._writing = threading.Lock()
        self._checkpoints = checkpoints(engine, self._writing, is_ours=isinstance(url_or_engine, str | URL))
        self._batches = WeakKeyDictionary[asyncio.AbstractEventLoop, Batches]()
        is_ours = isinstance(url_or_engine, str | URL)
        self._on_loops = OnLoops(self._opened, lock_timeout) if is_ours and may_prepare(engine) else None
        self._checked = False
        self._host: ContextVar[Connection | AsyncConnection | None] = ContextVar("host", default=None)

    @property
    def _engine(self) -> Engine:
        if self._blocking is not None:
            return self._blocking
        if self._native is not None:
            return self._native.sync_engine
        raise TypeError("the store has neither a URL nor an Engine for this mode")

    def __str__(self) -> str:
        return describe(self._engine)

    @property
    def tables(self) -> Tables:
        """The tables, for queries of the host: ``store.tables.objects["cdr"]``."""
        return self._shared.tables

    # --- the port -----------------------------------------------------------------------------------------------

    def for_mode(self, mode: Mode) -> Store | BlockingStore:
        """Return the driver for hosts of this mode. Raises TypeError if an AsyncEngine has to serve a sync host."""
        return BlockingSqlStore(self) if mode == "sync" and self._native is None else AsyncSqlStore(self)

    @contextmanager
    def joined(self, connection: object) -> Iterator[None]:
        """Make transactions inside the block savepoints of ``connection``, which the host commits.

        It is a Connection or Session of SQLAlchemy, or a connection of the driver: sqlite3's or psycopg's. Events wait
        in the journal until the commit. Raises TypeError for anything else.
        """
        with self._joined(joinable(self._engine, connection)):
            yield

    @asynccontextmanager
    async def ajoined(self, connection: object) -> AsyncIterator[None]:
        """Do as :meth:`joined`, for an AsyncConnection or AsyncSession as well."""
        with self._joined(await awaited_joinable(self._engine, connection)):
            yield

    @contextmanager
    def _joined(self, host: Connection | AsyncConnection) -> Iterator[None]:
        token = self._host.set(host)
        try:
            yield
        finally:
            self._host.reset(token)

    def announce(self, listener: Callable[[str], None]) -> Callable[[], None]:
        """Call ``listener`` with the id of each command written from now on, in any process; see
        :class:`ocpi_emsp.ports.Announcing`. It is called in a thread of its own, with ``""`` each time that the
        connection is (re-)established. SQLite and drivers other than psycopg do not notify.
        """
        return self._announcements.listen(listener) if self._announcements is not None else _nothing

    def _made_announcements(self) -> Announcements | None:
        engine = self._engine
        if engine.dialect.name != "postgresql" or engine.dialect.driver not in PSYCOPG:
            return None
        if self._blocking is None:  # its connections belong to event loops
            engine = blocking_engine(engine.url.set(drivername="postgresql+psycopg"), self._timeout)
        return Announcements(engine, self._shared.channels)

    def watch_parties(self) -> object | None:
        """See :class:`ocpi_emsp.ports.PartyWatching`, and docs/explanation/notifications.md for databases."""
        return None if self._host.get() is not None else self._parties.watched()

    def is_unchanged(self, watched: object, read: Iterable[tuple[Key, Record | None]]) -> bool:
        """See :class:`ocpi_emsp.ports.PartyWatching`."""
        return self._host.get() is None and self._parties.is_unchanged(watched, read)

    def upgrade(self) -> None:
        """Create the schema, or bring it up to date. Raises StoreFailed."""
        with self._connected() as connection:
            self._on_schema(connection, migrations.upgrade)

    def check_schema(self) -> None:
        """Check the schema. Raises SchemaMismatch if it is of another version, StoreFailed if the database fails."""
        with self._connected() as connection:
            self._on_schema(connection, migrations.check)

    def schema_revision(self) -> str | None:
        """Return the revision of the schema in the database, or None if it does not exist."""
        with self._connected() as connection:
            return self._on_schema(connection, migrations.current)

    def rotate_key(self) -> Rotated:
        """Seal anew, with the first key, what another one sealed. Raises StoreFailed where no key opens it.

        Servers may run meanwhile, if they know both keys. What was sealed before a failure stays, and is passed over
        when it is called again. SQLite: neither file nor write-ahead log hold then what the older key opens.
        """
        with self._connected() as connection:
            self._prepare(connection)
            on_sqlite = connection.dialect.name == "sqlite"

            @contextmanager
            def begun() -> Iterator[Connection]:
                with self._write_lock(read_only=False), self._transaction(connection) as tx:
                    tx.begin()
                    yield connection

            with translated(connection.engine):
                if on_sqlite:
                    wipe(connection)
                    connection.rollback()
                rotated = rotate(begun, self.tables.objects[Kind.PARTY], self._shared.secrets)
                if on_sqlite:
                    checkpoint(connection)
                    connection.rollback()
        return rotated

    def files(self) -> list[Path]:
        """The files of a SQLite database that is not in memory, and the key file, whether they are there or not."""
        key = key_file(self._engine.url)
        on_sqlite = self._engine.dialect.name == "sqlite" and not self._in_memory
        database = str(key).removesuffix(".key")
        return [*(Path(database + end) for end in ("", "-wal", "-shm", "-journal") if on_sqlite), key]

    def close(self) -> None:
        """Close the connections; the next transaction opens new ones. Listeners are no longer notified."""
        self._parties.close()
        self._checkpoints.close()
        if self._on_loops is not None:
            self._on_loops.close()
        if self._announcements is not None:
            self._announcements.close()
        if self._blocking is not None:
            self._blocking.dispose()

    async def aclose(self) -> None:
        """Do as :meth:`close`, and close the connections of an AsyncEngine."""
        if self._announcements is not None:
            await in_thread(self._announcements.close)
        self.close()
        if self._native is not None:
            await self._native.dispose()

    # --- blocking -----------------------------------------------------------------------------------------------

    @contextmanager
    def _blocking_transaction(self, *, read_only: bool, purpose: Purpose = "any") -> Iterator[SqlTransaction]:
        host = self._host.get()
        if isinstance(host, AsyncConnection):
            raise StoreFailed("a sync host cannot join the transaction of an AsyncConnection: pass a Connection")
        if host is not None:
            with self._transaction(host, joined=True) as tx:
                yield tx
            return
        with self._write_lock(read_only), self._connected() as connection:
            self._prepare(connection)
            with self._transaction(connection, read_only=read_only, purpose=purpose) as tx:
                yield tx
            if not read_only:
                self._checkpoints.committed()

    def _connections_here(self) -> LoopConnections | None:
        return None if self._on_loops is None or self._host.get() is not None else self._on_loops.here()

    def _opened(self) -> Connection:
        with translated(self._engine):
            connection = self._engine.connect()
        try:
            self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _batches_here(self) -> Batches:
        """Of the running event loop."""
        loop = asyncio.get_running_loop()
        found = self._batches.get(loop)
        if found is None:
            found = self._batches[loop] = Batches(self._batch, self._timeout, self._overdue)
        return found

    @contextmanager
    def _batch(self, size: int) -> Iterator[Callable[[], AbstractContextManager[SqlTransaction]]]:
        """Transactions that commit together: on SQLite, and in a thread of their own."""
        if size == 1:
            yield lambda: self._blocking_transaction(read_only=False)
            return
        with self._write_lock(read_only=False), self._connected() as connection:
            self._prepare(connection)
            with committing(self._shared, connection, self._parties.committed) as transaction:
                yield transaction
            self._checkpoints.committed()

    @contextmanager
    def _write_lock(self, read_only: bool) -> Iterator[None]:
        """SQLite has one writer: those of this process queue here, in order, instead of polling the file."""
        if self._engine.dialect.name != "sqlite" or (read_only and not self._in_memory):
            yield
            return
        if not self._writing.acquire(timeout=self._timeout):
            raise self._overdue()
        try:
            yield
        finally:
            self._writing.release()

    def _overdue(self) -> StoreFailed:
        return StoreFailed(f"{self}: another transaction has locked the database for {self._timeout:g} s")

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        if self._blocking is None:
            raise StoreFailed("an AsyncEngine serves async hosts only: pass a URL or an Engine instead")
        with translated(self._blocking):
            connection = self._blocking.connect()
        try:
            yield connection
        finally:
            with translated(self._blocking):
                connection.close()

    # --- async --------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def _async_connection(self) -> AsyncIterator[tuple[AsyncConnection, bool]]:
        """A connection, and whether it is the host's."""
        host = self._host.get()
        if isinstance(host, AsyncConnection):
            yield host, True
            return
        if host is not None or self._native is None:
            raise StoreFailed("an async host cannot join the transaction of a Connection: pass an AsyncConnection")
        with translated(self._native.sync_engine):
            connection = await self._native.connect()
        try:
            yield connection, False
        finally:
            with translated(self._native.sync_engine):
                await to_the_end(connection.close())

    # --- both modes -------------------------------------------------------------------------------------------

    @contextmanager
    def _transaction(
        self, connection: Connection, *, read_only: bool = False, purpose: Purpose = "any", joined: bool = False
    ) -> Iterator[SqlTransaction]:
        """A transaction, or in a ``joined`` connection, which is the host's, a savepoint."""
        is_sqlite = connection.dialect.name == "sqlite"
        if joined or (is_sqlite and purpose == "recording"):
            purpose = "any"
        opened = self._begun(connection, read_only=read_only, purpose=purpose, joined=joined)
        if not is_sqlite or purpose != "repeatable":
            with opened as tx:
                yield tx
            return
        with unsynced(connection), opened as tx:
            yield tx
        if isinstance(tx, RepeatableTransaction) and tx.appends:
            make_durable(connection)

    @contextmanager
    def _begun(
        self, connection: Connection, *, read_only: bool, purpose: Purpose, joined: bool
    ) -> Iterator[SqlTransaction]:
        engine, begun, recording = connection.engine, True, purpose == "recording"
        only_reads, snapshots = read_only or recording, self._snapshots and not recording
        with translated(engine):
            if joined:
                begin_joined(connection)
                transaction: Transaction = connection.begin_nested()
            else:
                isolated(connection, read_only=only_reads, snapshots=snapshots)
                transaction = connection.begin()
                begun = only_reads or not begins_nothing(connection)
                if begun:
                    begin(connection, read_only=only_reads, snapshots=snapshots)
        tx = _KINDS[purpose](self._shared, connection, read_only=only_reads, joined=joined, begun=begun)
        with ended(transaction, engine, lambda: self._parties.committed() if tx.changes_parties else None):
            yield tx
            tx.finish()

    def _prepare(self, connection: Connection) -> None:
        """Look at the schema, once."""
        if self._checked:
            return
        fresh = connection.dialect.name == "sqlite" and self._on_schema(connection, migrations.is_empty)
        act = migrations.upgrade if fresh or self._auto_upgrade else migrations.check
        self._on_schema(connection, act)
        self._checked = True

    def _on_schema(self, connection: Connection, act: Callable[[Connection, migrations.Names], T]) -> T:
        with translated(connection.engine):
            try:
                return act(connection, self._names)
            finally:
                connection.rollback()  # looking began a transaction


def _nothing() -> None:
    """Ends what was never begun."""


def _engine(given: str | URL | Engine | AsyncEngine, timeout: float) -> tuple[Engine | None, AsyncEngine | None]:
    """The host's engine, or one for the URL."""
    if isinstance(given, AsyncEngine):
        return None, given
    return given if isinstance(given, Engine) else blocking_engine(usable_url(given), timeout), None
