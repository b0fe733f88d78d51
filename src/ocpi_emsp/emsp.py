"""The composition root: identity, store, matrix, policies and hooks become handlers, clients and applications.

Rules of this module: it wires, and decides nothing; the sync shell gets ports that never suspend, the async shell
ports that may.
"""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from typing import Any, TypeAlias, TypeVar
from urllib.parse import urlsplit

import httpx
from attrs import frozen

from ocpi_emsp import _bridge
from ocpi_emsp.adapters.asgi import AsgiApp
from ocpi_emsp.adapters.wsgi import WsgiApp
from ocpi_emsp.check import Policy
from ocpi_emsp.client import AsyncClient, Client
from ocpi_emsp.codec import encode_valid
from ocpi_emsp.errors import InvalidObject
from ocpi_emsp.events import Event, RelayedEvent
from ocpi_emsp.flows import command, deliver, register
from ocpi_emsp.flows.command import SentCommand
from ocpi_emsp.flows.context import Context, Identity, Limits, UrlPolicy
from ocpi_emsp.flows.dispatch import dispatch
from ocpi_emsp.flows.parties import Party, Profile
from ocpi_emsp.flows.report import partner_report
from ocpi_emsp.kept import (
    AsyncEvents,
    AsyncRejections,
    AsyncRelay,
    AsyncTokens,
    Events,
    Rejections,
    Relay,
    Tokens,
    async_keep_doing,
    keep_doing,
)
from ocpi_emsp.models import AuthorizationInfo, BusinessDetails
from ocpi_emsp.ports import AnyStore, Clock, Colour, Store
from ocpi_emsp.report import PartnerReport
from ocpi_emsp.support import SupportMatrix
from ocpi_emsp.transports.httpx import AsyncHttpxSend, HttpxSend, default_async_client, default_client
from ocpi_emsp.wire import Request, Response

AuthorizeFunction = TypeVar("AuthorizeFunction", bound=Callable[..., AuthorizationInfo | Awaitable[AuthorizationInfo]])
ListenerFunction = TypeVar("ListenerFunction", bound=Callable[[Any], object])
PublishFunction: TypeAlias = Callable[[list[RelayedEvent]], object]
"""Publishes a batch of events, plain or async; what it raises keeps them for another try."""

_LONGEST_URL = 255 - len("/2.1.1/commands/UNLOCK_CONNECTOR/") - 24
"""What is left of a URL's 255 characters for the base below which a command's response_url lies."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """The time, aware, in UTC."""
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
    where a party has no policy of its own (:meth:`set_policy`). ``relayed`` says which kinds of events are journalled
    for a relay (:meth:`relay`), in whichever process that runs. ``http_client`` and ``async_http_client`` make the
    httpx clients that calls go through, for other timeouts, certificates or a test transport.

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
        clock: Clock | None = None,
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
        self._clock = clock or SystemClock()
        timeout = self.limits.timeout
        self._http_client = http_client or (lambda: default_client(timeout))
        self._async_http_client = async_http_client or (lambda: default_async_client(timeout))
        self._authorize: Callable[..., Any] | None = None
        self._listeners: list[tuple[type[Event], Callable[..., Any]]] = []
        self._stores: dict[Colour, Store] = {
            "sync": _bridge.lift_store(store, _bridge.in_place),
            "async": _bridge.lift_store(store, _bridge.in_thread),
        }
        self._contexts: dict[Colour, Context] = {}
        self.tokens = Tokens(lambda: self._context("sync"))
        self.async_tokens = AsyncTokens(lambda: self._context("async"))
        self.rejections = Rejections(lambda: self._context("sync"))
        self.async_rejections = AsyncRejections(lambda: self._context("async"))
        self.events = Events(lambda: self._context("sync"))
        self.async_events = AsyncEvents(lambda: self._context("async"))

    # --- hooks --------------------------------------------------------------------------------------------------

    def authorize(self, hook: AuthorizeFunction) -> AuthorizeFunction:
        """Register the function that decides real-time authorizations, plain or async.

        It gets the stored Token and the LocationReferences of the request, or None; it returns AuthorizationInfo, or
        raises NotEnoughInformation.
        """
        self._authorize = hook
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
        """:meth:`redeliver` every so many seconds until ``stop`` is set; outlives a store that fails.

        Run it beside a server, in a thread of its own.
        """
        keep_doing(self.redeliver, "delivering events", stop or threading.Event(), every)

    async def async_keep_delivering(self, *, every: float = 1.0) -> None:
        """:meth:`keep_delivering`, in a task, until it is cancelled."""
        await async_keep_doing(self.async_redeliver, "delivering events", every)

    def relay(self, publish: PublishFunction, *, batch: int = 100) -> Relay:
        """Hand the ``relayed`` events to ``publish``, up to ``batch`` at once, so that it sends them to a broker.

        ``publish`` gets a list of :class:`RelayedEvent` in order per object; each is handed over at least once. It has
        ``Limits.lease`` for a batch: after that, another relay may publish the same. Raises ValueError for an empty
        batch.
        """
        return Relay(lambda: self._context("sync"), publish, batch)

    def async_relay(self, publish: PublishFunction, *, batch: int = 100) -> AsyncRelay:
        """:meth:`relay`, awaited."""
        return AsyncRelay(lambda: self._context("async"), publish, batch)

    # --- serving ------------------------------------------------------------------------------------------------

    def asgi(self) -> AsgiApp:
        """The eMSP as an ASGI application; any ASGI server or framework mounts it."""
        return AsgiApp(self.handle_async, urlsplit(self.identity.url).path, self.limits.body)

    def wsgi(self) -> WsgiApp:
        """The eMSP as a WSGI application; any WSGI server or framework mounts it."""
        return WsgiApp(self.handle, urlsplit(self.identity.url).path, self.limits.body)

    def handle(self, request: Request) -> Response:
        """Answer one request from a partner, blocking."""
        return _bridge.run(dispatch(self._context("sync"), request))

    async def handle_async(self, request: Request) -> Response:
        """Answer one request from a partner."""
        return await dispatch(self._context("async"), request)

    # --- partners -----------------------------------------------------------------------------------------------

    def invite(self, country_code: str, party_id: str, *, base64_token: bool = False) -> Invitation:
        """Token A for a CPO that shall register with us. Raises InvalidObject where it is registered already."""
        profile = Profile(base64_token=base64_token)
        token = _bridge.run(register.invite(self._context("sync"), country_code, party_id, profile))
        return Invitation(self.identity.versions_url, token)

    async def async_invite(self, country_code: str, party_id: str, *, base64_token: bool = False) -> Invitation:
        """:meth:`invite`, awaited."""
        profile = Profile(base64_token=base64_token)
        token = await register.invite(self._context("async"), country_code, party_id, profile)
        return Invitation(self.identity.versions_url, token)

    def register(self, versions_url: str, *, token_a: str, base64_token: bool = False) -> Party:
        """Run the credentials handshake with the CPO that gave us ``token_a``.

        The CPO calls our server back meanwhile, so it has to be running. Raises UnsupportedVersion, MissingEndpoints,
        CannotUseApi, PartnerError.
        """
        profile = Profile(base64_token=base64_token)
        with self._http_client() as http:
            context = self._context("sync", HttpxSend(http, self.limits.answer))
            return _bridge.run(register.register(context, versions_url, token_a, profile))

    async def async_register(self, versions_url: str, *, token_a: str, base64_token: bool = False) -> Party:
        """:meth:`register`, awaited."""
        profile = Profile(base64_token=base64_token)
        async with self._async_http_client() as http:
            context = self._context("async", AsyncHttpxSend(http, self.limits.answer))
            return await register.register(context, versions_url, token_a, profile)

    def client(self, country_code: str, party_id: str) -> Client:
        """Calls to a registered CPO, blocking; use it as a context manager."""
        http = self._http_client()
        context = self._context("sync", HttpxSend(http, self.limits.answer))
        return Client(context, country_code, party_id, http.close)

    def async_client(self, country_code: str, party_id: str) -> AsyncClient:
        """Calls to a registered CPO; use it as an async context manager."""
        http = self._async_http_client()
        context = self._context("async", AsyncHttpxSend(http, self.limits.answer))
        return AsyncClient(context, country_code, party_id, http.aclose)

    def command(self, country_code: str, party_id: str, uid: str) -> SentCommand | None:
        """A command that we sent, with what became of it."""
        return _bridge.run(command.get_command(self._context("sync"), country_code, party_id, uid))

    async def async_command(self, country_code: str, party_id: str, uid: str) -> SentCommand | None:
        """:meth:`command`, awaited."""
        return await command.get_command(self._context("async"), country_code, party_id, uid)

    def set_policy(self, country_code: str, party_id: str, policy: Policy | None) -> None:
        """Say what of a party's payloads is refused; None takes the eMSP's own policy.

        Raises NotRegistered, ValueError for a rule that does not exist.
        """
        _bridge.run(register.set_policy(self._context("sync"), country_code, party_id, policy))

    async def async_set_policy(self, country_code: str, party_id: str, policy: Policy | None) -> None:
        """:meth:`set_policy`, awaited."""
        await register.set_policy(self._context("async"), country_code, party_id, policy)

    def set_matrix(self, country_code: str, party_id: str, matrix: SupportMatrix | None) -> None:
        """Say what is served to a party and called at it; None takes the eMSP's own matrix. Raises NotRegistered."""
        _bridge.run(register.set_matrix(self._context("sync"), country_code, party_id, matrix))

    async def async_set_matrix(self, country_code: str, party_id: str, matrix: SupportMatrix | None) -> None:
        """:meth:`set_matrix`, awaited."""
        await register.set_matrix(self._context("async"), country_code, party_id, matrix)

    def report(self, country_code: str, party_id: str) -> PartnerReport:
        """What a party deviates in, rule by rule, from what it sent: its objects as stored, and what was refused."""
        return _bridge.run(partner_report(self._context("sync"), country_code, party_id))

    async def async_report(self, country_code: str, party_id: str) -> PartnerReport:
        """:meth:`report`, awaited."""
        return await partner_report(self._context("async"), country_code, party_id)

    # --- wiring -------------------------------------------------------------------------------------------------

    def _context(self, colour: Colour, send: Any = None) -> Context:
        if send is not None:
            return self._make_context(colour, send)
        if colour not in self._contexts:
            self._contexts[colour] = self._make_context(colour, _ONE_SHOT[colour](self))
        return self._contexts[colour]

    def _make_context(self, colour: Colour, send: Any) -> Context:
        lift = _bridge.hook_for_sync if colour == "sync" else _bridge.hook_for_async
        return Context(
            identity=self.identity,
            matrix=self.matrix,
            limits=self.limits,
            url_policy=self._url_policy,
            policy=self._policy,
            required_modules=self._required_modules,
            store=self._stores[colour],
            clock=self._clock,
            send=send,
            authorize=lift(self._authorize) if self._authorize else None,
            listeners=[(event, lift(listener)) for event, listener in self._listeners],
            relayed=self._relayed,
        )


def _sync_one_shot(emsp: Emsp) -> Callable[[Request], Awaitable[Response]]:
    """Sends each request with a client of its own: for the few calls that a handler makes."""

    async def send(request: Request) -> Response:
        with emsp._http_client() as http:
            return await HttpxSend(http, emsp.limits.answer)(request)

    return send


def _async_one_shot(emsp: Emsp) -> Callable[[Request], Awaitable[Response]]:
    async def send(request: Request) -> Response:
        async with emsp._async_http_client() as http:
            return await AsyncHttpxSend(http, emsp.limits.answer)(request)

    return send


_ONE_SHOT: dict[Colour, Callable[[Emsp], Any]] = {"sync": _sync_one_shot, "async": _async_one_shot}


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
