"""Objects that we pull from a partner.

Rules of this module (transport_and_format.md, pagination; docs/spec-choices.md row 8):
- pages are followed lazily; the good objects of a page are given although others are bad, the bad ones are named;
- a next link is resolved against the request's URL, stays on the same origin, is followed once, and keeps the
  filters of the request where the partner loses them;
- where X-Total-Count shrinks between two pages, the next offset goes back by the difference, at least by one;
- an object that was given already is not given again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Generic, TypeVar
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit, urlunsplit

from attrs import field, frozen

from ocpi_emsp.codec import decode
from ocpi_emsp.codec.patch import identity, items
from ocpi_emsp.errors import AnswerUnusable, InvalidObject, NotJson, UnsafeUrl
from ocpi_emsp.findings import Finding
from ocpi_emsp.flows.call import call, exchange, judge, outgoing_request, require
from ocpi_emsp.flows.context import Context
from ocpi_emsp.flows.parties import Party
from ocpi_emsp.models import Connector, Envelope, Evse, Location
from ocpi_emsp.routes import Route, outgoing
from ocpi_emsp.wire import PageRequest, Request, Response, next_link

T = TypeVar("T")


@frozen
class RejectedItem:
    """An object of a page that has no usable reading: the bytes as received, and why."""

    document: bytes
    findings: tuple[Finding, ...]


@frozen
class FetchedPage(Generic[T]):
    """One page of a list."""

    items: tuple[T, ...]
    rejected: tuple[RejectedItem, ...]
    url: str
    total: int | None
    """X-Total-Count, where the partner says it."""
    notes: tuple[str, ...] = field(default=())
    """What was wrong with the page itself, and what was done about it."""


async def fetch_object(context: Context, party: Party, route: Route, kind: type[T], **params: str) -> T:
    """One object. Raises PartnerRefused where it is not known, AnswerUnusable where it cannot be read."""
    envelope = await call(context, party, route, params=params)
    try:
        return decode(kind, envelope.data)
    except (InvalidObject, NotJson) as error:
        raise AnswerUnusable(f"no usable {kind.__name__}: {error.message}", findings=error.findings) from error


async def location(context: Context, party: Party, location_id: str) -> Location:
    """One location of the party."""
    return await fetch_object(context, party, outgoing("locations.get_location"), Location, location_id=location_id)


async def evse(context: Context, party: Party, location_id: str, evse_uid: str) -> Evse:
    """One EVSE of the party."""
    route = outgoing("locations.get_evse")
    return await fetch_object(context, party, route, Evse, location_id=location_id, evse_uid=evse_uid)


async def connector(context: Context, party: Party, location_id: str, evse_uid: str, connector_id: str) -> Connector:
    """One connector of the party."""
    ids = {"location_id": location_id, "evse_uid": evse_uid, "connector_id": connector_id}
    return await fetch_object(context, party, outgoing("locations.get_connector"), Connector, **ids)


async def fetch_pages(
    context: Context, party: Party, route: Route, kind: type[T], page: PageRequest
) -> AsyncIterator[FetchedPage[T]]:
    """The pages of a list, one request each. Raises PartnerError; UnsafeUrl for a next link to another origin."""
    filters = page.query()
    request = _request(party, route.url(require(context, party, route)), filters)
    seen_urls, seen_ids = {request.url}, set[str]()
    total: int | None = None
    for _ in range(context.limits.pages):
        response = await exchange(context, request)
        fetched = _page(kind, request, response, judge(request, response), seen_ids)
        following, note = _following(request, response, filters, total, fetched.total)
        if following is not None and following in seen_urls:
            following, note = None, f"the next link was followed before: {following}"
        yield FetchedPage(fetched.items, fetched.rejected, fetched.url, fetched.total, (note,) if note else ())
        if following is None:
            return
        total = fetched.total
        seen_urls.add(following)
        request = _request(party, following)
    raise AnswerUnusable(f"{route.module}: more than {context.limits.pages} pages", method="GET", url=request.url)


def _request(party: Party, url: str, query: Mapping[str, str] | None = None) -> Request:
    return outgoing_request("GET", url, party.token or "", query, as_base64=party.profile.base64_token)


def _page(kind: type[T], request: Request, response: Response, envelope: Envelope, seen: set[str]) -> FetchedPage[T]:
    try:
        documents = items(envelope.data) if bytes(envelope.data) else []
    except InvalidObject:
        message = f"GET {request.url}: data is no list"
        raise AnswerUnusable(message, method="GET", url=request.url) from None
    good, bad = list[T](), list[RejectedItem]()
    for document in documents:
        try:
            value = decode(kind, document)
        except (InvalidObject, NotJson) as error:
            bad.append(RejectedItem(bytes(document), error.findings))
            continue
        name = identity(document, "uid" if hasattr(value, "uid") else "id") + getattr(value, "type", "")
        if name not in seen:
            seen.add(name)
            good.append(value)
    return FetchedPage(tuple(good), tuple(bad), request.url, _count(response.header("x-total-count")))


def _following(
    request: Request, response: Response, filters: Mapping[str, str], before: int | None, now: int | None
) -> tuple[str | None, str]:
    """The URL of the next page, or None; and what had to be mended."""
    link = next_link(response.header("link"))
    if link is None:
        return None, ""
    url = urlsplit(urljoin(request.url, link))
    if _origin(url.geturl()) != _origin(request.url):
        raise UnsafeUrl(f"the next link leads to another origin, the token is not sent there: {url.geturl()[:200]}")
    query = dict(parse_qsl(url.query, keep_blank_values=True))
    lost = {name: value for name, value in filters.items() if name.startswith("date_") and name not in query}
    notes = [f"the next link lost {', '.join(lost)}"] if lost else []
    query |= lost
    offset = _count(query.get("offset"))
    if before is not None and now is not None and now < before and offset:
        query["offset"] = str(max(0, offset - max(1, before - now)))
        notes.append(f"X-Total-Count fell from {before} to {now}; went back to offset {query['offset']}")
    if not notes:
        return url.geturl(), ""
    return urlunsplit(url._replace(query=urlencode(query, safe=":"))), "; ".join(notes)


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    default = {"http": 80, "https": 443}.get(parts.scheme)
    return parts.scheme, (parts.hostname or "").lower(), parts.port or default


def _count(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 19 else None
