"""The composition root: identity, store, matrix, policies and hooks become handlers, clients and applications.

Rules of this module: it wires, and decides nothing; the sync shell gets ports that never suspend, the async shell
ports that may.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeAlias, TypeVar
from urllib.parse import urlsplit

import httpx
from attrs import evolve, frozen

from ocpi_emsp import _bridge
from ocpi_emsp._command_waiter import Waiting, WakeUps
from ocpi_emsp._rate_limiter import make_rate_limiter
from ocpi_emsp.adapters.asgi import AsgiApp
from ocpi_emsp.adapters.wsgi import WsgiApp
from ocpi_emsp.background import Seldom, async_keep_doing, keep_doing
from ocpi_emsp.check import Policy
from ocpi_emsp.client import AsyncClient, Client
from ocpi_emsp.codec import encode_valid
from ocpi_emsp.errors import InvalidObject
from ocpi_emsp.events import Event, RelayedEvent
from ocpi_emsp.flows.calls.retries import rate_limited_send
from ocpi_emsp.flows.cdrs.reconcile import COMPLETED_FOR, COST_TOLERANCE, KWH_TOLERANCE, LIMIT, reconcile
from ocpi_emsp.flows.cdrs.reconcile_report import Reconciliation
from ocpi_emsp.flows.commands.states import SentCommand
from ocpi_emsp.flows.commands.upkeep import do_what_is_due
from ocpi_emsp.flows.core.authorize_hook import (
    AuthorizeFallback,
    AuthorizeHook,
    arguments_of,
    asking,
    by_whitelist,
    fallback_of,
)
from ocpi_emsp.flows.core.context import Backlog, Context, UrlPolicy
from ocpi_emsp.flows.core.limits import Health, RateLimiter
from ocpi_emsp.flows.core.settings import Identity, Limits, RateLimit, RetryPolicy
from ocpi_emsp.flows.core.telemetry import GuardedTelemetry
from ocpi_emsp.flows.credentials import register
from ocpi_emsp.flows.events import delivery as deliver
from ocpi_emsp.flows.parties import profile as party_profile
from ocpi_emsp.flows.parties.party import Party
from ocpi_emsp.flows.partner_health.gauges import observe
from ocpi_emsp.flows.partner_health.report import partner_report
from ocpi_emsp.flows.serving.dispatch import dispatch
from ocpi_emsp.flows.sync.report import SyncReport
from ocpi_emsp.flows.sync.run import MODULES, Stop, Watch, sync
from ocpi_emsp.flows.tokens.push.party_run import push_tokens_to
from ocpi_emsp.flows.tokens.push.report import TokensPushed
from ocpi_emsp.models import AuthorizationInfo, BusinessDetails
from ocpi_emsp.ports import AnyStore, Clock, Mode, Sleep, Store, Telemetry
from ocpi_emsp.report import PartnerReport
from ocpi_emsp.resources.authorizations import AsyncAuthorizations, Authorizations
from ocpi_emsp.resources.commands import AsyncCommands, Commands
from ocpi_emsp.resources.contexts import AsyncReach, Reach
from ocpi_emsp.resources.events import AsyncEvents, Events
from ocpi_emsp.resources.parties import AsyncParties, Parties, first_profile
from ocpi_emsp.resources.rejections import AsyncRejections, Rejections
from ocpi_emsp.resources.relay import AsyncRelay, Relay
from ocpi_emsp.resources.reservations import AsyncReservations, Reservations
from ocpi_emsp.resources.tokens import AsyncTokens, Tokens
from ocpi_emsp.support import SupportMatrix
from ocpi_emsp.transports.httpx import AsyncHttpxSend, HttpxSend, default_async_client, default_client
from ocpi_emsp.wire import Request, Response

AuthorizeFunction = TypeVar("AuthorizeFunction", bound=Callable[..., AuthorizationInfo | Awaitable[AuthorizationInfo]])
ListenerFunction = TypeVar("ListenerFunction", bound=Callable[[Any], object])
PublishFunction: TypeAlias = Callable[[list[RelayedEvent]], object]
"""Publishes a batch of events, plain or async; what it raises keeps them for another try."""

_LONGEST_URL = 255 - len("/2.1.1/commands/UNLOCK_CONNECTOR/") - 24
"""What is left of a URL's 255 characters for the base below which a command's response_url lies."""
_DEADLINES = 5000
"""Deadlines that a loop looks at in a second: with more that are open, it looks less often. Whoever awaits a command
finds its deadline all the same."""
_TIDY_SECONDS = 300.0
"""How often searches for sessions are looked through whose time is over: nothing waits for that."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Returns the current time, aware, in UTC."""
        return datetime.now(UTC)


@frozen
class Invitation:
    """What a CPO needs to register with us; hand it over in a secure way."""

    versions_url: str
    token_a: str


class Emsp:
    """An eMSP: hand it to a server with :meth:`asgi` or :meth:`wsgi`, call partners with :meth:`client`.

    ``url`` is the public base under which our paths lie, such as ``https://ocpi.example.com/ocpi/emsp``; URLs that
    partners get are built from it and never from a Host header. ``url_policy`` says which URLs of partners are called:
    ``https``, or ``loopback``, which also allows http to this machine. ``policy`` says what of a payload is refused
    where a party has no policy of its own (:meth:`set_policy`). ``retry_policy`` says how often a sync repeats a
    request, ``rate_limit`` how many requests a partner gets; ``clock`` says the time meanwhile, and ``sleep`` lets it
    pass. ``telemetry`` is told of requests, calls and syncs (docs/observability.md). ``relayed`` says which kinds of
    events are journalled for a relay (:meth:`relay`), in whichever process that runs. ``http_client`` and
    ``async_http_client`` make the httpx clients that calls go through, for other timeouts, certificates or a test
    transport.

    ``authorize_fallback`` answers where the :meth:`authorize` hook is late, raises or returns nonsense: always the same
    ``Allowed``, a plain function of the AuthorizationRequest that does not block, or None: HTTP 500; by default the
    token's whitelist decides (docs/authorization.md).

    Raises ValueError for an identity that no partner could accept.
    """

    def __init__(
        self,
        *,
        country_code: str,
        party_id: str,
        name: str,
        url: str,
        store: AnyStore,
        business_details: BusinessDetails | None = None,
        matrix: SupportMatrix | None = None,
        limits: Limits | None = None,
        url_policy: UrlPolicy = "https",
        policy: Policy | None = None,
        required_modules: Iterable[str] = (),
        relayed: Iterable[type[Event]] = (),
        authorize_fallback: AuthorizeFallback = by_whitelist,
        retry_policy: RetryPolicy | None = None,
        rate_limit: RateLimit | None = None,
        clock: Clock | None = None,
        sleep: Sleep | None = None,
        telemetry: Telemetry | None = None,
        http_client: Callable[[], httpx.Client] | None = None,
        async_http_client: Callable[[], httpx.AsyncClient] | None = None,
    ) -> None:
        self.identity = Identity(
            country_code=country_code.upper(),
            party_id=party_id.upper(),
            business_details=business_details or BusinessDetails(name=name),
            url=url.rstrip("/"),
        )
        _check_identity(self.identity)
        self.matrix = matrix or SupportMatrix.default()
        self.limits = limits or Limits()
        self._url_policy: UrlPolicy = url_policy
        self._policy = policy or Policy.tolerant()
        self._required_modules = frozenset(module.lower() for module in required_modules)
        self._relayed = tuple(relayed)
        self._retry_policy = retry_policy or RetryPolicy()
        self._rate_limit = rate_limit or RateLimit()
        self._clock = clock or SystemClock()
        self._sleep: dict[Mode, Sleep] = {
            "sync": sleep or _bridge.sleep_in_place,
            "async": sleep or _bridge.rest,
        }
        healthy = Health.of(self._retry_policy)
        self._rate_limiter: dict[Mode, RateLimiter] = {
            "sync": make_rate_limiter("sync", healthy),
            "async": make_rate_limiter("async", healthy),
        }
        timeouts = self.limits.http.read_timeout, self.limits.http.connect_timeout
        self._http_client = http_client or (lambda: default_client(*timeouts))
        self._async_http_client = async_http_client or (lambda: default_async_client(*timeouts))
        self._authorize: dict[Mode, AuthorizeHook] = {}
        self._authorize_fallback = fallback_of(authorize_fallback)
        self._deadline = _bridge.deadline_of(self.limits.authorize.timeout, self.limits.authorize.threads)
        self._listeners: list[tuple[type[Event], Callable[..., Any]]] = []
        self._stores: dict[Mode, Store] = {
            "sync": _bridge.lift_store(store, _bridge.in_place),
            "async": _bridge.lift_store(store, _bridge.in_thread),
        }
        self._contexts: dict[Mode, Context] = {}
        self._backlog = Backlog()
        self._telemetry = GuardedTelemetry(telemetry)
        observe(self._telemetry, lambda: self._context("sync"), _bridge.run)
        reach = Reach(lambda: self._context("sync"), self._calling)
        async_reach = AsyncReach(lambda: self._context("async"), self._async_calling)
        self.tokens = Tokens(reach)
        self.async_tokens = AsyncTokens(async_reach)
        self.parties = Parties(reach)
        self.async_parties = AsyncParties(async_reach)
        self.rejections = Rejections(reach.context)
        self.async_rejections = AsyncRejections(async_reach.context)
        self._wake_ups = WakeUps(store)
        self._waiting = Waiting(reach.context, self._wake_ups, "sync")
        self._async_waiting = Waiting(async_reach.context, self._wake_ups, "async")
        self.commands = Commands(self._waiting)
        self.async_commands = AsyncCommands(self._async_waiting)
        self.reservations = Reservations(reach.context)
        self.async_reservations = AsyncReservations(async_reach.context)
        self.authorizations = Authorizations(reach.context)
        self.async_authorizations = AsyncAuthorizations(async_reach.context)
        self.events = Events(reach.context)
        self.async_events = AsyncEvents(async_reach.context)

    # --- hooks --------------------------------------------------------------------------------------------------

    def authorize(self, hook: AuthorizeFunction) -> AuthorizeFunction:
        """Register the function that decides real-time authorizations, plain or async.

        It gets an :class:`AuthorizationRequest`, or, with two positional parameters, the stored Token and the
        LocationReferences of the request or None. It returns AuthorizationInfo, or raises NotEnoughInformation, within
        ``AuthorizeLimits.timeout``. Raises TypeError for a function that takes neither.
        """
        arguments = arguments_of(hook)
        modes: tuple[Mode, ...] = ("sync", "async")
        self._authorize = {each: asking(_bridge.hook_in_time(each, hook, self._deadline), arguments) for each in modes}
        self._contexts.clear()
        return hook

    def on(self, event: type[Event]) -> Callable[[ListenerFunction], ListenerFunction]:
        """Register a listener for a kind of event, plain or async; ``Event`` hears every kind."""

        def register_listener(listener: ListenerFunction) -> ListenerFunction:
            self._listeners.append((event, listener))
            self._contexts.clear()
            return listener

        return register_listener

    def redeliver(self) -> int:
        """Try every event that is due and that this process listens to, in order per object.

        That is: those whose listener failed, once they waited, and those of a process that died. Gives the number that
        were delivered. Raises StoreFailed.
        """
        return _bridge.run(deliver.redeliver(self._context("sync")))

    async def async_redeliver(self) -> int:
        """:meth:`redeliver`, awaited."""
        return await deliver.redeliver(self._context("async"))

    def keep_delivering(self, stop: threading.Event | None = None, *, every: float = 1.0) -> None:
        """Do what is due every so many seconds until ``stop`` is set; outlives a store that fails.

        That is: :meth:`redeliver`, and ``commands.expire``. Run it beside a server, in a thread of its own.
        """
        looks, tidy = Seldom(0.0), Seldom(_TIDY_SECONDS)

        def once() -> int:
            done = _bridge.run(do_what_is_due(self._context("sync"), look=looks.is_due(), tidy=tidy.is_due()))
            looks.rest(done.looked / _DEADLINES)
            return done.number

        keep_doing(once, "delivering events", stop or threading.Event(), every)

    async def async_keep_delivering(self, *, every: float = 1.0) -> None:
        """:meth:`keep_delivering`, in a task, until it is cancelled."""
        looks, tidy = Seldom(0.0), Seldom(_TIDY_SECONDS)

        async def once() -> int:
            done = await do_what_is_due(self._context("async"), look=looks.is_due(), tidy=tidy.is_due())
            looks.rest(done.looked / _DEADLINES)
            return done.number

        await async_keep_doing(once, "delivering events", every)

    def relay(self, publish: PublishFunction, *, batch: int = 100) -> Relay:
        """Hand the ``relayed`` events to ``publish``, up to ``batch`` at once, so that it sends them to a broker.

        ``publish`` gets a list of :class:`RelayedEvent` in order per object; each is handed over at least once. It has
        ``DeliveryLimits.lease`` for a batch: after that, another relay may publish the same. Raises ValueError for an
        empty batch.
        """
        return Relay(lambda: self._context("sync"), publish, batch)

    def async_relay(self, publish: PublishFunction, *, batch: int = 100) -> AsyncRelay:
        """:meth:`relay`, awaited."""
        return AsyncRelay(lambda: self._context("async"), publish, batch)

    # --- serving ------------------------------------------------------------------------------------------------

    def asgi(self) -> AsgiApp:
        """The eMSP as an ASGI application; any ASGI server or framework mounts it."""
        return AsgiApp(self.handle_async, urlsplit(self.identity.url).path, self.limits.http.request_body)

    def wsgi(self) -> WsgiApp:
        """The eMSP as a WSGI application; any WSGI server or framework mounts it."""
        return WsgiApp(self.handle, urlsplit(self.identity.url).path, self.limits.http.request_body)

    def handle(self, request: Request) -> Response:
        """Answer one request from a partner, blocking."""
        return _bridge.run(dispatch(self._context("sync"), request))

    async def handle_async(self, request: Request) -> Response:
        """Answer one request from a partner."""
        return await dispatch(self._context("async"), request)

    # --- partners -----------------------------------------------------------------------------------------------

    def invite(
        self,
        country_code: str,
        party_id: str,
        *,
        base64_token: bool = False,
        required_modules: Iterable[str] | None = None,
    ) -> Invitation:
        """Token A for a CPO that shall register with us; ``required_modules``: what it has to offer (the eMSP's own).

        Raises AlreadyRegistered where it is registered already; ValueError for a module that does not exist.
        """
        profile = first_profile(base64_token, required_modules)
        token = _bridge.run(register.invite(self._context("sync"), country_code, party_id, profile))
        return Invitation(self.identity.versions_url, token)

    async def async_invite(
        self,
        country_code: str,
        party_id: str,
        *,
        base64_token: bool = False,
        required_modules: Iterable[str] | None = None,
    ) -> Invitation:
        """:meth:`invite`, awaited."""
        profile = first_profile(base64_token, required_modules)
        token = await register.invite(self._context("async"), country_code, party_id, profile)
        return Invitation(self.identity.versions_url, token)

    def register(
        self,
        versions_url: str,
        *,
        token_a: str,
        base64_token: bool = False,
        required_modules: Iterable[str] | None = None,
    ) -> Party:
        """Run the credentials handshake with the CPO that gave us ``token_a``.

        The CPO calls our server back meanwhile, so it has to be running; ``required_modules`` are what it has to offer
        (the eMSP's own). Raises UnsupportedVersion, MissingEndpoints, CannotUseApi, PartnerError; AlreadyRegistered
        where it says that it is a party which is registered; ValueError for a module that does not exist.
        """
        profile = first_profile(base64_token, required_modules)
        with self._calling() as context:
            return _bridge.run(register.register(context, versions_url, token_a, profile))

    async def async_register(
        self,
        versions_url: str,
        *,
        token_a: str,
        base64_token: bool = False,
        required_modules: Iterable[str] | None = None,
    ) -> Party:
        """:meth:`register`, awaited."""
        profile = first_profile(base64_token, required_modules)
        async with self._async_calling() as context:
            return await register.register(context, versions_url, token_a, profile)

    def client(self, country_code: str, party_id: str) -> Client:
        """Calls to a registered CPO, blocking; use it as a context manager."""
        http = self._http_client()
        context = self._context("sync", HttpxSend(http, self.limits.http.response_body, self.limits.http.total_timeout))
        context = evolve(context, send=rate_limited_send(context, country_code, party_id))
        return Client(context, country_code, party_id, http.close, self._waiting)

    def async_client(self, country_code: str, party_id: str) -> AsyncClient:
        """Calls to a registered CPO; use it as an async context manager."""
        http = self._async_http_client()
        context = self._context(
            "async", AsyncHttpxSend(http, self.limits.http.response_body, self.limits.http.total_timeout)
        )
        context = evolve(context, send=rate_limited_send(context, country_code, party_id))
        return AsyncClient(context, country_code, party_id, http.aclose, self._async_waiting)

    def command(self, country_code: str, party_id: str, uid: str) -> SentCommand | None:
        """A command that we sent, with what became of it: ``commands.get``."""
        return self.commands.get(country_code, party_id, uid)

    async def async_command(self, country_code: str, party_id: str, uid: str) -> SentCommand | None:
        """:meth:`command`, awaited."""
        return await self.async_commands.get(country_code, party_id, uid)

    def set_policy(self, country_code: str, party_id: str, policy: Policy | None) -> None:
        """Say what of a party's payloads is refused; None takes the eMSP's own policy.

        Raises NotRegistered, ValueError for a rule that does not exist.
        """
        _bridge.run(party_profile.set_policy(self._context("sync"), country_code, party_id, policy))

    async def async_set_policy(self, country_code: str, party_id: str, policy: Policy | None) -> None:
        """:meth:`set_policy`, awaited."""
        await party_profile.set_policy(self._context("async"), country_code, party_id, policy)

    def set_matrix(self, country_code: str, party_id: str, matrix: SupportMatrix | None) -> None:
        """Say what is served to a party and called at it; None takes the eMSP's own matrix. Raises NotRegistered."""
        _bridge.run(party_profile.set_matrix(self._context("sync"), country_code, party_id, matrix))

    async def async_set_matrix(self, country_code: str, party_id: str, matrix: SupportMatrix | None) -> None:
        """:meth:`set_matrix`, awaited."""
        await party_profile.set_matrix(self._context("async"), country_code, party_id, matrix)

    def set_pace(
        self,
        country_code: str,
        party_id: str,
        *,
        requests_per_second: Decimal | None = None,
        concurrent_requests: int | None = None,
    ) -> None:
        """Say how often a party is called, and how many calls it gets at once; None takes ``rate_limit``.

        Raises NotRegistered, ValueError for a pace at which nothing is sent.
        """
        flow = party_profile.set_pace(
            self._context("sync"), country_code, party_id, requests_per_second, concurrent_requests
        )
        _bridge.run(flow)

    async def async_set_pace(
        self,
        country_code: str,
        party_id: str,
        *,
        requests_per_second: Decimal | None = None,
        concurrent_requests: int | None = None,
    ) -> None:
        """:meth:`set_pace`, awaited."""
        context = self._context("async")
        await party_profile.set_pace(context, country_code, party_id, requests_per_second, concurrent_requests)

    def sync(
        self,
        country_code: str,
        party_id: str,
        *,
        modules: Iterable[str] = MODULES,
        since: datetime | None = None,
        full: bool = False,
        watch: Watch | None = None,
        stop: Stop | None = None,
    ) -> SyncReport:
        """Pull what a CPO has, what changed since the last sync; and push our tokens to it (:meth:`push_tokens`).

        ``since`` begins elsewhere. ``full`` lists everything, and marks what the CPO does not list any more. ``watch``
        is told after every page, ``stop`` asked: where it is true, the sync ends after the page in hand. One that ended
        early, or was killed, is continued by the next. What the CPO does wrong is in the report. Raises NotRegistered,
        StoreFailed; ValueError for an unknown module, or a ``since`` without a zone or in a full sync.
        """
        with self._calling() as context:
            flow = sync(
                context, country_code, party_id, modules=modules, since=since, full=full, watch=watch, stop=stop
            )
            return _bridge.run(flow)

    async def async_sync(
        self,
        country_code: str,
        party_id: str,
        *,
        modules: Iterable[str] = MODULES,
        since: datetime | None = None,
        full: bool = False,
        watch: Watch | None = None,
        stop: Stop | None = None,
    ) -> SyncReport:
        """:meth:`sync`, awaited; ``watch`` and ``stop`` are plain functions that do not block."""
        async with self._async_calling() as context:
            return await sync(
                context, country_code, party_id, modules=modules, since=since, full=full, watch=watch, stop=stop
            )

    def report(self, country_code: str, party_id: str) -> PartnerReport:
        """What a party deviates in, rule by rule, from what it sent: its objects as stored, and what was refused."""
        return _bridge.run(partner_report(self._context("sync"), country_code, party_id))

    async def async_report(self, country_code: str, party_id: str) -> PartnerReport:
        """:meth:`report`, awaited."""
        return await partner_report(self._context("async"), country_code, party_id)

    def reconcile(
        self,
        country_code: str,
        party_id: str,
        *,
        date_from: datetime | None = None,
        date_to: datetime | None = None,
        completed_for: timedelta = COMPLETED_FOR,
        kwh_tolerance: Decimal = KWH_TOLERANCE,
        cost_tolerance: Decimal = COST_TOLERANCE,
        limit: int | None = LIMIT,
    ) -> Reconciliation:
        """How a party's CDRs fit its sessions: what is missing on either side, conflicts, and what differs.

        Under review is what was last updated in ``[date_from, date_to)``, by default in the last 35 days; a month more
        on either side is searched for the other half of a pair. A CDR is matched by id, else by auth_id, EVSE and time
        (docs/reconcile.md). A session without a CDR is missing it once it is COMPLETED for ``completed_for``. Each
        list holds ``limit`` items, all with None, and counts the rest. Nothing is written; memory grows with the
        period: about 1 KB for each CDR and session. Raises ValueError for a period or tolerance without sense,
        StoreFailed.
        """
        flow = reconcile(
            self._context("sync"),
            country_code,
            party_id,
            date_from=date_from,
            date_to=date_to,
            completed_for=completed_for,
            kwh_tolerance=kwh_tolerance,
            cost_tolerance=cost_tolerance,
            limit=limit,
        )
        return _bridge.run(flow)

    async def async_reconcile(
        self,
        country_code: str,
        party_id: str,
        *,
        date_from: datetime | None = None,
        date_to: datetime | None = None,
        completed_for: timedelta = COMPLETED_FOR,
        kwh_tolerance: Decimal = KWH_TOLERANCE,
        cost_tolerance: Decimal = COST_TOLERANCE,
        limit: int | None = LIMIT,
    ) -> Reconciliation:
        """:meth:`reconcile`, awaited."""
        return await reconcile(
            self._context("async"),
            country_code,
            party_id,
            date_from=date_from,
            date_to=date_to,
            completed_for=completed_for,
            kwh_tolerance=kwh_tolerance,
            cost_tolerance=cost_tolerance,
            limit=limit,
        )

    def push_tokens(
        self,
        country_code: str,
        party_id: str,
        *,
        verify: bool = False,
        full: bool = False,
        stop: Callable[[], bool] | None = None,
    ) -> TokensPushed:
        """Send a party what changed of our tokens since the last push, and what failed then; invalidations first.

        ``full`` looks at every token; ``verify`` asks the party for each one that was sent, and compares; ``stop`` is
        asked between two tokens. What the party does wrong is in the report (mod_tokens.md 2.1). Raises NotRegistered,
        UnsafeUrl, StoreFailed.
        """
        with self._calling(country_code, party_id) as context:
            flow = push_tokens_to(context, country_code, party_id, verify=verify, full=full, stop=stop)
            return _bridge.run(flow)

    async def async_push_tokens(
        self,
        country_code: str,
        party_id: str,
        *,
        verify: bool = False,
        full: bool = False,
        stop: Callable[[], bool] | None = None,
    ) -> TokensPushed:
        """:meth:`push_tokens`, awaited."""
        async with self._async_calling(country_code, party_id) as context:
            return await push_tokens_to(context, country_code, party_id, verify=verify, full=full, stop=stop)

    # --- wiring -------------------------------------------------------------------------------------------------

    @contextmanager
    def _calling(self, country_code: str | None = None, party_id: str | None = None) -> Iterator[Context]:
        """Connections for a block; paced for one party, where it is given."""
        with self._http_client() as http:
            context = self._context(
                "sync", HttpxSend(http, self.limits.http.response_body, self.limits.http.total_timeout)
            )
            yield _paced(context, country_code, party_id)

    @asynccontextmanager
    async def _async_calling(
        self, country_code: str | None = None, party_id: str | None = None
    ) -> AsyncIterator[Context]:
        async with self._async_http_client() as http:
            context = self._context(
                "async", AsyncHttpxSend(http, self.limits.http.response_body, self.limits.http.total_timeout)
            )
            yield _paced(context, country_code, party_id)

    def _context(self, mode: Mode, send: Any = None) -> Context:
        if send is not None:
            return self._make_context(mode, send)
        if mode not in self._contexts:
            self._contexts[mode] = self._make_context(mode, _ONE_SHOT[mode](self))
        return self._contexts[mode]

    def _make_context(self, mode: Mode, send: Any) -> Context:
        lift = _bridge.hook_for_sync if mode == "sync" else _bridge.hook_for_async
        return Context(
            identity=self.identity,
            matrix=self.matrix,
            limits=self.limits,
            url_policy=self._url_policy,
            policy=self._policy,
            required_modules=self._required_modules,
            store=self._stores[mode],
            clock=self._clock,
            sleep=self._sleep[mode],
            rate_limiter=self._rate_limiter[mode],
            retry_policy=self._retry_policy,
            rate_limit=self._rate_limit,
            backlog=self._backlog,
            send=send,
            authorize=self._authorize.get(mode),
            authorize_fallback=self._authorize_fallback,
            listeners=[(event, lift(listener)) for event, listener in self._listeners],
            relayed=self._relayed,
            telemetry=self._telemetry,
            notify=self._wake_ups.notify,
        )


def _paced(context: Context, country_code: str | None, party_id: str | None) -> Context:
    if country_code is None or party_id is None:
        return context
    return evolve(context, send=rate_limited_send(context, country_code, party_id))


def _sync_one_shot(emsp: Emsp) -> Callable[[Request], Awaitable[Response]]:
    """Sends each request with a client of its own: for the few calls that a handler makes."""

    async def send(request: Request) -> Response:
        with emsp._http_client() as http:
            return await HttpxSend(http, emsp.limits.http.response_body, emsp.limits.http.total_timeout)(request)

    return send


def _async_one_shot(emsp: Emsp) -> Callable[[Request], Awaitable[Response]]:
    async def send(request: Request) -> Response:
        async with emsp._async_http_client() as http:
            return await AsyncHttpxSend(http, emsp.limits.http.response_body, emsp.limits.http.total_timeout)(request)

    return send


_ONE_SHOT: dict[Mode, Callable[[Emsp], Any]] = {"sync": _sync_one_shot, "async": _async_one_shot}


def _check_identity(identity: Identity) -> None:
    parts = urlsplit(identity.url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError(f"url must be the absolute public base of our paths, not {identity.url!r}")
    if len(identity.url) > _LONGEST_URL:
        raise ValueError(f"url has {len(identity.url)} characters, at most {_LONGEST_URL} leave room for our paths")
    if len(identity.country_code) != 2 or len(identity.party_id) != 3:
        raise ValueError("country_code has two characters and party_id three")
    try:
        encode_valid(identity.business_details)
    except InvalidObject as error:
        raise ValueError(str(error)) from error
