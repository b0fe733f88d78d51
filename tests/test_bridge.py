"""One implementation, two modes: flows and hooks under a sync and an async host (DESIGN.md)."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from attrs import define, field

from ocpi_emsp._bridge import FlowSuspended, iterate, run, to_the_end
from ocpi_emsp._hooks import hook_for_async, hook_for_sync


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


# --- to the end -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fails", [False, True])
def test_a_cancelled_task_ends_after_what_it_awaits_to_the_end(fails: bool) -> None:
    """However often it is cancelled, as asyncio.timeout() or a server does; what fails then is not the caller's."""
    ends = list[str]()

    async def work() -> None:
        await asyncio.sleep(0.01)
        ends.append("work")
        if fails:
            raise Broken

    async def host() -> None:
        task = asyncio.ensure_future(to_the_end(work()))
        for _ in range(3):
            await asyncio.sleep(0)
            task.cancel()
        await asyncio.wait((task,))
        assert task.cancelled()

    asyncio.run(host())
    assert ends == ["work"]


def test_a_cancelled_scope_ends_after_what_is_awaited_in_it_to_the_end() -> None:
    ends = list[str]()

    async def work() -> int:
        await asyncio.sleep(0.01)
        ends.append("work")
        return 7

    async def host() -> None:
        with anyio.CancelScope() as scope:
            scope.cancel()
            assert await to_the_end(work()) == 7
            await anyio.lowlevel.checkpoint()
            ends.append("caller")

    anyio.run(host)
    assert ends == ["work"]
