"""Runs work beside a flow, in two modes: the next page is fetched while the current one is stored.

Rules of this module:
- work beside a flow does not use the store: the flow may be in a transaction meanwhile;
- it does not outlive the block that started it: under an async host it is cancelled; under a sync host its wait is
  ended, and a request in progress is awaited, unless the process is exiting.
"""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from concurrent.futures import Future
from contextlib import asynccontextmanager
from contextvars import ContextVar, copy_context
from typing import Any, Final, TypeVar

from ocpi_emsp._bridge import giving_way, run, to_the_end

T = TypeVar("T")

_GIVEN_UP: Final[ContextVar[threading.Event | None]] = ContextVar("given_up", default=None)
"""In a thread of this module: set once no caller waits for it any more."""


class GivenUp(BaseException):
    """The work is no longer needed. Only the end of the work catches this."""


@asynccontextmanager
async def begin_in_thread(work: Coroutine[Any, Any, T]) -> AsyncIterator[Callable[[], Awaitable[T]]]:
    """Run work in a thread, for a sync host; see :class:`ocpi_emsp.flows.core.context.Begin`."""
    future, given_up, context = Future[T](), threading.Event(), copy_context()
    context.run(_GIVEN_UP.set, given_up)
    arguments = giving_way, _into, (future, work)
    # A daemon: a process that exits does not wait for a response.
    thread = threading.Thread(target=context.run, args=arguments, name="ocpi-emsp fetch", daemon=True)
    thread.start()

    async def result() -> T:
        return future.result()

    is_waited_for = True
    try:
        yield result
    except (KeyboardInterrupt, SystemExit):
        is_waited_for = False
        raise
    finally:
        given_up.set()
        if is_waited_for:
            thread.join()


def _into(future: Future[T], work: Coroutine[Any, Any, T]) -> None:
    try:
        future.set_result(run(work))
    except BaseException as error:  # noqa: BLE001 # raised where the result is awaited
        future.set_exception(error)


async def sleep_in_place(seconds: float) -> None:
    """Sleep in the caller's thread, for a sync host. Raises GivenUp if the result is no longer needed."""
    given_up = _GIVEN_UP.get()
    if given_up is None:
        time.sleep(seconds)
    elif given_up.wait(seconds):
        raise GivenUp


@asynccontextmanager
async def begin_as_task(work: Coroutine[Any, Any, T]) -> AsyncIterator[Callable[[], Awaitable[T]]]:
    """Run work in a task, for an async host; see :class:`ocpi_emsp.flows.core.context.Begin`."""
    import asyncio

    task = asyncio.create_task(_driven(work))

    async def result() -> T:
        return await task

    try:
        yield result
    finally:
        task.cancel()
        await to_the_end(asyncio.wait((task,)))
        work.close()  # it may not have begun
        if not task.cancelled():
            task.exception()  # its exception is retrieved, or the event loop would report it


async def _driven(work: Coroutine[Any, Any, T]) -> T:
    from ocpi_emsp._pieces import driven

    return await driven(work)
