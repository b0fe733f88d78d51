"""Waiting for the result of a command, in either mode: in the caller's thread, or in its task.

Rules of this module:
- a waiter reads the store, and then waits for a wake-up (_wake_ups.py);
- it reads once before that, so that a result which is already stored costs no subscription;
- a waiter handles the deadline itself: no wait depends on a worker.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Final, TypeAlias, TypeVar

from attrs import frozen

from ocpi_emsp._wake_ups import WakeUps
from ocpi_emsp.flows.commands.deadlines import current, is_due
from ocpi_emsp.flows.commands.session_link import may_lead_to_a_session
from ocpi_emsp.flows.commands.session_match import later
from ocpi_emsp.flows.commands.states import SentCommand
from ocpi_emsp.flows.core.context import Context
from ocpi_emsp.models import CommandResponseType, CommandType
from ocpi_emsp.ports import Key, Mode

_SHORTEST: Final = 0.05
"""Shortest wait in seconds, below a clock's resolution: a deadline that is just due is found at the next look."""

T = TypeVar("T")
_Look: TypeAlias = Callable[[Context, SentCommand], tuple[T] | None]
"""Examines a command: returns a result, or None while it is still to come."""


@frozen
class Waiting:
    """How the pending commands of one mode wait."""

    context: Callable[[], Context]
    wake_ups: WakeUps
    mode: Mode
    require_free_loop: Callable[[], None]

    async def outcome(self, key: Key, timeout: float | None) -> CommandResponseType:
        """Return the result of a command. Raises TimeoutError after ``timeout`` seconds, UnknownCommand,
        StoreFailed.
        """
        return await self._until(key, timeout, _outcome)

    async def session(self, key: Key, timeout: float | None) -> str | None:
        """Return the session of a command, None if none is looked for any more. Raises like :meth:`outcome`."""
        return await self._until(key, timeout, _session)

    async def _until(self, key: Key, timeout: float | None, look: _Look[T]) -> T:
        """Return what ``look`` finds in a command, once it finds something."""
        if timeout is not None and (math.isnan(timeout) or timeout < 0):
            raise ValueError(f"invalid timeout '{timeout:g}': expected seconds of 0 or more, for example 30")
        end = None if timeout is None else time.monotonic() + timeout
        context = self.context()
        sent = await current(context, key)
        if found := look(context, sent):
            return found[0]
        if timeout is not None and timeout <= 0:
            raise _nothing(sent, timeout)
        self.require_free_loop()
        wake_up = self.wake_ups.here()
        async with self.wake_ups.waiting(key.id, self.mode) as waiter:
            looked = 0
            while True:
                waiter.rearm()
                context = self.context()
                sent = await current(context, key)
                if found := look(context, sent):
                    return found[0]
                seconds = _until_deadline(context, sent, wake_up.pause(looked))
                if end is not None and timeout is not None:
                    left = end - time.monotonic()
                    if left <= 0:
                        raise _nothing(sent, timeout)
                    seconds = min(seconds, left)
                await waiter.wait(max(seconds, _SHORTEST))
                looked += 1

    async def now(self, key: Key) -> SentCommand:
        """Return the current state of a command. Raises UnknownCommand, StoreFailed."""
        return await current(self.context(), key)


def _nothing(sent: SentCommand, timeout: float) -> TimeoutError:
    return TimeoutError(f"no result of {sent.command} {sent.uid} within {timeout:g} s")


def _outcome(_: Context, sent: SentCommand) -> tuple[CommandResponseType] | None:
    return None if sent.outcome is None else (sent.outcome,)


def _session(context: Context, sent: SentCommand) -> tuple[str | None] | None:
    starts = sent.command == CommandType.START_SESSION and may_lead_to_a_session(sent)
    if sent.session_id is not None or not starts or sent.deadline is None or sent.sent_at is None:
        return (sent.session_id,)
    is_over = is_due(context, sent.sent_at, later(sent.deadline, context.limits.commands.session_window))
    return (None,) if is_over else None


def _until_deadline(context: Context, sent: SentCommand, seconds: float) -> float:
    """Return ``seconds``, or fewer if the deadline comes before."""
    if sent.deadline is None or not sent.is_open:
        return seconds
    return min(seconds, (sent.deadline - context.clock.now()).total_seconds())
