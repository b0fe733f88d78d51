"""Adapters translate between a server interface and the library, nothing else.

Rules of this package: the head of a request is looked at before its body is read, and a body that arrives too slowly
ends.
"""

from __future__ import annotations

from time import monotonic

from ocpi_emsp.errors import BodyTooSlow
from ocpi_emsp.settings import HttpLimits

DRAIN = 8
"""How many times the body limit is read and dropped around an answer, so that the partner receives it."""
CHUNK = 16_384
"""Bytes that are read at once where a read blocks: the time of a body is looked at between two reads."""


class BodyTime:
    """How long a body may still take; only the time counts in which it is waited for."""

    def __init__(self, limits: HttpLimits) -> None:
        self._limits = limits
        self._waited = 0.0
        self._since = 0.0

    def begin(self, received: int) -> float:
        """Begin to wait for more; returns for how many seconds at most. Raises BodyTooSlow where none are left."""
        limits = self._limits
        allowed = min(limits.body_timeout, limits.body_grace + received / limits.body_rate)
        if self._waited > allowed:
            raise self.passed()
        self._since = monotonic()
        return allowed - self._waited

    def end(self) -> None:
        """More arrived."""
        self._waited += monotonic() - self._since

    def passed(self) -> BodyTooSlow:
        """What is raised once the time is over."""
        limits = self._limits
        return BodyTooSlow(
            f"the body arrived too slowly: expected all of it within {limits.body_timeout:g} s, "
            f"and {limits.body_rate} bytes per second"
        )
