"""The way through a partner's list: which page comes next, also where its next links are wrong.

Rules of this module (transport_and_format.md, pagination; docs/spec-choices.md row 8):
- a next link is resolved against the request's URL and stays on the same origin (one to plain http of the same host,
  from behind a TLS proxy, is read as https); filters of the request that the partner loses are added again;
- where X-Total-Count shrinks between two pages, the last GET is repeated with an offset lower by the difference;
- X-Total-Count counts for the list until another page says it anew; one that cannot be read is named;
- where X-Total-Count says more, and no link leads on, or one that cannot be used, the list continues by offset at its
  own URL; where neither a link nor a total says anything, a full page is followed by the next one;
- a link that the partner itself refuses cannot be used either; behind one and without a total, the list is complete
  only where the page at the next offset is an empty one;
- a URL is followed once, and a page that was listed before ends the list: no list is endless;
- nor is one whose pages differ and list nothing new, nor one whose objects are always new: STALE_PAGES and the limits
  on objects and pages end it, and what was listed before is given;
- a list with fewer distinct objects than X-Total-Count at its end is incomplete, and says so. It is asked for once more
  where objects came twice: their order was not the same on every page.
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
"""Pages without objects in a row, each naming a next one, that are followed where X-Total-Count says that there is
more: some partners filter after paging. Without a total, the second one ends the list."""
STALE_PAGES = 100
"""Pages in a row without a new object that are followed, beside as many as had one: a list that is asked for once more,
or goes back since it shrank, lists those again."""
_ONWARD = "; X-Total-Count is {}, so the sync continues by offset"
_ONWARD_UNCOUNTED = "; the sync continues by offset"


class CircularList(AnswerUnusable):
    """A list leads back to a page before, and there is no other way to continue."""


class IncompleteList(AnswerUnusable):
    """A list ended, and X-Total-Count says that there is more."""


@frozen
class Seen:
    """A page as the partner answered it."""

    request: Request
    response: Response
    data: bytes
    documents: Sequence[msgspec.Raw]
    ids: Sequence[str]
    """Of the documents; empty for one without."""
    total: int | None
    """As it was said last."""
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
        """True where it has as many objects as were asked for, or as the partner gives at most."""
        asked = _count(dict(parse_qsl(urlsplit(self.url).query)).get("limit"))
        sizes = [size for size in (asked, self.limit) if size]
        return bool(sizes) and self.count >= min(sizes)


@define
class Trail:
    """Where a list has been. URLs, pages and objects are stored by their hash: a million objects take little room."""

    filters: Mapping[str, str]
    first: str
    total: int | None
    listed: int | None
    is_hub: bool
    """Several parties list their objects in it, maybe under the same ids."""
    urls: set[int] = field(factory=set)
    pages: set[int] = field(factory=set)
    objects: set[int] = field(factory=set)
    received: int = 0
    """Objects of all pages, also those that came before."""
    fresh: int = 0
    """Pages with an object that did not come before."""
    stale: int = 0
    """Pages in a row without one."""
    stepped: set[tuple[str, int]] = field(factory=set)
    empty: int = 0
    furthest: int = 0
    """The offset behind the furthest page."""
    is_beyond: bool = False
    """The page is asked for by offset alone: no total says that there is more."""
    unusable: OcpiError | None = None
    """Why the link that stood for such a page cannot be used."""
    linked: tuple[str, int | None, int, bool] | None = None
    """Where the next page is that of a link: what :meth:`_without_link` has to know of the page that has it."""
    refused: str | None = None
    """The path of a link that the partner refused."""
    came_twice: bool = False
    is_second: bool = False
    """The list is asked for once more."""
    is_uncounted: bool = False
    """A total that cannot be read was named."""
    has_noted: bool = False

    def follow(self, page: Seen, notes: list[str]) -> str | None:
        """The URL of the next page, or None at the end; corrections go to ``notes``.

        Raises UnsafeUrl, AnswerUnusable where the list cannot be followed any further.
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
        """The next URL where the partner refused one; None at the end. Raises the error where it was of no link."""
        linked, self.linked = self.linked, None
        if linked is None or _place(self._by_offset(linked[0])) == _place(url):
            raise error
        self.refused = urlsplit(url).path
        return self._without_link(*linked, error, notes)

    def _enter(self, page: Seen) -> bool:
        """Enter the objects of a page; True where one was not listed before."""
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
        """Raises CircularList where the pages go on and on with what came before."""
        self.fresh += has_new
        self.stale = 0 if has_new else self.stale + bool(page.count)
        if self.stale > self.fresh + STALE_PAGES:
            raise CircularList(f"{self.stale} pages in a row list nothing new", method="GET", url=page.url)

    def _ends_empty(self, page: Seen, offset: int | None) -> bool:
        """True for an empty page that ends the list, whatever its link says."""
        if page.total is None:
            return self.empty > 0
        return (offset or 0) >= page.total or (self.listed or 0) >= page.total

    def _behind(self, page: Seen, offset: int | None, notes: list[str]) -> str | None:
        """The next URL where there is no link."""
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
        """The next URL where the link of a page cannot be used: by offset. Raises the error where that cannot help.

        ``has_more``: without a total, the page looks as if there were more.
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
        """The URL behind the furthest page, at the list's own URL; None where it was asked for before."""
        onward = self._by_offset(url)
        return None if _place(onward) in self.urls else onward

    def _by_offset(self, url: str) -> str:
        return _with(urlsplit(url), offset=str(self.furthest))

    def _note(self, said: str, notes: list[str]) -> None:
        """Say once for a list what is wrong with its links."""
        if not self.has_noted:
            self.has_noted = True
            notes.append(said)

    def _end(self, url: str, notes: list[str]) -> str | None:
        """None where everything was listed, or the first page once more. Raises IncompleteList."""
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
