"""Amounts as whole numbers of a very small unit: fast, and accurate enough to recognise a rounded total.

Rules of this module: the cost of a session is never computed with these; they distinguish a rounded total from a wrong
one, and select what is worth trying as an explanation.
"""

from __future__ import annotations

from decimal import Context, Decimal
from typing import Final

from ocpi_emsp.pricing.exact import Rational

_PLACES: Final = 18
FINE: Final = 10**_PLACES
"""Small units in one unit of the currency."""
NOISE: Final = 10**9
"""Small units by which a sum may be inaccurate."""
_WIDE: Final = Context(prec=200)


def fine(number: Decimal) -> int:
    """Return the decimal in the small unit."""
    return int(_WIDE.scaleb(number, _PLACES))


def fine_of(number: Rational) -> int:
    """Return the exact number in the small unit."""
    return number.numerator * FINE // number.denominator


def smooth(amount: int) -> int:
    """Return the amount without the inaccuracy of its sum."""
    return (amount + NOISE // 2) // NOISE * NOISE
