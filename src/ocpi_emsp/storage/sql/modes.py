"""How a store serves hosts of either mode: in place, in worker threads, on the event loop, in SQLAlchemy's bridge.

Rules of this module: a store has one blocking side and one for async hosts; both open the same transactions.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager
from contextvars import ContextVar
from typing import Any, Protocol, TypeVar

from attrs import frozen
from sqlalchemy import Connection, Engine
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.util import greenlet_spawn

from ocpi_emsp._batches import Batches
from ocpi_emsp._bridge import LiftedTransaction, to_the_end
from ocpi_emsp._pieces import READERS, InThread, PieceTransaction, Step
from ocpi_emsp.errors import StoreFailed
from ocpi_emsp.storage.sql.on_loop import LoopConnections
from ocpi_emsp.storage.sql.repeatable import Purpose
from ocpi_emsp.storage.sql.transaction import SqlTransaction

T = TypeVar("T")


class Opening(Protocol):
    """What opens the transactions of both sides: the store."""

    _host: ContextVar[Connection | AsyncConnection | None]
    _native: AsyncEngine | None

    @property
    def _engine(self) -> Engine: ...

    def _batches_here(self) -> Batches: ...

    def _connections_here(self) -> LoopConnections | None: ...

    def _async_connection(self) -> AbstractAsyncContextManager[tuple[AsyncConnection, bool]]: ...

    def _prepare(self, connection: Connection) -> None: ...

    def _blocking_transaction(
        self, *, read_only: bool, purpose: Purpose = "any"
    ) -> AbstractContextManager[SqlTransaction]: ...

    def _transaction(
        self, connection: Connection, *, read_only: bool = False, purpose: Purpose = "any", joined: bool = False
    ) -> AbstractContextManager[SqlTransaction]: ...


class BlockingSqlStore:
    """For sync hosts, and for async ones in worker threads."""

    def __init__(self, store: Opening) -> None:
        self._store = store

    def blocking_transaction(self, *, read_only: bool = False) -> AbstractContextManager[SqlTransaction]:
        return self._store._blocking_transaction(read_only=read_only)

    @property
    def for_recording(self) -> _SqlStoreFor:
        """See :func:`ocpi_emsp.ports.recorder`."""
        return _SqlStoreFor(self._store, "recording")

    @property
    def for_repeatable(self) -> _SqlStoreFor:
        """See :func:`ocpi_emsp.ports.repeatable`."""
        return _SqlStoreFor(self._store, "repeatable")


@frozen
class _SqlStoreFor:
    """Transactions for one purpose."""

    store: Opening
    purpose: Purpose

    def blocking_transaction(self, *, read_only: bool = False) -> AbstractContextManager[SqlTransaction]:
        return self.store._blocking_transaction(read_only=read_only, purpose=self.purpose)


@frozen
class AsyncSqlStore:
    """For async hosts: on the loop what is brief, the rest in threads; in the bridge where the connection is async."""

    store: Opening

    def transaction(self, *, read_only: bool = False) -> PieceTransaction:
        store = self.store
        if store._native is not None or isinstance(store._host.get(), AsyncConnection):
            return PieceTransaction(_InGreenlet(store, read_only))
        if store._host.get() is None and store._engine.dialect.name == "sqlite":
            reading = InThread(BlockingSqlStore(store), read_only, READERS)
            return PieceTransaction(reading if read_only else _InBatch(store))
        in_threads = InThread(BlockingSqlStore(store), read_only)
        connections = store._connections_here()
        return PieceTransaction(in_threads if connections is None else _OnLoop(in_threads, store, connections))

    def recording(self) -> PieceTransaction:
        """See :func:`ocpi_emsp.ports.recorder`."""
        return self._for("recording")

    def repeatable(self) -> PieceTransaction:
        """See :func:`ocpi_emsp.ports.repeatable`; on SQLite what is written shares its commit."""
        return self._for("repeatable")

    def _for(self, purpose: Purpose) -> PieceTransaction:
        store = self.store
        if store._host.get() is not None or store._engine.dialect.name == "sqlite":
            return self.transaction()
        if store._native is not None:
            return PieceTransaction(_InGreenlet(store, read_only=False, purpose=purpose))
        in_threads, connections = InThread(_SqlStoreFor(store, purpose), read_only=False), store._connections_here()
        if connections is None or purpose == "repeatable":
            return PieceTransaction(in_threads)
        return PieceTransaction(_OnLoop(in_threads, store, connections, purpose))


@frozen
class _InBatch:
    """What is written to SQLite, which has one writer, by what one event loop writes: one commit for all that waits."""

    store: Opening

    async def run(self, step: Step, *, briefly: bool) -> None:  # noqa: ARG002 # a batch ends with a long one
        await self.store._batches_here().run(step)

    def apart(self) -> AbstractAsyncContextManager[LiftedTransaction]:
        return InThread(BlockingSqlStore(self.store), read_only=False).apart()


@frozen
class _OnLoop:
    """Brief transactions on the event loop (on_loop.py), longer ones in threads."""

    in_threads: InThread
    store: Opening
    connections: LoopConnections
    purpose: Purpose = "any"

    async def run(self, step: Step, *, briefly: bool) -> None:
        if not briefly:
            await self.in_threads.run(step)
            return
        taken = await self.connections.take()
        try:
            await to_the_end(greenlet_spawn(self._begun, taken.connection, step))
        finally:
            self.connections.give(taken)

    def _begun(self, connection: Connection, step: Step) -> None:
        step(self.store._transaction(connection, read_only=self.in_threads.read_only, purpose=self.purpose))

    def apart(self) -> AbstractAsyncContextManager[LiftedTransaction]:
        return self.in_threads.apart()


@frozen
class _InGreenlet:
    """Transactions on the event loop, in SQLAlchemy's bridge."""

    store: Opening
    read_only: bool
    purpose: Purpose = "any"

    async def run(self, step: Step, *, briefly: bool) -> None:  # noqa: ARG002 # the connections are the loop's
        async with self.store._async_connection() as (connection, joined):
            await to_the_end(connection.run_sync(self._begun, step, joined))

    def _begun(self, connection: Connection, step: Step, joined: bool) -> None:
        if not joined:
            self.store._prepare(connection)
        step(self._manager(connection, joined))

    def _manager(self, connection: Connection, joined: bool) -> AbstractContextManager[SqlTransaction]:
        read_only = self.read_only and not joined
        return self.store._transaction(connection, read_only=read_only, purpose=self.purpose, joined=joined)

    @asynccontextmanager
    async def apart(self) -> AsyncIterator[LiftedTransaction]:
        async with self.store._async_connection() as (connection, joined):
            lift = _Greenlet(connection)
            if not joined:
                await lift(self.store._prepare, _blocking(connection))
            async with LiftedTransaction(self._manager(_blocking(connection), joined), lift) as tx:
                yield tx


@frozen
class _Greenlet:
    """Calls what blocks on a connection in SQLAlchemy's bridge, to its end: its waits are awaited by the event loop."""

    connection: AsyncConnection

    async def __call__(self, function: Callable[..., T], *args: Any) -> T:
        return await to_the_end(self.connection.run_sync(lambda _: function(*args)))


def _blocking(connection: AsyncConnection) -> Connection:
    """What runs inside the bridge. Raises StoreFailed for a connection that is not open."""
    if connection.sync_connection is None:
        raise StoreFailed("the connection is not open")
    return connection.sync_connection
