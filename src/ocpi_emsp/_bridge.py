"""One implementation, two modes: how async flows meet sync callers, blocking stores and hooks of either mode.

Rules of this module:
- ``run`` drives a flow whose ports never suspend to its end, in place: no event loop, no thread, also inside a running
  loop; a flow that does suspend is an error that says so;
- threads are used where an async host meets something that blocks (a hook, a body, a call of a store whose flow nobody
  steps, see _pieces.py), where an async hook meets a sync host whose thread runs a loop already, and where a hook has a
  deadline (HookThreads).
"""

from __future__ import annotations

import asyncio
import inspect
import os
import sys
import threading
from collections import deque
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Iterator,
    Mapping,
    Sequence,
)
from concurrent.futures import Future, ThreadPoolExecutor, wait as wait_for
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from contextvars import copy_context
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

import anyio
import anyio.to_thread
from anyio.lowlevel import RunVar
from attrs import field, frozen

from ocpi_emsp.ports import (
    AnyStore,
    BlockingStore,
    BlockingTransaction,
    DeadlinePassed,
    DualModeStore,
    Entry,
    Key,
    Mode,
    Owner,
    Page,
    Query,
    Record,
    Store,
    Usage,
)

T = TypeVar("T")


class FlowSuspended(RuntimeError):
    """A sync call waited for something that only an event loop can provide."""


def run(flow: Coroutine[Any, Any, T]) -> T:
    """The result of a flow whose ports never suspend. Raises what the flow raises, FlowSuspended if it waits."""
    try:
        flow.send(None)
    except StopIteration as end:
        value: T = end.value
        return value
    flow.close()
    raise FlowSuspended("a sync call reached a port that awaits an event loop: use emsp.aio, or blocking ports")


def iterate(flow: AsyncIterator[T]) -> Iterator[T]:
    """The items of an async generator whose ports never suspend, one by one."""

    async def following() -> T:
        return await anext(flow)

    waits = False
    try:
        while True:
            try:
                item = run(following())
            except StopAsyncIteration:
                return
            except FlowSuspended:
                waits = True  # so it cannot be closed
                raise
            yield item
    finally:
        if not waits and isinstance(flow, AsyncGenerator):
            run(flow.aclose())


class Lift(Protocol):
    """Calls a blocking function and gives its result, in one of two modes."""

    async def __call__(self, function: Callable[..., T], *args: Any) -> T: ...


async def in_place(function: Callable[..., T], *args: Any) -> T:
    """Call it here: for a sync host."""
    return function(*args)


async def in_thread(function: Callable[..., T], *args: Any) -> T:
    """Call it in a worker thread: for an async host. It is done even if the caller is cancelled: a transaction ends."""
    return await to_the_end(anyio.to_thread.run_sync(function, *args, limiter=_threads.here()))


TRANSACTIONS_IN_THREADS = 16
"""Blocking transactions that one event loop has open at once. Each has a thread of its own to go on in: one that waits
for a lock cannot take the thread that the holder of the lock needs."""


class PerLoop(Generic[T]):
    """Something that belongs to one event loop: made when it is first used there, gone with the loop."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._made: RunVar[T] = RunVar("made")

    def here(self) -> T:
        """The one of the running loop."""
        try:
            return self._made.get()
        except LookupError:
            made = self._make()
            self._made.set(made)
            return made


_threads = PerLoop(lambda: anyio.CapacityLimiter(TRANSACTIONS_IN_THREADS))
_open = PerLoop(lambda: anyio.Semaphore(TRANSACTIONS_IN_THREADS))


class BodyThreads:
    """Threads in which large bodies are read for an async host: at most ``most`` for each event loop."""

    def __init__(self, most: int) -> None:
        self._limiters = PerLoop(lambda: anyio.CapacityLimiter(most))

    async def __call__(self, function: Callable[..., T], *args: Any) -> T:
        """Call it in a worker thread, where it gives way to the event loop every half millisecond."""
        return await anyio.to_thread.run_sync(giving_way, function, args, limiter=self._limiters.here())


_SWITCH_SECONDS = 0.0005
"""How long a thread that reads a body holds the interpreter while the event loop wants it. By default that is 5 ms
(sys.setswitchinterval), which every turn of the event loop would wait, several times for one request."""
_giving = threading.Lock()
_before: list[float] = []
"""The switch interval of before, once for each thread that gives way."""


def giving_way(function: Callable[..., T], args: tuple[Any, ...]) -> T:
    """Call it in this thread, while all threads take turns more often."""
    with _giving:
        _before.append(sys.getswitchinterval())
        sys.setswitchinterval(min(_before[0], _SWITCH_SECONDS))
    try:
        return function(*args)
    finally:
        with _giving:
            before = _before.pop()
            if not _before:
                sys.setswitchinterval(before)


async def to_the_end(work: Awaitable[T]) -> T:
    """Await it even if the caller is cancelled, in whichever way and however often: that comes after its end."""
    task, cancelled = asyncio.ensure_future(work), None  # a shield of anyio keeps no Task.cancel() off
    with anyio.CancelScope(shield=True):
        while not task.done():
            try:
                await asyncio.wait((task,))
            except asyncio.CancelledError as error:
                cancelled = error
    if cancelled is not None:
        _ = task.cancelled() or task.exception()  # it is looked at, or the event loop would report it
        raise cancelled
    return task.result()


def lift_store(store: AnyStore, lift: Lift) -> Store:
    """A store for flows: as it is, or its blocking calls lifted."""
    if isinstance(store, DualModeStore):
        store = store.for_mode("sync" if lift is in_place else "async")
    return LiftedStore(store, lift) if isinstance(store, BlockingStore) else store


class LiftedStore:
    """A blocking store, each of its calls lifted."""

    def __init__(self, store: BlockingStore, lift: Lift) -> None:
        self._store = store
        self._lift = lift
        other: BlockingStore | None = getattr(store, "for_recording", None)
        self.recording = None if other is None else LiftedStore(other, lift).transaction

    @asynccontextmanager
    async def transaction(self, *, read_only: bool = False) -> AsyncIterator[LiftedTransaction]:
        manager = LiftedTransaction(self._store.blocking_transaction(read_only=read_only), self._lift)
        async with _open.here() if self._lift is in_thread else nullcontext(), manager as tx:
            yield tx


_OPTIONAL = frozenset({"prefetch", "due", "documents"})
"""Methods of a transaction that a store need not have."""


class LiftedTransaction:
    """Every method of a blocking transaction, lifted."""

    _tx: BlockingTransaction

    def __init__(self, manager: AbstractContextManager[BlockingTransaction], lift: Lift) -> None:
        self._manager = manager
        self._lift = lift

    @classmethod
    def of(cls, tx: BlockingTransaction, lift: Lift) -> LiftedTransaction:
        """A transaction that is open already, and is ended by others."""
        lifted = cls(nullcontext(tx), lift)
        lifted._tx = tx
        return lifted

    async def __aenter__(self) -> LiftedTransaction:
        self._tx = await self._lift(self._manager.__enter__)
        return self

    async def __aexit__(self, *raised: Any) -> bool | None:
        return await self._lift(self._manager.__exit__, *raised)

    @property
    def joined(self) -> bool:
        """See :func:`ocpi_emsp.ports.is_joined`."""
        return getattr(self._tx, "joined", False) is True

    async def get(self, key: Key) -> Record | None:
        return await self._lift(self._tx.get, key)

    async def put(self, record: Record) -> None:
        await self._lift(self._tx.put, record)

    async def delete(self, key: Key) -> None:
        await self._lift(self._tx.delete, key)

    async def children(self, key: Key) -> Sequence[Record]:
        return await self._lift(self._tx.children, key)

    async def page(self, query: Query) -> Page:
        return await self._lift(self._tx.page, query)

    async def append(self, entry: Entry) -> None:
        await self._lift(self._tx.append, entry)

    async def entry(self, entry_id: str) -> Entry | None:
        return await self._lift(self._tx.entry, entry_id)

    async def entries(
        self, topic: str, key: Key | None = None, limit: int = 100, *, owner: Owner | None = None, after: int = 0
    ) -> Sequence[Entry]:
        return await self._lift(partial(self._tx.entries, topic, key, limit, owner=owner, after=after))

    async def settle(self, entry_id: str) -> None:
        await self._lift(self._tx.settle, entry_id)

    async def usage(self, name: str, owner: Owner | None = None) -> Mapping[Owner, Usage]:
        return await self._lift(self._tx.usage, name, owner)

    def __getattr__(self, name: str) -> Any:
        """What a store need not be able to do is here where it is able to."""
        if name not in _OPTIONAL:
            raise AttributeError(name)
        method = getattr(self._tx, name)
        return lambda *args, **named: self._lift(partial(method, *args, **named))


async def rest(seconds: float) -> None:
    """Let the time pass, under an async host."""
    await anyio.sleep(seconds)


def at_most(seconds: float | None) -> anyio.CancelScope:
    """Under an async host, a block that is left after so many seconds, done or not."""
    return anyio.move_on_after(seconds)


def hook_for_sync(hook: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
    """A hook for a sync host: a plain function is called in place, an async one is run to its end in place."""

    async def call(*args: Any) -> Any:
        if _is_async(hook):
            return _run_async(hook, *args)
        result = hook(*args)
        return _run_async(_awaiting, result) if inspect.isawaitable(result) else result

    return call


def hook_for_async(hook: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
    """A hook for an async host: an async function is awaited, a plain one is called in a worker thread."""

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
    """Run an async function; not by anyio.run, which refuses where sniffio, if installed, knows of a loop around it."""
    running = _called(function, *args)
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(running)
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(copy_context().run, asyncio.run, running).result()


# --- hooks that have a deadline ---------------------------------------------------------------------------------------


_IDLE_SECONDS = 10.0
"""How long a thread of a hook waits for the next call: under load it is used again, without load it is gone."""


class HookThreads:
    """Threads in which plain hooks run that have a deadline: at most ``most``, with the caller's context variables.

    They are not those of the stores, and they are daemons, which those of concurrent.futures and anyio are not: a hook
    that hangs for good costs its own thread, and does not keep the process from ending. A process that was forked off
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
        """Have it called as soon as a thread is free."""
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
                except BaseException as error:  # noqa: BLE001 # it is raised where the future is waited for
                    future.set_exception(_of_hook(error))
            del following, future, call  # nothing of a call is kept while the thread waits for the next

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
    """What a hook raised, as it may be raised where the hook is awaited: others would mean something else there."""
    passes = isinstance(error, Exception | SystemExit | KeyboardInterrupt) and not isinstance(error, StopIteration)
    return error if passes else RuntimeError(f"the hook raised {type(error).__name__}: {error}")


@frozen
class Deadline:
    """How long a hook may take, and where a plain one does."""

    seconds: float
    threads: HookThreads
    left: set[asyncio.Task[Any]] = field(factory=set)
    """Async hooks that were cancelled, and have not ended yet: an event loop alone would let go of them."""

    def passed(self, future: Future[Any] | None = None) -> DeadlinePassed:
        """What is raised then; ``future``: of a plain hook, which was cancelled where no thread began it."""
        why = ": all hook threads are busy" if future is not None and future.cancelled() else ""
        return DeadlinePassed(f"no answer within {self.seconds:g} s{why}")

    def check_room(self) -> None:
        """Raises DeadlinePassed if as many are left as may hang at once: memory for more has no bound."""
        if len(self.left) < self.threads.most:
            return
        self.left.difference_update([task for task in tuple(self.left) if task.get_loop().is_closed()])
        if len(self.left) >= self.threads.most:
            raise DeadlinePassed(f"{len(self.left)} cancelled calls are still running")

    def leave(self, task: asyncio.Task[Any]) -> None:
        """Cancel it, and wait for it no longer: what it awaits may not let itself be cancelled."""
        task.cancel()
        self.left.add(task)
        task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self.left.discard(task)
        if not task.cancelled():
            task.exception()  # it is looked at, or the event loop would report it


def hook_in_time(mode: Mode, hook: Callable[..., Any], deadline: Deadline | None) -> Callable[..., Awaitable[Any]]:
    """A hook for either host that has to answer before a deadline; it raises DeadlinePassed.

    A plain one is called in a thread of its own, an async one in a task of its own, under a sync host in a thread as
    well; each is left to itself then, and the task is cancelled.
    """
    if deadline is None:
        return hook_for_sync(hook) if mode == "sync" else hook_for_async(hook)
    return partial(_sync_in_time if mode == "sync" else _async_in_time, hook, deadline)


async def _async_in_time(hook: Callable[..., Any], deadline: Deadline, *args: Any) -> Any:
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
    """What a plain hook gave in its thread, which may be something to await."""
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
    """In a thread: also what an async hook, or a plain one, leaves to be awaited; it is cancelled there."""
    result = hook(*args)
    return _run_async(_async_in_time, partial(_awaiting, result), deadline) if inspect.isawaitable(result) else result
