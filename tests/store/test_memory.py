"""The memory store: the contract of every store in three modes, and what is its own."""

from collections.abc import Callable
from typing import Any

import anyio
import pytest

from ocpi_emsp._bridge import run
from ocpi_emsp.errors import StoreFailed
from ocpi_emsp.ports import AUTHORIZATION, EVENT, REJECTION, Entry
from ocpi_emsp.storage import MemoryStore
from ocpi_emsp.testing.contract import LOCATION, AnnouncingContract, StoreContract, entry, record
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


class TestBehindABlockingPort(StoreContract):
    @pytest.fixture
    def store(self) -> BlockingMemoryStore:
        return BlockingMemoryStore(MemoryStore())


class TestInWorkerThreads(StoreContract):
    mode = "async"

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


def test_the_oldest_rejections_and_decisions_go_first_and_events_never() -> None:
    store = MemoryStore(keep_rejections=2, keep_authorizations=3)
    append(store, *(entry(f"event {number}") for number in range(5)))
    for number in range(4):
        append(store, entry(f"rejection {number}", REJECTION, None), entry(f"decision {number}", AUTHORIZATION, None))
    assert journal(store, REJECTION) == ["rejection 2", "rejection 3"]
    assert journal(store, AUTHORIZATION) == ["decision 1", "decision 2", "decision 3"]
    assert len(journal(store, EVENT)) == 5


@pytest.mark.parametrize("topic", [REJECTION, AUTHORIZATION])
def test_none_is_kept_where_none_shall_be(topic: str) -> None:
    store = MemoryStore(keep_rejections=0, keep_authorizations=0)
    append(store, entry("1", topic, None))
    assert journal(store, topic) == []


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
