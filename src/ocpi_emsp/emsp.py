"""The composition root: identity, store, matrix, policies and hooks become handlers, clients and applications.

Rules of this module: it wires, and decides nothing; the sync shell gets ports that never suspend, the async shell
ports that may.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias, TypeVar
from urllib.parse import urlsplit

import httpx
from attrs import frozen

from ocpi_emsp import _bridge
from ocpi_emsp.adapters.asgi import AsgiApp
from ocpi_emsp.adapters.wsgi import WsgiApp
from ocpi_emsp.client import AsyncClient, Client
from ocpi_emsp.codec import encode_valid
from ocpi_emsp.errors import InvalidObject
from ocpi_emsp.events import Event
from ocpi_emsp.flows import command, deliver, push, register
from ocpi_emsp.flows.command import SentCommand
from ocpi_emsp.flows.context import Context, Identity, Limits, UrlPolicy
from ocpi_emsp.flows.dispatch import dispatch
from ocpi_emsp.flows.parties import Party, Profile
from ocpi_emsp.models import AuthorizationInfo, BusinessDetails, Token, TokenType
from ocpi_emsp.ports import REJECTION, BlockingStore, Clock, Entry, Store
from ocpi_emsp.support import SupportMatrix
from ocpi_emsp.transports.httpx import AsyncHttpxSend, HttpxSend, default_async_client, default_client
from ocpi_emsp.wire import Request, Response

AuthorizeFunction = TypeVar("AuthorizeFunction", bound=Callable[..., AuthorizationInfo | Awaitable[AuthorizationInfo]])
ListenerFunction = TypeVar("ListenerFunction", bound=Callable[[Any], object])
Colour: TypeAlias = Literal["sync", "async"]

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
    ``https``, or ``loopback``, which also allows http to this machine. ``http_client`` and ``async_http_client`` make
    the httpx clients that calls go through, for other timeouts, certificates or a test transport.

    Raises ValueError for an identity that no partner could accept.
    """

    def __init__(
        self,
        *,
        country_code: str,
        party_id: str,
        name: str,
        url: str,
        store: Store | BlockingStore,
        business_details: BusinessDetails | None = None,
        matrix: SupportMatrix | None = None,
        limits: Limits | None = None,
        url_policy: UrlPolicy = "https",
        required_modules: Iterable[str] = (),
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
        self._required_modules = frozenset(module.lower() for module in required_modules)
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
        self.tokens = Tokens(self)
        self.async_tokens = AsyncTokens(self)

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
        """Try the events whose listener failed once more; the number that were delivered."""
        return _bridge.run(deliver.redeliver(self._context("sync")))

    async def async_redeliver(self) -> int:
        """:meth:`redeliver`, awaited."""
        return await deliver.redeliver(self._context("async"))

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

    def rejections(self, limit: int = 100) -> list[Entry]:
        """What partners sent and we refused, oldest first: raw bytes, route, party, findings."""
        return _bridge.run(_rejections(self._context("sync"), limit))

    async def async_rejections(self, limit: int = 100) -> list[Entry]:
        """:meth:`rejections`, awaited."""
        return await _rejections(self._context("async"), limit)

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
            required_modules=self._required_modules,
            store=self._stores[colour],
            clock=self._clock,
            send=send,
            authorize=lift(self._authorize) if self._authorize else None,
            listeners=[(event, lift(listener)) for event, listener in self._listeners],
        )


class Tokens:
    """Our drivers' tokens: what partners list, and what real-time authorization knows."""

    def __init__(self, emsp: Emsp) -> None:
        self._emsp = emsp

    def put(self, token: Token) -> None:
        """Insert or replace. Raises InvalidObject for a token that breaks the specification."""
        _bridge.run(push.store_token(self._emsp._context("sync"), token))

    def get(self, uid: str, token_type: TokenType = TokenType.RFID) -> Token | None:
        """The token, or None."""
        return _bridge.run(push.stored_token(self._emsp._context("sync"), uid, token_type))

    def list(self, *, offset: int = 0, limit: int = 100) -> list[Token]:
        """A page of tokens, oldest first."""
        return _bridge.run(push.stored_tokens(self._emsp._context("sync"), offset, limit))


class AsyncTokens:
    """:class:`Tokens`, awaited."""

    def __init__(self, emsp: Emsp) -> None:
        self._emsp = emsp

    async def put(self, token: Token) -> None:
        """Insert or replace. Raises InvalidObject for a token that breaks the specification."""
        await push.store_token(self._emsp._context("async"), token)

    async def get(self, uid: str, token_type: TokenType = TokenType.RFID) -> Token | None:
        """The token, or None."""
        return await push.stored_token(self._emsp._context("async"), uid, token_type)

    async def list(self, *, offset: int = 0, limit: int = 100) -> list[Token]:
        """A page of tokens, oldest first."""
        return await push.stored_tokens(self._emsp._context("async"), offset, limit)


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


async def _rejections(context: Context, limit: int) -> list[Entry]:
    async with context.store.transaction() as tx:
        return list(await tx.entries(REJECTION, limit=limit))


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
