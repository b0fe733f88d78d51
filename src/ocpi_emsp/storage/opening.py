"""Stores by URL: opened, closed, and joined to a host's transaction.

Rules of this module: an error about a URL only repeats its scheme, since the rest may be the password.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any, Protocol, runtime_checkable

from ocpi_emsp.ports import AnyStore, Mode
from ocpi_emsp.storage.memory import MemoryStore

MEMORY = "memory"


@runtime_checkable
class ClosableStore(Protocol):
    """A store with connections."""

    def close(self) -> None: ...
    async def aclose(self) -> None: ...


@runtime_checkable
class JoinableStore(Protocol):
    """A store that can be part of the host's transactions."""

    def joined(self, connection: Any) -> AbstractContextManager[None]: ...
    def ajoined(self, connection: Any) -> AbstractAsyncContextManager[None]: ...


def open_store(url: str) -> AnyStore:
    """Open the store of a URL. Raises ValueError for another database's URL, ImportError without the extra ``sql``."""
    if url == MEMORY:
        return MemoryStore()
    try:
        from ocpi_emsp.storage.sql.engine import MissingSlash
        from ocpi_emsp.storage.sql.store import SqlStore
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"store needs {error.name}, which is not installed: pip install 'ocpi-emsp[sql]'", name=error.name
        ) from None
    try:
        return SqlStore(url)
    except MissingSlash:
        raise
    except ValueError:
        scheme, separator, _ = url.partition("://")
        named = f"{scheme}://…" if separator else scheme[:40]
        raise ValueError(
            f"invalid store '{named}': expected memory, or a URL of SQLite or PostgreSQL, for example "
            "sqlite:///emsp.db or postgresql+psycopg://user@host/database"
        ) from None


async def close_store(store: AnyStore, mode: Mode) -> None:
    """Close the connections of a store, if it has any."""
    if not isinstance(store, ClosableStore):
        return
    if mode == "sync":
        store.close()
    else:
        await store.aclose()


def joinable(store: AnyStore) -> JoinableStore:
    """Return the store. Raises TypeError for one without transactions to join."""
    if not isinstance(store, JoinableStore):
        name = type(store).__name__
        raise TypeError(
            f"invalid store '{name}': a host's transaction is joined by a store of SQL, for example SqlStore"
        )
    return store
