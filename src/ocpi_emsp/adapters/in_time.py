"""Waits for what a server gives, for a time."""

from __future__ import annotations

from collections.abc import Awaitable, Generator
from typing import Any, Generic, TypeVar

from attrs import frozen

from ocpi_emsp._bridge import at_most

T = TypeVar("T")


@frozen
class InTime(Generic[T]):
    """Under an async host, awaits something for so many seconds, then raises TimeoutError.

    What is there at once costs no timer: that is the usual case of a request body.
    """

    work: Awaitable[T]
    seconds: float

    def __await__(self) -> Generator[Any, Any, T]:
        steps = self.work.__await__()
        try:
            waits_for = next(steps)
        except StopIteration as end:
            done: T = end.value
            return done
        with at_most(self.seconds):
            done = yield from _going_on(steps, waits_for)
            return done
        raise TimeoutError


def _going_on(steps: Generator[Any, Any, T], waits_for: Any) -> Generator[Any, Any, T]:
    """``yield from`` for a generator that has begun already."""
    try:
        while True:
            try:
                sent = yield waits_for
            except BaseException as error:  # noqa: BLE001 # whatever is raised where it waits, it is raised in it
                waits_for = steps.throw(error)
            else:
                waits_for = steps.send(sent)
    except StopIteration as end:
        value: T = end.value
        return value
