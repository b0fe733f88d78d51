"""The pages of a partner's list, one request each, also where its next links are wrong.

Rules of this module (transport_and_format.md, pagination; docs/spec-choices.md row 8):
- a next link is resolved against the request's URL and stays on the same origin (one to plain http of the same host,
  from behind a TLS proxy, is read as https); filters of the request that the partner loses are added again;
- where X-Total-Count shrinks between two pages, the last GET is repeated with an offset lower by the difference;
- where X-Total-Count is higher than what the links lead to, the list continues by offset;
- a URL is followed once, and a page that was listed before ends the list: no list is endless.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import datetime
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit, urlunsplit

import msgspec
from attrs import define, field, frozen

from ocpi_emsp.codec.patch import items
from ocpi_emsp.errors import AnswerUnusable, InvalidObject, NotJson, OcpiError, UnsafeUrl
from ocpi_emsp.flows.calls.call import exchange, judge, outgoing_request
from ocpi_emsp.flows.calls.redirects import resolved, same_origin
from ocpi_emsp.flows.core.context import Context
from ocpi_emsp.flows.parties.party import Party
from ocpi_emsp.wire import Request, Response, http_date, next_link

EMPTY_PAGES = 10
"""Pages without objects in a row, each naming a next one, that are followed: some partners filter after paging."""


class CircularList(AnswerUnusable):
    """A list leads back to a page before, and there is no other way to continue."""


@frozen(kw_only=True)
class ListPage:
    """One page of a list, its objects undecoded."""

    documents: Sequence[msgspec.Raw]
    url: str
    following: str | None
    """The URL of the next page; None at the end, and where a ``problem`` ends it."""
    total: int | None
    """X-Total-Count, if the partner sends it."""
    size: int
    """Bytes of the answer."""
    limit: int | None = None
    """X-Limit, if the partner sends it."""
    date: datetime | None = None
    """When the partner answered, by its own clock (the Date header); None without that header."""
    notes: tuple[str, ...] = ()
    """What was wrong with the page itself, and what was done about it."""
    problem: OcpiError | None = None
    """Why the rest of the list cannot be read."""


def first_url(url: str, filters: Mapping[str, str]) -> str:
    """The URL of a list's first page."""
    return f"{url}{'&' if '?' in url else '?'}{urlencode(filters, safe=':')}" if filters else url


async def walk(
    context: Context,
    party: Party,
    url: str,
    filters: Mapping[str, str],
    *,
    total: int | None = None,
    module: str = "",
) -> AsyncGenerator[ListPage, None]:
    """The pages of a list, from ``url`` on; ``total``: that of the page before. Raises PartnerError, UnsafeUrl.

    ``filters`` are the parameters that every page is asked for; ``module`` is what is listed, for the log.
    """
    trail, following = _Trail(filters, url, total), url
    for _ in range(context.limits.http.max_pages):
        request = outgoing_request("GET", following, party.token or "", as_base64=party.profile.base64_token)
        page = _page(request, await exchange(context, request, party, module), trail)
        yield page
        if page.following is None:
            return
        following = page.following
    raise AnswerUnusable(f"the list has more than {context.limits.http.max_pages} pages", method="GET", url=following)


def _page(request: Request, response: Response, trail: _Trail) -> ListPage:
    data = bytes(judge(request, response).data)
    try:
        documents = items(data) if data else []
    except (InvalidObject, NotJson):
        message = f"GET {request.url}: data is not a list"
        raise AnswerUnusable(message, method="GET", url=request.url) from None
    total = _count(response.header("x-total-count"))
    problem: OcpiError | None = None
    following, notes = None, list[str]()
    try:
        following = trail.follow(request, response, data, len(documents), total, notes)
    except (UnsafeUrl, AnswerUnusable) as error:
        problem = error
        notes.append(error.message)
    return ListPage(
        documents=documents,
        url=request.url,
        following=following,
        total=total,
        size=len(response.body),
        limit=_count(response.header("x-limit")),
        date=http_date(response.header("date")),
        notes=tuple(notes),
        problem=problem,
    )


@define
class _Trail:
    """Where a list has been. URLs and pages are stored by their hash, so that a million objects take little room."""

    filters: Mapping[str, str]
    first: str
    total: int | None
    urls: set[int] = field(factory=set)
    pages: set[int] = field(factory=set)
    stepped: set[tuple[str, int]] = field(factory=set)
    empty: int = 0

    def follow(
        self, request: Request, response: Response, data: bytes, count: int, total: int | None, notes: list[str]
    ) -> str | None:
        """The URL of the next page, or None at the end; corrections go to ``notes``.

        Raises UnsafeUrl, AnswerUnusable where the list cannot be followed any further.
        """
        link = next_link(response.header("link"))
        before, self.total = self.total, total
        self.urls.add(_place(request.url))
        back = self._step_back(request.url, before, total, notes)
        if back is not None:
            return back
        self._require_progress(request.url, data, count, link is not None)
        following = self._next(response.url or request.url, link, notes)
        if following is not None and _place(following) not in self.urls:
            return following
        return self._without_link(request.url, following, count, total, notes)

    def _without_link(
        self, url: str, followed: str | None, count: int, total: int | None, notes: list[str]
    ) -> str | None:
        """The next URL where no link leads on, by X-Total-Count. Raises CircularList."""
        offset = self._offset(url)
        seen = "there is no next link" if followed is None else f"the next link was followed before: {followed}"
        if total is None or offset is None or not count:
            if followed is None:
                return None
            raise CircularList(seen, method="GET", url=url)
        if offset + count >= total:
            if followed is not None:
                notes.append(f"{seen}; X-Total-Count is {total}, so the list ends here")
            return None
        onward = _with(urlsplit(url), offset=str(offset + count))
        if _place(onward) in self.urls:
            raise CircularList(seen, method="GET", url=url)
        notes.append(f"{seen}; X-Total-Count is {total}, so the sync continues by offset")
        return onward

    def _step_back(self, url: str, before: int | None, now: int | None, notes: list[str]) -> str | None:
        """This page from a lower offset, where objects moved up because the list shrank; or None."""
        offset = self._offset(url)
        if before is None or now is None or now >= before or not offset:
            return None
        back = _with(urlsplit(url), offset=str(max(0, offset - (before - now))))
        if (back, now) in self.stepped:
            return None
        self.stepped.add((back, now))
        self.urls.clear()
        self.pages.clear()
        notes.append(f"X-Total-Count fell from {before} to {now}; continued from {back}")
        return back

    def _require_progress(self, url: str, data: bytes, count: int, goes_on: bool) -> None:
        self.empty = 0 if count else self.empty + 1
        if goes_on and self.empty >= EMPTY_PAGES:
            raise CircularList(f"{self.empty} empty pages in a row, each with a next link", method="GET", url=url)
        if count and hash(data) in self.pages:
            raise CircularList(f"the same objects were listed before: {url}", method="GET", url=url)
        self.pages.add(hash(data))

    def _next(self, url: str, link: str | None, notes: list[str]) -> str | None:
        """Where the next link leads to, corrected. Raises UnsafeUrl, AnswerUnusable."""
        if link is None:
            return None
        try:
            led, as_https = resolved(url, link)
            stays = same_origin(url, led)
        except ValueError:
            message = f"GET {url}: the next link is not a URL: {link[:200]}"
            raise AnswerUnusable(message, method="GET", url=url) from None
        if as_https:
            notes.append("the next link leads to plain http, read as https")
        if not stays:
            raise UnsafeUrl(f"the next link leads to another origin, the token is not sent there: {led[:200]}")
        target = urlsplit(led)
        query = dict(parse_qsl(target.query, keep_blank_values=True))
        lost = {name: value for name, value in self.filters.items() if name.startswith("date_") and name not in query}
        if lost:
            notes.append(f"the next link lacks {', '.join(lost)}")
        if query.get("limit") == "0":
            notes.append("the next link asks for no objects (limit=0)")
            lost["limit"] = self.filters.get("limit", "")
        return _with(target, **lost) if lost else target.geturl()

    def _offset(self, url: str) -> int | None:
        offset = offset_of(url)
        return 0 if offset is None and url == self.first else offset


def _place(url: str) -> int:
    """Equal for URLs that differ in the order and encoding of their parameters alone."""
    parts = urlsplit(url)
    query = frozenset(parse_qsl(parts.query, keep_blank_values=True))
    return hash((parts.scheme, parts.netloc.lower(), parts.path, query))


def offset_of(url: str) -> int | None:
    """The offset that a URL asks for, where it has one."""
    return _count(dict(parse_qsl(urlsplit(url).query, keep_blank_values=True)).get("offset"))


def _with(url: SplitResult, **changes: str) -> str:
    """The URL with other parameters; one that is empty is left out."""
    query = dict(parse_qsl(url.query, keep_blank_values=True)) | changes
    filters = {name: value for name, value in query.items() if value or name not in changes}
    return urlunsplit(url._replace(query=urlencode(filters, safe=":")))


def _count(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 19 else None
