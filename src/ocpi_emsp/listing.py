"""The objects of a partner's list, as a client gives them, in both modes.

Rules of this module: nothing is requested before it is wanted, and what is remembered of a list is bounded.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Generic, TypeVar

from ocpi_emsp.flows.calls.fetch_one import FetchedPage, RejectedItem

T = TypeVar("T")

_KEPT_REJECTED = 1000
"""The most unusable objects that a listing stores: enough to report, and a bound on memory."""


class Listing(Generic[T]):
    """The objects of a list, lazily: a page is requested when its first object is wanted."""

    def __init__(self, pages: Iterator[FetchedPage[T]]) -> None:
        self._pages = pages
        self.total: int | None = None
        """X-Total-Count of the last page, if the partner sends it."""
        self.rejected: list[RejectedItem] = []
        """Unusable objects so far, at most one thousand."""
        self.notes: list[str] = []
        """Findings about the pages themselves so far."""

    def pages(self) -> Iterator[FetchedPage[T]]:
        """Iterate over the remaining pages."""
        for page in self._pages:
            _remember(self, page)
            yield page

    def __iter__(self) -> Iterator[T]:
        for page in self.pages():
            yield from page.items


class AsyncListing(Generic[T]):
    """:class:`Listing`, awaited."""

    def __init__(self, pages: AsyncIterator[FetchedPage[T]]) -> None:
        self._pages = pages
        self.total: int | None = None
        self.rejected: list[RejectedItem] = []
        self.notes: list[str] = []

    async def pages(self) -> AsyncIterator[FetchedPage[T]]:
        """Iterate over the remaining pages."""
        async for page in self._pages:
            _remember(self, page)
            yield page

    async def __aiter__(self) -> AsyncIterator[T]:
        async for page in self.pages():
            for item in page.items:
                yield item


def _remember(listing: Listing[T] | AsyncListing[T], page: FetchedPage[T]) -> None:
    listing.total = page.total
    listing.notes.extend(page.notes)
    listing.rejected.extend(page.rejected[: _KEPT_REJECTED - len(listing.rejected)])
