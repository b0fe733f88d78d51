"""The Send port over httpx, sync and async, for any httpx-compatible client.

Rules of this module:
- httpx's errors are mapped here and nowhere else, with the word whether the same GET may succeed a little later;
- an error about what we send is not quoted: it may hold the token;
- redirects are not followed, whatever the client does by itself: the url policy has not seen where they lead, and the
  token may go along;
- an answer is read up to a limit of bytes and of time: an endless body, fast or slow, ends as an error. The async shell
  cancels the whole exchange; the sync shell looks at the time after each read of the body, so it ends at most one read
  timeout later;
- a request may have limits of its own (``most_bytes``, ``most_seconds``), which only lower those of the port; then no
  wait is longer than ``most_seconds`` either.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeAlias, TypeVar

import httpx

from ocpi_emsp._bridge import at_most
from ocpi_emsp.errors import TransportFailed
from ocpi_emsp.wire import Request, Response

ClientFactory: TypeAlias = Callable[[], httpx.Client]
AsyncClientFactory: TypeAlias = Callable[[], httpx.AsyncClient]
C = TypeVar("C")

_ERRORS = (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, UnicodeError)
"""UnicodeError: httpx raises it for a header, such as our token, that is not ASCII."""
_PASSING = (httpx.TimeoutException, httpx.NetworkError, httpx.ProxyError, httpx.RemoteProtocolError)
"""What may be over a little later; RemoteProtocolError is also a connection that ends within an answer."""
_WORDS: dict[type[Exception], str] = {
    httpx.ConnectTimeout: "connecting timed out",
    httpx.ReadTimeout: "waiting for the response timed out",
    httpx.WriteTimeout: "sending the request timed out",
    httpx.PoolTimeout: "waiting for a free connection timed out",
    httpx.ConnectError: "cannot connect",
    httpx.ProxyError: "the proxy failed",
    httpx.NetworkError: "the connection broke",
    httpx.RemoteProtocolError: "the response is not valid HTTP",
    httpx.DecodingError: "cannot decode the response",
    httpx.InvalidURL: "invalid URL",
    httpx.UnsupportedProtocol: "invalid URL",
    httpx.LocalProtocolError: "the token or URL cannot be sent in a header",
    UnicodeError: "the token or URL cannot be sent in a header",
}


def default_client(timeout: float, connect: float | None = None) -> httpx.Client:
    """Return a client with timeouts; it uses the environment's proxies but not .netrc, which would replace the token.

    ``timeout``: seconds for each read and write; ``connect``: seconds for a connection, if different.
    """
    return httpx.Client(timeout=_timeouts(timeout, connect), follow_redirects=False, auth=_no_auth)


def default_async_client(timeout: float, connect: float | None = None) -> httpx.AsyncClient:
    """Like :func:`default_client`, async."""
    return httpx.AsyncClient(timeout=_timeouts(timeout, connect), follow_redirects=False, auth=_no_auth)


def _timeouts(timeout: float, connect: float | None) -> httpx.Timeout:
    return httpx.Timeout(timeout, connect=timeout if connect is None else connect)


def _no_auth(request: httpx.Request) -> httpx.Request:
    return request


class _Sending(Generic[C]):
    def __init__(self, client: C, limit: int, total: float | None = None) -> None:
        self._client = client
        self._limit = limit
        self._total = total

    def _check_size(self, request: Request, body: bytearray) -> None:
        limit = self._limit if request.most_bytes is None else min(self._limit, request.most_bytes)
        if len(body) > limit:
            raise _error(request, f"the response exceeds the limit of {limit} bytes")

    def _seconds(self, request: Request) -> float | None:
        """How long the answer may take."""
        return _shorter(self._total, request.most_seconds)

    def _too_slow(self, request: Request) -> TransportFailed:
        """Not to be repeated: it would take as long again."""
        return _error(request, f"the response took longer than the limit of {self._seconds(request):.3g} s")


class HttpxSend(_Sending[httpx.Client]):
    """Send with a blocking client. ``limit``: the most bytes of a response; ``total``: the most seconds for it."""

    async def __call__(self, request: Request) -> Response:
        seconds = self._seconds(request)
        end = None if seconds is None else time.monotonic() + seconds
        try:
            with self._client.stream(**_sent(request), **self._waits(request)) as answer:
                body = bytearray()
                for chunk in answer.iter_bytes():
                    body += chunk
                    self._check_size(request, body)
                    if end is not None and time.monotonic() > end:
                        raise self._too_slow(request)
                return _response(answer, body)
        except _ERRORS as error:
            if end is not None and time.monotonic() > end:
                raise self._too_slow(request) from error
            raise _failed(request, error) from error

    def _waits(self, request: Request) -> dict[str, Any]:
        """The client's timeouts for connecting, reading, writing and the pool, no longer than the request may take."""
        if request.most_seconds is None:
            return {}
        known = self._client.timeout
        waits = known.connect, known.read, known.write, known.pool
        return {"timeout": tuple(_shorter(wait, request.most_seconds) for wait in waits)}


class AsyncHttpxSend(_Sending[httpx.AsyncClient]):
    """Send with an async client. ``limit``: the most bytes of a response; ``total``: the most seconds for it."""

    async def __call__(self, request: Request) -> Response:
        try:
            with at_most(self._seconds(request)):
                return await self._exchange(request)
        except _ERRORS as error:
            raise _failed(request, error) from error
        raise self._too_slow(request)

    async def _exchange(self, request: Request) -> Response:
        async with self._client.stream(**_sent(request)) as answer:
            body = bytearray()
            async for chunk in answer.aiter_bytes():
                body += chunk
                self._check_size(request, body)
            return _response(answer, body)


def _shorter(one: float | None, other: float | None) -> float | None:
    """The shorter of two times; None is for ever."""
    return min((each for each in (one, other) if each is not None), default=None)


def _sent(request: Request) -> dict[str, Any]:
    """The arguments of a client's ``stream``."""
    return {
        "method": request.method,
        "url": request.url,
        "headers": request.headers,
        "content": request.body or None,
        "follow_redirects": False,
        "auth": _no_auth,
    }


def _response(answer: httpx.Response, body: bytearray) -> Response:
    return Response(answer.status_code, [(name.lower(), value) for name, value in answer.headers.items()], bytes(body))


def _failed(request: Request, error: Exception) -> TransportFailed:
    what = next((words for kind, words in _WORDS.items() if isinstance(error, kind)), "the request failed")
    quoted = str(error) and not isinstance(error, httpx.LocalProtocolError | UnicodeError)
    untrusted = any(isinstance(cause, ssl.SSLCertVerificationError) for cause in _causes(error))
    retryable = isinstance(error, _PASSING) and not untrusted
    return _error(request, f"{what}{f': {error}' if quoted else ''}", retryable=retryable)


def _error(request: Request, reason: str, *, retryable: bool = False) -> TransportFailed:
    message = f"{request.method} {request.url}: {reason}"
    return TransportFailed(message, method=request.method, url=request.url, retryable=retryable)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
