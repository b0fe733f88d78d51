"""Items in the order of a key, which the memory store finds by key or by place, however many there are.

Rules of this module:
- no two items have the same key, and an item's key does not change while it is in here;
- the items are in lists of a few thousand, since one long list would move half of itself with each insertion (a tree,
  or the package sortedcontainers, would do the same; only this part is needed).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate, islice
from typing import Any, Generic, TypeVar

T = TypeVar("T")

SIZE = 2000
"""Half of the size at which a list is divided."""


class Ordered(Generic[T]):
    """The items, smallest key first; a place is the number of items before it."""

    __slots__ = ("_key", "_lists", "_places", "_total")

    def __init__(self, key: Callable[[T], Any], items: Iterable[T] = ()) -> None:
        self._key = key
        ordered = sorted(items, key=key) if items else []
        self._total = len(ordered)
        self._lists = [ordered[at : at + SIZE] for at in range(0, len(ordered), SIZE)] if ordered else [ordered]
        self._places = [0]
        """Of the first item of each list, as far as they were asked for."""

    def __len__(self) -> int:
        return self._total

    def __iter__(self) -> Iterator[T]:
        for items in self._lists:
            yield from items

    def append(self, item: T) -> None:
        """Insert an item with the largest key, without comparing keys."""
        items = self._lists[-1]
        items.append(item)
        self._total += 1
        if len(items) > 2 * SIZE:
            self._divide(len(self._lists) - 1)

    def add(self, item: T) -> None:
        """Insert an item; inserting the last one costs nothing, and most items are the last."""
        key_of = self._key
        items, key = self._lists[-1], key_of(item)
        if not items or key_of(items[-1]) < key:
            self.append(item)
            return
        number, at = self._find(key)
        items = self._lists[number]
        items.insert(at, item)
        del self._places[number + 1 :]
        self._total += 1
        if len(items) > 2 * SIZE:
            self._divide(number)

    def _divide(self, number: int) -> None:
        """Divide a list in two."""
        items = self._lists[number]
        self._lists.insert(number + 1, items[SIZE:])
        del items[SIZE:]

    def remove(self, item: T) -> None:
        """Remove an existing item."""
        number, at = self._find(self._key(item))
        del self._lists[number][at], self._places[number + 1 :]
        self._total -= 1
        if not self._lists[number] and len(self._lists) > 1:
            del self._lists[number]

    def place(self, key: Any) -> int:
        """Return how many items have a smaller key; for a compound key, its first values suffice."""
        number, at = self._find(key)
        return self._place_of(number) + at

    def between(self, first: int, last: int) -> Iterator[T]:
        """Yield the items from the place ``first`` up to but not including ``last``."""
        if first < last:
            yield from islice(self._from(first), last - first)

    def between_reversed(self, first: int, last: int) -> Iterator[T]:
        """Yield the same, the last item first."""
        if first < last:
            yield from islice(self._down_from(last), last - first)

    def _from(self, place: int) -> Iterator[T]:
        number, at = self._at(place)
        for items in islice(self._lists, number, None):
            yield from map(items.__getitem__, range(at, len(items)))
            at = 0

    def _down_from(self, place: int) -> Iterator[T]:
        number, at = self._at(place)
        for each in range(number, -1, -1):
            items = self._lists[each]
            yield from map(items.__getitem__, range((at if each == number else len(items)) - 1, -1, -1))

    def _find(self, key: Any) -> tuple[int, int]:
        """Return the list in which a key belongs, and the index in it."""
        last = len(self._lists) - 1
        number = bisect_left(self._lists, key, hi=last, key=self._last_key) if last else 0
        return number, bisect_left(self._lists[number], key, key=self._key)

    def _last_key(self, items: list[T]) -> Any:
        return self._key(items[-1])

    def _at(self, place: int) -> tuple[int, int]:
        self._place_of(len(self._lists) - 1)
        number = bisect_right(self._places, place) - 1
        return number, place - self._places[number]

    def _place_of(self, number: int) -> int:
        """Return the place of the first item of a list."""
        known = len(self._places)
        if number >= known:
            sizes = map(len, self._lists[known - 1 : number])
            self._places += islice(accumulate(sizes, initial=self._places[-1]), 1, None)
        return self._places[number]
