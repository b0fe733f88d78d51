"""Tools of the contracts: records to store, and transactions to run, in threads and loops.

Rules of this module: a piece of work is a transaction of its own; a document is a JSON text, as a store may require.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, TypeAlias, TypeVar

import anyio
import anyio.to_thread
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal

from ocpi_emsp._bridge import in_place, lift_store
from ocpi_emsp._pieces import driven, store_in_pieces
from ocpi_emsp.ports import (
    EVENT,
    AnyStore,
    Entry,
    Key,
    Kind,
    Mode,
    Page,
    Query,
    Record,
    Store,
    Transaction,
    recorder,
    repeatable,
)

T = TypeVar("T")
Work: TypeAlias = Callable[[Transaction], Awaitable[Any]]

BASE = datetime(2024, 1, 1, tzinfo=UTC)
LOCATION = Key(Kind.LOCATION, "NL", "TNM", "LOC1")
SECONDS = 30.0
"""Seconds after which anything here counts as hanging."""


class Undo(Exception):
    """Ends a transaction that must leave nothing."""


def record(key: Key = LOCATION, document: bytes = b"{}", minute: float = 0) -> Record:
    """Return a record, last updated that many minutes after BASE."""
    moment = BASE + timedelta(minutes=minute)
    return Record(key, document, moment, moment + timedelta(seconds=1.5))


def session(session_id: str, minute: float = 0, country_code: str = "NL", party_id: str = "TNM") -> Record:
    """Return a session's record."""
    return record(Key(Kind.SESSION, country_code, party_id, session_id), minute=minute)


def token(uid: str, minute: float = 0, country_code: str = "IT", party_id: str = "BEC") -> Record:
    """Return a token's record."""
    return record(Key(Kind.TOKEN, country_code, party_id, uid, "RFID"), minute=minute)


def pushed(uid: str, type_: str = "RFID", document: bytes = b"{}", party_id: str = "TNM") -> Record:
    """Return the record of what a party has of a token."""
    return record(Key(Kind.PUSHED, "NL", party_id, uid, type_), document)


def evse(uid: str, location: Key = LOCATION, document: bytes = b"{}") -> Record:
    """Return an EVSE's record."""
    return record(Key(Kind.EVSE, location.country_code, location.party_id, uid, location.id), document)


def entry(entry_id: str, topic: str = EVENT, key: Key | None = LOCATION, **values: Any) -> Entry:
    """Return an entry of the journal."""
    return Entry(id=entry_id, topic=topic, name="LocationReceived", key=key, at=BASE, **values)


def ids(records: Iterable[Record]) -> list[str]:
    """Return the ids of records, in order."""
    return [each.key.id for each in records]


class ContractTools:
    """The store under test, and how it is used. The class attributes are settings for a subclass."""

    mode: ClassVar[Mode] = "sync"
    """The host that the store works for: with ``async`` a blocking store is called in worker threads."""
    one_loop: ClassVar[bool] = False
    """True if a whole test runs in one event loop; otherwise each thread of a test has its own."""
    in_pieces: ClassVar[bool] = True
    """True if a transaction of an async host is one piece of work; otherwise each of its calls is dispatched
    separately.
    """
    brief: ClassVar[bool] = False
    """True if transactions in pieces are brief ones, which a store may run on the event loop itself."""
    pause_seconds: ClassVar[float] = 0.2
    """Seconds that a transaction gives another one to see what it must not see."""

    _portal: BlockingPortal | None = None

    @pytest.fixture(autouse=True)
    def _loop_of_the_test(self) -> Iterator[None]:
        with self.loop():
            yield

    @contextmanager
    def loop(self) -> Iterator[None]:
        """The loop of a test that runs in one."""
        if not self.one_loop:
            yield
            return
        with start_blocking_portal() as self._portal:
            yield
        self._portal = None

    @pytest.fixture
    def store(self) -> AnyStore:
        """The store to be tested."""
        raise NotImplementedError("define the fixture `store`")

    def call(self, function: Callable[[], Awaitable[T]]) -> T:
        """Await a function in the loop of the test, or in a new one."""
        return self._portal.call(function) if self._portal is not None else anyio.run(function)

    def lifted(self, store: AnyStore) -> Store:
        """Return the store as a flow uses it."""
        return lift_store(store, in_place) if self.mode == "sync" else store_in_pieces(store)

    def run(self, store: AnyStore, *works: Work, read_only: bool = False) -> Any:
        """Run each piece of work in its own transaction; return the result of the last."""

        async def scenario() -> Any:
            result = None
            for work in works:
                async with self.lifted(store).transaction(read_only=read_only) as tx:
                    result = await work(tx)
            return result

        return self._called(scenario)

    def recorded(self, store: AnyStore, work: Work) -> bool:
        """Run it in a transaction that records what it reads; return False if the store has none."""
        opened = recorder(self.lifted(store))
        if opened is None:
            return False

        async def scenario() -> None:
            async with opened() as tx:
                await work(tx)

        self._called(scenario)
        return True

    def repeated(self, store: AnyStore, work: Work) -> None:
        """Run it in a transaction whose work is repeated if it is lost, or in a usual one."""

        async def scenario() -> None:
            async with repeatable(self.lifted(store)) as tx:
                await work(tx)

        self._called(scenario)

    def _called(self, scenario: Callable[[], Coroutine[Any, Any, T]]) -> T:
        return self.call(self._driven(scenario) if self.mode == "async" and self.in_pieces else scenario)

    def _driven(self, scenario: Callable[[], Coroutine[Any, Any, T]]) -> Callable[[], Coroutine[Any, Any, T]]:
        async def call() -> T:
            return await driven(scenario(), briefly=self.brief)

        return call

    def concurrently(self, *scenarios: Callable[[], object]) -> None:
        """Run all of them at the same time; raise what one of them raises."""
        with ThreadPoolExecutor(len(scenarios)) as threads:
            for done in [threads.submit(scenario) for scenario in scenarios]:
                done.result()

    async def pause(self, event: threading.Event) -> None:
        """Wait for an event inside a transaction, at most ``pause_seconds``: others may wait for this transaction."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:  # the transaction has a thread of its own
            event.wait(self.pause_seconds)
        else:
            await anyio.to_thread.run_sync(event.wait, self.pause_seconds)

    def put(self, store: AnyStore, *records: Record) -> None:
        """Store records, in one transaction."""

        async def work(tx: Transaction) -> None:
            for each in records:
                await tx.put(each)

        self.run(store, work)

    def append(self, store: AnyStore, *entries: Entry) -> None:
        """Journal entries, in one transaction."""

        async def work(tx: Transaction) -> None:
            for each in entries:
                await tx.append(each)

        self.run(store, work)

    def get(self, store: AnyStore, key: Key) -> Record | None:
        """Return a record, read in its own transaction."""
        found: Record | None = self.run(store, lambda tx: tx.get(key))
        return found

    def got(self, store: AnyStore, key: Key = LOCATION) -> Record:
        """Return a record that exists."""
        found = self.get(store, key)
        assert found is not None, f"{key} is not there"
        return found

    def children(self, store: AnyStore, location: Key = LOCATION) -> list[str]:
        """Return the EVSEs of a location, read in its own transaction."""
        return ids(self.run(store, lambda tx: tx.children(location)))

    def records(self, store: AnyStore, kind: str = Kind.SESSION, **query: Any) -> Page:
        """Return a page of one kind, read in its own transaction."""
        found: Page = self.run(store, lambda tx: tx.page(Query(kind=kind, **query)))
        return found

    def page(self, store: AnyStore, kind: str = Kind.SESSION, **query: Any) -> tuple[list[str], int]:
        """Return ids and total of a page of sessions, or of another kind."""
        page = self.records(store, kind, **query)
        return ids(page.records), page.total

    def journal(self, store: AnyStore, topic: str = EVENT, **selection: Any) -> list[Entry]:
        """Return entries of the journal, read in its own transaction."""
        found: Sequence[Entry] = self.run(store, lambda tx: tx.entries(topic, **selection))
        return list(found)
