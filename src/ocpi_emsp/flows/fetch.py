"""Objects that we pull from a partner.

Rules of this module (transport_and_format.md, pagination; docs/spec-choices.md row 8):
- pages are followed lazily; the good objects of a page are given although others are bad, the bad ones are named;
- a next link is resolved against the request's URL, stays on the same origin, is followed once, and keeps the
  filters of the request where the partner loses them;
- where X-Total-Count shrinks between two pages, the last GET is repeated with an offset lower by the difference;
- an object that was given already is not given again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Generic, TypeVar
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit, urlunsplit

from attrs import evolve, field, frozen

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
    seen_urls, seen_ids, repeated = {request.url}, set[str](), set[tuple[str, int | None]]()
    total: int | None = None
    for _ in range(context.limits.pages):
        response = await exchange(context, request)
        fetched = _page(kind, request, response, judge(request, response), seen_ids)
        following, note = _repeated(request, total, fetched.total)
        if following is not None and (following, fetched.total) not in repeated:
            repeated.add((following, fetched.total))
            seen_urls.clear()
        else:
            try:
                following, note = _following(request, response, filters)
            except (UnsafeUrl, AnswerUnusable) as error:
                yield evolve(fetched, notes=(error.message,))
                raise
        if following is not None and following in seen_urls:
            following, note = None, f"the next link was followed before: {following}"
        yield evolve(fetched, notes=(note,) if note else ())
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


def _repeated(request: Request, before: int | None, now: int | None) -> tuple[str | None, str]:
    """The URL of this page from a lower offset, where objects moved up because the list shrank; or None."""
    url = urlsplit(request.url)
    query = dict(parse_qsl(url.query, keep_blank_values=True))
    offset = _count(query.get("offset"))
    if before is None or now is None or now >= before or not offset:
        return None, ""
    query["offset"] = str(max(0, offset - (before - now)))
    note = f"X-Total-Count fell from {before} to {now}; went back to offset {query['offset']}"
    return urlunsplit(url._replace(query=urlencode(query, safe=":"))), note


def _following(request: Request, response: Response, filters: Mapping[str, str]) -> tuple[str | None, str]:
    """The URL of the next page, or None; and what had to be mended. Raises UnsafeUrl, AnswerUnusable."""
    link = next_link(response.header("link"))
    if link is None:
        return None, ""
    try:
        url = urlsplit(urljoin(request.url, link))
        same_origin = _origin(url.geturl()) == _origin(request.url)
    except ValueError:
        message = f"GET {request.url}: the next link is no URL: {link[:200]}"
        raise AnswerUnusable(message, method="GET", url=request.url) from None
    if not same_origin:
        raise UnsafeUrl(f"the next link leads to another origin, the token is not sent there: {url.geturl()[:200]}")
    query = dict(parse_qsl(url.query, keep_blank_values=True))
    lost = {name: value for name, value in filters.items() if name.startswith("date_") and name not in query}
    if not lost:
        return url.geturl(), ""
    return urlunsplit(url._replace(query=urlencode(query | lost, safe=":"))), f"the next link lost {', '.join(lost)}"


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    default = {"http": 80, "https": 443}.get(parts.scheme)
    return parts.scheme, (parts.hostname or "").lower(), parts.port or default


def _count(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 19 else None
