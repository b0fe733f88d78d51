"""Exact arithmetic on numbers of the wire.

Rules of this module: numbers may be larger than Decimal's default context can calculate with; an overflow gives
infinity, a difference of infinities gives NaN, and neither raises.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal, localcontext

_ANY_EXPONENT = Context(prec=28, Emax=MAX_EMAX, Emin=MIN_EMIN, traps=[])
_COARSEST, _FINEST = -1, -6
"""A number written with fewer than one decimal counts as rounded to one, with more than six as rounded to six."""


def total(numbers: Iterable[Decimal]) -> Decimal:
    """Return the sum, to 28 digits."""
    with localcontext(_ANY_EXPONENT):
        return sum(numbers, Decimal(0))


def exceeds(one: Decimal, other: Decimal, factor: int) -> bool:
    """Return True if ``one`` is more than ``factor`` times ``other``."""
    with localcontext(_ANY_EXPONENT):
        return one > factor * other


def above(one: Decimal, other: Decimal, tolerance: Decimal) -> bool:
    """Return True if ``one`` is greater than ``other`` by more than ``tolerance``."""
    with localcontext(_ANY_EXPONENT):
        return one - other > tolerance


def differ(one: Decimal, other: Decimal, tolerance: Decimal) -> bool:
    """Return True if the two are further apart than ``tolerance``."""
    return above(one, other, tolerance) or above(other, one, tolerance)


def rounding(numbers: Iterable[Decimal]) -> Decimal:
    """Return the possible error of the sum, if each number was rounded or cut off at its last written decimal."""
    return total(Decimal(1).scaleb(max(_FINEST, min(_COARSEST, _exponent(number)))) for number in numbers)


def decimals(number: Decimal) -> int:
    """Return the number of decimals, without trailing zeros."""
    exponent = _exponent(number)
    if exponent >= 0 or not number:
        return 0
    digits = number.as_tuple().digits
    end = len(digits)
    while end and digits[end - 1] == 0:
        end -= 1
    return max(0, -exponent - (len(digits) - end))


def _exponent(number: Decimal) -> int:
    exponent = number.as_tuple().exponent
    return exponent if isinstance(exponent, int) else 0  # no model holds infinity


def hours(start: datetime, end: datetime) -> Decimal:
    """Return the hours between two moments."""
    span = end - start
    return (Decimal(span.days * 86400 + span.seconds) + Decimal(span.microseconds) / 10**6) / 3600
