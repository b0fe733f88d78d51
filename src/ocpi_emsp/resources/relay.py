"""Relays of events to a broker."""

from __future__ import annotations

import threading
from collections.abc import Callable

from ocpi_emsp._bridge import hook_for_async, hook_for_sync, run
from ocpi_emsp.background import async_keep_doing, keep_doing
from ocpi_emsp.flows.core.context import Context
from ocpi_emsp.flows.events.relay import relay_once


class Relay:
    """Hands journalled events to a function that publishes them, batch by batch; made by :meth:`Emsp.relay`."""

    def __init__(self, context: Callable[[], Context], publish: Callable[..., object], batch: int) -> None:
        self._context = context
        self._publish = hook_for_sync(publish)
        self._batch = _checked(batch)

    def once(self) -> int:
        """Publish one batch of what is due; the number of its events, 0 where nothing is due.

        Raises RelayFailed, an OcpiError, where ``publish`` raised: the events are kept; StoreFailed.
        """
        return run(relay_once(self._context(), self._publish, self._batch))

    def run(self, stop: threading.Event | None = None, *, every: float = 1.0) -> None:
        """Publish until ``stop`` is set, looking ``every`` so many seconds; outlives a broker or store that fails."""
        keep_doing(self.once, "relaying events", stop or threading.Event(), every)


class AsyncRelay:
    """:class:`Relay`, awaited; made by :meth:`Emsp.async_relay`."""

    def __init__(self, context: Callable[[], Context], publish: Callable[..., object], batch: int) -> None:
        self._context = context
        self._publish = hook_for_async(publish)
        self._batch = _checked(batch)

    async def once(self) -> int:
        """Publish one batch of what is due; the number of its events, 0 where nothing is due.

        Raises RelayFailed, an OcpiError, where ``publish`` raised: the events are kept; StoreFailed.
        """
        return await relay_once(self._context(), self._publish, self._batch)

    async def run(self, *, every: float = 1.0) -> None:
        """Publish until it is cancelled, looking ``every`` so many seconds; outlives a broker or store that fails."""
        await async_keep_doing(self.once, "relaying events", every)


def _checked(batch: int) -> int:
    if batch < 1:
        raise ValueError(f"a batch has at least one event, not {batch}")
    return batch
