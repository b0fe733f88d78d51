"""The store of a Django project: our tables in a database of ``DATABASES``.

Rules of this module:
- inside ``transaction.atomic()`` a transaction is a savepoint on Django's connection, so it neither waits for Django's
  locks nor survives its rollback; anywhere else it is one of our own, on our own connections;
- Django's ``TestCase`` wraps each test in a transaction that never commits: it does not count, so events are delivered;
- a SQLite database in memory has one connection, which is Django's;
- the test runner renames the database after everything is imported: the name is read before each transaction;
- it drops the database at the end, which PostgreSQL refuses while a connection is open: ours are closed before.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
    nullcontext,
)
from functools import wraps
from typing import Any, cast
from urllib.parse import quote, urlencode
from weakref import WeakSet

from attrs import define, field, frozen
from django.db import connections, transaction

from ocpi_emsp.contrib.django.schema import named_for_django, require_current
from ocpi_emsp.ports import BlockingStore, BlockingTransaction, Key, Mode, Record, Store, Transaction
from ocpi_emsp.storage import FernetBox, SqlStore

VENDORS = ("sqlite", "postgresql")
_OF_DJANGO = frozenset(
    {"assume_role", "client_encoding", "context", "cursor_factory", "isolation_level", "pool", "prepare_threshold",
     "server_side_binding"}
)  # fmt: skip
"""OPTIONS of Django's PostgreSQL backend that psycopg does not have, or that this library sets itself."""


@define(eq=False)
class DjangoStore:
    """A :class:`SqlStore` in the database ``using``, which joins Django's transactions."""

    using: str
    _made: tuple[str, SqlStore] | None = field(default=None, init=False)
    current: SqlStore | None = field(default=None, init=False)
    """The store whose schema was checked and is up to date."""
    _making: threading.Lock = field(factory=threading.Lock, init=False)

    def __attrs_post_init__(self) -> None:
        _stores.add(self)

    def __str__(self) -> str:
        return str(self.sql)

    @property
    def sql(self) -> SqlStore:
        """The store of the database under its current name, for its ``tables`` and ``upgrade``."""
        name = str(connections.settings[self.using]["NAME"])
        made = self._made
        if made is None or made[0] != name:
            with self._making:
                made = self._made
                if made is None or made[0] != name:
                    if made is not None:
                        made[1].close()
                    made = self._made = name, self._open()
        return made[1]

    def _open(self) -> SqlStore:
        # A database in memory needs no key that outlives it: a test run leaves no file.
        secrets = FernetBox(FernetBox.new_key()) if self.is_in_memory else None
        return SqlStore(database_url(connections.settings[self.using]), secrets=secrets)

    @property
    def is_in_memory(self) -> bool:
        """True for a SQLite database in memory, as the test runner uses it."""
        return "mode=memory" in str(connections.settings[self.using]["NAME"])

    # --- the port -----------------------------------------------------------------------------------------------

    def for_mode(self, mode: Mode) -> Store | BlockingStore:
        """Return the driver for hosts of this mode."""
        return _Blocking(self) if mode == "sync" else _Async(self)

    def joined(self, connection: object) -> AbstractContextManager[None]:
        """See :meth:`SqlStore.joined`."""
        return self.sql.joined(connection)

    def ajoined(self, connection: object) -> AbstractAsyncContextManager[None]:
        """See :meth:`SqlStore.ajoined`."""
        return self.sql.ajoined(connection)

    def announce(self, listener: Callable[[str], None]) -> Callable[[], None]:
        """See :meth:`SqlStore.announce`."""
        return self.sql.announce(listener)

    def watch_parties(self) -> object | None:
        """See :meth:`SqlStore.watch_parties`."""
        return None if self._is_djangos() else self.sql.watch_parties()

    def is_unchanged(self, watched: object, read: Iterable[tuple[Key, Record | None]]) -> bool:
        """See :meth:`SqlStore.is_unchanged`."""
        return not self._is_djangos() and self.sql.is_unchanged(watched, read)

    def is_bound_to_thread(self) -> bool:
        """See :class:`ports.ThreadBound`: in a ``TestCase``, hooks with a deadline run in its thread."""
        return self._is_djangos()

    def close(self) -> None:
        """Close the connections that are our own."""
        if self._made is not None:
            self._made[1].close()

    async def aclose(self) -> None:
        """Close the connections, like :meth:`close`."""
        await self.sql.aclose()

    # --- transactions -------------------------------------------------------------------------------------------

    def _is_djangos(self) -> bool:
        """Return True if a transaction runs on Django's connection."""
        return bool(connections[self.using].in_atomic_block) or self.is_in_memory

    @contextmanager
    def blocking_transaction(self, *, read_only: bool) -> Iterator[BlockingTransaction]:
        """Open a transaction of our own, or a part of Django's current one."""
        sql = self.sql
        store = cast("BlockingStore", sql.for_mode("sync"))
        if not self._is_djangos():
            with named_for_django(self.using), store.blocking_transaction(read_only=read_only) as tx:
                self.current = sql
                yield tx
            return
        connection = connections[self.using]
        is_of_project = any(not each._from_testcase for each in connection.atomic_blocks)
        with (
            nullcontext() if connection.in_atomic_block else transaction.atomic(self.using),
            sql.joined(connection.connection),
            store.blocking_transaction() as joined,
        ):
            if self.current is not sql:
                require_current(connection, self.using, sql)
                self.current = sql
            joined.joined = is_of_project  # type: ignore[attr-defined] # ports.is_joined looks for it
            yield joined


_stores: WeakSet[DjangoStore] = WeakSet()


def close_before_dropping(using: str) -> None:
    """Close every store of a database before Django's test runner drops it."""
    creation = connections[using].creation
    drop = creation.destroy_test_db
    if hasattr(drop, "__wrapped__"):
        return

    @wraps(drop)
    def destroy_test_db(*args: Any, **kwargs: Any) -> None:
        for store in [*_stores]:
            if store.using == using:
                store.close()
        drop(*args, **kwargs)

    creation.destroy_test_db = destroy_test_db


@frozen
class _Blocking:
    """For sync hosts, whose thread owns Django's connection."""

    store: DjangoStore

    def blocking_transaction(self, *, read_only: bool = False) -> AbstractContextManager[BlockingTransaction]:
        return self.store.blocking_transaction(read_only=read_only)


@frozen
class _Async:
    """For async hosts: ``transaction.atomic()`` does not exist there."""

    store: DjangoStore

    def transaction(self, *, read_only: bool = False) -> AbstractAsyncContextManager[Transaction]:
        sql = self.store.sql
        opened = cast("Store", sql.for_mode("async")).transaction(read_only=read_only)
        return opened if self.store.current is sql else self._first(sql, opened)

    @asynccontextmanager
    async def _first(
        self, sql: SqlStore, opened: AbstractAsyncContextManager[Transaction]
    ) -> AsyncIterator[Transaction]:
        """One that looks at the schema; it cannot run in one piece, as the later ones do."""
        with named_for_django(self.store.using):
            async with opened as tx:
                self.store.current = sql
                yield tx


def database_url(settings: Mapping[str, Any]) -> str:
    """Return the URL of a database of Django's settings, which is SQLite if it is not PostgreSQL."""
    name = str(settings["NAME"])
    if "sqlite" in settings["ENGINE"]:
        return f"sqlite:///{name}&uri=true" if name.startswith("file:") and "?" in name else f"sqlite:///{name}"
    user, password, host, port = (str(settings[each] or "") for each in ("USER", "PASSWORD", "HOST", "PORT"))
    options = {name: str(value) for name, value in settings["OPTIONS"].items() if name not in _OF_DJANGO}
    if host.startswith("/"):  # the folder of a Unix socket
        options["host"] = host
        host = ""
    login = quote(user, safe="") + (f":{quote(password, safe='')}" if password else "")
    place = f"[{host}]" if ":" in host else host
    authority = (f"{login}@" if login else "") + place + (f":{port}" if port else "")
    return f"postgresql+psycopg://{authority}/{name}" + (f"?{urlencode(options)}" if options else "")
