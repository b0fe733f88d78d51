"""Relays of events to a broker."""

from __future__ import annotations

import threading
from collections.abc import Callable

from ocpi_emsp._hooks import hook_for_async, hook_for_sync
from ocpi_emsp.background import Seldom, keep_awaiting, keep_doing
from ocpi_emsp.flows.events.relay import relay_once
from ocpi_emsp.resources.contexts import Contexts, Resource
from ocpi_emsp.resources.modes import awaited, blocking
from ocpi_emsp.scalars import given

_WHAT = "relaying events"
_TIDY_SECONDS = 300.0
"""Seconds between reads of all waiting events; otherwise due ones are found by an index."""


class _Publishing(Resource):
    def __init__(self, contexts: Contexts, publish: Callable[..., object], batch: int) -> None:
        super().__init__(contexts)
        if batch < 1:
            raise ValueError(f"invalid batch '{batch}': expected 1 or more events, for example 100")
        if not callable(publish):
            raise TypeError(
                f"invalid publish '{given(publish)}': expected a function of a list, for example broker.send"
            )
        self._publish = (hook_for_sync if contexts.mode == "sync" else hook_for_async)(publish)
        self._batch = batch
        self._looks_at_everything = Seldom(_TIDY_SECONDS)


class Relay(_Publishing):
    """Passes journalled events to a function that publishes them, batch by batch; created by :meth:`Emsp.relay`."""

    @blocking
    async def once(self) -> int:
        """Publish one batch of due events; return its number of events, 0 if nothing is due.

        Raises RelayFailed, an OcpiError, if ``publish`` raised: the events stay stored; StoreFailed.
        """
        return await relay_once(
            self._contexts(), self._publish, self._batch, everything=self._looks_at_everything.is_due()
        )

    def run(self, stop: threading.Event | None = None, *, every: float = 1.0) -> None:
        """Publish until ``stop`` is set, checking at intervals of ``every`` seconds; survives a failing broker or
        store.
        """
        keep_doing(self.once, _WHAT, stop or threading.Event(), every)


class AsyncRelay(_Publishing):
    """:class:`Relay`, awaited; created by ``emsp.aio.relay``."""

    once = awaited(Relay.once)

    async def run(self, *, every: float = 1.0) -> None:
        """Publish until cancelled, checking at intervals of ``every`` seconds; survives a failing broker or store."""
        await keep_awaiting(self.once, _WHAT, every)
