"""The memory store: the contract of every store in three modes, and what is its own."""

import gc
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from ocpi_emsp._bridge import run
from ocpi_emsp.errors import StoreFailed
from ocpi_emsp.ports import Entry
from ocpi_emsp.storage import MemoryStore
from ocpi_emsp.testing.contract import (
    LOCATION,
    AnnouncingContract,
    PartyWatchContract,
    StoreContract,
    evse,
    record,
    session,
)
from store.support import BlockingMemoryStore


class TestMemoryStore(StoreContract):
    increments = 200

    @pytest.fixture
    def store(self) -> MemoryStore:
        return MemoryStore()


class TestAnnouncing(AnnouncingContract):
    @pytest.fixture
    def store(self) -> MemoryStore:
        return MemoryStore()


class TestWatchingParties(PartyWatchContract):
    @pytest.fixture
    def store(self) -> MemoryStore:
        return MemoryStore()


class TestBehindABlockingPort(StoreContract):
    examples = 10  # TestMemoryStore compares as many as usual

    @pytest.fixture
    def store(self) -> BlockingMemoryStore:
        return BlockingMemoryStore(MemoryStore())


class TestInWorkerThreads(StoreContract):
    mode = "async"
    examples = 10

    @pytest.fixture
    def store(self) -> BlockingMemoryStore:
        return BlockingMemoryStore(MemoryStore())


class TestInWorkerThreadsOfOneLoop(StoreContract):
    """As a store with an async driver is tested: all transactions are open in one loop."""

    mode = "async"
    one_loop = True
    examples = 10

    @pytest.fixture
    def store(self) -> BlockingMemoryStore:
        return BlockingMemoryStore(MemoryStore())


def append(store: MemoryStore, *entries: Entry) -> None:
    async def work() -> None:
        async with store.transaction() as tx:
            for each in entries:
                await tx.append(each)

    run(work())


def journal(store: MemoryStore, topic: str) -> list[str]:
    async def work() -> list[str]:
        async with store.transaction() as tx:
            return [each.id for each in await tx.entries(topic)]

    return run(work())


@pytest.mark.parametrize("runner", [run, lambda coroutine: anyio.run(lambda: coroutine)])
def test_a_transaction_inside_another_one_is_an_error_and_not_a_hang(runner: Callable[[Any], Any]) -> None:
    store = MemoryStore(lock_timeout=0.01)

    async def nested() -> None:
        async with store.transaction() as outer:
            await outer.put(record())
            async with store.transaction():
                raise AssertionError("it was entered")

    with pytest.raises(StoreFailed, match="inside another one"):
        runner(nested())

    async def after() -> object:
        async with store.transaction() as tx:
            return await tx.get(LOCATION)

    assert run(after()) is None  # the outer one was rolled back, and its lock is free


def test_the_garbage_collector_looks_through_no_record() -> None:
    """Beside the lists that hold them: a full collection took a fifth of a first sync."""
    store = MemoryStore()

    async def write() -> None:
        async with store.transaction() as tx:
            for each in (record(), evse("E1"), session("S1")):
                await tx.put(each)

    run(write())
    gc.collect()
    rows = {key: row for records in store._records.values() for key, row in records._rows.items()}
    assert len(rows) == 3
    assert not any(gc.is_tracked(each) for pair in rows.items() for each in pair)
