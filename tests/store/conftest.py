"""Databases for the tests of stores."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ocpi_emsp.storage import SqlStore, migrations
from store.migrating import Database


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A new database of each kind."""
    if request.param == "postgresql":
        found: str = request.getfixturevalue("postgres_url")
        return found
    return f"sqlite:///{tmp_path / 'emsp.db'}"


@pytest.fixture(params=["sqlite", "postgresql"])
def url_with_schema(request: pytest.FixtureRequest) -> str:
    """An empty database of each kind that has our schema already: to make one takes 0.2 s."""
    if request.param == "postgresql":
        found: str = request.getfixturevalue("postgres_with_schema")
        return found
    return f"sqlite:///{request.getfixturevalue('sqlite_with_schema')}"


@pytest.fixture
def store(url_with_schema: str) -> Iterator[SqlStore]:
    """An empty store with its schema."""
    opened = SqlStore(url_with_schema)
    yield opened
    opened.close()


@pytest.fixture(params=["sqlite", "postgresql", "schema"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    """An empty database; "schema" is PostgreSQL with other names."""
    if request.param == "sqlite":
        return Database(f"sqlite:///{tmp_path / 'emsp.db'}", migrations.Names())
    names = migrations.Names() if request.param == "postgresql" else migrations.Names("charging", "emsp_")
    return Database(request.getfixturevalue("postgres_url"), names)


@pytest.fixture
def sqlite(tmp_path: Path) -> Database:
    """An empty SQLite file."""
    return Database(f"sqlite:///{tmp_path / 'emsp.db'}", migrations.Names())
