"""The next link of a page, and the ways in which partners get it wrong.

Rule obeyed by default (OCPI 2.1.1, transport_and_format.md, "Pagination"): `Link` with rel="next" on every page but
the last, absolute, with the filters of the request.

`next_link` is one of:

- "absolute": as it should be; "relative": without scheme and host
- "loop": to the page itself; "two-page-loop": from the second page back to the first
- "http": http and no port, what a server behind a TLS proxy takes for its own origin; "foreign": to another origin
- "lost-filters": without date_from and date_to
- "zero-limit": with limit=0, and X-Limit is 0 (limit=0 is then answered like no limit)
- "endless-pages": always one more page, with the objects of the first
- "endless-empty": always one more page, empty after the last object
- "none": no link at all; "unreadable": one that is no URL
"""

from urllib.parse import urlencode, urlsplit

from ocpi_emsp.testing.cpo.settings import Settings
from ocpi_emsp.testing.cpo.wire import Request


def next_url(request: Request, settings: Settings, *, offset: int, limit: int, more: bool) -> str | None:
    """Return the URL of the page after the one at `offset`; None if there is none. `more` is True if more objects
    follow.
    """
    following = offset + limit
    match settings.next_link:
        case "endless-pages" | "endless-empty":
            more = True
        case "two-page-loop" if offset > 0:
            following, more = 0, True
        case "none":
            return None
        case "unreadable" if more:
            return "http://[::1/locations"
        case "loop" if more:
            return f"{settings.url.rstrip('/')}{request.path}?{request.query_string}"
    return _url(request, settings, following, limit) if more else None


def _url(request: Request, settings: Settings, offset: int, limit: int) -> str:
    filters = {name: value for name, value in request.query_params.items() if name not in ("offset", "limit")}
    if settings.next_link == "lost-filters":
        filters = {}
    if settings.next_link == "zero-limit":
        limit = 0
    query = urlencode({"offset": offset, "limit": limit, **filters}, safe=":")
    return f"{_origin(settings)}{request.path}?{query}"


def _origin(settings: Settings) -> str:
    if settings.next_link == "relative":
        return ""
    if settings.next_link == "foreign":
        return settings.foreign_origin.rstrip("/")
    if settings.next_link == "http":
        return f"http://{urlsplit(settings.url).hostname}"
    return settings.url.rstrip("/")
