"""Requests of a simulated CPO to a Django project in a test.

Rules of this module:
- at the start and end of a request Django closes connections, including that of a ``TestCase``, which ends its
  transaction; its own test client prevents that, and so do the requests of a simulated CPO;
- requests may be nested, and made in several threads.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from django.core.signals import request_finished, request_started
from django.db import close_old_connections

_OF_A_REQUEST = request_started, request_finished


class _Kept:
    """Requests during which no connection is closed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._depth = 0

    def enter(self) -> None:
        with self._lock:
            self._depth += 1
            if self._depth == 1:
                for signal in _OF_A_REQUEST:
                    signal.disconnect(close_old_connections)

    def leave(self) -> None:
        with self._lock:
            self._depth -= 1
            if not self._depth:
                for signal in _OF_A_REQUEST:
                    signal.connect(close_old_connections)


_kept = _Kept()


@contextmanager
def keeping_connections() -> Iterator[None]:
    """Make a request of a test, at whose start and end Django closes no connection."""
    _kept.enter()
    try:
        yield
    finally:
        _kept.leave()
