"""What a CDR or a plan measured: the only input of the price reckoning.

Rules of this module:
- times are whole seconds since 1970 (UTC), energies Wh, durations seconds, currents A; None is not reported;
- periods are sorted by their start; each ends where the next one starts, the last where the session stops;
- volumes are not negative: sessions with negative volumes were rejected before.
"""

from __future__ import annotations

from typing import NamedTuple

from attrs import frozen

from ocpi_emsp.pricing.exact import Rational


class MeteredPeriod(NamedTuple):
    """One charging period, its dimensions added up. A plain tuple: a CDR may have thousands."""

    position: int
    """The period's index in the CDR as received."""
    start: int
    end: int
    """The end; never before ``start``."""
    wh: Rational | None = None
    seconds: int | None = None
    """The volume of TIME."""
    parking: int | None = None
    """The volume of PARKING_TIME."""
    flat: Rational | None = None
    """The FLAT volume, a count."""
    min_current: Rational | None = None
    max_current: Rational | None = None


@frozen(kw_only=True)
class Metered:
    """A session as measured, or planned."""

    start: int
    stop: int
    periods: tuple[MeteredPeriod, ...]
    voltage: int | None = None
    """The voltage of the used connector, line to neutral; None if unknown."""
    phases: int = 1
    """3 for AC_3_PHASE, else 1."""
    amperage: int | None = None
    whole_wh: Rational | None = None
    """Energy of the whole session, not reported by any period and still to be divided. The same applies to the next
    two.
    """
    whole_seconds: int | None = None
    whole_parking: int | None = None
