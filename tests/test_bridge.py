"""One implementation, two modes: flows, stores and hooks under a sync and an async host (DESIGN.md)."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import anyio
import pytest
from attrs import define, field

from ocpi_emsp._bridge import (
    TRANSACTIONS_IN_THREADS,
    FlowSuspended,
    hook_for_async,
    hook_for_sync,
    in_place,
    in_thread,
    iterate,
    lift_store,
    run,
)
from ocpi_emsp.ports import BlockingStore, DualModeStore, Entry, Key, Kind, Mode, Page, Query, Record
from ocpi_emsp.storage import MemoryStore
from ocpi_emsp.testing.contract import LOCATION, entry, record

SECONDS = 30.0
"""What anything here may take before it counts as hanging."""
PATIENCE = 0.2
"""What is left to something that must not happen."""


class Broken(Exception):
    """Raised by what is run."""


# --- run ------------------------------------------------------------------------------------------------------------


async def give(value: int) -> int:
    return value


async def suspend() -> None:
    await asyncio.sleep(0)


def test_run_gives_what_the_flow_returns() -> None:
    async def flow() -> list[int]:
        return [await give(number) for number in range(3)]

    assert run(flow()) == [0, 1, 2]


def test_run_raises_what_the_flow_raises_unchanged() -> None:
    error = Broken("as it is")

    async def flow() -> None:
        await give(1)
        raise error

    with pytest.raises(Broken) as caught:
        run(flow())
    assert caught.value is error
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("error", [KeyError("x"), ValueError(), KeyboardInterrupt(), StopAsyncIteration()])
def test_no_kind_of_exception_is_taken_for_another(error: BaseException) -> None:
    async def flow() -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        run(flow())
    assert caught.value is error


def test_a_flow_that_suspends_is_an_error_that_says_so_and_is_cleaned_up() -> None:
    cleaned: list[str] = []

    async def flow() -> None:
        try:
            await suspend()
        finally:
            cleaned.append("up")

    suspended = flow()  # held, so that the garbage collector does not clean up
    with pytest.raises(FlowSuspended, match="an event loop"):
        run(suspended)
    assert cleaned == ["up"]


def test_run_works_inside_a_running_loop() -> None:
    async def host() -> int:
        return run(give(5))

    assert anyio.run(host) == 5


# --- iterate --------------------------------------------------------------------------------------------------------


@define
class Numbers:
    """An async generator that tells what became of it."""

    done: list[int] = field(factory=list)
    closed: bool = False
    fails_at: int = 99

    async def __call__(self, count: int) -> AsyncIterator[int]:
        try:
            for number in range(count):
                if number == self.fails_at:
                    raise Broken(number)
                self.done.append(number)
                yield await give(number)
        finally:
            self.closed = True


def test_iterate_gives_item_by_item() -> None:
    numbers = Numbers()
    items = iterate(numbers(3))
    assert numbers.done == []
    assert next(items) == 0
    assert numbers.done == [0]
    assert list(items) == [1, 2]
    assert numbers.closed


def test_iterate_raises_what_the_generator_raises_after_what_it_gave() -> None:
    items = iterate(Numbers(fails_at=2)(5))
    assert [next(items), next(items)] == [0, 1]
    with pytest.raises(Broken):
        next(items)
    assert list(items) == []


def test_a_generator_that_is_left_early_is_closed() -> None:
    numbers = Numbers()
    generator = numbers(5)  # held, so that nobody else closes it
    for item in iterate(generator):
        assert item == 0
        break
    assert numbers.done == [0]
    assert numbers.closed


def test_iterate_works_inside_a_running_loop() -> None:
    numbers = Numbers()

    async def host() -> list[int]:
        return [item for item in iterate(numbers(4)) if item != 2]

    assert anyio.run(host) == [0, 1, 3]
    assert numbers.closed


def test_an_iterator_that_cannot_be_closed_is_fine() -> None:
    class Two:
        left = 2

        def __aiter__(self) -> "Two":
            return self

        async def __anext__(self) -> int:
            if not self.left:
                raise StopAsyncIteration
            self.left -= 1
            return self.left

    assert list(iterate(Two())) == [1, 0]


def test_a_generator_that_suspends_is_an_error() -> None:
    async def suspending() -> AsyncIterator[int]:
        yield 1
        await suspend()
        yield 2

    items = iterate(suspending())
    assert next(items) == 1
    with pytest.raises(FlowSuspended):
        next(items)


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
        self,
        topic: str,
        key: Key | None = None,
        limit: int = 100,
        *,
        owner: tuple[str, str] | None = None,
        after: int = 0,
    ) -> Sequence[Entry]:
        self._note(f"entries {topic} {key and key.id} {limit} {owner} {after}")
        return [entry("1")]

    def settle(self, entry_id: str) -> None:
        self._note(f"settle {entry_id}")


EVERY_CALL = [
    "begin", "get", "put LOC1", "delete LOC1", "children LOC1", "page token", "append 1", "entry 7",
    "entries event LOC1 5 None 0", "entries event None 100 None 0", "entries event None 100 ('NL', 'TNM') 9",
    "settle 1", "end", "begin read-only", "get", "end",
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


# --- hooks ----------------------------------------------------------------------------------------------------------


def plain(value: int) -> tuple[int, int]:
    if value < 0:
        raise Broken(value)
    return value, threading.get_ident()


async def awaited(value: int) -> tuple[int, int]:
    await asyncio.sleep(0)  # a real async hook waits for something
    return plain(value)


class AsyncCallable:
    async def __call__(self, value: int) -> tuple[int, int]:
        return await awaited(value)


def gives_awaitable(value: int) -> Awaitable[tuple[int, int]]:
    return awaited(value)


HOOKS: list[Callable[[int], Any]] = [plain, awaited, AsyncCallable(), gives_awaitable, lambda value: plain(value)]
each_hook = pytest.mark.parametrize("hook", HOOKS, ids=["plain", "async", "async callable", "awaitable", "lambda"])


@each_hook
def test_a_sync_host_calls_a_hook_of_either_mode_in_place(hook: Callable[[int], Any]) -> None:
    assert run(hook_for_sync(hook)(5)) == (5, threading.get_ident())  # type: ignore[arg-type] # a coroutine


@each_hook
def test_a_sync_host_inside_a_running_loop_calls_a_hook_of_either_mode(hook: Callable[[int], Any]) -> None:
    async def notebook() -> tuple[int, int]:
        result: tuple[int, int] = run(hook_for_sync(hook)(5))  # type: ignore[arg-type] # a coroutine
        return result

    value, thread = anyio.run(notebook)
    in_this_thread = hook in (HOOKS[0], HOOKS[4])
    assert (value, thread == threading.get_ident()) == (5, in_this_thread)


@each_hook
def test_an_async_host_awaits_a_hook_or_calls_it_in_a_worker_thread(hook: Callable[[int], Any]) -> None:
    async def host() -> Any:
        return await hook_for_async(hook)(5)

    value, thread = anyio.run(host)
    in_a_worker = hook in (HOOKS[0], HOOKS[4])
    assert (value, thread != threading.get_ident()) == (5, in_a_worker)


@each_hook
def test_what_a_hook_raises_passes_unchanged(hook: Callable[[int], Any]) -> None:
    with pytest.raises(Broken, match="-1"):
        run(hook_for_sync(hook)(-1))  # type: ignore[arg-type] # a coroutine

    async def host() -> Any:
        return await hook_for_async(hook)(-1)

    with pytest.raises(Broken, match="-1"):
        anyio.run(host)
