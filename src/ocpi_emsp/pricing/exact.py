"""Exact numbers: from the decimals of a document to whole numbers and fractions, and back.

Rules of this module:
- volumes are whole numbers if possible (Wh, seconds), otherwise fractions; money is a fraction; nothing is a float;
- decimal arithmetic is not used: it would round to the precision of the caller's context;
- a fraction with a finite decimal is converted exactly, any other with 50 significant digits.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal
from fractions import Fraction
from typing import Final, TypeAlias

Rational: TypeAlias = int | Fraction

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND: Final = timedelta(seconds=1)
_HALF_HOUR: Final = 1800
_MOST_ROUNDED: Final = 2
"""Seconds that rounding hours to three decimals may lose; with two decimals they are whole seconds anyway."""

MAX_EXPONENT: Final = 60
"""Prices from 1e-30 to 1e30 are supported; numbers far beyond only cost time."""
MAX_DIGITS: Final = 100
_MAX_WHOLE: Final[int] = 10**60

_PLACES: Final = 24
_SCALE: Final = 10**_PLACES
_LONG: Final = Context(prec=50)


def absurd(number: Decimal | int) -> bool:
    """Return True if a number is too large, too small or too long to calculate with."""
    if isinstance(number, int):
        return abs(number) >= _MAX_WHOLE
    # The text has a character for each digit, and is faster than as_tuple().
    long = number.is_finite() and (abs(number.adjusted()) > MAX_EXPONENT or len(str(number)) > MAX_DIGITS)
    return bool(number) and (long or not number.is_finite())


def rational(number: Decimal, factor: int = 1) -> Rational:
    """Return the number times a factor, exactly."""
    numerator, denominator = number.as_integer_ratio()
    numerator *= factor
    return numerator // denominator if numerator % denominator == 0 else Fraction(numerator, denominator)


def watt_hours(kwh: Decimal) -> Rational:
    """Return the Wh of a volume in kWh."""
    return rational(kwh, 1000)


def seconds(hours: Decimal) -> int:
    """Return the nearest whole second of a volume in hours: 0.0834 h is 300 s."""
    numerator, denominator = hours.as_integer_ratio()
    return (numerator * 7200 + denominator) // (2 * denominator)


def seconds_within(hours: Decimal, length: int) -> int:
    """Return the whole seconds of a volume in a period of ``length`` seconds.

    They equal ``length`` if the volume is that length, rounded to its written decimals: 0.667 h in 40 minutes is 2400
    s, not 2401 s, which would begin another block.
    """
    found = seconds(hours)
    if found == length or abs(found - length) > _MOST_ROUNDED:
        return found
    exact, exponent = rational(hours, 3600), hours.as_tuple().exponent
    if isinstance(exact, int) or not isinstance(exponent, int):
        return found
    return length if abs(exact - length) * 10**-exponent <= _HALF_HOUR else found


def epoch(moment: datetime) -> int:
    """Return the whole seconds since 1970 of an aware time, rounded down."""
    return (moment - EPOCH) // _SECOND


def moment(since_epoch: int) -> datetime:
    """Return the UTC time that many seconds after 1970."""
    return EPOCH + timedelta(seconds=since_epoch)


def decimal(number: Rational) -> Decimal:
    """Return the number as a decimal: exact if it is finite, otherwise with 50 significant digits."""
    if isinstance(number, int):
        return Decimal(number)
    numerator, denominator = number.numerator, number.denominator
    if _SCALE % denominator == 0:
        return scaled(numerator * (_SCALE // denominator), _PLACES)
    twos, fives, rest = prime_power(denominator, 2), prime_power(denominator, 5), denominator
    rest //= 2**twos * 5**fives
    if rest != 1:
        return _LONG.divide(Decimal(numerator), Decimal(denominator))
    places = max(twos, fives)
    return scaled(numerator * 10**places // denominator, places)


def prime_power(number: int, base: int) -> int:
    """Return how often a base divides a number."""
    count = 0
    while number % base == 0:
        number //= base
        count += 1
    return count


def scaled(digits: int, places: int) -> Decimal:
    """Return ``digits`` with ``places`` decimals, without trailing zeros."""
    while places and digits % 10 == 0:
        digits //= 10
        places -= 1
    return Decimal(f"{digits}e-{places}")
