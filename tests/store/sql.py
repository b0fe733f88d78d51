"""SQL stores for the tests."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from ocpi_emsp.storage import SqlStore
from ocpi_emsp.testing.contract import ContractTools


def created(url: str, **settings: Any) -> SqlStore:
    """A store whose schema is there."""
    store = SqlStore(url, **settings)
    store.upgrade()
    return store


@contextmanager
def opened(test: ContractTools, url: str | AsyncEngine) -> Iterator[SqlStore]:
    """The store of a contract's test, its connections closed at the end in the loop of the test."""
    store = SqlStore(url)
    try:
        yield store
    finally:
        test.call(store.aclose)
