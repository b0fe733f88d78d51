"""What is kept for the backend: our drivers' tokens, what was refused, events that wait. Each thing in two colours.

Rules of this module:
- each method is one line over a flow; the context is asked for at every call, so that hooks which were registered
  meanwhile count;
- the loops that deliver events wait here, and outlive what fails: one warning per outage.
"""

from __future__ import annotations

import builtins
import logging
import threading
from collections.abc import Awaitable, Callable

from ocpi_emsp._bridge import hook_for_async, hook_for_sync, rest, run
from ocpi_emsp.errors import OcpiError
from ocpi_emsp.flows import journal, push, rejections
from ocpi_emsp.flows.context import Context
from ocpi_emsp.flows.journal import PendingEvent, Topic
from ocpi_emsp.flows.rejections import Rejection
from ocpi_emsp.flows.relay import relay_once
from ocpi_emsp.models import Token, TokenType
from ocpi_emsp.ports import EVENT
from ocpi_emsp.wire import Response

log = logging.getLogger("ocpi_emsp")


class Tokens:
    """Our drivers' tokens: what partners list, and what real-time authorization knows."""

    def __init__(self, context: Callable[[], Context]) -> None:
        self._context = context

    def put(self, token: Token) -> None:
        """Insert or replace. Raises InvalidObject for a token that breaks the specification."""
        run(push.store_token(self._context(), token))

    def get(self, uid: str, token_type: TokenType = TokenType.RFID) -> Token | None:
        """The token, or None."""
        return run(push.stored_token(self._context(), uid, token_type))

    def list(self, *, offset: int = 0, limit: int = 100) -> builtins.list[Token]:
        """A page of tokens, oldest first."""
        return run(push.stored_tokens(self._context(), offset, limit))


class AsyncTokens:
    """:class:`Tokens`, awaited."""

    def __init__(self, context: Callable[[], Context]) -> None:
        self._context = context

    async def put(self, token: Token) -> None:
        """Insert or replace. Raises InvalidObject for a token that breaks the specification."""
        await push.store_token(self._context(), token)

    async def get(self, uid: str, token_type: TokenType = TokenType.RFID) -> Token | None:
        """The token, or None."""
        return await push.stored_token(self._context(), uid, token_type)

    async def list(self, *, offset: int = 0, limit: int = 100) -> builtins.list[Token]:
        """A page of tokens, oldest first."""
        return await push.stored_tokens(self._context(), offset, limit)


class Rejections:
    """What partners sent and we refused, raw, with its findings."""

    def __init__(self, context: Callable[[], Context]) -> None:
        self._context = context

    def list(
        self, country_code: str | None = None, party_id: str | None = None, *, limit: int = 100, after: int = 0
    ) -> builtins.list[Rejection]:
        """Rejections, oldest first, of one party where its codes are given, ``after`` a rejection's ``sequence``."""
        return run(rejections.list_rejections(self._context(), country_code, party_id, limit, after))

    def show(self, rejection_id: str) -> Rejection | None:
        """The rejection with this id, or None."""
        return run(rejections.get_rejection(self._context(), rejection_id))

    def replay(self, rejection: Rejection, *, body: bytes | None = None) -> Response:
        """Serve it again as its party, with the policy of now, or with a corrected ``body``.

        One that is accepted leaves the list. Raises NotRegistered where the party is gone.
        """
        return run(rejections.replay(self._context(), rejection, body))


class AsyncRejections:
    """:class:`Rejections`, awaited."""

    def __init__(self, context: Callable[[], Context]) -> None:
        self._context = context

    async def list(
        self, country_code: str | None = None, party_id: str | None = None, *, limit: int = 100, after: int = 0
    ) -> builtins.list[Rejection]:
        """Rejections, oldest first, of one party where its codes are given, ``after`` a rejection's ``sequence``."""
        return await rejections.list_rejections(self._context(), country_code, party_id, limit, after)

    async def show(self, rejection_id: str) -> Rejection | None:
        """The rejection with this id, or None."""
        return await rejections.get_rejection(self._context(), rejection_id)

    async def replay(self, rejection: Rejection, *, body: bytes | None = None) -> Response:
        """Serve it again as its party, with the policy of now, or with a corrected ``body``."""
        return await rejections.replay(self._context(), rejection, body)


class Events:
    """Events that wait for a listener or a relay, and the dead ones: those that failed too often."""

    def __init__(self, context: Callable[[], Context]) -> None:
        self._context = context

    def list(
        self,
        country_code: str | None = None,
        party_id: str | None = None,
        *,
        topic: Topic = EVENT,
        dead: bool = False,
        limit: int = 100,
        after: int = 0,
    ) -> builtins.list[PendingEvent]:
        """Events that wait for listeners, or for a relay (``topic="relay"``), or that are ``dead``; oldest first.

        Of one party where its codes are given, and ``after`` an event's ``sequence``.
        """
        flow = journal.list_events(
            self._context(), country_code, party_id, topic=topic, dead=dead, limit=limit, after=after
        )
        return run(flow)

    def show(self, event_id: str) -> PendingEvent | None:
        """The event with this id, or None: it was delivered."""
        return run(journal.get_event(self._context(), event_id))

    def retry(self, event_id: str) -> bool:
        """Have a dead event tried again, from the first attempt on; False where there is none with this id."""
        return run(journal.retry(self._context(), event_id))

    def retry_all(self, *, topic: Topic = EVENT) -> int:
        """Have every dead event of a topic tried again; their number."""
        return run(journal.retry_all(self._context(), topic))


class AsyncEvents:
    """:class:`Events`, awaited."""

    def __init__(self, context: Callable[[], Context]) -> None:
        self._context = context

    async def list(
        self,
        country_code: str | None = None,
        party_id: str | None = None,
        *,
        topic: Topic = EVENT,
        dead: bool = False,
        limit: int = 100,
        after: int = 0,
    ) -> builtins.list[PendingEvent]:
        """Events that wait for listeners, or for a relay (``topic="relay"``), or that are ``dead``; oldest first.

        Of one party where its codes are given, and ``after`` an event's ``sequence``.
        """
        flow = journal.list_events(
            self._context(), country_code, party_id, topic=topic, dead=dead, limit=limit, after=after
        )
        return await flow

    async def show(self, event_id: str) -> PendingEvent | None:
        """The event with this id, or None: it was delivered."""
        return await journal.get_event(self._context(), event_id)

    async def retry(self, event_id: str) -> bool:
        """Have a dead event tried again, from the first attempt on; False where there is none with this id."""
        return await journal.retry(self._context(), event_id)

    async def retry_all(self, *, topic: Topic = EVENT) -> int:
        """Have every dead event of a topic tried again; their number."""
        return await journal.retry_all(self._context(), topic)


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


def keep_doing(once: Callable[[], int], what: str, stop: threading.Event, every: float) -> None:
    """Call ``once`` until ``stop`` is set; ``every`` so many seconds where there was nothing to do."""
    pace = _Pace(what, every)
    while not stop.is_set():
        try:
            seconds = pace.after(once())
        except OcpiError as error:
            seconds = pace.failed(error)
        stop.wait(seconds)


async def async_keep_doing(once: Callable[[], Awaitable[int]], what: str, every: float) -> None:
    """:func:`keep_doing`, until it is cancelled."""
    pace = _Pace(what, every)
    while True:
        try:
            seconds = pace.after(await once())
        except OcpiError as error:
            seconds = pace.failed(error)
        await rest(seconds)


class _Pace:
    """How long a loop rests, and what it says: an outage is one warning, however long it lasts."""

    longest = 60.0
    """Seconds: an outage is over within a minute of its end, and costs one try a minute."""

    def __init__(self, what: str, every: float) -> None:
        self._what = what
        self._every = every
        self._failures = 0

    def after(self, done: int) -> float:
        """The seconds to rest after a round that did something, or nothing."""
        if self._failures:
            log.info("%s works again, after %d failures", self._what, self._failures)
        self._failures = 0
        return 0.0 if done else self._every

    def failed(self, error: OcpiError) -> float:
        """The seconds to rest after a round that failed."""
        self._failures += 1
        if self._failures == 1:
            log.warning("%s failed, and is tried again: %s", self._what, error, exc_info=error)
        return float(max(self._every, min(self._every * 2 ** min(self._failures, 30), self.longest)))
