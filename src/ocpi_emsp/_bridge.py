"""One implementation, two modes: how async flows meet sync callers and blocking stores.

Rules of this module:
- ``run`` drives a flow whose ports never suspend to its end, in place: it needs no event loop and no thread, and works
  inside a running loop. If the flow suspends, FlowSuspended is raised;
- threads are used only where an async host meets something that blocks: a large body, or a call of a store by a flow
  that is not driven (_pieces.py); hooks are in _hooks.py;
- asyncio is imported where it is used: a sync host needs none.
"""

from __future__ import annotations

import sys
import threading
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
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, nullcontext
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

import anyio
import anyio.to_thread
from anyio.lowlevel import RunVar

from ocpi_emsp.ports import (
    AnyStore,
    BlockingStore,
    BlockingTransaction,
    DualModeStore,
    Entry,
    Key,
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
    """Return the result of a flow whose ports never suspend. Raises what the flow raises, FlowSuspended if it waits."""
    try:
        flow.send(None)
    except StopIteration as end:
        value: T = end.value
        return value
    flow.close()
    raise FlowSuspended("a sync call reached a port that awaits an event loop: use emsp.aio, or blocking ports")


def iterate(flow: AsyncIterator[T]) -> Iterator[T]:
    """Yield the items of an async generator whose ports never suspend."""

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
                waits = True  # a generator that waits cannot be closed
                raise
            yield item
    finally:
        if not waits and isinstance(flow, AsyncGenerator):
            run(flow.aclose())


class Lift(Protocol):
    """Calls a blocking function and returns its result, in one of two modes."""

    async def __call__(self, function: Callable[..., T], *args: Any) -> T: ...


async def in_place(function: Callable[..., T], *args: Any) -> T:
    """Call a function in the caller's thread: for a sync host."""
    return function(*args)


async def in_thread(function: Callable[..., T], *args: Any) -> T:
    """Call a function in a worker thread: for an async host.

    It runs to its end even if the caller is cancelled: no transaction stays open.
    """
    return await to_the_end(anyio.to_thread.run_sync(function, *args, limiter=_threads.here()))


TRANSACTIONS_IN_THREADS = 16
"""Most blocking transactions that one event loop has open at once. There are as many threads: a transaction that waits
for a lock cannot occupy the thread that the holder of the lock needs."""


class PerLoop(Generic[T]):
    """An object that belongs to one event loop: created on first use there, dropped with the loop."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._made: RunVar[T] = RunVar("made")

    def here(self) -> T:
        """Return the object of the running loop."""
        try:
            return self._made.get()
        except LookupError:
            made = self._make()
            self._made.set(made)
            return made


_threads = PerLoop(lambda: anyio.CapacityLimiter(TRANSACTIONS_IN_THREADS))
_open = PerLoop(lambda: anyio.Semaphore(TRANSACTIONS_IN_THREADS))


class BodyThreads:
    """Threads that read large bodies for an async host: at most ``most`` per event loop."""

    def __init__(self, most: int) -> None:
        self._limiters = PerLoop(lambda: anyio.CapacityLimiter(most))

    async def __call__(self, function: Callable[..., T], *args: Any) -> T:
        """Call a function in a worker thread that gives way to the event loop every half millisecond."""
        return await anyio.to_thread.run_sync(giving_way, function, args, limiter=self._limiters.here())


_SWITCH_SECONDS = 0.0005
"""Seconds that a thread that reads a body holds the interpreter while the event loop wants it. Python's default is 5 ms
(sys.setswitchinterval): every turn of the event loop would wait that long, several times per request."""
_giving = threading.Lock()
_before: list[float] = []
"""The previous switch interval, once for each thread that gives way."""


def giving_way(function: Callable[..., T], args: tuple[Any, ...]) -> T:
    """Call a function in this thread, while all threads take turns more often."""
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
    """Await work to its end even if the caller is cancelled, in any way and repeatedly; then raise the cancellation."""
    import asyncio

    task, cancelled = asyncio.ensure_future(work), None  # anyio's shield does not stop Task.cancel()
    with anyio.CancelScope(shield=True):
        while not task.done():
            try:
                await asyncio.wait((task,))
            except asyncio.CancelledError as error:
                cancelled = error
    if cancelled is not None:
        _ = task.cancelled() or task.exception()  # retrieved, or the event loop would report it
        raise cancelled
    return task.result()


def lift_store(store: AnyStore, lift: Lift) -> Store:
    """Return a store for flows: the same one, or its blocking calls lifted."""
    if isinstance(store, DualModeStore):
        store = store.for_mode("sync" if lift is in_place else "async")
    return LiftedStore(store, lift) if isinstance(store, BlockingStore) else store


class LiftedStore:
    """A blocking store whose calls are lifted."""

    def __init__(self, store: BlockingStore, lift: Lift) -> None:
        self._store = store
        self._lift = lift
        self.recording = self._other("for_recording")
        self.repeatable = self._other("for_repeatable")

    def _other(self, name: str) -> Callable[[], AbstractAsyncContextManager[LiftedTransaction]] | None:
        other: BlockingStore | None = getattr(self._store, name, None)
        return None if other is None else LiftedStore(other, self._lift).transaction

    @asynccontextmanager
    async def transaction(self, *, read_only: bool = False) -> AsyncIterator[LiftedTransaction]:
        manager = LiftedTransaction(self._store.blocking_transaction(read_only=read_only), self._lift)
        async with _open.here() if self._lift is in_thread else nullcontext(), manager as tx:
            yield tx


_OPTIONAL = frozenset({"prefetch", "due", "documents"})
"""Methods of a transaction that a store need not have."""


class LiftedTransaction:
    """A blocking transaction whose calls are lifted."""

    _tx: BlockingTransaction

    def __init__(self, manager: AbstractContextManager[BlockingTransaction], lift: Lift) -> None:
        self._manager = manager
        self._lift = lift

    @classmethod
    def of(cls, tx: BlockingTransaction, lift: Lift) -> LiftedTransaction:
        """Return an open transaction, lifted; its opener ends it."""
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
        """Return an optional method, lifted. Raises AttributeError if the store's transaction does not have it."""
        if name not in _OPTIONAL:
            raise AttributeError(name)
        method = getattr(self._tx, name)
        return lambda *args, **named: self._lift(partial(method, *args, **named))


async def rest(seconds: float) -> None:
    """Sleep, under an async host."""
    await anyio.sleep(seconds)


def at_most(seconds: float | None) -> anyio.CancelScope:
    """Return a scope whose block ends after so many seconds, finished or not, under an async host."""
    return anyio.move_on_after(seconds)
