"""Arithmetic on moments that may be at the end of time: a partner may send any."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


def moved(moment: datetime, by: timedelta) -> datetime:
    """Return the moment, moved; the first or last possible one if that is out of range."""
    try:
        return moment + by
    except OverflowError:
        return (datetime.min if by < timedelta(0) else datetime.max).replace(tzinfo=UTC)
