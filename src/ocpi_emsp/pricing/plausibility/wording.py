"""Numbers and times of any size: compared without exceptions, and written for people."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal, localcontext
from typing import Final

from ocpi_emsp.pricing.result import text

ANY: Final = Context(prec=50, Emax=MAX_EMAX, Emin=MIN_EMIN, traps=[])
"""Arithmetic that never raises, whatever context the application has set."""
_LONGEST: Final = 40
"""Digits of a number that are written out."""


def seconds(start: datetime, end: datetime) -> Decimal:
    """Return the whole seconds between two moments; negative if the end comes first."""
    span = end - start
    return Decimal(span.days * 86400 + span.seconds)


def above(one: Decimal, other: Decimal, by: Decimal = Decimal(0)) -> bool:
    """Return True if ``one`` is greater than ``other`` by more than ``by``."""
    with localcontext(ANY):
        return one - other > by


def differ(one: Decimal, other: Decimal, by: Decimal) -> bool:
    """Return True if the two are further apart than ``by``."""
    return above(one, other, by) or above(other, one, by)


def product(*factors: Decimal | int) -> Decimal:
    """Return the product, to 50 digits."""
    with localcontext(ANY):
        found = Decimal(1)
        for factor in factors:
            found *= factor
        return found


def written(number: Decimal) -> str:
    """Return a number for a sentence; a very long one as a power of ten."""
    if abs(number.adjusted()) > _LONGEST or len(number.as_tuple().digits) > _LONGEST:
        return f"{number:.3E}"
    return text(number) or "0"


def rounded(number: Decimal) -> str:
    """Return a calculated number, to three decimals."""
    if abs(number.adjusted()) > _LONGEST:
        return f"{number:.3E}"
    with localcontext(ANY):
        return text(round(number, 3)) or "0"


def lasting(count: Decimal) -> str:
    """Return seconds as hours, minutes and seconds."""
    hours, rest = divmod(int(count), 3600)
    minutes, left = divmod(rest, 60)
    parts = [f"{value} {unit}" for value, unit in ((hours, "h"), (minutes, "min"), (left, "s")) if value]
    return " ".join(parts) or "0 s"


def at(moment: datetime) -> str:
    """Return a moment in UTC, as on the wire."""
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def naming(ids: Sequence[str]) -> str:
    """Return the first three ids, and the number of further ones."""
    more = f" and {len(ids) - 3} more" if len(ids) > 3 else ""
    return ", ".join(f"'{each}'" for each in sorted(ids)[:3]) + more
