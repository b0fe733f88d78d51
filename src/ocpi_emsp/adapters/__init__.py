"""Adapters only translate between a server interface and the library.

Rules of this package: the head of a request is checked before its body is read, and a body that arrives too slowly is
cut off.
"""

from __future__ import annotations

from time import monotonic

from ocpi_emsp.errors import BodyTooSlow
from ocpi_emsp.settings import HttpLimits

DRAIN = 8
"""Multiple of the body limit that is read and dropped around a response, so that the partner receives the response."""
CHUNK = 16_384
"""Bytes that are read at once if a read blocks: the body's time limit is checked between two reads."""


class BodyTime:
    """The time limit of a body; only time spent waiting for it counts."""

    def __init__(self, limits: HttpLimits) -> None:
        self._limits = limits
        self._waited = 0.0
        self._since = 0.0

    def begin(self, received: int) -> float:
        """Start waiting for more; return the most seconds to wait. Raises BodyTooSlow if none are left."""
        limits = self._limits
        allowed = min(limits.body_timeout, limits.body_grace + received / limits.body_rate)
        if self._waited > allowed:
            raise self.passed()
        self._since = monotonic()
        return allowed - self._waited

    def end(self) -> None:
        """Stop waiting: more arrived."""
        self._waited += monotonic() - self._since

    def passed(self) -> BodyTooSlow:
        """Return the error for a body that took too long."""
        limits = self._limits
        return BodyTooSlow(
            f"the body arrived too slowly: expected all of it within {limits.body_timeout:g} s, "
            f"and {limits.body_rate} bytes per second"
        )
