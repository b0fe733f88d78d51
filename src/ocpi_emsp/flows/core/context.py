"""The context of every flow: identity, settings and ports."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias, TypeVar

from attrs import define, evolve, field, frozen

from ocpi_emsp.flows.core.addresses import Forwarded
from ocpi_emsp.flows.core.authorize_hook import AuthorizeHook, FallbackFunction
from ocpi_emsp.flows.core.inbound_limits import InboundGate
from ocpi_emsp.flows.core.known import Known
from ocpi_emsp.flows.core.limits import Handshakes, RateLimiter
from ocpi_emsp.flows.core.settings import Identity, Limits, RateLimit, RetryPolicy
from ocpi_emsp.flows.core.telemetry import SILENT, GuardedTelemetry
from ocpi_emsp.ports import Clock, Owner, Send, Sleep, Store, Usage
from ocpi_emsp.support import SupportMatrix
from ocpi_emsp.url_policy import UrlPolicy

if TYPE_CHECKING:
    from ocpi_emsp.check import Policy
    from ocpi_emsp.events import Event

T = TypeVar("T")
ListenerHook: TypeAlias = "Callable[[Event], Awaitable[None]]"


BETWEEN_LOOKS: Final = timedelta(minutes=1)
"""Time between two checks of the waiting journal entries; loops would check every second otherwise."""


@define
class Backlog:
    """What a process knows of entries that wait for delivery."""

    looked_at: datetime | None = None
    logged: set[str] = field(factory=set)
    """The topics whose backlog was logged."""

    def is_due(self, now: datetime) -> bool:
        """Return True if the next check is due."""
        return self.looked_at is None or not timedelta(0) <= now - self.looked_at < BETWEEN_LOOKS


@define
class Appended:
    """What this process appended to topics with bounded storage, since its last check."""

    since: dict[tuple[str, Owner], Usage] = field(factory=dict)
    """Amount per topic and party."""
    of_all: dict[str, int] = field(factory=dict)
    """Bytes of all parties, per topic."""
    due: set[tuple[str, Owner]] = field(factory=set)
    """The parties whose oldest entries must be checked."""


@define
class PartyUsage:
    """What this process knows of how much a party stores here."""

    objects: Usage = Usage()  # noqa: RUF009 # it is frozen
    """The amount at the last check."""
    added_count: int = 0
    """Objects that this process added since the last check."""
    added_bytes: int = 0
    free_count: int = 0
    """Objects that may be added before the next check, under this profile."""
    free_bytes: int = 0
    profile: object = None
    looked_at: datetime | None = None
    events: int = 0
    """Bytes of the party's waiting events at the last check."""
    journaled: int = 0
    """Bytes that this process journalled since then."""
    events_looked_at: datetime | None = None
    versions: int = 0
    """Bytes of ended tariff versions that this process added since it last checked them."""
    reached: dict[str, datetime] = field(factory=dict)
    """The quotas that the party reached, and when that was reported."""


class Aside(Protocol):
    """Calls a plain function and returns its result."""

    async def __call__(self, function: Callable[..., T], *args: Any) -> T:
        """Call it."""


class Begin(Protocol):
    """Starts work beside the flow, which continues meanwhile; the work must not use the store.

    The context manager yields a function that awaits the result and raises what the work raised. Leaving the block ends
    the work.
    """

    def __call__(self, work: Coroutine[Any, Any, T]) -> AbstractAsyncContextManager[Callable[[], Awaitable[T]]]:
        """Start the work."""


@asynccontextmanager
async def _when_awaited(work: Coroutine[Any, Any, T]) -> AsyncIterator[Callable[[], Awaitable[T]]]:
    try:
        yield lambda: work
    finally:
        work.close()


async def _in_place(function: Callable[..., T], *args: Any) -> T:
    return function(*args)


def _no_waiter(_uid: str) -> None:
    """Do nothing: no caller awaits a command."""


@frozen(kw_only=True)
class Context:
    """Identity, settings and ports, in one mode: either no port suspends, or all may."""

    identity: Identity
    matrix: SupportMatrix
    limits: Limits
    url_policy: UrlPolicy
    policy: Policy
    required_modules: frozenset[str]
    store: Store
    clock: Clock
    sleep: Sleep
    monotonic: Callable[[], float]
    """The seconds of a clock that never goes back, for times measured within this process."""
    rate_limiter: RateLimiter
    handshakes: Handshakes
    inbound: InboundGate
    retry_policy: RetryPolicy
    rate_limit: RateLimit
    send: Send
    authorize: AuthorizeHook | None
    listeners: Sequence[tuple[type[Event], ListenerHook]]
    outbox_events: Sequence[type[Event]]
    audits: bool = False
    """True if CDRs are audited once they are stored."""
    authorize_fallback: FallbackFunction | None = None
    forwarded: Forwarded | None = None
    correlation_id: str = ""
    """The correlation id of all calls made with this context; if empty, each call has its own."""
    telemetry: GuardedTelemetry = SILENT
    notify: Callable[[str], None] = _no_waiter
    """Called with a command's id once a change of it is committed; wakes the callers that await it in this process."""
    aside: Aside = _in_place
    """Calls a slow function off the event loop, if there is one. Never used inside a transaction."""
    begin: Begin = _when_awaited
    """Starts work beside a flow; by default it runs once its result is awaited."""
    backlog: Backlog = field(factory=Backlog)
    """Shared by all contexts of an eMSP."""
    appended: Appended = field(factory=Appended)
    """Shared by all contexts of an eMSP."""
    usages: dict[Owner, PartyUsage] = field(factory=dict)
    """Shared by all contexts of an eMSP."""
    callers: Known = field(factory=Known)
    """Cached answers to which party presents which token. Shared by all contexts of an eMSP."""
    registered: Known = field(factory=Known)
    """Cached answers to which parties have a registration. Shared by all contexts of an eMSP."""

    def has_receiver(self, event: type[Event]) -> bool:
        """Return True if this event is journalled: for a listener, or for a relay."""
        if not self.listeners and not self.outbox_events:  # asked several times for each push
            return False
        return self.has_listener(event) or any(issubclass(event, kind) for kind in self.outbox_events)

    def has_listener(self, event: type[Event]) -> bool:
        """Return True if this process has a listener for this event."""
        return any(issubclass(event, kind) for kind, _ in self.listeners)

    def correlated(self) -> Context:
        """Return the context with a correlation id, which links all that is done with it."""
        return self if self.correlation_id else evolve(self, correlation_id=new_id())

    def check_url(self, url: str) -> str:
        """Return ``url`` if the policy allows calls to it. Raises UnsafeUrl."""
        return self.url_policy.check(url)


def whole_second(moment: datetime) -> datetime:
    """Return a moment as sent over the wire (types.md 1.2)."""
    return moment.astimezone(UTC).replace(microsecond=0)


def new_token() -> str:
    """Return a token of printable ASCII without spaces, 43 characters of 256 bits (credentials.md: at most 64)."""
    return _no_option(secrets.token_urlsafe(32))


def new_id() -> str:
    """Return an unguessable id."""
    return _no_option(secrets.token_urlsafe(18))


def _no_option(made: str) -> str:
    """Return a text that does not look like a command-line option."""
    return f"_{made[1:]}" if made.startswith("-") else made
