"""Exact arithmetic on numbers of the wire.

Rules of this module: numbers may be larger than Decimal's default context calculates with; an overflow is an infinity
and a difference of infinities no number, and neither raises.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal, localcontext

_ANY_EXPONENT = Context(prec=28, Emax=MAX_EMAX, Emin=MIN_EMIN, traps=[])
_COARSEST, _FINEST = -1, -6
"""A number written with fewer than one decimal counts as rounded to one, with more than six as rounded to six."""


def total(numbers: Iterable[Decimal]) -> Decimal:
    """The sum, to 28 digits."""
    with localcontext(_ANY_EXPONENT):
        return sum(numbers, Decimal(0))


def exceeds(one: Decimal, other: Decimal, factor: int) -> bool:
    """Whether ``one`` is more than ``factor`` times ``other``."""
    with localcontext(_ANY_EXPONENT):
        return one > factor * other


def above(one: Decimal, other: Decimal, tolerance: Decimal) -> bool:
    """Whether ``one`` is greater than ``other`` by more than ``tolerance``."""
    with localcontext(_ANY_EXPONENT):
        return one - other > tolerance


def differ(one: Decimal, other: Decimal, tolerance: Decimal) -> bool:
    """Whether the two are further apart than ``tolerance``."""
    return above(one, other, tolerance) or above(other, one, tolerance)


def rounding(numbers: Iterable[Decimal]) -> Decimal:
    """How far the sum of these may be off, each being rounded to (or cut off after) its last written decimal."""
    return total(Decimal(1).scaleb(max(_FINEST, min(_COARSEST, _exponent(number)))) for number in numbers)


def decimals(number: Decimal) -> int:
    """Decimals of a number, not counting zeros at its end."""
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
    return exponent if isinstance(exponent, int) else 0  # no model holds an infinity


def hours(start: datetime, end: datetime) -> Decimal:
    """The time between two moments in hours."""
    span = end - start
    return (Decimal(span.days * 86400 + span.seconds) + Decimal(span.microseconds) / 10**6) / 3600
