"""A transaction as one piece of work: a flow runs in one thread or greenlet from its begin to its end.

Rules of this module:
- inside a transaction a flow awaits nothing but the transaction (ports.py). So all of it, with the flow's own code
  between the calls, can run where a store may block. The rest of a flow, and every hook, runs on the event loop;
- :func:`driven` steps a flow. A transaction asks it for its place when it begins, and to leave that place when it ends.
  If nobody steps the flow, each call of a transaction is dispatched separately;
- a flow says if its transactions are brief: a store may run those on the event loop (storage/sql/on_loop.py);
- rejected: a thread for each call of the store. A request changed threads a dozen times, which halved the requests per
  second;
- a piece that has begun runs to its end even if its caller is cancelled: the cancellation follows the commit or the
  rollback, and no transaction stays open.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, AbstractContextManager, suppress
from contextvars import copy_context
from functools import partial
from typing import Any, Final, Generic, Protocol, TypeAlias, TypeVar

import anyio
from attrs import frozen

from ocpi_emsp._bridge import (
    FlowSuspended,
    LiftedStore,
    LiftedTransaction,
    PerLoop,
    in_place,
    in_thread,
)
from ocpi_emsp.ports import AnyStore, BlockingStore, BlockingTransaction, DualModeStore, Store

T = TypeVar("T")
Manager: TypeAlias = AbstractContextManager[BlockingTransaction]
Step: TypeAlias = Callable[[Manager], None]
"""Goes on with a flow to the end of its transaction, which it is given."""


class Piece(Protocol):
    """Where a transaction may block."""

    async def run(self, step: Step, *, briefly: bool) -> None:
        """Call ``step`` there; ``briefly``: it computes little, so the event loop may do it."""

    def apart(self) -> AbstractAsyncContextManager[LiftedTransaction]:
        """The transaction for a flow that is not driven: each call goes there on its own."""


class PieceTransaction:
    """A transaction that a flow opens, with what the calls in it need."""

    _manager: Manager

    def __init__(self, piece: Piece) -> None:
        self.piece = piece
        self._apart: AbstractAsyncContextManager[LiftedTransaction] | None = None

    async def __aenter__(self) -> LiftedTransaction:
        if _here.steps is None or _here.steps is not _task():
            self._apart = self.piece.apart()
            return await self._apart.__aenter__()
        await _Ask(self)
        try:
            return LiftedTransaction.of(self._manager.__enter__(), in_place)
        except BaseException:
            await _Ask(_LEAVE)
            raise

    async def __aexit__(self, *raised: Any) -> bool | None:
        if self._apart is not None:
            return await self._apart.__aexit__(*raised)
        try:
            return self._manager.__exit__(*raised)
        finally:
            await _Ask(_LEAVE)

    def go_on(self, flow: Coroutine[Any, Any, Any], manager: Manager) -> None:
        """Step a flow that waits for its piece, to the end of this transaction, where it may block."""
        self._manager = manager
        asked = flow.send(None)
        while asked is not _LEAVE:
            asked = flow.throw(FlowSuspended("a flow awaited an event loop inside a transaction"))


class _Here(threading.local):
    """What this thread does."""

    steps: asyncio.Task[Any] | None = None
    """The task whose driven flow it is inside of a step of; not one that begins eagerly in there (Python 3.12)."""


_here: Final = _Here()
_LEAVE: Final = object()
_AT_LENGTH: Final = object()


def _task() -> asyncio.Task[Any] | None:
    """The running task; None where no event loop runs: a flow that never suspends needs none."""
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None


class _Ask:
    """Hands something to what steps the flow."""

    __slots__ = ("_what",)

    def __init__(self, what: object) -> None:
        self._what = what

    def __await__(self) -> Generator[object, None, None]:
        yield self._what


class driven(Generic[T]):  # noqa: N801 # it is awaited like the call of a function
    """Awaits a flow, its transactions in pieces; ``briefly`` says that they compute little (:meth:`Piece.run`)."""

    __slots__ = ("_briefly", "_flow")

    def __init__(self, flow: Coroutine[Any, Any, T], *, briefly: bool = False) -> None:
        self._flow = flow
        self._briefly = briefly

    def __await__(self) -> Generator[Any, Any, T]:
        flow, here, task = self._flow, _here, _task()
        act: Callable[[Any], Any] = flow.send
        given: Any = None
        while True:
            outer, here.steps = here.steps, task
            try:
                asked = act(given)
            except StopIteration as end:
                value: T = end.value
                return value
            finally:
                here.steps = outer
            try:
                if type(asked) is PieceTransaction:
                    yield from asked.piece.run(partial(asked.go_on, flow), briefly=self._briefly).__await__()
                    given = None
                elif asked is _AT_LENGTH:
                    given, self._briefly = None, False
                else:
                    given = yield asked
                act = flow.send
            except BaseException as error:  # noqa: BLE001 # whatever it is, the flow is told
                act, given = flow.throw, error


async def driven_items(source: AsyncIterator[T]) -> AsyncIterator[T]:
    """The items of a flow that is a generator, its transactions in pieces."""

    async def following() -> T:
        return await anext(source)

    try:
        while True:
            try:
                item = await driven(following())
            except StopAsyncIteration:
                return
            yield item
    finally:
        if isinstance(source, AsyncGenerator):
            await driven(source.aclose())


@frozen
class Aside:
    """Call slow functions elsewhere. A flow that asks for that has large data, so its later transactions are not
    brief."""

    elsewhere: Callable[..., Awaitable[Any]]

    async def __call__(self, function: Callable[..., T], *args: Any) -> T:
        """Call it there."""
        if _here.steps is not None and _here.steps is _task():
            await _Ask(_AT_LENGTH)
        result: T = await self.elsewhere(function, *args)
        return result


# --- worker threads ---------------------------------------------------------------------------------------------------


def store_in_pieces(store: AnyStore) -> Store:
    """A store for the flows of an async host: as it is, or the transactions of one that blocks in worker threads."""
    if isinstance(store, DualModeStore):
        store = store.for_mode("async")
    return _StoreInThreads(store) if isinstance(store, BlockingStore) else store


@frozen
class _StoreInThreads:
    store: BlockingStore

    def transaction(self, *, read_only: bool = False) -> PieceTransaction:
        return PieceTransaction(InThread(self.store, read_only))

    @property
    def recording(self) -> Callable[[], PieceTransaction] | None:
        """See :func:`ocpi_emsp.ports.recorder`."""
        return self._other("for_recording")

    @property
    def repeatable(self) -> Callable[[], PieceTransaction] | None:
        """See :func:`ocpi_emsp.ports.repeatable`."""
        return self._other("for_repeatable")

    def _other(self, name: str) -> Callable[[], PieceTransaction] | None:
        other = getattr(self.store, name, None)
        return None if other is None else _StoreInThreads(other).transaction


PIECES_AT_ONCE: Final = 4
"""Threads in which one event loop has pieces at once. Each goes on to its end there, so none takes the thread that
another needs; more threads fight for the interpreter: with 16 a status on PostgreSQL took a sixth more."""
Workers: TypeAlias = PerLoop[ThreadPoolExecutor]
WORKERS: Final[Workers] = PerLoop(lambda: ThreadPoolExecutor(PIECES_AT_ONCE, "ocpi-emsp-store"))
READERS: Final[Workers] = PerLoop(lambda: ThreadPoolExecutor(2, "ocpi-emsp-reader"))
"""For reads from a file, which wait for nothing but the interpreter: four served a third fewer pages of tokens."""


@frozen
class InThread:
    """The transactions of a blocking store in worker threads."""

    store: BlockingStore
    read_only: bool
    workers: Workers = WORKERS

    async def run(self, step: Step, *, briefly: bool = False) -> None:  # noqa: ARG002 # a thread may take long
        await _in_worker(self.workers, step, self.store.blocking_transaction(read_only=self.read_only))

    def apart(self) -> AbstractAsyncContextManager[LiftedTransaction]:
        return LiftedStore(self.store, in_thread).transaction(read_only=self.read_only)


async def _in_worker(workers: Workers, function: Callable[..., T], *args: Any) -> T:
    """Call it in a worker thread of this event loop; once it has begun it is done, whatever becomes of the caller."""
    loop = asyncio.get_running_loop()
    work = workers.here().submit(copy_context().run, function, *args)
    done = loop.create_future()
    work.add_done_callback(lambda _: _tell(loop, done))
    try:
        await done
    except asyncio.CancelledError:
        if not work.cancel():
            with anyio.CancelScope(shield=True):
                await _end_of(work)
        raise
    return work.result()


def _tell(loop: asyncio.AbstractEventLoop, done: asyncio.Future[None]) -> None:
    with suppress(RuntimeError):  # the loop has ended
        loop.call_soon_threadsafe(_set, done)


def _set(done: asyncio.Future[None]) -> None:
    if not done.done():
        done.set_result(None)


async def _end_of(work: Future[Any]) -> None:
    ended = asyncio.wrap_future(work)
    while not ended.done():
        with suppress(asyncio.CancelledError):  # it was cancelled already
            await asyncio.wait((ended,))
