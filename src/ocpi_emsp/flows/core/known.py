"""A cache of partner data in this process, valid as long as the store confirms it.

Rules of this module:
- nothing is cached for a fixed time: the store is asked at every use (:class:`ocpi_emsp.ports.PartyWatching`). With a
  store that cannot answer, everything is read each time;
- an answer that a concurrent change may have outdated is not cached: the store is asked before the read;
- several threads may use the cache: each step is a single dict operation.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any, Final

from attrs import frozen

from ocpi_emsp.ports import Key, PartyWatching, Record

_MOST: Final = 4096
"""Answers that are cached; with more partners than that, all answers are dropped now and then."""


@frozen
class _Answer:
    value: Any
    watched: object
    read: tuple[tuple[Key, Record | None], ...]


class Known:
    """Answers that follow from parties and credentials alone; empty if the store does not watch these."""

    def __init__(self, store: object = None) -> None:
        self._store = store if isinstance(store, PartyWatching) else None
        self._answers: dict[Hashable, _Answer] = {}

    def find(self, question: Hashable) -> Any:
        """Return the answer, or None if it must be read."""
        answer = self._answers.get(question)
        if answer is None or self._store is None:
            return None
        return answer.value if self._store.is_unchanged(answer.watched, answer.read) else None

    def watch(self) -> object | None:
        """Return the argument of :meth:`remember`; call this before the transaction that reads."""
        return None if self._store is None else self._store.watch_parties()

    def remember(
        self, question: Hashable, watched: object | None, read: Iterable[tuple[Key, Record | None]], value: Any
    ) -> None:
        """Cache an answer, and the records that it was read from; do nothing if ``watched`` is None."""
        if watched is None:
            return
        if len(self._answers) >= _MOST:
            self._answers = {}
        self._answers[question] = _Answer(value, watched, tuple(read))
