"""Lazy lists, in both modes: of stored objects, and of a partner's objects.

Rules of this module: nothing is read or requested before it is needed, and what a list stores is bounded.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from ocpi_emsp._bridge import iterate

if TYPE_CHECKING:
    from ocpi_emsp.flows.calls.fetch_one import FetchedPage, RejectedItem

T = TypeVar("T")

_KEPT_REJECTED = 1000
"""Unusable objects that a listing stores: enough to report, and a bound on memory."""
_PAGE = 500
"""Stored objects that are read at once: few enough for little memory, many enough that a page costs nothing."""
_FEW = 20
"""Objects that are read at least, however few are needed: some may not be selected."""


class Numbered(Protocol):
    """An object with a place in the store."""

    @property
    def sequence(self) -> int: ...


class Items(Generic[T]):
    """Stored objects, oldest first: read page by page on demand, in constant memory."""

    def __init__(
        self,
        read: Callable[[int, int], Awaitable[Sequence[Numbered]]],
        *,
        after: int,
        limit: int | None,
        select: Callable[[Any], T | None] = lambda found: found,
        page: int = _PAGE,
    ) -> None:
        """``read`` returns a page of a number of objects after a place; ``select`` maps an object to the listed one, or
        None.

        Raises ValueError for a negative ``limit``.
        """
        if limit is not None and limit < 0:
            raise ValueError(f"invalid limit '{limit}': expected 0 or more, for example 100")
        self.after = after
        """The place of the last one that was given: another list goes on ``after`` it."""
        self._read = read
        self._left = limit
        self._select = select
        self._page = page

    async def source(self) -> AsyncIterator[T]:
        """Yield the remaining objects."""
        while self._left is None or self._left > 0:
            wanted = self._page if self._left is None else min(self._page, max(self._left, _FEW))
            page = await self._read(wanted, self.after)
            if not page:
                return
            for each in page:
                self.after = each.sequence
                selected = self._select(each)
                if selected is None:
                    continue
                self._left = None if self._left is None else self._left - 1
                yield selected
                if self._left == 0:
                    return

    def __iter__(self) -> Iterator[T]:
        return iterate(self.source())


class AsyncItems(Generic[T]):
    """:class:`Items`, awaited."""

    def __init__(self, items: Items[T]) -> None:
        self._items = items

    @property
    def after(self) -> int:
        """See :attr:`Items.after`."""
        return self._items.after

    def __aiter__(self) -> AsyncIterator[T]:
        from ocpi_emsp._pieces import driven_items

        return driven_items(self._items.source())


class _Pages(Generic[T]):
    """What both modes of a partner's list have."""

    def __init__(self) -> None:
        self.total: int | None = None
        """X-Total-Count as the partner said it last."""
        self.rejected: list[RejectedItem] = []
        """Objects without a usable reading so far, the first thousand."""
        self.notes: list[str] = []
        """What was wrong with the pages themselves so far."""

    def _remember(self, page: FetchedPage[T]) -> FetchedPage[T]:
        self.total = page.total
        self.notes.extend(page.notes)
        self.rejected.extend(page.rejected[: _KEPT_REJECTED - len(self.rejected)])
        return page


class Listing(_Pages[T]):
    """The objects of a partner's list, lazily: a page is requested when its first object is needed."""

    def __init__(self, source: AsyncIterator[FetchedPage[T]]) -> None:
        super().__init__()
        self.source = source
        self._left = iterate(source)

    def pages(self) -> Iterator[FetchedPage[T]]:
        """Return the remaining pages."""
        return map(self._remember, self._left)

    def __iter__(self) -> Iterator[T]:
        for page in self.pages():
            yield from page.items


class AsyncListing(_Pages[T]):
    """:class:`Listing`, awaited."""

    def __init__(self, listing: Listing[T]) -> None:
        super().__init__()
        from ocpi_emsp._pieces import driven_items

        self._source = driven_items(listing.source)

    async def pages(self) -> AsyncIterator[FetchedPage[T]]:
        """Yield the remaining pages."""
        async for page in self._source:
            yield self._remember(page)

    async def __aiter__(self) -> AsyncIterator[T]:
        async for page in self.pages():
            for item in page.items:
                yield item
