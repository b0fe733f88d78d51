"""Amounts as whole numbers of a very small unit: fast, and near enough to see how a total may have been rounded.

Rules of this module: what a session costs is never reckoned with these; they tell a rounded total from a wrong one, and
what is worth trying for an explanation.
"""

from __future__ import annotations

from decimal import Context, Decimal
from typing import Final

from ocpi_emsp.pricing.exact import Rational

_PLACES: Final = 18
FINE: Final = 10**_PLACES
"""So many of the small unit are one of the currency."""
NOISE: Final = 10**9
"""By so many a sum may be off."""
_WIDE: Final = Context(prec=200)


def fine(number: Decimal) -> int:
    """The decimal in the small unit."""
    return int(_WIDE.scaleb(number, _PLACES))


def fine_of(number: Rational) -> int:
    """The exact number in the small unit."""
    return number.numerator * FINE // number.denominator


def smooth(amount: int) -> int:
    """The amount without the noise of its sum."""
    return (amount + NOISE // 2) // NOISE * NOISE
