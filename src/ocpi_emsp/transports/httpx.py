"""The Send port over httpx, sync and async, for any httpx-compatible client.

Rules of this module:
- httpx's errors are mapped here and nowhere else;
- an error about what we send is not quoted: it may hold the token;
- redirects are not followed: the token would go along;
- an answer is read up to a limit: an endless body ends as an error.
"""

from __future__ import annotations

import httpx

from ocpi_emsp.errors import TransportFailed
from ocpi_emsp.wire import Request, Response

_ERRORS = (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, UnicodeError)
"""UnicodeError: httpx raises it for a header, such as our token, that is not ASCII."""


def default_client(timeout: float) -> httpx.Client:
    """A client with bounded waits; the environment's proxies apply, its .netrc does not: it would replace the token."""
    return httpx.Client(timeout=timeout, follow_redirects=False, auth=_no_auth)


def default_async_client(timeout: float) -> httpx.AsyncClient:
    """Like :func:`default_client`, async."""
    return httpx.AsyncClient(timeout=timeout, follow_redirects=False, auth=_no_auth)


def _no_auth(request: httpx.Request) -> httpx.Request:
    return request


class HttpxSend:
    """Sends with a blocking client; never suspends."""

    def __init__(self, client: httpx.Client, limit: int) -> None:
        self._client = client
        self._limit = limit

    async def __call__(self, request: Request) -> Response:
        try:
            with self._client.stream(
                request.method, request.url, headers=request.headers, content=request.body or None
            ) as answer:
                body = bytearray()
                for chunk in answer.iter_bytes():
                    body += chunk
                    _check_size(request, body, self._limit)
                return _response(answer, body)
        except _ERRORS as error:
            raise _failed(request, error) from error


class AsyncHttpxSend:
    """Sends with an async client."""

    def __init__(self, client: httpx.AsyncClient, limit: int) -> None:
        self._client = client
        self._limit = limit

    async def __call__(self, request: Request) -> Response:
        try:
            async with self._client.stream(
                request.method, request.url, headers=request.headers, content=request.body or None
            ) as answer:
                body = bytearray()
                async for chunk in answer.aiter_bytes():
                    body += chunk
                    _check_size(request, body, self._limit)
                return _response(answer, body)
        except _ERRORS as error:
            raise _failed(request, error) from error


def _check_size(request: Request, body: bytearray, limit: int) -> None:
    if len(body) > limit:
        raise TransportFailed(
            f"{request.method} {request.url}: the answer is over the limit of {limit} bytes",
            method=request.method,
            url=request.url,
        )


def _response(answer: httpx.Response, body: bytearray) -> Response:
    return Response(answer.status_code, [(name.lower(), value) for name, value in answer.headers.items()], bytes(body))


def _failed(request: Request, error: Exception) -> TransportFailed:
    quoted = str(error) and not isinstance(error, httpx.LocalProtocolError | UnicodeError)
    reason = f"{type(error).__name__}: {error}" if quoted else type(error).__name__
    return TransportFailed(f"{request.method} {request.url}: {reason}", method=request.method, url=request.url)
