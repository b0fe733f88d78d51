"""Moments in HTTP headers.

Rules of this module: a partner's value is never an error, and a moment is in UTC (RFC 9110 5.6.7).
"""

from __future__ import annotations

from datetime import UTC, datetime


def http_date(text: str | None) -> datetime | None:
    """Return the moment of a Date or Retry-After header; None if it is missing or unreadable."""
    if text is None:
        return None
    from email.utils import parsedate_to_datetime

    try:
        moment = parsedate_to_datetime(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):  # a year or an offset that no calendar has
        return None
