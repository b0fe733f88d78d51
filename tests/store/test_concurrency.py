"""Many requests at once, on the memory store: in threads of a sync host, and in tasks of an async one."""

import pytest

from ocpi_emsp.storage import MemoryStore
from ocpi_emsp.testing.contract import ConcurrencyContract
from store.support import BlockingMemoryStore


class TestThreads(ConcurrencyContract):
    @pytest.fixture
    def store(self) -> MemoryStore:
        return MemoryStore()


class TestTasks(ConcurrencyContract):
    mode = "async"

    @pytest.fixture
    def store(self) -> MemoryStore:
        return MemoryStore()


class TestTasksOnABlockingStore(ConcurrencyContract):
    mode = "async"
    patches = 1000

    @pytest.fixture
    def store(self) -> BlockingMemoryStore:
        return BlockingMemoryStore(MemoryStore())
