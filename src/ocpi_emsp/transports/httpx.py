"""The Send port over httpx2 or httpx, sync and async, for any client with their API.

Rules of this module:
- only this module maps the libraries' errors, and says whether the same GET may succeed a little later; the names of
  the errors are the same in both;
- an error about the sent request is not quoted: it may hold the token;
- redirects are not followed, whatever the client's settings: the URL policy has not seen their target, and the token
  would go along;
- a body is read as it arrives and decoded here, whatever a client's own decoders do with a bomb;
- a response is limited in bytes, as sent and decoded, and in time: an endless one, fast or slow, becomes an error. The
  async shell cancels the whole exchange; the sync shell has a client whose sockets observe the deadline (deadline.py).
  A user's own client need not: then the time is checked after each read of the body, so it ends at most one read
  timeout later, and a head that drips only ends by the client's own limits;
- bytes beside the body, in heads and between chunks, are bounded by the connections (wire_bytes.py);
- a request may have limits of its own (``most_bytes``, ``most_seconds``), which only lower those of the port; then no
  wait is longer than ``most_seconds`` either.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeAlias, TypeVar

from ocpi_emsp._bridge import at_most
from ocpi_emsp.errors import TransportFailed
from ocpi_emsp.transports.deadline import OutOfTime, keep_deadlines, until
from ocpi_emsp.transports.decoding import ACCEPTED, CannotDecode, decoder
from ocpi_emsp.transports.library import http_errors, http_library
from ocpi_emsp.transports.pinned import aio_pinned_transport, pinned_transport
from ocpi_emsp.transports.proxies import proxies
from ocpi_emsp.transports.trust import ssl_context
from ocpi_emsp.transports.wire_bytes import TooMuchSent, WireBytes, count_reads, counting
from ocpi_emsp.url_policy import UrlPolicy
from ocpi_emsp.wire import Request, Response

if TYPE_CHECKING:
    from ocpi_emsp.transports.library import http


class HttpResponse(Protocol):
    """The part of a response that is used, of either library."""

    status_code: int
    is_stream_consumed: bool

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers by name; values of one name are joined."""

    @property
    def content(self) -> bytes:
        """The body, if it was already read."""


class BlockingResponse(HttpResponse, Protocol):
    """:class:`HttpResponse` of a blocking client."""

    def iter_raw(self) -> Iterator[bytes]:
        """Yield the body as sent."""


class AwaitedResponse(HttpResponse, Protocol):
    """:class:`HttpResponse` of an async client."""

    def aiter_raw(self) -> AsyncIterator[bytes]:
        """Yield the body as sent."""


class HttpClient(Protocol):
    """The part of an ``httpx2.Client`` or ``httpx.Client`` that is used."""

    @property
    def timeout(self) -> Any:
        """Seconds for ``connect``, ``read``, ``write``, and for a slot in the ``pool``."""

    def stream(
        self,
        method: str,
        url: str,
        *,
        headers: Any,
        content: bytes | None,
        auth: Any,
        follow_redirects: bool,
        timeout: Any = ...,
    ) -> AbstractContextManager[BlockingResponse]:
        """Send a request; the body is read inside the block."""

    def close(self) -> None:
        """Close the connections."""


class AsyncHttpClient(Protocol):
    """The part of an ``httpx2.AsyncClient`` or ``httpx.AsyncClient`` that is used."""

    def stream(
        self, method: str, url: str, *, headers: Any, content: bytes | None, auth: Any, follow_redirects: bool
    ) -> AbstractAsyncContextManager[AwaitedResponse]:
        """Send a request; the body is read inside the block."""

    async def aclose(self) -> None:
        """Close the connections."""


ClientFactory: TypeAlias = Callable[[], HttpClient]
AsyncClientFactory: TypeAlias = Callable[[], AsyncHttpClient]
C = TypeVar("C", bound=HttpClient | AsyncHttpClient)

_PASSING = frozenset({"TimeoutException", "NetworkError", "ProxyError", "RemoteProtocolError"})
"""Errors that may be over a little later; RemoteProtocolError also means a connection that ends within a response."""
_WORDS = {
    "ConnectTimeout": "connecting timed out",
    "ReadTimeout": "waiting for the response timed out",
    "WriteTimeout": "sending the request timed out",
    "PoolTimeout": "waiting for a free connection timed out",
    "ConnectError": "cannot connect",
    "ProxyError": "the proxy failed",
    "NetworkError": "the connection broke",
    "RemoteProtocolError": "the response is not valid HTTP",
    "DecodingError": "cannot decode the response",
    "CannotDecode": "cannot decode the response",
    "TooMuchSent": "the response exceeds its limit",
    "InvalidURL": "invalid URL",
    "UnsupportedProtocol": "invalid URL",
    "LocalProtocolError": "the token or URL cannot be sent in a header",
    "UnicodeError": "the token or URL cannot be sent in a header",
}
"""Messages by the name of an error or of its base class."""
_UNQUOTED = frozenset({"LocalProtocolError", "UnicodeError"})


def default_client(policy: UrlPolicy, timeout: float, connect: float | None = None) -> http.Client:
    """Return a client that only connects to addresses that the policy allows (pinned.py).

    It uses the environment's proxies, which resolve names, so that the policy only checks the URL, but not .netrc,
    which would replace the token. ``timeout``: seconds for each read and write; ``connect``: seconds for a connection,
    if different. Raises ModuleNotFoundError if neither httpx2 nor httpx is installed, InvalidEnvironment.
    """
    library, context = http_library(), _trusted()
    mounts = proxies(library, library.HTTPTransport, context)
    keep_deadlines(list(mounts.values()))
    made: http.Client = library.Client(
        transport=pinned_transport(policy, verify=context),
        mounts=mounts,
        **_settings(timeout, connect),
    )
    return made


def default_async_client(policy: UrlPolicy, timeout: float, connect: float | None = None) -> http.AsyncClient:
    """Return an async client like :func:`default_client`."""
    library, context = http_library(), _trusted()
    mounts = proxies(library, library.AsyncHTTPTransport, context)
    count_reads(list(mounts.values()))
    made: http.AsyncClient = library.AsyncClient(
        transport=aio_pinned_transport(policy, verify=context),
        mounts=mounts,
        **_settings(timeout, connect),
    )
    return made


def _trusted() -> ssl.SSLContext:
    """Return one context for all transports of a client: creating it takes longer than a call."""
    return ssl_context(http_library())


def _settings(timeout: float, connect: float | None) -> dict[str, Any]:
    timeouts = http_library().Timeout(timeout, connect=timeout if connect is None else connect)
    from ocpi_emsp._version import __version__

    headers = {"User-Agent": f"ocpi-emsp/{__version__}"}
    return {"timeout": timeouts, "headers": headers, "follow_redirects": False, "auth": _no_auth}


def _no_auth(request: Any) -> Any:
    return request


_OTHERS = (UnicodeError, CannotDecode, TooMuchSent)
"""UnicodeError: both libraries raise it for a header that is not ASCII, such as our token."""


class _Body:
    """The body of one response, decoded as it arrives. The limit of ``wire`` applies to the sent and the decoded
    bytes.
    """

    def __init__(self, request: Request, answer: HttpResponse, wire: WireBytes) -> None:
        self.content = bytearray()
        self._request = request
        self._wire = wire
        self._limit = wire.limit
        self._sent = 0
        self.is_read = answer.is_stream_consumed
        """A hook of the client has read it already, and decoded it as the client does."""
        self._decoder = decoder(None if self.is_read else answer.headers.get("content-encoding"))
        if self.is_read:
            self.take(answer.content)

    def take(self, chunk: bytes) -> None:
        """Decode a part as sent. Raises TransportFailed over the limit, TooMuchSent, CannotDecode."""
        self._sent += len(chunk)
        self._check(self._sent)
        if not self.is_read:
            self._wire.check_body(self._sent)
        for decoded in self._decoder.decode(chunk):
            self._check(len(self.content) + len(decoded))
            self.content += decoded

    def end(self) -> None:
        """Raise CannotDecode if the end is missing."""
        self._decoder.end()

    def _check(self, size: int) -> None:
        if size > self._limit:
            raise _error(self._request, f"the response exceeds the limit of {self._limit} bytes")


class _Sending(Generic[C]):
    def __init__(self, client: C, limit: int, total: float | None = None) -> None:
        self._client = client
        self._limit = limit
        self._total = total

    def _counting(self, request: Request) -> AbstractContextManager[WireBytes]:
        return counting(self._limit if request.most_bytes is None else min(self._limit, request.most_bytes))

    def _seconds(self, request: Request) -> float | None:
        """Return how long the response may take."""
        return _shorter(self._total, request.most_seconds)

    def _too_slow(self, request: Request) -> TransportFailed:
        """Return an error that is not retryable: it would take as long again."""
        return _error(request, f"the response took longer than the limit of {self._seconds(request):.3g} s")


class HttpxSend(_Sending[HttpClient]):
    """Send with a blocking client. ``limit``: the most bytes of a response; ``total``: the most seconds for it."""

    async def __call__(self, request: Request) -> Response:
        seconds = self._seconds(request)
        end = None if seconds is None else time.monotonic() + seconds
        try:
            with (
                until(end),
                self._counting(request) as wire,
                self._client.stream(**_sent(request), **self._waits(request)) as answer,
            ):
                body = _Body(request, answer, wire)
                if body.is_read:
                    return _response(answer, body.content)
                for chunk in answer.iter_raw():
                    body.take(chunk)
                    if end is not None and time.monotonic() > end:
                        raise self._too_slow(request)
                body.end()
                return _response(answer, body.content)
        except OutOfTime:
            raise self._too_slow(request) from None
        except http_errors(*_OTHERS) as error:
            if end is not None and time.monotonic() > end:
                raise self._too_slow(request) from error
            raise _failed(request, error) from error

    def _waits(self, request: Request) -> dict[str, Any]:
        """Return the client's timeouts for connecting, reading, writing and the pool, at most the request's own
        limit.
        """
        if request.most_seconds is None:
            return {}
        known = self._client.timeout
        waits = known.connect, known.read, known.write, known.pool
        return {"timeout": tuple(_shorter(wait, request.most_seconds) for wait in waits)}


class AsyncHttpxSend(_Sending[AsyncHttpClient]):
    """Send with an async client. ``limit``: the most bytes of a response; ``total``: the most seconds for it."""

    async def __call__(self, request: Request) -> Response:
        try:
            with at_most(self._seconds(request)):
                return await self._exchange(request)
        except http_errors(*_OTHERS) as error:
            raise _failed(request, error) from error
        raise self._too_slow(request)

    async def _exchange(self, request: Request) -> Response:
        with self._counting(request) as wire:
            return await self._read(request, wire)

    async def _read(self, request: Request, wire: WireBytes) -> Response:
        async with self._client.stream(**_sent(request)) as answer:
            body = _Body(request, answer, wire)
            if body.is_read:
                return _response(answer, body.content)
            async for chunk in answer.aiter_raw():
                body.take(chunk)
            body.end()
            return _response(answer, body.content)


def _shorter(one: float | None, other: float | None) -> float | None:
    """Return the shorter of two times; None means no limit."""
    return min((each for each in (one, other) if each is not None), default=None)


def _sent(request: Request) -> dict[str, Any]:
    """Return the arguments of a client's ``stream``."""
    return {
        "method": request.method,
        "url": request.url,
        "headers": {"accept-encoding": ACCEPTED, **request.headers},
        "content": request.body or None,
        "follow_redirects": False,
        "auth": _no_auth,
    }


def _response(answer: HttpResponse, body: bytes | bytearray) -> Response:
    return Response(answer.status_code, [(name.lower(), value) for name, value in answer.headers.items()], bytes(body))


def _failed(request: Request, error: Exception) -> TransportFailed:
    names = [kind.__name__ for kind in type(error).__mro__]
    what = next((_WORDS[name] for name in names if name in _WORDS), "the request failed")
    quoted = str(error) and _UNQUOTED.isdisjoint(names)
    untrusted = any(isinstance(cause, ssl.SSLCertVerificationError) for cause in _causes(error))
    retryable = not _PASSING.isdisjoint(names) and not untrusted
    return _error(request, f"{what}{f': {error}' if quoted else ''}", retryable=retryable)


def _error(request: Request, reason: str, *, retryable: bool = False) -> TransportFailed:
    message = f"{request.method} {request.url}: {reason}"
    return TransportFailed(message, method=request.method, url=request.url, retryable=retryable)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
