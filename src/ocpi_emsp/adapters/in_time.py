"""Waits for a server's data, with a time limit."""

from __future__ import annotations

from collections.abc import Awaitable, Generator
from typing import Any, Generic, TypeVar

from attrs import frozen

from ocpi_emsp._bridge import at_most

T = TypeVar("T")


async def within(waiting: Generator[Any, Any, T], waits_for: Any, seconds: float) -> T:
    """Continue an operation that has begun and waits. Raises TimeoutError once the seconds have passed."""
    with at_most(seconds):
        return await _Begun(waiting, waits_for)
    raise TimeoutError


async def in_time(work: Awaitable[T], seconds: float) -> T:
    """Await something. Raises TimeoutError once the seconds have passed."""
    with at_most(seconds):
        return await work
    raise TimeoutError


@frozen
class _Begun(Generic[T]):
    """``await`` for an operation that was started by hand, and waits for something."""

    waiting: Generator[Any, Any, T]
    waits_for: Any

    def __await__(self) -> Generator[Any, Any, T]:
        waits_for = self.waits_for
        try:
            while True:
                try:
                    sent = yield waits_for
                except BaseException as error:  # noqa: BLE001 # whatever is raised while it waits is raised in it
                    waits_for = self.waiting.throw(error)
                else:
                    waits_for = self.waiting.send(sent)
        except StopIteration as end:
            value: T = end.value
            return value
