"""The pages of a partner's list, one request each.

Rules of this module (transport_and_format.md, pagination):
- list_trail.py decides which page is next, and where a list ends;
- at most one page is fetched ahead and taken apart while the caller processes the previous one; its failure is raised
  after that one was returned;
- no list is endless: the limits on objects and pages end it, and what was listed before is returned.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import datetime
from functools import partial
from typing import NamedTuple
from urllib.parse import urlencode

import msgspec
from attrs import frozen

from ocpi_emsp.codec.readings import shown
from ocpi_emsp.errors import AnswerUnusable, InvalidObject, NotJson, OcpiError, PartnerRefused, UnsafeUrl
from ocpi_emsp.flows.calls.call import exchange, judge, outgoing_request
from ocpi_emsp.flows.calls.list_trail import IncompleteList, Seen, Trail, offset_of
from ocpi_emsp.flows.calls.page_items import TooManyObjects, page_ids, page_items
from ocpi_emsp.flows.core.context import Context
from ocpi_emsp.flows.core.settings import HttpLimits
from ocpi_emsp.flows.parties.party import Party
from ocpi_emsp.wire import Request, Response, http_date, read_count

_BEHIND_THE_END = frozenset({200, 400, 404, 410, 416, 422})
"""HTTP statuses that, after a full page without a link, mean that there is no such page."""
_NOT_THE_LINK = frozenset({401, 429, 503})
"""HTTP statuses of a rejection that is unrelated to the URL."""


@frozen(kw_only=True)
class ListPage:
    """One page of a list, its objects undecoded."""

    documents: Sequence[msgspec.Raw]
    url: str
    following: str | None
    """The URL of the next page; None at the end, and if a ``problem`` ends the list."""
    total: int | None
    """The last X-Total-Count that the partner sent."""
    size: int
    """Bytes of the response."""
    limit: int | None = None
    """X-Limit, if the partner sends it."""
    ids: Sequence[str] = ()
    """The ids of the documents; empty for one without."""
    is_uncounted: bool = False
    """True if its X-Total-Count is unreadable."""
    listed: int | None = None
    """Distinct objects of the list up to this page's end, including those before its first page; None if unknown."""
    date: datetime | None = None
    """When the partner answered, by its own clock (the Date header); None without that header."""
    answered_at: datetime | None = None
    """The same moment by our clock."""
    notes: tuple[str, ...] = ()
    """Faults of the page itself, and how they were handled."""
    problem: OcpiError | None = None
    """Why the rest of the list is unreadable."""


def first_url(url: str, filters: Mapping[str, str]) -> str:
    """Return the URL of a list's first page."""
    return f"{url}{'&' if '?' in url else '?'}{urlencode(filters, safe=':')}" if filters else url


async def walk(
    context: Context,
    party: Party,
    url: str,
    filters: Mapping[str, str],
    *,
    total: int | None = None,
    listed: int | None = None,
    module: str = "",
    may_begin: Callable[[], bool] = lambda: False,
) -> AsyncGenerator[ListPage, None]:
    """Yield the pages of a list, from ``url`` on. Raises PartnerError, UnsafeUrl.

    ``total`` and ``listed`` are those of the previous page; without them, the offset of ``url`` counts as listed.
    ``filters`` are the parameters of every page's request; ``module`` is the listed module, for the log; ``may_begin``
    is called for each page and decides whether the next one is fetched while the caller processes it.
    """
    limits = context.limits.http
    before = (offset_of(url) or 0) if listed is None and total is None else listed
    trail = Trail(filters, url, total, before, party.profile.is_hub)
    async with AsyncExitStack() as begun:
        request = outgoing_request("GET", url, party.token or "", party.profile)
        answer: Callable[[], Awaitable[_Answer]] = partial(_answer, context, request, party, module)
        for left in reversed(range(limits.max_pages)):
            try:
                page = _page(request, await answer(), trail)
            except (PartnerRefused, AnswerUnusable) as error:
                page = _no_page(request.url, error, trail)
            await begun.aclose()
            too_long = _too_long(limits, left, trail) if page.following is not None else ""
            if page.following is not None and not too_long:
                request = outgoing_request("GET", page.following, party.token or "", party.profile)
                answer = partial(_answer, context, request, party, module)
                if may_begin():
                    answer = await begun.enter_async_context(context.begin(answer()))
            yield page
            if page.following is None:
                return
            if too_long:
                raise AnswerUnusable(too_long, method="GET", url=page.following)


def _too_long(limits: HttpLimits, left: int, trail: Trail) -> str:
    """Return why a list is not followed further, with ``left`` pages allowed; empty if it is followed."""
    if trail.received >= limits.max_objects:
        return f"the list has more than {limits.max_objects} objects (HttpLimits.max_objects)"
    return "" if left else f"the list has more than {limits.max_pages} pages"


class _Answer(NamedTuple):
    """A response of the partner, taken apart, and the time of its receipt."""

    response: Response
    at: datetime
    data: bytes
    documents: Sequence[msgspec.Raw]
    ids: Sequence[str]


async def _answer(context: Context, request: Request, party: Party, module: str) -> _Answer:
    """Return the response to a request. Raises PartnerError, UnsafeUrl."""
    response, at = await exchange(context, request, party, module), context.clock.now()
    data = bytes(judge(request, response).data)
    documents = _documents(request, data, context.limits.http.max_objects_of_page)
    return _Answer(response, at, data, documents, page_ids(data, documents))


def _documents(request: Request, data: bytes, most: int) -> Sequence[msgspec.Raw]:
    """Return the objects of a page. Raises AnswerUnusable."""
    try:
        return page_items(data, most)
    except TooManyObjects:
        message = f"GET {request.url}: the page has more than {most} objects (HttpLimits.max_objects_of_page)"
        raise AnswerUnusable(message, method="GET", url=request.url) from None
    except (InvalidObject, NotJson):
        message = f"GET {request.url}: data is not a list"
        raise AnswerUnusable(message, method="GET", url=request.url) from None


def _page(request: Request, answer: _Answer, trail: Trail) -> ListPage:
    response, documents = answer.response, answer.documents
    said = response.joined("x-total-count").strip()
    total, limit = read_count(said), read_count(response.joined("x-limit"))
    problem: OcpiError | None = None
    following, notes = None, list[str]()
    is_uncounted = bool(said) and total is None
    if is_uncounted and not trail.is_uncounted:
        notes.append(f"invalid X-Total-Count {shown(said[:40])}: expected a whole number, for example 7")
        trail.is_uncounted = True
    latest = trail.total if total is None else total
    seen = Seen(request, response, answer.data, documents, answer.ids, latest, limit)
    try:
        following = trail.follow(seen, notes)
    except (UnsafeUrl, AnswerUnusable, PartnerRefused) as error:
        problem = error
        notes.append(error.message)
    return ListPage(
        documents=documents,
        url=request.url,
        following=following,
        total=trail.total,
        size=len(response.body),
        limit=limit,
        ids=answer.ids,
        is_uncounted=is_uncounted,
        listed=trail.listed,
        date=http_date(response.header("date")),
        answered_at=answer.at,
        notes=tuple(notes),
        problem=problem,
    )


def _no_page(url: str, error: PartnerRefused | AnswerUnusable, trail: Trail) -> ListPage:
    """Return a page in place of one that the partner rejects: the list's end after a full page, or the way around a
    link.

    Raises the error if it is neither.
    """
    answered = error.answered_http if isinstance(error, PartnerRefused) else None
    following, notes, problem = None, list[str](), trail.unusable
    if not trail.is_beyond or answered not in _BEHIND_THE_END:
        if answered in _NOT_THE_LINK:
            raise error
        try:
            following = trail.around(url, error, notes)
        except IncompleteList as incomplete:
            problem = incomplete
    return ListPage(
        documents=(),
        url=url,
        following=following,
        total=trail.total,
        size=0,
        listed=trail.listed,
        notes=tuple(notes),
        problem=problem if following is None else None,
    )
