"""An eMSP and its partner without a network: a simulated CPO in a loop of its own, or a scripted one.

Calls are made by either client; the answers to both are the same, whoever carries them.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal, TypeAlias, TypeVar

import anyio
import httpx
from anyio.from_thread import BlockingPortal, start_blocking_portal
from attrs import define

from ocpi_emsp import Emsp
from ocpi_emsp.models import CommandResponseType
from ocpi_emsp.ports import AnyStore
from ocpi_emsp.resources import (
    AsyncClient,
    AsyncListing,
    AsyncPendingCommand,
    Client,
    Listing,
    Party,
    PendingCommand,
)
from ocpi_emsp.storage import MemoryStore, SqlStore
from ocpi_emsp.testing.cpo import Received, SimulatedCpo
from our_emsp import make_emsp, register
from scripted_cpo import Handler, clients

T = TypeVar("T")
Mode: TypeAlias = Literal["sync", "async"]
MODES: tuple[Mode, ...] = ("sync", "async")

ORIGIN = "https://cpo.test"
BASE = f"{ORIGIN}/cpo/2.1.1"


# --- a scripted CPO -------------------------------------------------------------------------------------------------


def in_turn(*responses: httpx.Response | Exception) -> Handler:
    """One answer after the other; more requests than answers are a failure."""
    left: Iterator[httpx.Response | Exception] = iter(responses)

    def answer(request: httpx.Request) -> httpx.Response:
        response = next(left, None)
        assert response is not None, f"nobody expected {request.method} {request.url}"
        if isinstance(response, Exception):
            raise response
        return response

    return answer


def facing(server: Handler, **settings: Any) -> Emsp:
    """An eMSP whose every request is answered by ``server``."""
    return make_emsp(**clients(server), **settings)


def registered(server: Handler, **settings: Any) -> Emsp:
    """An eMSP at which NL-TNM, behind ``server``, is registered."""
    emsp = facing(server, **settings)
    register_tnm(emsp)
    return emsp


def register_tnm(emsp: Emsp) -> str:
    """Register NL-TNM, at ORIGIN, by its own POST of its credentials; the token that it got."""
    return register(emsp, url=f"{ORIGIN}/cpo/versions")


# --- calls of either mode -----------------------------------------------------------------------------------------


@define
class Drained:
    """What a list gave until it ended."""

    ids: list[str]
    total: int | None
    rejected: list[tuple[bytes, list[str]]]
    notes: list[str]
    error: Exception | None = None


def drain(emsp: Emsp, mode: Mode, name: str = "locations", **parameters: Any) -> Drained:
    """Every object of a list of NL-TNM; an error ends it and is kept."""
    if mode == "async":
        return anyio.run(lambda: drain_async(emsp, name, **parameters))
    with emsp.partner("NL-TNM").client() as client:
        listing: Listing[Any] = getattr(client, name)(**parameters)
        ids: list[str] = []
        error = None
        try:
            ids.extend(item.id for item in listing)
        except Exception as raised:  # noqa: BLE001 # the test looks at it
            error = raised
        return _drained(listing, ids, error)


async def drain_async(emsp: Emsp, name: str, **parameters: Any) -> Drained:
    async with emsp.aio.partner("NL-TNM").client() as client:
        listing: AsyncListing[Any] = getattr(client, name)(**parameters)
        ids: list[str] = []
        error = None
        try:
            async for item in listing:
                ids.append(item.id)
        except Exception as raised:  # noqa: BLE001 # the test looks at it
            error = raised
        return _drained(listing, ids, error)


def _drained(listing: Listing[Any] | AsyncListing[Any], ids: list[str], error: Exception | None) -> Drained:
    rejected = [(each.document, [found.pointer for found in each.findings]) for each in listing.rejected]
    return Drained(ids, listing.total, rejected, listing.notes, error)


def call(emsp: Emsp, mode: Mode, name: str, *args: Any, **kwargs: Any) -> Any:
    """The result of one method of a client of NL-TNM."""
    if mode == "sync":
        with emsp.partner("NL-TNM").client() as client:
            return getattr(client, name)(*args, **kwargs)

    async def run() -> Any:
        async with emsp.aio.partner("NL-TNM").client() as client:
            return await getattr(client, name)(*args, **kwargs)

    return anyio.run(run)


# --- a simulated CPO ------------------------------------------------------------------------------------------------


class PortalTransport(httpx.BaseTransport):
    """A blocking client's way to an ASGI application that runs in another thread's loop."""

    def __init__(self, portal: BlockingPortal, app: Any) -> None:
        self._portal = portal
        self._inner = httpx.ASGITransport(app=app)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        async def exchange() -> httpx.Response:
            asked = httpx.Request(request.method, request.url, headers=request.headers, content=request.read())
            response = await self._inner.handle_async_request(asked)
            return httpx.Response(response.status_code, headers=response.headers, content=await response.aread())

        return self._portal.call(exchange)


@define
class Pair:
    """An eMSP and a simulated CPO that are registered with each other."""

    emsp: Emsp
    cpo: SimulatedCpo
    portal: BlockingPortal
    mode: Mode

    def register(self, token_a: str, *, base64_token: bool = False) -> Party:
        """The handshake that the eMSP starts."""
        url = self.cpo.versions_url
        if self.mode == "sync":
            return self.emsp.parties.register(url, token_a=token_a, base64_token=base64_token)

        async def run() -> Party:
            return await self.emsp.aio.parties.register(url, token_a=token_a, base64_token=base64_token)

        return self.portal.call(run)

    def call(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """The result of one method of the eMSP's client."""
        if self.mode == "sync":
            return call(self.emsp, "sync", name, *args, **kwargs)

        async def run(client: AsyncClient) -> Any:
            return await getattr(client, name)(*args, **kwargs)

        return self.awaited(run)

    def drain(self, name: str = "locations", **parameters: Any) -> Drained:
        if self.mode == "sync":
            return drain(self.emsp, "sync", name, **parameters)
        return self.portal.call(lambda: drain_async(self.emsp, name, **parameters))

    def awaited(self, use: Callable[[AsyncClient], Awaitable[T]]) -> T:
        async def run() -> T:
            async with self.emsp.aio.partner("NL-TNM").client() as client:
                return await use(client)

        return self.portal.call(run)

    def client(self) -> Client:
        return self.emsp.partner("NL-TNM").client()

    def outcome(self, pending: PendingCommand | AsyncPendingCommand) -> CommandResponseType:
        """What became of a command, awaited in its mode."""
        if isinstance(pending, PendingCommand):
            return pending.result(timeout=60)

        async def run() -> CommandResponseType:
            return await pending.result(10)

        return self.portal.call(run)

    def received(self, module: str) -> list[Received]:
        """The requests that the CPO got for a module."""
        return [each for each in self.cpo.received if f"/2.1.1/{module}" in each.path]


@contextmanager
def simulated(
    mode: Mode, settings: Mapping[str, Any], *, base64_token: bool = False, store: AnyStore | None = None
) -> Iterator[Pair]:
    """A pair; the eMSP ran the handshake."""
    cpo = SimulatedCpo(url=ORIGIN, **settings)
    with start_blocking_portal() as portal:
        emsp = make_emsp(
            http_client=lambda: httpx.Client(transport=PortalTransport(portal, cpo.app)),
            aio_http_client=lambda: httpx.AsyncClient(transport=httpx.ASGITransport(app=cpo.app)),
            store=store or MemoryStore(),
        )
        cpo.transport = httpx.ASGITransport(app=emsp.asgi())
        pair = Pair(emsp, cpo, portal, mode)
        pair.register(cpo.invite().token_a, base64_token=base64_token)
        try:
            yield pair
        finally:
            portal.call(cpo.aclose)
            if isinstance(store, SqlStore):
                portal.call(store.aclose)


async def endless() -> AsyncIterator[bytes]:
    """A body without an end, for an async client."""
    while True:
        yield b" " * 1024
