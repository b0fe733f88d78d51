"""Hooks and listeners of either mode, called by flows of either mode, with a time limit.

Rules of this module:
- threads are used if an async host has a plain hook, if a sync host whose thread already runs a loop has an async hook,
  and if a hook has a deadline (HookThreads);
- asyncio is imported where it is used: a sync host with plain hooks does not need it.
"""

from __future__ import annotations

import inspect
import os
import threading
from collections import deque
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, wait as wait_for
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import anyio.to_thread
from attrs import field, frozen

from ocpi_emsp.ports import DeadlinePassed, Mode, ThreadBound

if TYPE_CHECKING:
    import asyncio

T = TypeVar("T")


def hook_for_sync(hook: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
    """Return a hook for a sync host: a plain function is called in place, an async one runs to its end in place."""

    async def call(*args: Any) -> Any:
        if _is_async(hook):
            return _run_async(hook, *args)
        result = hook(*args)
        return _run_async(_awaiting, result) if inspect.isawaitable(result) else result

    return call


def hook_for_async(hook: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
    """Return a hook for an async host: an async function is awaited, a plain one is called in a worker thread."""

    async def call(*args: Any) -> Any:
        if _is_async(hook):
            return await hook(*args)
        result = await anyio.to_thread.run_sync(hook, *args)
        return await result if inspect.isawaitable(result) else result

    return call


def _is_async(hook: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(inspect.unwrap(hook)) or inspect.iscoroutinefunction(
        getattr(hook, "__call__", None)  # noqa: B004 # an object with an async __call__ is an async hook
    )


async def _awaiting(awaitable: Awaitable[T]) -> T:
    return await awaitable


def _run_async(function: Callable[..., Awaitable[T]], *args: Any) -> T:
    """Run an async function; not by anyio.run, which refuses if sniffio, if installed, detects a surrounding loop."""
    import asyncio

    running = _called(function, *args)
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(running)
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(copy_context().run, asyncio.run, running).result()


# --- hooks with a deadline --------------------------------------------------------------------------------------------


_IDLE_SECONDS = 10.0
"""Seconds that a hook thread waits for the next call: under load it is reused, without load it ends."""


class HookThreads:
    """Threads for plain hooks with a deadline: at most ``most``, with the caller's context variables.

    They are separate from the stores' threads, and they are daemons, unlike those of concurrent.futures and anyio: a
    hook that hangs forever only costs its own thread, and does not prevent the process from exiting. A forked process
    has none of them, and starts its own.
    """

    def __init__(self, most: int) -> None:
        if most < 1:
            raise ValueError(f"invalid number of hook threads {most}: expected 1 or more")
        self.most = most
        self._begin()

    def _begin(self) -> None:
        self._process = os.getpid()
        self._changed = threading.Condition()
        self._calls: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._threads = self._idle = 0

    def submit(self, function: Callable[..., T], *args: Any) -> Future[T]:
        """Call the function as soon as a thread is free."""
        if self._process != os.getpid():
            self._begin()
        future = Future[T]()
        call = partial(copy_context().run, function, *args)
        with self._changed:
            if len(self._calls) >= self._idle and self._threads < self.most:
                threading.Thread(target=self._work, name="ocpi-emsp hook", daemon=True).start()
                self._threads += 1
            self._calls.append((future, call))
            self._changed.notify()
        return future

    def withdraw(self, future: Future[Any]) -> None:
        """Drop a call that has not started, since its caller has stopped waiting."""
        if future.cancel():
            with self._changed:
                self._calls = deque(call for call in self._calls if call[0] is not future)

    def _work(self) -> None:
        while (following := self._next()) is not None:
            future, call = following
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(call())
                except BaseException as error:  # noqa: BLE001 # raised where the future is awaited
                    future.set_exception(_of_hook(error))
            del following, future, call  # a thread that waits holds no reference to its last call

    def _next(self) -> tuple[Future[Any], Callable[[], Any]] | None:
        with self._changed:
            self._idle += 1
            came = self._changed.wait_for(lambda: self._calls, _IDLE_SECONDS)
            self._idle -= 1
            if came:
                return self._calls.popleft()
            self._threads -= 1
            return None


def _of_hook(error: BaseException) -> BaseException:
    """Return a hook's exception, or a RuntimeError in place of types that have another meaning where the hook is
    awaited.
    """
    passes = isinstance(error, Exception | SystemExit | KeyboardInterrupt) and not isinstance(error, StopIteration)
    return error if passes else RuntimeError(f"the hook raised {type(error).__name__}: {error}")


@frozen
class Deadline:
    """How long a hook may take, and where a plain one runs."""

    seconds: float
    threads: HookThreads
    left: set[asyncio.Task[Any]] = field(factory=set)
    """Cancelled async hooks that have not ended yet: an event loop alone holds no reference to them."""

    def passed(self, future: Future[Any] | None = None) -> DeadlinePassed:
        """Return the error for a passed deadline; ``future`` is that of a plain hook, cancelled if no thread began
        it.
        """
        why = ": all hook threads are busy" if future is not None and future.cancelled() else ""
        return DeadlinePassed(f"no answer within {self.seconds:g} s{why}")

    def check_room(self) -> None:
        """Raise DeadlinePassed if too many cancelled hooks are still running: their memory has no bound."""
        if len(self.left) < self.threads.most:
            return
        self.left.difference_update([task for task in tuple(self.left) if task.get_loop().is_closed()])
        if len(self.left) >= self.threads.most:
            raise DeadlinePassed(f"{len(self.left)} cancelled calls are still running")

    def leave(self, task: asyncio.Task[Any]) -> None:
        """Cancel a task, and stop waiting for it: what it awaits may not be cancellable."""
        task.cancel()
        self.left.add(task)
        task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self.left.discard(task)
        if not task.cancelled():
            task.exception()  # its exception is retrieved, or the event loop would report it


def hook_in_time(
    mode: Mode, hook: Callable[..., Any], deadline: Deadline | None, store: object = None
) -> Callable[..., Awaitable[Any]]:
    """Return a hook, for either host, with a deadline; it raises DeadlinePassed.

    A plain one is called in its own thread, an async one in its own task, under a sync host also in a thread; after the
    deadline both are abandoned, and the task is cancelled. If the store is bound to the thread of a sync host, the hook
    is called in place, without a deadline: another thread would wait for the locks of this one.
    """
    if deadline is None:
        return hook_for_sync(hook) if mode == "sync" else hook_for_async(hook)
    if mode == "async":
        return partial(_async_in_time, hook, deadline)
    in_time = partial(_sync_in_time, hook, deadline)
    if not isinstance(store, ThreadBound):
        return in_time
    in_place, bound = hook_for_sync(hook), store

    async def call(*args: Any) -> Any:
        return await (in_place(*args) if bound.is_bound_to_thread() else in_time(*args))

    return call


async def _async_in_time(hook: Callable[..., Any], deadline: Deadline, *args: Any) -> Any:
    import asyncio

    deadline.check_room()
    future = None if _is_async(hook) else deadline.threads.submit(hook, *args)
    task = asyncio.ensure_future(_called(hook, *args) if future is None else _of_thread(future))
    try:
        await asyncio.wait((task,), timeout=deadline.seconds)
    finally:
        if not task.done():
            deadline.leave(task)
        if future is not None:
            deadline.threads.withdraw(future)
    if not task.done():
        raise deadline.passed(future)
    error = asyncio.CancelledError() if task.cancelled() else task.exception()
    if error is not None:
        raise _of_hook(error)
    return task.result()


async def _called(hook: Callable[..., Awaitable[T]], *args: Any) -> T:
    return await hook(*args)


async def _of_thread(future: Future[Any]) -> Any:
    """Return the result of a plain hook in its thread, which may be an awaitable."""
    import asyncio

    result = await asyncio.wrap_future(future)
    return await result if inspect.isawaitable(result) else result


async def _sync_in_time(hook: Callable[..., Any], deadline: Deadline, *args: Any) -> Any:
    future = deadline.threads.submit(_to_its_end, hook, deadline, *args)
    try:
        wait_for((future,), deadline.seconds)
        if future.done():
            return future.result()
    finally:
        deadline.threads.withdraw(future)
    raise deadline.passed(future)


def _to_its_end(hook: Callable[..., Any], deadline: Deadline, *args: Any) -> Any:
    """In a thread: run an async hook, or the awaitable of a plain one, to its end; it is cancelled there."""
    result = hook(*args)
    return _run_async(_async_in_time, partial(_awaiting, result), deadline) if inspect.isawaitable(result) else result
