"""What this process read of partners and need not read again, as long as the store says that it still stands.

Rules of this module:
- nothing is remembered for a time: the store is asked at every use (:class:`ocpi_emsp.ports.PartyWatching`), and a
  store that cannot say has everything read each time;
- what a change meanwhile may have made old is not remembered: the store is asked before the read;
- several threads may use it: each step is one of a dict.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any, Final

from attrs import frozen

from ocpi_emsp.ports import Key, PartyWatching, Record

_MOST: Final = 4096
"""Answers that are remembered: with more partners than that, all are read again now and then."""


@frozen
class _Answer:
    value: Any
    watched: object
    read: tuple[tuple[Key, Record | None], ...]


class Known:
    """Answers that follow from parties and credentials alone; none where the store does not watch these."""

    def __init__(self, store: object = None) -> None:
        self._store = store if isinstance(store, PartyWatching) else None
        self._answers: dict[Hashable, _Answer] = {}

    def find(self, question: Hashable) -> Any:
        """The answer, or None where it has to be read."""
        answer = self._answers.get(question)
        if answer is None or self._store is None:
            return None
        return answer.value if self._store.is_unchanged(answer.watched, answer.read) else None

    def watch(self) -> object | None:
        """What :meth:`remember` is given; called before the transaction that reads."""
        return None if self._store is None else self._store.watch_parties()

    def remember(
        self, question: Hashable, watched: object | None, read: Iterable[tuple[Key, Record | None]], value: Any
    ) -> None:
        """Remember an answer, and what it was read from; nothing where ``watched`` is None."""
        if watched is None:
            return
        if len(self._answers) >= _MOST:
            self._answers = {}
        self._answers[question] = _Answer(value, watched, tuple(read))
