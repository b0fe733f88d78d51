"""The contract of every store, on SQLite and PostgreSQL, in both modes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ocpi_emsp.storage import SqlStore
from ocpi_emsp.testing.contract import AnnouncingContract, ConcurrencyContract, ContractTools, StoreContract
from store.sql import opened


class OnSqlite(ContractTools):
    """A file; async hosts call it in threads."""

    @pytest.fixture
    def store(self, sqlite_with_schema: Path) -> Iterator[SqlStore]:
        with opened(self, f"sqlite:///{sqlite_with_schema}") as store:
            yield store


class OnAiosqlite(ContractTools):
    """The same file through an async driver."""

    mode = "async"
    one_loop = True

    @pytest.fixture
    def store(self, sqlite_with_schema: Path) -> Iterator[SqlStore]:
        with opened(self, f"sqlite+aiosqlite:///{sqlite_with_schema}") as store:
            yield store


class OnPostgres(ContractTools):
    """Psycopg, which has a side for each mode."""

    @pytest.fixture
    def store(self, postgres_with_schema: str) -> Iterator[SqlStore]:
        with opened(self, postgres_with_schema) as store:
            yield store


class TestSqlite(OnSqlite, StoreContract):
    pass


class TestSqliteAsync(OnAiosqlite, StoreContract):
    pass


class TestPostgres(OnPostgres, StoreContract):
    pass


class TestPostgresAsync(OnPostgres, StoreContract):
    mode = "async"
    one_loop = True


class AnnouncingOnPostgres(OnPostgres, AnnouncingContract):
    """Another store object hears, over a connection of its own."""

    @pytest.fixture
    def other(self, postgres_with_schema: str) -> Iterator[SqlStore]:
        with opened(self, postgres_with_schema) as store:
            yield store


class TestPostgresAnnouncing(AnnouncingOnPostgres):
    pass


class TestPostgresAnnouncingAsync(AnnouncingOnPostgres):
    mode = "async"
    one_loop = True


class TestSqliteUnderLoad(OnSqlite, ConcurrencyContract):
    patches = 1000


class TestSqliteInThreadsUnderLoad(OnSqlite, ConcurrencyContract):
    mode = "async"
    one_loop = True
    patches = 1000


class TestSqliteAsyncUnderLoad(OnAiosqlite, ConcurrencyContract):
    patches = 1000


class TestPostgresUnderLoad(OnPostgres, ConcurrencyContract):
    patches = 1000


class TestPostgresAsyncUnderLoad(OnPostgres, ConcurrencyContract):
    mode = "async"
    one_loop = True
    patches = 1000
