"""Connections to checked addresses: a name is resolved once, every address is checked, and one is connected to.

Rules of this module:
- no resolution happens between the check and the connection, so a name that resolves differently the second time (DNS
  rebinding) has no effect; TLS and its certificate use the name;
- one forbidden address rejects all of them: an honest host has none;
- each new connection resolves and checks again; one that is kept alive stays at its address;
- resolving and connecting share the time to connect; no address takes all of it;
- neither library accepts a backend for its transport, so its pool is replaced, by a private name: if that is missing,
  no transport is created.

Packages that were considered; none supports both libraries and both modes:
- httpx-secure: httpx and async only; connects once to find the address;
- drawbridge: httpx only; rewrites the URL, so no connection stays alive;
- egressweave: httpx and async only, a client for each URL;
- safehttpx: httpx2 and async only; accepts the first good answer among bad ones, a client for each request.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Iterable, Sequence
from ipaddress import ip_address
from itertools import chain, zip_longest
from types import ModuleType
from typing import Any, TypeAlias

from ocpi_emsp import _bridge, _hooks
from ocpi_emsp.ports import DeadlinePassed, Mode
from ocpi_emsp.transports.deadline import TimedBackend
from ocpi_emsp.transports.library import core_library, http_library
from ocpi_emsp.transports.trust import ssl_context
from ocpi_emsp.transports.wire_bytes import AsyncCountedBackend
from ocpi_emsp.url_policy import UrlPolicy

Resolver: TypeAlias = Callable[[str, int], Iterable[str]]
"""Returns the addresses of a host, for a port. It may block: it runs in a thread, which is abandoned after the
timeout.
"""

RESOLVER_THREADS = 32
"""Names that are resolved at once. One that hangs only costs its thread."""
RESOLVE_SECONDS = 30.0
"""Seconds for resolving a name if the client sets no time to connect."""
ATTEMPT_SECONDS = 2.0
"""Seconds for one address while there are others: a lost SYN is sent again after one second."""
MOST_ADDRESSES = 8
"""Addresses of a host that are tried. All of them are checked."""

_THREADS = _hooks.HookThreads(RESOLVER_THREADS)


def resolve(host: str, port: int) -> Iterable[str]:
    """Resolve with the system's resolver. Raises OSError."""
    return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def pinned_transport(
    policy: UrlPolicy,
    *,
    library: ModuleType | None = None,
    resolver: Resolver = resolve,
    verify: ssl.SSLContext | bool = True,
    limits: Any = None,
) -> Any:
    """Return a transport for a blocking client that only connects to addresses that the policy allows.

        http_client=lambda: httpx2.Client(transport=pinned_transport(policy), timeout=10)

    ``library`` is the client's module, httpx2 or httpx (default: the installed one), ``limits`` its ``Limits``. Raises
    ModuleNotFoundError if neither is installed, InvalidEnvironment. A client with a transport of its own uses no proxy
    of the environment.
    """
    return _transport("sync", policy, library, resolver, verify, limits)


def aio_pinned_transport(
    policy: UrlPolicy,
    *,
    library: ModuleType | None = None,
    resolver: Resolver = resolve,
    verify: ssl.SSLContext | bool = True,
    limits: Any = None,
) -> Any:
    """Return a transport like :func:`pinned_transport`, for an async client."""
    return _transport("async", policy, library, resolver, verify, limits)


def _transport(mode: Mode, policy: UrlPolicy, library: Any, resolver: Resolver, verify: Any, limits: Any) -> Any:
    http = http_library() if library is None else library
    core = core_library(http)
    context = verify if isinstance(verify, ssl.SSLContext) else ssl_context(http, verify=verify)
    limits = limits or http.Limits(max_connections=100, max_keepalive_connections=20)
    is_sync, pinned = mode == "sync", (core, policy, resolver)
    pool = core.ConnectionPool if is_sync else core.AsyncConnectionPool
    made = (http.HTTPTransport if is_sync else http.AsyncHTTPTransport)(verify=context)
    if not isinstance(getattr(made, "_pool", None), pool):
        raise RuntimeError(f"this version of {http.__name__} is not known: addresses cannot be pinned")
    # Neither library accepts a network backend for its transport; both accept one for its pool.
    made._pool = pool(
        ssl_context=context,
        max_connections=limits.max_connections,
        max_keepalive_connections=limits.max_keepalive_connections,
        keepalive_expiry=limits.keepalive_expiry,
        network_backend=TimedBackend(PinnedBackend(*pinned))
        if is_sync
        else AsyncCountedBackend(AsyncPinnedBackend(*pinned)),
    )
    return made


class _Connecting:
    """Resolves, checks and connects, in one of two modes. ``core``: httpcore2 or httpcore."""

    def __init__(self, mode: Mode, core: Any, policy: UrlPolicy, resolver: Resolver) -> None:
        self.backend = core.SyncBackend() if mode == "sync" else core.AnyIOBackend()
        self._mode: Mode = mode
        self._core = core
        self._policy = policy
        self._resolver = resolver

    async def __call__(self, host: str, port: int, timeout: float | None, **options: Any) -> Any:
        """Return a connection. Raises UnsafeUrl, and the library's errors: ConnectError, ConnectTimeout."""
        end = None if timeout is None else time.monotonic() + timeout
        addresses = await self._addresses(host, port, timeout)
        for address in addresses:
            self._policy.check_address(address, host)
        failure: Exception = self._core.ConnectError(f"{host} has no address")
        tried = _interleaved(addresses)[:MOST_ADDRESSES]
        for left, address in zip(range(len(tried), 0, -1), tried, strict=True):
            try:
                return await self._connect(address, port, self._share(end, left), options)
            except (self._core.ConnectError, self._core.ConnectTimeout) as error:
                failure = error
        raise failure

    async def _connect(self, address: str, port: int, timeout: float | None, options: dict[str, Any]) -> Any:
        opening = self.backend.connect_tcp(address, port, timeout=timeout, **options)
        return opening if self._mode == "sync" else await opening

    async def _addresses(self, host: str, port: int, timeout: float | None) -> Sequence[str]:
        """Return the addresses, each once, in the resolver's order. Raises ConnectError, ConnectTimeout."""
        if _is_address(host):
            return [host]
        deadline = _hooks.Deadline(RESOLVE_SECONDS if timeout is None else timeout, _THREADS)
        try:
            found = await _hooks.hook_in_time(self._mode, self._resolver, deadline)(host, port)
            return list(dict.fromkeys(found))
        except DeadlinePassed as error:
            raise self._core.ConnectTimeout(f"{host} was not resolved: {error}") from error
        except Exception as error:
            raise self._core.ConnectError(f"{host} was not resolved: {error}") from error

    def _share(self, end: float | None, left: int) -> float | None:
        """Return the seconds for the next of ``left`` addresses. Raises ConnectTimeout if none are left."""
        if end is None:
            return None if left == 1 else ATTEMPT_SECONDS
        rest = end - time.monotonic()
        if rest <= 0:
            raise self._core.ConnectTimeout("timed out")
        return rest if left == 1 else min(rest / left, ATTEMPT_SECONDS)


class PinnedBackend:
    """A NetworkBackend of httpcore2 or httpcore that connects to checked addresses."""

    def __init__(self, core: Any, policy: UrlPolicy, resolver: Resolver) -> None:
        self._connecting = _Connecting("sync", core, policy, resolver)

    def connect_tcp(self, host: str, port: int, timeout: float | None = None, **options: Any) -> Any:
        """Open a connection to one of the host's addresses."""
        return _bridge.run(self._connecting(host, port, timeout, **options))

    def sleep(self, seconds: float) -> None:
        """Wait before a connection is tried again."""
        self._connecting.backend.sleep(seconds)


class AsyncPinnedBackend:
    """An AsyncNetworkBackend, like :class:`PinnedBackend`."""

    def __init__(self, core: Any, policy: UrlPolicy, resolver: Resolver) -> None:
        self._connecting = _Connecting("async", core, policy, resolver)

    async def connect_tcp(self, host: str, port: int, timeout: float | None = None, **options: Any) -> Any:
        """Open a connection to one of the host's addresses."""
        return await self._connecting(host, port, timeout, **options)

    async def sleep(self, seconds: float) -> None:
        """Wait before a connection is tried again."""
        await self._connecting.backend.sleep(seconds)


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _interleaved(addresses: Sequence[str]) -> list[str]:
    """Return IPv6 and IPv4 addresses in turn, beginning with the family of the first (RFC 8305 4): one may be
    unreachable.

    They are tried one after the other. RFC 8305 would try them at once, but the same code serves both modes.
    """
    first = [each for each in addresses if (":" in each) == (":" in addresses[0])]
    second = [each for each in addresses if each not in first]
    return [each for each in chain.from_iterable(zip_longest(first, second)) if each is not None]
