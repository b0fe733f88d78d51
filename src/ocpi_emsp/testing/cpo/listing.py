"""Paginated lists of the simulated CPO.

Rules obeyed (OCPI 2.1.1, transport_and_format.md, "Pagination"): `offset` and `limit`, the server may lower the limit;
`Link` with rel="next" on every page but the last, with the filters of the request; `X-Total-Count` counts what matches
without offset and limit; `X-Limit` is the upper limit of the page. `date_from` is required for sessions only
(mod_sessions.md 2.1.1).
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Final
from urllib.parse import urlencode, urlsplit

from ocpi_emsp.testing.cpo.catalogue import Collection, Page
from ocpi_emsp.testing.cpo.settings import Settings
from ocpi_emsp.testing.cpo.wire import ABSENT, Request, RequestError, Response, answer, parse_timestamp

FOREIGN_ORIGIN: Final = "https://pages.example.com"


def list_objects(request: Request, collection: Collection, settings: Settings, *, date_from_required: bool) -> Response:
    """Answers a GET of a list. Raises `RequestError` (200, 2001) for a parameter that is missing or wrong."""
    if settings.html_lists:
        return Response(
            status=502, body=b"<html><body>Bad Gateway</body></html>", headers={"content-type": "text/html"}
        )
    query = request.query
    if date_from_required and "date_from" not in query:
        raise RequestError(200, 2001, "Missing required parameter: date_from")
    offset = _integer(query, "offset", default=0, least=0)
    limit = min(_integer(query, "limit", default=settings.page_limit, least=1), settings.page_limit)
    page = collection.page(_moment(query, "date_from"), _moment(query, "date_to"), offset, limit)
    data = ABSENT if settings.empty_without_data and not page.documents else page.documents
    return answer(data, headers=_headers(request, settings, page, offset, limit))


def _integer(query: Mapping[str, str], name: str, *, default: int, least: int) -> int:
    text = query.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdecimal() and len(text) < 10) or int(text) < least:
        raise RequestError(200, 2001, f"Parameter is not an integer from {least}: {name}")
    return int(text)


def _moment(query: Mapping[str, str], name: str) -> datetime | None:
    try:
        return parse_timestamp(query[name]) if name in query else None
    except ValueError:
        raise RequestError(200, 2001, f"Parameter is not a DateTime: {name}") from None


def _headers(request: Request, settings: Settings, page: Page, offset: int, limit: int) -> dict[str, str]:
    headers = {"x-total-count": str(page.total), "x-limit": str(limit)} if settings.totals else {}
    if offset + limit < page.total:
        headers["link"] = f'<{_next_url(request, settings, offset + limit, limit)}>; rel="next"'
    return headers


def _next_url(request: Request, settings: Settings, offset: int, limit: int) -> str:
    if settings.next_link == "loop":
        return f"{settings.url.rstrip('/')}{request.path}?{request.query_string}"
    filters = {name: value for name, value in request.query.items() if name not in ("offset", "limit")}
    if settings.next_link == "lost-filters":
        filters = {}
    query = urlencode({"offset": offset, "limit": limit, **filters}, safe=":")
    return f"{_origin(settings)}{request.path}?{query}"


def _origin(settings: Settings) -> str:
    """Where the next link points to; "http" is what a server behind a TLS proxy takes for its own origin."""
    if settings.next_link == "relative":
        return ""
    if settings.next_link == "foreign":
        return FOREIGN_ORIGIN
    if settings.next_link == "http":
        return f"http://{urlsplit(settings.url).hostname}"
    return settings.url.rstrip("/")
