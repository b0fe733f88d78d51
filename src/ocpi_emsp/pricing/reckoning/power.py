"""Bounds of the power of a charging period: 2.1.1 reports currents, and its restrictions refer to power.

Rules of this module (mod_cdrs.md 4.3, mod_tariffs.md 4.5, the reading ``power``):
- ``current``: amperes times the voltage of the connector (line to neutral) times its phases, in W;
- ``ampere``: the amperes themselves are compared, as in the specification's complex example;
- ``mean``: energy divided by time; a current that is not reported is between 0 and the connector's maximum.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TypeAlias

from ocpi_emsp.pricing.exact import Rational
from ocpi_emsp.pricing.session.metered import Metered, MeteredPeriod

Range: TypeAlias = tuple[Rational, Rational | None]
"""A lower and an upper bound; None stands for no upper bound."""

UNKNOWN: Range = (0, None)


def power(metered: Metered, period: MeteredPeriod, reading: str) -> Range:
    """Return the power of a period while it charges, in W; in A if the reading is ``ampere``."""
    if reading == "mean":
        return _mean(period)
    if reading == "ampere":
        return _current(metered, period)
    if not metered.voltage or metered.voltage < 0:
        return UNKNOWN
    low, high = _current(metered, period)
    factor = metered.voltage * metered.phases
    return low * factor, None if high is None else high * factor


def _mean(period: MeteredPeriod) -> Range:
    seconds = period.seconds or period.end - period.start
    if period.wh is None or seconds <= 0:
        return UNKNOWN
    mean = Fraction(period.wh * 3600) / seconds
    return mean, mean


def _current(metered: Metered, period: MeteredPeriod) -> Range:
    low, high = period.min_current, period.max_current
    if low is not None and high is not None:
        return min(low, high), max(low, high)
    most = metered.amperage if metered.amperage and metered.amperage > 0 else None
    if high is not None:
        return min(0, high), high
    if low is None:
        return 0, most
    return low, None if most is None else max(low, most)
