"""What all tests share: examples that can be repeated, and a PostgreSQL.

Every run of the suite draws the same examples, so that a red run can be repeated; `make fuzz` looks for new ones.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings

from postgres import Postgres, PrivatePostgres, server

settings.register_profile("repeatable", derandomize=True, database=None)
settings.load_profile("repeatable")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    """The PostgreSQL of this run, one for each process that runs tests."""
    with server() as running:
        yield running


@pytest.fixture
def postgres_url(postgres_server: Postgres) -> Iterator[str]:
    """The URL of an empty database that no other test has."""
    with postgres_server.database() as url:
        yield url


@pytest.fixture
def private_postgres() -> Iterator[PrivatePostgres]:
    """A PostgreSQL of this test alone, to be stopped and started."""
    with PrivatePostgres() as running:
        yield running
