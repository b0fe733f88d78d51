"""The composition root: identity, store, matrix, policies and hooks become resources, clients and applications.

Rules of this module: it only connects the parts; arguments are validated when they are given. Serving code is imported
when an application is created, a resource when it is first used, rarely used parts on demand: a script that does one
thing does not wait for the others.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, TypeVar
from urllib.parse import urlsplit

from attrs import evolve

from ocpi_emsp import _arguments as arguments, _bridge
from ocpi_emsp.check.policy import Policy
from ocpi_emsp.flows.core.addresses import Forwarded
from ocpi_emsp.flows.core.authorize_hook import (
    AuthorizeFallback,
    by_whitelist,
    fallback_of,
    is_of_token_and_references,
    require_sole,
)
from ocpi_emsp.flows.core.settings import Limits, RateLimit, Retention, RetryPolicy
from ocpi_emsp.flows.core.telemetry import GuardedTelemetry
from ocpi_emsp.models import AuthorizationInfo, BusinessDetails
from ocpi_emsp.party_id import PartyLike
from ocpi_emsp.ports import AnyStore, Clock, Sleep, Telemetry
from ocpi_emsp.resources.contexts import Contexts, Setup
from ocpi_emsp.resources.late import Resources
from ocpi_emsp.resources.modes import awaited, blocking
from ocpi_emsp.storage.opening import close_store, joinable, open_store
from ocpi_emsp.support import SupportMatrix
from ocpi_emsp.url_policy import UrlPolicy

if TYPE_CHECKING:
    from ocpi_emsp.adapters.asgi import AsgiApp
    from ocpi_emsp.adapters.lifespan import AsgiApplication
    from ocpi_emsp.adapters.wsgi import WsgiApp, WsgiApplication
    from ocpi_emsp.events import Event, PublishFunction
    from ocpi_emsp.resources import (
        AsyncAudits,
        AsyncAuthorizations,
        AsyncCdrs,
        AsyncCommands,
        AsyncEvents,
        AsyncEvses,
        AsyncLocations,
        AsyncParties,
        AsyncPartner,
        AsyncRejections,
        AsyncRelay,
        AsyncReservations,
        AsyncSessions,
        AsyncTariffs,
        AsyncTokens,
        Audits,
        Authorizations,
        Cdrs,
        Commands,
        Events,
        Evses,
        Locations,
        Parties,
        Partner,
        Pruned,
        Rejections,
        Relay,
        Reservations,
        Sessions,
        Tariffs,
        Tokens,
    )
    from ocpi_emsp.transports.httpx import AsyncClientFactory, ClientFactory
    from ocpi_emsp.wire import Request, Response

AuthorizeFunction = TypeVar("AuthorizeFunction", bound=Callable[..., AuthorizationInfo | Awaitable[AuthorizationInfo]])
E = TypeVar("E", bound="Event")
R = TypeVar("R")

_MAKES = "a function that makes an httpx2.{0} or httpx.{0}"


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the current time, aware, in UTC."""
        return datetime.now(UTC)


class Emsp(Resources):
    """An eMSP: hand it to a server with :meth:`asgi` or :meth:`wsgi`, call partners with :meth:`partner`.

    ``aio`` is the async side: ``await emsp.aio.tokens.put(token)`` is ``emsp.tokens.put(token)`` in a task.

    ``url`` is the public base of our paths, such as ``https://ocpi.example.com/ocpi/emsp``; URLs that partners get are
    built from it and never from a Host header. ``store`` is a URL (``sqlite:///emsp.db``,
    ``postgresql+psycopg://user@host/db``, ``memory``) or a store; one that is created from a URL is closed by
    :meth:`close`. ``url_policy`` decides which URLs of partners may be called: a :class:`UrlPolicy`, by default
    ``https``, which is its ``default()``, or ``loopback``, which also allows this machine. ``policy`` decides which
    payloads are rejected if a partner has no policy of its own. ``retry_policy`` sets how often a sync repeats a
    request, ``rate_limit`` how many requests a partner gets; ``clock`` gives the time, and ``sleep`` waits.
    ``telemetry`` receives spans and metrics of requests and calls (docs/how-to/observability.md). ``outbox_events`` are
    the kinds of events that are journalled for a relay (:meth:`relay`), whichever process runs it. ``http_client`` and
    ``aio_http_client`` create the clients of httpx2 or httpx for calls, for other timeouts, certificates or a test
    transport; the policy checks the resolved addresses only if they have a ``pinned_transport``
    (docs/explanation/security.md).

    ``forwarded`` names the proxies that are trusted about callers' addresses (docs/how-to/serving.md); by default none.

    ``business_details`` are part of our credentials (default: only the ``name``), and ``credentials_extensions`` are
    their members beyond the specification (docs/how-to/extensions.md).

    With ``audit``, the background work (:meth:`running`) audits each stored CDR: the audit is stored, and reported by
    ``CdrAudited`` (docs/how-to/audit-bills.md). It rejects no CDR, and no POST waits for it.

    ``authorize_fallback`` answers if the :meth:`authorize` hook is late, raises or returns nonsense: a fixed
    ``Allowed``, a plain function of the AuthorizationRequest that does not block, or None: HTTP 500; by default the
    token's whitelist decides (docs/how-to/authorization.md).

    Raises ValueError or TypeError, which names the setting, for an invalid value.
    """

    tokens: Tokens
    parties: Parties
    locations: Locations
    evses: Evses
    sessions: Sessions
    cdrs: Cdrs
    audits: Audits
    tariffs: Tariffs
    commands: Commands
    reservations: Reservations
    authorizations: Authorizations
    rejections: Rejections
    events: Events

    def __init__(
        self,
        *,
        country_code: str,
        party_id: str,
        name: str,
        url: str,
        store: str | AnyStore,
        business_details: BusinessDetails | None = None,
        credentials_extensions: Mapping[str, Any] | None = None,
        matrix: SupportMatrix | None = None,
        limits: Limits | None = None,
        url_policy: UrlPolicy | Literal["https", "loopback"] = "https",
        policy: Policy | None = None,
        required_modules: Iterable[str] = (),
        outbox_events: Iterable[type[Event]] = (),
        forwarded: Forwarded | None = None,
        audit: bool = False,
        authorize_fallback: AuthorizeFallback = by_whitelist,
        retry_policy: RetryPolicy | None = None,
        rate_limit: RateLimit | None = None,
        clock: Clock | None = None,
        sleep: Sleep | None = None,
        telemetry: Telemetry | None = None,
        http_client: ClientFactory | None = None,
        aio_http_client: AsyncClientFactory | None = None,
    ) -> None:
        details = arguments.instance(
            "business_details", business_details, BusinessDetails, lambda: BusinessDetails(name=name)
        )
        identity = arguments.identity_of(country_code, party_id, name, details, url)
        identity = evolve(identity, credentials_extensions=arguments.extensions(credentials_extensions))
        setup = Setup(
            identity=identity,
            matrix=arguments.instance("matrix", matrix, SupportMatrix, SupportMatrix.default),
            limits=arguments.instance("limits", limits, Limits, Limits),
            url_policy=url_policy if isinstance(url_policy, UrlPolicy) else UrlPolicy.named(url_policy),
            policy=arguments.instance("policy", policy, Policy, Policy.tolerant),
            required_modules=arguments.modules(required_modules),
            outbox_events=tuple(arguments.event_class("outbox_events", each) for each in outbox_events),
            forwarded=None
            if forwarded is None
            else arguments.instance("forwarded", forwarded, Forwarded, lambda: forwarded),
            audits=arguments.flag("audit", audit),
            authorize_fallback=fallback_of(authorize_fallback),
            retry_policy=arguments.instance("retry_policy", retry_policy, RetryPolicy, RetryPolicy),
            rate_limit=arguments.instance("rate_limit", rate_limit, RateLimit, RateLimit),
            clock=arguments.part("clock", clock, "an object with now", "now") or SystemClock(),
            sleep=arguments.part("sleep", sleep, "a function of seconds", "__call__"),
            telemetry=GuardedTelemetry(
                arguments.part("telemetry", telemetry, "a Telemetry", "span", "count", "duration", "gauge")
            ),
            store=open_store(store) if isinstance(store, str) else arguments.usable_store(store),
            http_client=arguments.part("http_client", http_client, _MAKES.format("Client"), "__call__"),
            aio_http_client=arguments.part(
                "aio_http_client", aio_http_client, _MAKES.format("AsyncClient"), "__call__"
            ),
        )
        super().__init__(Contexts(setup, "sync"))
        self._owns_store = isinstance(store, str)
        self.identity = identity
        self.matrix = setup.matrix
        self.limits = setup.limits
        if telemetry is not None:
            from ocpi_emsp.flows.partner_health.gauges import observe

            observe(setup.telemetry, self._contexts, _bridge.run)
        self.aio = AsyncEmsp(Contexts(setup, "async"), owns_store=self._owns_store)

    # --- hooks --------------------------------------------------------------------------------------------------

    def authorize(self, hook: AuthorizeFunction, *, replace: bool = False) -> AuthorizeFunction:
        """Register the function that decides real-time authorizations, plain or async.

        It gets an :class:`AuthorizationRequest`, or, with two positional parameters, the stored Token and the
        LocationReferences of the request or None. It returns AuthorizationInfo, or raises NotEnoughInformation, within
        ``AuthorizeLimits.timeout``. ``replace``: it replaces the registered function. Raises TypeError for a function
        that takes neither, ValueError for a second function without ``replace``.
        """
        setup = self._contexts.setup
        is_pair, is_replacing = is_of_token_and_references(hook), arguments.flag("replace", replace)
        if setup.authorize is not None and not is_replacing:
            require_sole(hook, setup.authorize[0])
        setup.authorize = hook, is_pair
        setup.changes += 1
        return hook

    def on(self, event: type[E]) -> Callable[[Callable[[E], R]], Callable[[E], R]]:
        """Register a listener for a kind of event, plain or async; ``Event`` stands for every kind.

        Raises TypeError if ``event`` is not an event class, or the listener does not take one argument.
        """
        kind = arguments.event_class("event", event)

        def register_listener(listener: Callable[[E], R]) -> Callable[[E], R]:
            arguments.check_listener(listener)
            self._contexts.setup.listeners.append((kind, listener))
            self._contexts.setup.changes += 1
            return listener

        return register_listener

    # --- serving ------------------------------------------------------------------------------------------------

    def asgi(self, *, background: bool = True, fallback: AsgiApplication | None = None) -> AsgiApp:
        """Create an ASGI application; any ASGI server runs it, any framework mounts it.

        Its lifespan runs the background work (:meth:`running`), unless ``background`` is False; below a mount, which
        has no lifespan, enter ``emsp.aio.running()`` in the host's own. ``fallback`` answers requests outside our base
        path, for a host without mounts.
        """
        from ocpi_emsp.adapters.asgi import AsgiApp
        from ocpi_emsp.resources.serving import aio_answering

        running = self.aio.running if background else None
        return AsgiApp(aio_answering(self.aio._contexts), self._base, self.limits.http, running, fallback)

    def wsgi(self, *, fallback: WsgiApplication | None = None) -> WsgiApp:
        """Create a WSGI application; any WSGI server runs it, any framework mounts it; ``fallback``: see
        :meth:`asgi`.
        """
        from ocpi_emsp.adapters.wsgi import WsgiApp
        from ocpi_emsp.resources.serving import answering

        return WsgiApp(answering(self._contexts), self._base, self.limits.http, fallback)

    @property
    def _base(self) -> str:
        return urlsplit(self.identity.url).path

    def handle(self, request: Request) -> Response:
        """Answer one request from a partner."""
        from ocpi_emsp.resources.serving import answering

        return answering(self._contexts)(request)

    def openapi(self) -> dict[str, Any]:
        """Describe the default interface as an OpenAPI 3.1 document (docs/reference/openapi.md)."""
        from ocpi_emsp.openapi import describe

        name, url = self.identity.business_details.name, self.identity.url
        return describe(name=name, url=url, matrix=self.matrix, limits=self.limits.http)

    # --- events and background work -------------------------------------------------------------------------------

    @contextmanager
    def running(self, *, sync_every: timedelta | None = None, push: bool = True, every: float = 1.0) -> Iterator[None]:
        """Do the background work in threads, until the end of the block: run it beside a server, or in a worker.

        It delivers events, handles deadlines of commands, pushes tokens unless ``push`` is False, and with
        ``sync_every`` syncs each registered partner at that interval; ``every``: the seconds between two checks that
        found nothing. Several processes may do it on one store: events, pushes and syncs are leased. It survives
        failures, and logs them. The end of the block waits for the current listener, push or page. The store stays
        open. Raises ValueError or TypeError for an invalid time.
        """
        from ocpi_emsp.background import in_threads
        from ocpi_emsp.resources.running import background

        stop = threading.Event()
        with in_threads(background(self._contexts, stop.is_set, sync_every, push, every), stop):
            yield

    @blocking
    async def redeliver(self) -> int:
        """Try every due event that this process has a listener for, in order per object.

        These are events whose listener failed, after their wait, and those of a process that died. Returns the number
        of delivered events. :meth:`running` does this as well. Raises StoreFailed.
        """
        from ocpi_emsp.flows.events.delivery import redeliver

        return await redeliver(self._contexts())

    def relay(self, publish: PublishFunction, *, batch: int = 100) -> Relay:
        """Pass the ``outbox_events`` to ``publish``, up to ``batch`` at once, so that it sends them to a broker.

        ``publish`` gets a list of :class:`RelayedEvent` in order per object; each is passed at least once. It has
        ``DeliveryLimits.lease`` for a batch: after that, another relay may publish the same. Raises ValueError for an
        empty batch.
        """
        from ocpi_emsp.resources.relay import Relay

        return Relay(self._contexts, publish, batch)

    # --- partners and the store -----------------------------------------------------------------------------------

    def partner(self, party: PartyLike) -> Partner:
        """Return the methods for one partner, such as ``"NL-TNM"``. Raises ValueError or TypeError for an invalid
        party.
        """
        from ocpi_emsp.resources.partner import Partner

        return Partner(self._contexts, party)

    def joined(self, connection: Any) -> AbstractContextManager[None]:
        """Make calls inside the block part of the transaction of ``connection``, which the host commits.

        It is a Connection or Session of SQLAlchemy, or a connection of sqlite3 or psycopg; for Django, see
        ``ocpi_emsp.contrib.django``. The schema must already exist. Events are journalled, and delivered after the
        host's commit: by :meth:`running` or :meth:`redeliver`. Raises TypeError for anything else, and if the store has
        no transactions to join.
        """
        return joinable(self._contexts.setup.store).joined(connection)

    def retention(self, retention: Retention) -> None:
        """Set how long data is stored: :meth:`running`, if it is entered afterwards, deletes older data.

        Raises TypeError for anything but a Retention.
        """
        self._contexts.setup.retention = arguments.instance("retention", retention, Retention, Retention)

    @blocking
    async def prune(self, *, dry_run: bool = False) -> Pruned:
        """Delete data older than :meth:`retention` allows, and return the numbers; with ``dry_run`` only count it.

        Data is deleted a few items at a time, so this may run beside a server. Raises StoreFailed.
        """
        from ocpi_emsp.flows.serving.retention import prune

        return await prune(self._contexts(), self._contexts.setup.retention, dry_run=dry_run)

    @blocking
    async def close(self) -> None:
        """Close the connections of a store that was created from a URL; a store object is closed by its owner."""
        if self._owns_store:
            await close_store(self._contexts.setup.store, self._contexts.mode)


class AsyncEmsp(Resources):
    """:class:`Emsp`, awaited: ``emsp.aio``."""

    tokens: AsyncTokens
    parties: AsyncParties
    locations: AsyncLocations
    evses: AsyncEvses
    sessions: AsyncSessions
    cdrs: AsyncCdrs
    audits: AsyncAudits
    tariffs: AsyncTariffs
    commands: AsyncCommands
    reservations: AsyncReservations
    authorizations: AsyncAuthorizations
    rejections: AsyncRejections
    events: AsyncEvents

    def __init__(self, contexts: Contexts, *, owns_store: bool) -> None:
        super().__init__(contexts)
        self._owns_store = owns_store

    redeliver = awaited(Emsp.redeliver)
    close = awaited(Emsp.close)
    prune = awaited(Emsp.prune)

    async def handle(self, request: Request) -> Response:
        """Answer one request from a partner."""
        from ocpi_emsp.resources.serving import aio_answering

        return await aio_answering(self._contexts)(request)

    @asynccontextmanager
    async def running(
        self, *, sync_every: timedelta | None = None, push: bool = True, every: float = 1.0
    ) -> AsyncIterator[None]:
        """Do the background work in tasks; see :meth:`Emsp.running`. The end of the block cancels the current round."""
        import asyncio

        from ocpi_emsp.background import in_tasks
        from ocpi_emsp.resources.running import background

        loops, loop = self._contexts.setup.loops, asyncio.get_running_loop()
        async with in_tasks(background(self._contexts, lambda: False, sync_every, push, every)):
            loops.add(loop)
            try:
                yield
            finally:
                loops.discard(loop)

    def relay(self, publish: PublishFunction, *, batch: int = 100) -> AsyncRelay:
        """See :meth:`Emsp.relay`."""
        from ocpi_emsp.resources.relay import AsyncRelay

        return AsyncRelay(self._contexts, publish, batch)

    def joined(self, connection: Any) -> AbstractAsyncContextManager[None]:
        """Do the same as :meth:`Emsp.joined`, also for an AsyncConnection or AsyncSession of SQLAlchemy."""
        return joinable(self._contexts.setup.store).ajoined(connection)

    def partner(self, party: PartyLike) -> AsyncPartner:
        """See :meth:`Emsp.partner`."""
        from ocpi_emsp.resources.partner import AsyncPartner

        return AsyncPartner(self._contexts, party)
