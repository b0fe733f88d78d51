"""The listeners that are notified when a command was written.

Rules of this module: a listener is called without a lock, so it may add or remove one; its exceptions are logged, and
the other listeners are notified nevertheless.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from itertools import count
from typing import TypeAlias

from ocpi_emsp import logs

Listener: TypeAlias = Callable[[str], None]


class Listeners:
    """The listeners of one store in this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers = count()
        self._listeners: dict[int, Listener] = {}

    def __len__(self) -> int:
        return len(self._listeners)

    def add(self, listener: Listener) -> Callable[[], None]:
        """Add a listener; return a function that removes it, which may be called repeatedly."""
        number = next(self._numbers)
        with self._lock:
            self._listeners[number] = listener
        return partial(self._remove, number)

    def clear(self) -> None:
        """Remove all listeners."""
        with self._lock:
            self._listeners.clear()

    def tell(self, uid: str) -> None:
        """Notify all listeners of a command; ``""`` means that some may have been missed."""
        with self._lock:
            listeners = list(self._listeners.values())
        for listener in listeners:
            try:
                listener(uid)
            except Exception as error:  # noqa: BLE001 # a host's code may raise anything
                logs.error("store.listener_failed", trace=error)

    def _remove(self, number: int) -> None:
        with self._lock:
            self._listeners.pop(number, None)
