"""The contexts of resources: in one mode, with connections to partners if needed.

Rules of this module: a context is created for every call, so that hooks registered meanwhile are used; modules that
only calls to partners need, or only one mode, are imported for the first context or connection.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from attrs import define, evolve, field

from ocpi_emsp import _beside, _bridge, _hooks
from ocpi_emsp._inbound_gate import Inbound, make_gate
from ocpi_emsp._rate_limiter import CountedHandshakes, make_rate_limiter
from ocpi_emsp._wake_ups import WakeUps
from ocpi_emsp.flows.core.addresses import Forwarded
from ocpi_emsp.flows.core.authorize_hook import FallbackFunction, asking
from ocpi_emsp.flows.core.context import Appended, Backlog, Context, PartyUsage
from ocpi_emsp.flows.core.known import Known
from ocpi_emsp.flows.core.limits import Health
from ocpi_emsp.flows.core.settings import CONCURRENT_HANDSHAKES, Identity, Limits, RateLimit, Retention, RetryPolicy
from ocpi_emsp.flows.core.telemetry import GuardedTelemetry
from ocpi_emsp.party_id import PartyId
from ocpi_emsp.ports import AnyStore, Clock, Mode, Owner, Send, Sleep, Store
from ocpi_emsp.support import SupportMatrix
from ocpi_emsp.url_policy import UrlPolicy
from ocpi_emsp.wire import Request, Response

if TYPE_CHECKING:
    import asyncio

    from ocpi_emsp._command_waiter import Waiting
    from ocpi_emsp._pieces import Aside
    from ocpi_emsp.check import Policy
    from ocpi_emsp.events import Event
    from ocpi_emsp.transports.httpx import AsyncClientFactory, ClientFactory

Close: TypeAlias = Callable[[], Awaitable[None]]


@define(kw_only=True)
class Setup:
    """The parts of an eMSP, for both modes; hooks are registered here."""

    identity: Identity
    matrix: SupportMatrix
    limits: Limits
    url_policy: UrlPolicy
    policy: Policy
    required_modules: frozenset[str]
    store: AnyStore
    outbox_events: tuple[type[Event], ...]
    authorize_fallback: FallbackFunction | None
    retry_policy: RetryPolicy
    rate_limit: RateLimit
    clock: Clock
    sleep: Sleep | None
    telemetry: GuardedTelemetry
    http_client: ClientFactory | None
    aio_http_client: AsyncClientFactory | None
    forwarded: Forwarded | None = None
    audits: bool = False
    wake_ups: WakeUps = field(init=False)
    loops: set[asyncio.AbstractEventLoop] = field(factory=set, init=False)
    """The event loops in which this eMSP does its background work, and answers requests."""
    inbound: Inbound = field(factory=Inbound, init=False)
    backlog: Backlog = field(factory=Backlog, init=False)
    appended: Appended = field(factory=Appended, init=False)
    usages: dict[Owner, PartyUsage] = field(factory=dict, init=False)
    callers: Known = field(init=False)
    registered: Known = field(init=False)
    retention: Retention = field(factory=Retention, init=False)
    deadline: _hooks.Deadline | None = field(default=None, init=False)
    authorize: tuple[Callable[..., Any], bool] | None = field(default=None, init=False)
    """The hook, and True if it takes the token and the references."""
    listeners: list[tuple[type[Event], Callable[..., Any]]] = field(factory=list, init=False)
    changes: int = field(default=0, init=False)
    """How often a hook was registered."""

    def __attrs_post_init__(self) -> None:
        self.wake_ups = WakeUps(self.store)
        self.callers, self.registered = Known(self.store), Known(self.store)
        hook = self.limits.authorize
        if hook.timeout is not None:
            self.deadline = _hooks.Deadline(hook.timeout, _hooks.HookThreads(hook.threads))


class Contexts:
    """Creates the contexts of one mode."""

    def __init__(self, setup: Setup, mode: Mode) -> None:
        self.setup = setup
        self.mode: Mode = mode
        self._rate_limiter = make_rate_limiter(mode, Health.of(setup.retry_policy))
        limits = setup.limits.credentials
        in_all = limits.concurrent_handshakes or CONCURRENT_HANDSHAKES[mode]
        self._handshakes = CountedHandshakes(limits.concurrent_handshakes_of_a_party, in_all)
        self._gate = make_gate(mode, setup.inbound)
        self._threads = _bridge.BodyThreads(setup.limits.bodies.threads)
        self._store: Store | None = None
        self._made: tuple[int, Context] | None = None

    @property
    def waiting(self) -> Waiting:
        """How pending commands wait."""
        from ocpi_emsp._command_waiter import Waiting

        return Waiting(self, self.setup.wake_ups, self.mode, partial(self.require_free_loop, "waiting for a command"))

    def require_free_loop(self, what: str) -> None:
        """Raise RuntimeError if a blocking call would wait for a request that its own event loop must answer."""
        if self.mode == "async" or not self.setup.loops:
            return
        import asyncio

        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return
        if loop in self.setup.loops:
            twin = "await its twin below emsp.aio"
            raise RuntimeError(f"{what} blocks the event loop that has to answer the partner meanwhile: {twin}")

    def __call__(self) -> Context:
        """Return a context for work that calls no partner, or only once."""
        made = self._made
        if made is None or made[0] != self.setup.changes:
            made = self._made = (self.setup.changes, self._make())
        return made[1]

    @asynccontextmanager
    async def calling(self, party: PartyId | None = None) -> AsyncIterator[Context]:
        """Open connections for a block, with the rate limit of one party if given."""
        context, close = self.connected(party)
        try:
            yield context
        finally:
            await close()

    def connected(self, party: PartyId | None = None) -> tuple[Context, Close]:
        """Open connections; return the context and a function that closes them."""
        from ocpi_emsp.flows.calls.retries import rate_limited_send

        context, (send, close) = self(), self._open()
        return evolve(context, send=send if party is None else rate_limited_send(context, send, *party)), close

    async def _send_once(self, request: Request) -> Response:
        """Send a request with a client of its own: for the few calls that a handler makes."""
        send, close = self._open()
        try:
            return await send(request)
        finally:
            await close()

    def _open(self) -> tuple[Send, Close]:
        from ocpi_emsp.transports.httpx import AsyncHttpxSend, HttpxSend, default_async_client, default_client

        http = self.setup.limits.http
        settings = self.setup.url_policy, http.read_timeout, http.connect_timeout
        if self.mode == "sync":
            client = self.setup.http_client() if self.setup.http_client else default_client(*settings)
            return HttpxSend(client, http.response_body, http.total_timeout), partial(_bridge.in_place, client.close)
        aio_client = self.setup.aio_http_client() if self.setup.aio_http_client else default_async_client(*settings)
        return AsyncHttpxSend(aio_client, http.response_body, http.total_timeout), aio_client.aclose

    def _lifted_store(self) -> Store:
        if self._store is None:
            if self.mode == "sync":
                self._store = _bridge.lift_store(self.setup.store, _bridge.in_place)
            else:
                from ocpi_emsp._pieces import store_in_pieces

                self._store = store_in_pieces(self.setup.store)
        return self._store

    def _in_threads(self) -> Aside:
        from ocpi_emsp._pieces import Aside

        return Aside(self._threads)

    def _make(self) -> Context:
        setup, is_sync = self.setup, self.mode == "sync"
        lift = _hooks.hook_for_sync if is_sync else _hooks.hook_for_async
        authorize = None
        if setup.authorize is not None:
            hook, is_pair = setup.authorize
            authorize = asking(_hooks.hook_in_time(self.mode, hook, setup.deadline, setup.store), is_pair=is_pair)
        return Context(
            identity=setup.identity,
            matrix=setup.matrix,
            limits=setup.limits,
            url_policy=setup.url_policy,
            policy=setup.policy,
            required_modules=setup.required_modules,
            store=self._lifted_store(),
            clock=setup.clock,
            sleep=setup.sleep or (_beside.sleep_in_place if is_sync else _bridge.rest),
            monotonic=time.monotonic,
            rate_limiter=self._rate_limiter,
            handshakes=self._handshakes,
            inbound=self._gate,
            forwarded=setup.forwarded,
            retry_policy=setup.retry_policy,
            rate_limit=setup.rate_limit,
            send=self._send_once,
            authorize=authorize,
            authorize_fallback=setup.authorize_fallback,
            listeners=[(event, lift(listener)) for event, listener in setup.listeners],
            outbox_events=setup.outbox_events,
            audits=setup.audits,
            telemetry=setup.telemetry,
            notify=setup.wake_ups.notify,
            backlog=setup.backlog,
            appended=setup.appended,
            usages=setup.usages,
            callers=setup.callers,
            registered=setup.registered,
            aside=_bridge.in_place if is_sync else self._in_threads(),
            begin=_beside.begin_in_thread if is_sync else _beside.begin_as_task,
        )


class Resource:
    """What every resource of one mode has."""

    def __init__(self, contexts: Contexts) -> None:
        self._contexts = contexts
