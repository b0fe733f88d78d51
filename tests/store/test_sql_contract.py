"""The contract of every store, on SQLite and PostgreSQL, in both modes."""

import threading
from collections.abc import Iterator
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.util import await_only
from sqlalchemy.util.concurrency import in_greenlet

from ocpi_emsp.ports import Announcing, AnyStore
from ocpi_emsp.storage import SqlStore
from ocpi_emsp.storage.sql.shared import compiled_once
from ocpi_emsp.testing.contract import (
    AnnouncingContract,
    ConcurrencyContract,
    ContractTools,
    Heard,
    PartyWatchContract,
    StoreContract,
    command,
)
from store.sql import opened


class OnSqlite(ContractTools):
    """A file; async hosts call it in threads."""

    @pytest.fixture
    def store(self, sqlite_with_schema: Path) -> Iterator[SqlStore]:
        with opened(self, f"sqlite:///{sqlite_with_schema}") as store:
            yield store


class OnPostgres(ContractTools):
    """Psycopg; async hosts call it in threads."""

    @pytest.fixture
    def store(self, postgres_with_schema: str) -> Iterator[SqlStore]:
        with opened(self, postgres_with_schema) as store:
            yield store


class OnAsyncEngine(ContractTools):
    """An engine of an async host: what blocks is called in SQLAlchemy's bridge."""

    mode = "async"
    one_loop = True

    @pytest.fixture
    def store(self, postgres_with_schema: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[SqlStore]:
        # The engines of these tests are alike; to compile all statements for each of them would take 0.2 s a test.
        monkeypatch.setattr("ocpi_emsp.storage.sql.store.compiled", compiled_once)
        with opened(self, create_async_engine(postgres_with_schema)) as store:
            yield store


class TestSqlite(OnSqlite, StoreContract):
    pass


class TestSqliteInThreads(OnSqlite, StoreContract):
    mode = "async"
    one_loop = True
    examples = 10  # TestSqlite compares as many as usual; here they are only called otherwise


class TestPostgres(StoreContract):
    @pytest.fixture
    def store(self, postgres_store: SqlStore) -> SqlStore:
        return postgres_store


class OnOneLoop(OnPostgres):
    """Psycopg; brief transactions are on the event loop itself."""

    mode = "async"
    one_loop = True
    brief = True

    async def pause(self, event: threading.Event) -> None:
        """A flow suspends nowhere in a transaction; what it calls there may, as a statement does."""
        if in_greenlet():
            await_only(anyio.to_thread.run_sync(event.wait, self.pause_seconds))
        else:
            await super().pause(event)


class TestPostgresOnTheLoop(OnOneLoop, StoreContract):
    pass


class TestAsyncEngine(OnAsyncEngine, StoreContract):
    """A call at a time, as in a flow that nobody steps."""

    in_pieces = False
    examples = 10  # see TestPostgres for more of them


class TwoOnPostgres(OnPostgres):
    """Two store objects, with connections of their own."""

    @pytest.fixture
    def other(self, postgres_with_schema: str) -> Iterator[SqlStore]:
        with opened(self, postgres_with_schema) as store:
            yield store


class AnnouncingOnPostgres(TwoOnPostgres, AnnouncingContract):
    pass


class TestPostgresAnnouncing(AnnouncingOnPostgres):
    pass


class TestPostgresAnnouncingAsync(AnnouncingOnPostgres):
    mode = "async"
    one_loop = True


class TestSqliteWatchingParties(OnSqlite, PartyWatchContract):
    @pytest.fixture
    def other(self, sqlite_with_schema: Path) -> Iterator[SqlStore]:
        with opened(self, f"sqlite:///{sqlite_with_schema}") as other:
            yield other


class WatchingOnPostgres(TwoOnPostgres, PartyWatchContract):
    def settle(self, store: AnyStore, other: AnyStore) -> None:
        heard = Heard()
        assert isinstance(store, Announcing)
        end = store.announce(heard)
        self.put(other, command("last"))
        assert heard.hears("last")  # notifications arrive in the order of the commits
        end()


class TestPostgresWatchingParties(WatchingOnPostgres):
    pass


class TestPostgresWatchingPartiesAsync(WatchingOnPostgres):
    mode = "async"
    one_loop = True


class TestSqliteUnderLoad(OnSqlite, ConcurrencyContract):
    patches = 1000


class TestSqliteInThreadsUnderLoad(OnSqlite, ConcurrencyContract):
    mode = "async"
    one_loop = True
    patches = 1000


class TestPostgresUnderLoad(OnPostgres, ConcurrencyContract):
    patches = 1000


class TestPostgresInThreadsUnderLoad(OnPostgres, ConcurrencyContract):
    mode = "async"
    one_loop = True
    patches = 1000


class TestPostgresOnTheLoopUnderLoad(OnOneLoop, ConcurrencyContract):
    patches = 1000


class TestAsyncEngineUnderLoad(OnAsyncEngine, ConcurrencyContract):
    patches = 1000
