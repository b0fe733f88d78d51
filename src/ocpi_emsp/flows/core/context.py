"""What every flow is given: identity, settings and ports."""

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
"""The time between two looks at what waits in the journal: loops would look every second."""


@define
class Backlog:
    """What a process knows of entries that wait for a delivery."""

    looked_at: datetime | None = None
    logged: set[str] = field(factory=set)
    """The topics whose backlog was logged."""

    def is_due(self, now: datetime) -> bool:
        """Whether it is time to look."""
        return self.looked_at is None or not timedelta(0) <= now - self.looked_at < BETWEEN_LOOKS


@define
class Appended:
    """What a process appended to topics of which a party's newest entries are stored, since it looked last."""

    since: dict[tuple[str, Owner], Usage] = field(factory=dict)
    """Of each party."""
    of_all: dict[str, int] = field(factory=dict)
    """Bytes of all parties."""
    due: set[tuple[str, Owner]] = field(factory=set)
    """The parties whose oldest entries are to be looked at."""


@define
class PartyUsage:
    """What a process knows of how much a party stores here."""

    objects: Usage = Usage()  # noqa: RUF009 # it is frozen
    """As it was found last."""
    added_count: int = 0
    """Objects that this process added since then."""
    added_bytes: int = 0
    free_count: int = 0
    """How many may be added until something is to be looked at, by this profile."""
    free_bytes: int = 0
    profile: object = None
    looked_at: datetime | None = None
    events: int = 0
    """Bytes of its events that waited when they were looked at last."""
    journaled: int = 0
    """Since then, by this process."""
    events_looked_at: datetime | None = None
    versions: int = 0
    """Bytes of ended versions of its tariffs that this process added since it looked at them last."""
    reached: dict[str, datetime] = field(factory=dict)
    """The quotas that it reached, and when that was reported."""


class Aside(Protocol):
    """Calls a plain function and gives its result."""

    async def __call__(self, function: Callable[..., T], *args: Any) -> T:
        """Call it."""


class Begin(Protocol):
    """Begins to run something beside the flow, which goes on meanwhile; it asks no store.

    The block is given what waits for its result, and raises what it raised. Once the block is left, it runs no more.
    """

    def __call__(self, work: Coroutine[Any, Any, T]) -> AbstractAsyncContextManager[Callable[[], Awaitable[T]]]:
        """Begin it."""


@asynccontextmanager
async def _when_awaited(work: Coroutine[Any, Any, T]) -> AsyncIterator[Callable[[], Awaitable[T]]]:
    try:
        yield lambda: work
    finally:
        work.close()


async def _in_place(function: Callable[..., T], *args: Any) -> T:
    return function(*args)


def _no_waiter(_uid: str) -> None:
    """Notify nothing: no caller awaits a command."""


@frozen(kw_only=True)
class Context:
    """Identity, settings and ports, in one mode: either none of the ports suspends, or they may."""

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
    """The seconds of a clock that is never put back, for times that are measured in this process."""
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
    """CDRs are audited once they are stored."""
    authorize_fallback: FallbackFunction | None = None
    forwarded: Forwarded | None = None
    correlation_id: str = ""
    """What the calls are a part of that are made with this context; empty: each is on its own."""
    telemetry: GuardedTelemetry = SILENT
    notify: Callable[[str], None] = _no_waiter
    """Called with the id of a command once a change of it is committed: it wakes those who await it in this process."""
    aside: Aside = _in_place
    """Calls a function that takes long, away from the event loop where there is one. Never inside a transaction."""
    begin: Begin = _when_awaited
    """Begins what runs beside a flow; by default it runs once its result is asked for."""
    backlog: Backlog = field(factory=Backlog)
    """Shared by all contexts of an eMSP."""
    appended: Appended = field(factory=Appended)
    """Shared by all contexts of an eMSP."""
    usages: dict[Owner, PartyUsage] = field(factory=dict)
    """Shared by all contexts of an eMSP."""
    callers: Known = field(factory=Known)
    """Who presents which token. Shared by all contexts of an eMSP."""
    registered: Known = field(factory=Known)
    """Which parties have a registration. Shared by all contexts of an eMSP."""

    def has_receiver(self, event: type[Event]) -> bool:
        """True where this event is journalled: for a listener, or for a relay."""
        if not self.listeners and not self.outbox_events:  # asked several times for each push
            return False
        return self.has_listener(event) or any(issubclass(event, kind) for kind in self.outbox_events)

    def has_listener(self, event: type[Event]) -> bool:
        """True where this process has a listener for this event."""
        return any(issubclass(event, kind) for kind, _ in self.listeners)

    def correlated(self) -> Context:
        """The same with a correlation id: what is done with it belongs together."""
        return self if self.correlation_id else evolve(self, correlation_id=new_id())

    def check_url(self, url: str) -> str:
        """``url``, where the policy allows to call it. Raises UnsafeUrl."""
        return self.url_policy.check(url)


def whole_second(moment: datetime) -> datetime:
    """A moment as the wire has it (types.md 1.2)."""
    return moment.astimezone(UTC).replace(microsecond=0)


def new_token() -> str:
    """A token of printable ASCII without spaces, 43 characters of 256 bits (credentials.md: at most 64)."""
    return _no_option(secrets.token_urlsafe(32))


def new_id() -> str:
    """An id that cannot be guessed."""
    return _no_option(secrets.token_urlsafe(18))


def _no_option(made: str) -> str:
    """A text that does not look like an option on a command line."""
    return f"_{made[1:]}" if made.startswith("-") else made
