"""Following a partner's list: which page is next, even if its next links are wrong.

Rules of this module (transport_and_format.md, pagination; docs/spec-choices.md row 8):
- a next link is resolved against the request's URL and stays on the same origin (a link to plain http of the same host,
  from behind a TLS proxy, is read as https); filters of the request that the partner drops are added again;
- if X-Total-Count decreases between two pages, the last GET is repeated with an offset lower by the difference;
- X-Total-Count applies to the list until another page sends a new one; an unreadable one is reported;
- if X-Total-Count is larger than the objects listed, and there is no link or only an unusable one, the list continues
  by offset at its own URL; without a link and a total, a full page is followed by the next offset;
- a link that the partner itself rejects is unusable, too; after one, and without a total, the list is only complete if
  the page at the next offset is empty;
- a URL is followed once, and a repeated page ends the list: no list is endless;
- pages that differ but list nothing new, and ever new objects, are ended by STALE_PAGES and by the limits on objects
  and pages; what was listed before is returned;
- a list with fewer distinct objects than X-Total-Count at its end is incomplete, and is reported so. It is requested
  once more if objects were listed twice: their order was not the same on every page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit, urlunsplit

import msgspec
from attrs import define, field, frozen

from ocpi_emsp.errors import AnswerUnusable, OcpiError, UnsafeUrl
from ocpi_emsp.findings import counted
from ocpi_emsp.flows.calls.redirects import resolved, same_origin
from ocpi_emsp.wire import Request, Response, next_link

EMPTY_PAGES = 10
"""Consecutive empty pages with a next link that are followed if X-Total-Count promises more: some partners filter after
paging. Without a total, the second one ends the list.
"""
STALE_PAGES = 100
"""Consecutive pages without a new object that are followed, beyond the number of pages with one: a list that is
requested once more, or goes back because it shrank, lists objects again.
"""
_ONWARD = "; X-Total-Count is {}, so the sync continues by offset"
_ONWARD_UNCOUNTED = "; the sync continues by offset"


class CircularList(AnswerUnusable):
    """A list leads back to an earlier page, and there is no other way to continue."""


class IncompleteList(AnswerUnusable):
    """A list ended, although X-Total-Count promises more."""


@frozen
class Seen:
    """A page as the partner sent it."""

    request: Request
    response: Response
    data: bytes
    documents: Sequence[msgspec.Raw]
    ids: Sequence[str]
    """The ids of the documents; empty for one without."""
    total: int | None
    """The last X-Total-Count."""
    limit: int | None

    @property
    def url(self) -> str:
        return self.request.url

    @property
    def count(self) -> int:
        return len(self.documents)

    @property
    def link(self) -> str | None:
        return next_link(self.response.header("link"))

    @property
    def is_full(self) -> bool:
        """Return True if the page has as many objects as requested, or as many as the partner's maximum."""
        asked = _count(dict(parse_qsl(urlsplit(self.url).query)).get("limit"))
        sizes = [size for size in (asked, self.limit) if size]
        return bool(sizes) and self.count >= min(sizes)


@define
class Trail:
    """The pages of a list that were followed. URLs, pages and objects are stored by their hash: a million objects need
    little memory.
    """

    filters: Mapping[str, str]
    first: str
    total: int | None
    listed: int | None
    is_hub: bool
    """True if several parties list their objects in it, possibly under the same ids."""
    urls: set[int] = field(factory=set)
    pages: set[int] = field(factory=set)
    objects: set[int] = field(factory=set)
    received: int = 0
    """Objects of all pages, including repeated ones."""
    fresh: int = 0
    """Pages with an object that was not listed before."""
    stale: int = 0
    """Consecutive pages without one."""
    stepped: set[tuple[str, int]] = field(factory=set)
    empty: int = 0
    furthest: int = 0
    """The offset after the furthest page."""
    is_beyond: bool = False
    """True if the page was requested by offset alone: no total promises more."""
    unusable: OcpiError | None = None
    """Why the link to that page is unusable."""
    linked: tuple[str, int | None, int, bool] | None = None
    """If the next page is that of a link: the arguments of :meth:`_without_link` for the page with the link."""
    refused: str | None = None
    """The path of a link that the partner rejected."""
    came_twice: bool = False
    is_second: bool = False
    """True if the list is requested once more."""
    is_uncounted: bool = False
    """True if an unreadable total was reported."""
    has_noted: bool = False

    def follow(self, page: Seen, notes: list[str]) -> str | None:
        """Return the URL of the next page, or None at the end; corrections are appended to ``notes``.

        Raises UnsafeUrl, AnswerUnusable if the list cannot be followed any further.
        """
        before, self.total = self.total, page.total
        self.urls.add(_place(page.url))
        has_new = self._enter(page)
        self._require_new(page, has_new=has_new)
        back = self._step_back(page.url, before, page.total, notes)
        if back is not None:
            return back
        offset, was_beyond, unusable = self._offset(page.url), self.is_beyond, self.unusable
        self.is_beyond, self.unusable, self.linked = False, None, None
        if was_beyond and not has_new:
            if unusable is not None and page.count:
                raise unusable
            return None
        if offset is not None and hash(page.data) not in self.pages:
            self.furthest = max(self.furthest, offset + page.count)
        if not page.count and self._ends_empty(page, offset):
            return self._end(page.url, notes)
        has_more = page.is_full or unusable is not None
        try:
            self._require_progress(page)
            following = self._next(page.response.url or page.url, page.link, notes)
            if following is not None and _place(following) in self.urls:
                raise CircularList(f"the next link was followed before: {following[:200]}", method="GET", url=page.url)
            if following is not None and urlsplit(following).path == self.refused:
                raise AnswerUnusable(f"the next link was refused before: {following[:200]}", method="GET", url=page.url)
        except (UnsafeUrl, AnswerUnusable) as error:
            return self._without_link(page.url, offset, page.count, has_more, error, notes)
        if following is None:
            return self._behind(page, offset, notes)
        self.linked = page.url, offset, page.count, has_more
        return following

    def around(self, url: str, error: OcpiError, notes: list[str]) -> str | None:
        """Return the next URL after the partner rejected one; None at the end. Raises the error if the URL was not a
        link's.
        """
        linked, self.linked = self.linked, None
        if linked is None or _place(self._by_offset(linked[0])) == _place(url):
            raise error
        self.refused = urlsplit(url).path
        return self._without_link(*linked, error, notes)

    def _enter(self, page: Seen) -> bool:
        """Add the objects of a page; return True if one was not listed before."""
        before, whole = len(self.objects), map(bytes, page.documents)
        named = page.ids if not self.is_hub else [""] * page.count
        self.received += page.count
        self.objects.update(hash(name or document) for name, document in zip(named, whole, strict=True))
        new = len(self.objects) - before
        self.came_twice = self.came_twice or new < page.count
        if self.listed is not None:
            self.listed += new
        return new > 0

    def _require_new(self, page: Seen, *, has_new: bool) -> None:
        """Raise CircularList if too many pages list nothing new."""
        self.fresh += has_new
        self.stale = 0 if has_new else self.stale + bool(page.count)
        if self.stale > self.fresh + STALE_PAGES:
            raise CircularList(f"{self.stale} pages in a row list nothing new", method="GET", url=page.url)

    def _ends_empty(self, page: Seen, offset: int | None) -> bool:
        """Return True for an empty page that ends the list, whatever its link says."""
        if page.total is None:
            return self.empty > 0
        return (offset or 0) >= page.total or (self.listed or 0) >= page.total

    def _behind(self, page: Seen, offset: int | None, notes: list[str]) -> str | None:
        """Return the next URL if there is no link."""
        onward = self._onward(page.url) if offset is not None and page.count else None
        if page.total is None:
            self.is_beyond = onward is not None and page.is_full
            return onward if self.is_beyond else None
        if onward is not None and self.furthest < page.total:
            self._note(f"there is no next link{_ONWARD.format(page.total)}", notes)
            return onward
        return self._end(page.url, notes)

    def _without_link(
        self, url: str, offset: int | None, count: int, has_more: bool, error: OcpiError, notes: list[str]
    ) -> str | None:
        """Return the next URL, by offset, if the link of a page is unusable. Raises the error if that cannot help.

        ``has_more``: without a total, the page suggests that more objects follow.
        """
        uncounted = self.total is None and (isinstance(error, CircularList) or not has_more)
        if offset is None or not count or uncounted:
            raise error
        if self.total is not None and self.furthest >= self.total:
            self._note(f"{error.message}; X-Total-Count is {self.total}, so the list ends here", notes)
            return self._end(url, notes)
        onward = self._onward(url)
        if onward is None:
            raise error
        if self.total is None:
            self.is_beyond, self.unusable = True, error
        self._note(f"{error.message}{_ONWARD_UNCOUNTED if self.total is None else _ONWARD.format(self.total)}", notes)
        return onward

    def _onward(self, url: str) -> str | None:
        """Return the URL after the furthest page, at the list's own URL; None if it was requested before."""
        onward = self._by_offset(url)
        return None if _place(onward) in self.urls else onward

    def _by_offset(self, url: str) -> str:
        return _with(urlsplit(url), offset=str(self.furthest))

    def _note(self, said: str, notes: list[str]) -> None:
        """Report once per list what is wrong with its links."""
        if not self.has_noted:
            self.has_noted = True
            notes.append(said)

    def _end(self, url: str, notes: list[str]) -> str | None:
        """Return None if everything was listed, or the first page once more. Raises IncompleteList."""
        if self.total is None or self.listed is None or self.listed >= self.total:
            return None
        said = f"X-Total-Count is {self.total}, and {counted(self.listed, 'distinct object')} were listed"
        if self.came_twice and not self.is_second:
            self.is_second, self.furthest, self.received = True, 0, 0
            self.urls.clear()
            self.pages.clear()
            notes.append(f"{said}, some of them twice; the list is asked for once more")
            return _with(urlsplit(self.first), offset="0")
        raise IncompleteList(said, method="GET", url=url)

    def _step_back(self, url: str, before: int | None, now: int | None, notes: list[str]) -> str | None:
        """Return this page at a lower offset, if objects moved up because the list shrank; otherwise None."""
        offset = self._offset(url)
        if before is None or now is None or now >= before or not offset:
            return None
        back = _with(urlsplit(url), offset=str(max(0, offset - (before - now))))
        if (back, now) in self.stepped:
            return None
        self.stepped.add((back, now))
        self.urls.clear()
        self.pages.clear()
        self.furthest = 0
        notes.append(f"X-Total-Count fell from {before} to {now}; continued from {back[:200]}")
        return back

    def _require_progress(self, page: Seen) -> None:
        self.empty = 0 if page.count else self.empty + 1
        if page.link is not None and self.empty >= EMPTY_PAGES:
            raise CircularList(f"{self.empty} empty pages in a row, each with a next link", method="GET", url=page.url)
        if page.count and hash(page.data) in self.pages:
            raise CircularList(f"the same objects were listed before: {page.url}", method="GET", url=page.url)
        self.pages.add(hash(page.data))

    def _next(self, url: str, link: str | None, notes: list[str]) -> str | None:
        """Return the target of the next link, corrected. Raises UnsafeUrl, AnswerUnusable."""
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
    """Return a number that is equal for URLs that differ only in the order and encoding of their parameters."""
    parts = urlsplit(url)
    query = frozenset(parse_qsl(parts.query, keep_blank_values=True))
    return hash((parts.scheme, parts.netloc.lower(), parts.path, query))


def offset_of(url: str) -> int | None:
    """Return the offset in a URL, if it has one."""
    return _count(dict(parse_qsl(urlsplit(url).query, keep_blank_values=True)).get("offset"))


def _with(url: SplitResult, **changes: str) -> str:
    """Return the URL with other parameters; an empty one is left out."""
    query = dict(parse_qsl(url.query, keep_blank_values=True)) | changes
    filters = {name: value for name, value in query.items() if value or name not in changes}
    return urlunsplit(url._replace(query=urlencode(filters, safe=":")))


def _count(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 19 else None
