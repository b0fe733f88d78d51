"""A transaction is one piece of work: in one thread for a store that blocks; the flow around it is on its loop."""

import asyncio
import sys
import threading
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import anyio
import pytest
from attrs import define, field

from ocpi_emsp._bridge import FlowSuspended
from ocpi_emsp._pieces import PIECES_AT_ONCE, driven, driven_items, store_in_pieces
from ocpi_emsp.storage import MemoryStore
from ocpi_emsp.testing.contract import LOCATION

SECONDS = 30.0
"""What anything here may take before it counts as hanging."""


class Broken(Exception):
    """Raised by what is run."""


@define
class Spy:
    """A blocking store that notes where it is called; it begins once ``may_begin`` is set."""

    calls: list[tuple[str, int]] = field(factory=list)
    ends: list[type[BaseException] | None] = field(factory=list)
    begun: threading.Semaphore = field(factory=lambda: threading.Semaphore(0))
    may_begin: threading.Event = field(factory=threading.Event)
    fails_at: str = ""

    def __attrs_post_init__(self) -> None:
        self.may_begin.set()

    @contextmanager
    def blocking_transaction(self, *, read_only: bool = False) -> Iterator[Any]:
        self.note("begin read-only" if read_only else "begin")
        self.begun.release()
        assert self.may_begin.wait(SECONDS)
        try:
            yield self
        except BaseException as error:
            self.ends.append(type(error))
            raise
        self.ends.append(None)
        self.note("end")

    def get(self, _: object) -> None:
        self.note("get")

    def note(self, name: str) -> None:
        self.calls.append((name, threading.get_ident()))
        if name == self.fails_at:
            raise Broken(name)


@pytest.fixture
def spy() -> Spy:
    return Spy()


async def read_twice(spy: Spy) -> str:
    async with store_in_pieces(spy).transaction() as tx:
        await tx.get(LOCATION)
        spy.note("between")
        await tx.get(LOCATION)
    spy.note("after")
    return "done"


def threads_of(spy: Spy, *names: str) -> set[int]:
    return {thread for name, thread in spy.calls if name in names}


def test_all_of_a_transaction_is_in_one_thread_and_the_rest_on_the_loop(spy: Spy) -> None:
    async def flow() -> str:
        spy.note("before")
        await anyio.sleep(0)  # as a hook does
        return await read_twice(spy)

    async def host() -> str:
        return await driven(flow())

    assert anyio.run(host) == "done"
    assert [name for name, _ in spy.calls] == ["before", "begin", "get", "between", "get", "end", "after"]
    inside = threads_of(spy, "begin", "get", "between", "end")
    assert len(inside) == 1
    assert threads_of(spy, "before", "after") == {threading.get_ident()}
    assert inside.isdisjoint({threading.get_ident()})


def test_a_flow_that_nobody_steps_has_its_calls_in_threads(spy: Spy) -> None:
    assert anyio.run(read_twice, spy) == "done"
    assert threads_of(spy, "between", "after") == {threading.get_ident()}
    assert threads_of(spy, "begin", "get", "end").isdisjoint({threading.get_ident()})


def test_a_hook_that_calls_a_flow_of_its_own_has_pieces_too(spy: Spy) -> None:
    """As an async authorize hook that reads with ``emsp.aio``."""

    async def outer() -> str:
        async with store_in_pieces(spy).transaction(read_only=True) as tx:
            await tx.get(LOCATION)
        found = await driven(read_twice(spy))
        return found + await read_twice(spy)

    async def host() -> str:
        return await driven(outer())

    assert anyio.run(host) == "donedone"
    assert threads_of(spy, "between").isdisjoint({threading.get_ident()})
    assert threads_of(spy, "after") == {threading.get_ident()}


@pytest.mark.skipif(sys.version_info < (3, 12), reason="tasks begin eagerly since Python 3.12")
def test_a_task_that_begins_eagerly_inside_a_flow_is_not_taken_for_it(spy: Spy) -> None:
    """As one that a listener starts, in a host with asyncio.eager_task_factory."""

    async def flow() -> str:
        return await asyncio.create_task(read_twice(spy))

    async def host() -> str:
        asyncio.get_running_loop().set_task_factory(getattr(asyncio, "eager_task_factory"))  # noqa: B009 # not in 3.11
        return await driven(flow())

    assert asyncio.run(host()) == "done"
    assert threads_of(spy, "between") == {threading.get_ident()}


@pytest.mark.parametrize("call", ["begin", "get", "end"])
def test_what_a_store_raises_is_raised_in_the_flow_on_the_loop(spy: Spy, call: str) -> None:
    spy.fails_at = call
    seen = list[int]()

    async def flow() -> None:
        try:
            await read_twice(spy)
        finally:
            seen.append(threading.get_ident())

    async def host() -> None:
        await driven(flow())

    with pytest.raises(Broken, match=call):
        anyio.run(host)
    assert seen == [threading.get_ident()]
    assert spy.ends == {"begin": [], "get": [Broken], "end": [None]}[call]


def test_what_awaits_a_loop_inside_a_transaction_is_told_so_and_rolled_back(spy: Spy) -> None:
    class Suspends:
        def __await__(self) -> Generator[None, None, None]:
            yield

    async def flow() -> None:
        async with store_in_pieces(spy).transaction():
            await Suspends()

    async def host() -> None:
        await driven(flow())

    with pytest.raises(FlowSuspended, match="inside a transaction"):
        anyio.run(host)
    assert spy.ends == [FlowSuspended]


def test_a_cancellation_comes_after_the_end_of_the_transaction(spy: Spy) -> None:
    """A partner that hangs up, or a server that stops: what was begun is committed, and nothing after it is done."""
    spy.may_begin.clear()

    async def host() -> None:
        task = asyncio.ensure_future(driven_task(read_twice(spy)))
        await anyio.to_thread.run_sync(spy.begun.acquire)
        task.cancel()
        asyncio.get_running_loop().call_soon(spy.may_begin.set)
        await asyncio.wait((task,))
        assert task.cancelled()

    anyio.run(host)
    assert spy.ends == [None]
    assert [name for name, _ in spy.calls] == ["begin", "get", "between", "get", "end"]


async def driven_task(flow: Any) -> Any:
    return await driven(flow)


def test_one_that_is_cancelled_in_its_scope_ends_its_transaction_too(spy: Spy) -> None:
    spy.may_begin.clear()

    async def host() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(driven_task, read_twice(spy))
            await anyio.to_thread.run_sync(spy.begun.acquire)
            group.cancel_scope.cancel()
            asyncio.get_running_loop().call_soon(spy.may_begin.set)

    anyio.run(host)
    assert spy.ends == [None]
    assert "after" not in dict(spy.calls)


def test_one_that_is_cancelled_while_it_waits_for_a_thread_never_begins(spy: Spy) -> None:
    spy.may_begin.clear()

    async def host() -> None:
        async with anyio.create_task_group() as group:
            for _ in range(PIECES_AT_ONCE):
                group.start_soon(driven_task, read_twice(spy))
            for _ in range(PIECES_AT_ONCE):
                await anyio.to_thread.run_sync(spy.begun.acquire)
            late = asyncio.ensure_future(driven_task(read_twice(spy)))
            await asyncio.sleep(0)
            late.cancel()
            await asyncio.wait((late,))
            assert late.cancelled()
            spy.may_begin.set()

    anyio.run(host)
    assert len(spy.ends) == PIECES_AT_ONCE


def test_the_variables_of_the_context_are_those_of_the_caller(spy: Spy) -> None:
    """As the connection that a host joins."""
    variable = ContextVar("variable", default="none")

    async def flow() -> str:
        async with store_in_pieces(spy).transaction():
            return variable.get()

    async def host() -> str:
        variable.set("of the host")
        return await driven(flow())

    assert anyio.run(host) == "of the host"


def test_items_are_read_in_pieces_and_the_generator_is_closed(spy: Spy) -> None:
    closed = list[int]()

    async def items() -> AsyncIterator[str]:
        try:
            for _ in range(3):
                yield await read_twice(spy)
        finally:
            closed.append(threading.get_ident())

    async def host() -> list[str]:
        found = [each async for each in driven_items(items())]
        async for each in driven_items(items()):
            found.append(each)
            break
        return found

    assert anyio.run(host) == ["done"] * 4
    assert threads_of(spy, "between").isdisjoint({threading.get_ident()})
    assert closed[0] == threading.get_ident()


def test_a_store_that_does_not_block_is_left_as_it_is() -> None:
    store = MemoryStore()
    assert store_in_pieces(store) is store
