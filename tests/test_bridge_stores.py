"""One implementation, two modes: stores that block under a sync and an async host (DESIGN.md)."""

import asyncio
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import anyio
import pytest
from attrs import define, field

from ocpi_emsp._bridge import (
    TRANSACTIONS_IN_THREADS,
    in_place,
    in_thread,
    lift_store,
    run,
)
from ocpi_emsp.ports import BlockingStore, DualModeStore, Entry, Key, Kind, Mode, Owner, Page, Query, Record, Usage
from ocpi_emsp.storage import MemoryStore
from ocpi_emsp.testing.contract import LOCATION, entry, record


class Broken(Exception):
    """Raised by what is run."""


SECONDS = 30.0
"""What anything here may take before it counts as hanging."""
PATIENCE = 0.2
"""What is left to something that must not happen."""


# --- stores ---------------------------------------------------------------------------------------------------------


@define
class BlockingSpy:
    """A blocking store that notes each call and its thread; reading ``missing`` fails."""

    calls: list[tuple[str, int]] = field(factory=list)
    ends: list[type[BaseException] | None] = field(factory=list)
    open: int = 0

    @contextmanager
    def blocking_transaction(self, *, read_only: bool = False) -> Iterator["BlockingSpy"]:
        self._note("begin read-only" if read_only else "begin")
        self.open += 1
        try:
            yield self
        except BaseException as error:
            self.ends.append(type(error))
            raise
        else:
            self.ends.append(None)
        finally:
            self.open -= 1
            self._note("end")

    def _note(self, name: str) -> None:
        self.calls.append((name, threading.get_ident()))

    def get(self, key: Key) -> Record | None:
        self._note("get")
        if key.id == "missing":
            raise Broken(key.id)
        return record(key)

    def put(self, record: Record) -> None:
        self._note(f"put {record.key.id}")

    def delete(self, key: Key) -> None:
        self._note(f"delete {key.id}")

    def children(self, key: Key) -> Sequence[Record]:
        self._note(f"children {key.id}")
        return [record(key)]

    def page(self, query: Query) -> Page:
        self._note(f"page {query.kind}")
        return Page([], 7)

    def append(self, entry: Entry) -> None:
        self._note(f"append {entry.id}")

    def entry(self, entry_id: str) -> Entry | None:
        self._note(f"entry {entry_id}")
        return entry(entry_id)

    def entries(
        self, topic: str, key: Key | None = None, limit: int = 100, *, owner: Owner | None = None, after: int = 0
    ) -> Sequence[Entry]:
        self._note(f"entries {topic} {key and key.id} {limit} {owner} {after}")
        return [entry("1")]

    def settle(self, entry_id: str) -> None:
        self._note(f"settle {entry_id}")

    def usage(self, name: str, owner: Owner | None = None) -> Mapping[Owner, Usage]:
        self._note(f"usage {name} {owner}")
        return {("NL", "TNM"): Usage(1, 2)}


EVERY_CALL = [
    "begin", "get", "put LOC1", "delete LOC1", "children LOC1", "page token", "append 1", "entry 7",
    "entries event LOC1 5 None 0", "entries event None 100 None 0", "entries event None 100 ('NL', 'TNM') 9",
    "settle 1", "usage cdr None", "usage event ('NL', 'TNM')", "end", "begin read-only", "get", "end",
]  # fmt: skip


async def use_everything(store: Any) -> None:
    async with store.transaction() as tx:
        assert await tx.get(LOCATION) == record()
        await tx.put(record())
        await tx.delete(LOCATION)
        assert await tx.children(LOCATION) == [record()]
        assert (await tx.page(Query(kind=Kind.TOKEN))).total == 7
        await tx.append(entry("1"))
        assert await tx.entry("7") == entry("7")
        assert await tx.entries("event", LOCATION, 5) == [entry("1")]
        assert await tx.entries("event") == [entry("1")]
        assert await tx.entries("event", owner=("NL", "TNM"), after=9) == [entry("1")]
        await tx.settle("1")
        assert await tx.usage(Kind.CDR) == {("NL", "TNM"): Usage(1, 2)}
        assert await tx.usage("event", ("NL", "TNM")) == {("NL", "TNM"): Usage(1, 2)}
    async with store.transaction(read_only=True) as tx:
        assert await tx.get(LOCATION) == record()


def test_a_blocking_store_is_called_in_place_under_a_sync_host() -> None:
    spy = BlockingSpy()
    run(use_everything(lift_store(spy, in_place)))
    assert [name for name, _ in spy.calls] == EVERY_CALL
    assert {thread for _, thread in spy.calls} == {threading.get_ident()}
    assert spy.ends == [None, None]


def test_a_blocking_store_is_called_in_worker_threads_under_an_async_host() -> None:
    spy = BlockingSpy()
    anyio.run(use_everything, lift_store(spy, in_thread))
    assert [name for name, _ in spy.calls] == EVERY_CALL
    assert threading.get_ident() not in {thread for _, thread in spy.calls}
    assert spy.ends == [None, None]


@pytest.mark.parametrize("lift", [in_place, in_thread])
def test_what_a_blocking_store_raises_ends_the_transaction_and_passes_unchanged(lift: Any) -> None:
    spy = BlockingSpy()

    async def work() -> None:
        async with lift_store(spy, lift).transaction() as tx:
            await tx.get(LOCATION._replace(id="missing"))

    with pytest.raises(Broken, match="missing"):
        anyio.run(work)
    assert (spy.ends, spy.open) == ([Broken], 0)


def test_a_cancelled_transaction_is_ended_as_well() -> None:
    """A partner that hangs up, or a server that stops, cancels: the driver's transaction must not stay open."""
    spy = BlockingSpy()

    async def host() -> None:
        with anyio.CancelScope() as scope:
            async with lift_store(spy, in_thread).transaction() as tx:
                await tx.get(LOCATION)
                scope.cancel()
                await anyio.lowlevel.checkpoint()
                raise AssertionError("it was not cancelled")

    anyio.run(host)
    assert spy.open == 0
    assert [name for name, _ in spy.calls] == ["begin", "get", "end"]
    assert spy.ends == [asyncio.CancelledError]


def test_an_async_store_is_left_as_it_is() -> None:
    store = MemoryStore()
    assert lift_store(store, in_thread) is store
    assert not isinstance(store, BlockingStore)
    assert isinstance(BlockingSpy(), BlockingStore)


@define
class DualMode:
    """A store with a driver for each mode."""

    drivers: dict[str, Any]
    asked: list[str] = field(factory=list)

    def for_mode(self, mode: Mode) -> Any:
        self.asked.append(mode)
        return self.drivers[mode]


def test_a_store_with_two_drivers_is_asked_for_the_one_of_its_host() -> None:
    spy, native = BlockingSpy(), MemoryStore()
    store = DualMode({"sync": spy, "async": native})
    assert isinstance(store, DualModeStore)
    run(use_everything(lift_store(store, in_place)))
    assert {thread for _, thread in spy.calls} == {threading.get_ident()}
    assert lift_store(store, in_thread) is native
    assert store.asked == ["sync", "async"]


def test_a_driver_that_blocks_is_called_in_threads_under_an_async_host() -> None:
    spy = BlockingSpy()
    anyio.run(use_everything, lift_store(DualMode({"async": spy}), in_thread))
    assert [name for name, _ in spy.calls] == EVERY_CALL
    assert threading.get_ident() not in {thread for _, thread in spy.calls}


# --- many blocking transactions -------------------------------------------------------------------------------------
MANY = 100


@define
class LockedStore:
    """Lets one transaction after the other begin, as a database with one writer does; counts those that are open."""

    lock: threading.Lock = field(factory=threading.Lock)
    guard: threading.Lock = field(factory=threading.Lock)
    here: int = 0
    most: int = 0
    value: int = 0

    @contextmanager
    def blocking_transaction(self, *, read_only: bool = False) -> Iterator[BlockingSpy]:
        assert not read_only
        with self.guard:
            self.here += 1
            self.most = max(self.most, self.here)
        try:
            if not self.lock.acquire(timeout=SECONDS):
                raise Broken("it waited for a thread that the holder of the lock needs")
            try:
                before = self.value
                yield BlockingSpy()
                self.value = before + 1
            finally:
                self.lock.release()
        finally:
            with self.guard:
                self.here -= 1


def test_many_transactions_that_wait_for_one_lock_all_end() -> None:
    """The holder of the lock goes on in a thread, while all the others sit in threads and wait for it."""
    store = LockedStore()
    lifted = lift_store(store, in_thread)

    async def work() -> None:
        async with lifted.transaction() as tx:
            for _ in range(3):
                await tx.get(LOCATION)

    async def host() -> None:
        with anyio.fail_after(SECONDS):
            async with anyio.create_task_group() as group:
                for _ in range(MANY):
                    group.start_soon(work)

    anyio.run(host)
    assert (store.value, store.here) == (MANY, 0)
    assert 1 < store.most <= TRANSACTIONS_IN_THREADS


def test_no_more_transactions_are_open_in_threads_than_have_a_thread() -> None:
    """The ones that may begin all do, and the next one begins once the first of them ends."""
    spy = BlockingSpy()
    lifted = lift_store(spy, in_thread)

    async def host() -> None:
        full, one_more, leave, ended = anyio.Event(), anyio.Event(), anyio.Event(), list[int]()

        async def work() -> None:
            async with lifted.transaction() as tx:
                if spy.open >= TRANSACTIONS_IN_THREADS:
                    (full if not full.is_set() else one_more).set()
                await leave.wait()
                await tx.get(LOCATION)
            ended.append(spy.open)

        with anyio.fail_after(SECONDS):
            async with anyio.create_task_group() as group:
                for _ in range(TRANSACTIONS_IN_THREADS + 1):
                    group.start_soon(work)
                await full.wait()
                with anyio.move_on_after(PATIENCE):
                    await one_more.wait()
                assert spy.open == TRANSACTIONS_IN_THREADS
                leave.set()
        assert len(ended) == TRANSACTIONS_IN_THREADS + 1

    anyio.run(host)
    assert spy.open == 0


def test_one_that_was_cancelled_while_it_waited_leaves_its_room_to_others() -> None:
    store = LockedStore()
    lifted = lift_store(store, in_thread)

    async def work() -> None:
        async with lifted.transaction():
            pass

    async def host() -> None:
        with anyio.fail_after(SECONDS):
            for _ in range(3):
                async with lifted.transaction():
                    async with anyio.create_task_group() as group:
                        for _ in range(MANY):
                            group.start_soon(work)
                        await anyio.wait_all_tasks_blocked()
                        group.cancel_scope.cancel()
                        store.lock.release()  # those that have begun end, in their shields; the others never begin
                    assert store.lock.acquire(timeout=SECONDS)
            await work()

    anyio.run(host)
    assert store.here == 0


def test_a_sync_host_opens_as_many_as_it_likes() -> None:
    spy = BlockingSpy()

    async def nested(depth: int) -> int:
        async with lift_store(spy, in_place).transaction():
            return await nested(depth - 1) if depth else spy.open

    assert run(nested(2 * TRANSACTIONS_IN_THREADS)) == 2 * TRANSACTIONS_IN_THREADS + 1
