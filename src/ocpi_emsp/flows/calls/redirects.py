"""Where a partner's response leads to: redirects, and links within its own origin.

Rules of this module (RFC 9110 15.4.8 and 15.4.9; OCPI does not mention redirects, docs/spec-choices.md):
- a 307 or 308 to the same origin is followed, with method, body and token, a few in a row and never in a circle;
- a redirect without a query keeps the query of the request: it has the dates and the offset of a list;
- plain http of the same host, from a server that does not know that it is reached over TLS, is read as https;
- user information in a link (``https://name:word@host/``) is dropped: a client would send it in place of our token;
- any other redirect is treated as an error response: a token is never sent elsewhere.
"""

from __future__ import annotations

from urllib.parse import SplitResult, urljoin, urlsplit

from attrs import evolve

from ocpi_emsp.flows.core.context import Context
from ocpi_emsp.wire import Request, Response

MOST_REDIRECTS = 5
"""Consecutive redirects of one request that are followed; a trailing slash, http to https and a moved path are
three.
"""
_FOLLOWED = frozenset({307, 308})


async def send_following(context: Context, request: Request) -> Response:
    """Return the response to a request, after the redirects that may be followed. Raises UnsafeUrl, TransportFailed."""
    response, led = await context.send(request), [request.url]
    while (target := _target(led[-1], response)) and target not in led and len(led) <= MOST_REDIRECTS:
        context.check_url(target)
        led.append(target)
        response = evolve(await context.send(evolve(request, url=target)), url=target)
    return response


def redirected_to(response: Response) -> str | None:
    """Return the location of a redirect, as sent; None for any other response."""
    return response.header("location") if 300 <= response.status < 400 else None


def _target(url: str, response: Response) -> str | None:
    """Return the URL of a redirect that may be followed, or None."""
    location = redirected_to(response)
    if not location or response.status not in _FOLLOWED:
        return None
    try:
        led, _ = resolved(url, location)
        if not same_origin(url, led):
            return None
    except ValueError:  # not a URL: the response is an error, which names it
        return None
    parts = urlsplit(led)
    return parts._replace(query=parts.query or urlsplit(url).query, fragment="").geturl()


def resolved(url: str, link: str) -> tuple[str, bool]:
    """Return the target of a link in the response of ``url``; True if it is plain http read as https. Raises
    ValueError.
    """
    target, asked = urlsplit(urljoin(url, link)), urlsplit(url)
    target = target._replace(netloc=target.netloc.rpartition("@")[2])
    same_host = (target.hostname or "").lower() == (asked.hostname or "").lower()
    same_port = target.port in (None, 80, asked.port)
    if target.scheme == "http" and asked.scheme == "https" and same_host and same_port:
        return target._replace(scheme=asked.scheme, netloc=asked.netloc).geturl(), True
    return target.geturl(), False


def same_origin(url: str, other: str) -> bool:
    """Return True if both are on one server, so that both may see the same data. Raises ValueError for an invalid
    URL.
    """
    return _origin(urlsplit(url)) == _origin(urlsplit(other))


def _origin(parts: SplitResult) -> tuple[str, str, int | None]:
    default = {"http": 80, "https": 443}.get(parts.scheme)
    return parts.scheme, (parts.hostname or "").lower(), parts.port or default
