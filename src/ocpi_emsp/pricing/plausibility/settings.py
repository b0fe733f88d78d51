"""Settings of the plausibility checks, as data, per party: each code is a setting.

Rules of this module (docs/how-to/audit-bills.md has a row for each code, with its default): ``off`` disables a code; a
number is the limit from which it is reported, in the unit of the code; ``on`` means its default.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from types import MappingProxyType
from typing import Any, Final, Self

from attrs import field, frozen

from ocpi_emsp.pricing.reasons import REASONS, ReasonCode
from ocpi_emsp.scalars import given

CODES: Final[Mapping[str, ReasonCode]] = MappingProxyType(
    {code: each for code, each in REASONS.items() if each.plausibility}
)
"""The plausibility codes."""
_MOST: Final = Decimal(10) ** 12
"""The largest limit; far above any session's, and small enough to calculate with."""
_LONGEST: Final = 30
"""Most digits of a limit."""


def _read(settings: Mapping[str, Any]) -> Mapping[str, str]:
    if not isinstance(settings, Mapping):
        raise ValueError(
            f"invalid plausibility '{given(settings)}': expected a mapping of codes to settings, "
            "for example {'session.long': 48}"
        )
    read = {str(code): _setting(str(code), value) for code, value in settings.items()}
    changed = {code: value for code, value in sorted(read.items()) if value != CODES[code].default}
    return MappingProxyType(changed)


def _setting(code: str, value: object) -> str:
    if code not in CODES:
        from difflib import get_close_matches

        closest = get_close_matches(code, CODES, n=len(CODES), cutoff=0)
        raise ValueError(f"invalid plausibility '{code}': expected one of {', '.join(closest)}, such as {closest[0]}")
    known = CODES[code]
    word = value.lower() if isinstance(value, str) else value
    if word is False or word == "off":
        return "off"
    if (word is True or word == "on") and known.default != "off":
        return known.default
    limit = _number(value) if known.unit else None
    if limit is None:
        expected = f"a number ({known.unit}) or off, for example 60" if known.unit else "on or off, for example off"
        raise ValueError(f"invalid plausibility {code} '{_shown(value)}': expected {expected}")
    return f"{limit.normalize():f}"


def _shown(value: object) -> str:
    """Return an argument in short; Python does not write whole numbers of thousands of digits."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = Decimal(value)
    return given(value)[:100]


def _number(value: object) -> Decimal | None:
    """Return a limit, or None if the value is not one."""
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal | float):
        return None
    try:
        number = Decimal(str(value) if isinstance(value, float) else value)
    except InvalidOperation:
        return None
    if not number.is_finite() or not 0 <= number <= _MOST:
        return None
    is_exact = len(number.as_tuple().digits) <= _LONGEST and number.adjusted() >= -_LONGEST
    return number if is_exact or not number else None


@frozen
class Plausibility:
    """Which codes are checked, and their limits: one entry for each that is not at its default.

    A code's setting is ``off``, ``on``, or its limit as a number or as text. Raises ValueError that names the code.
    """

    changes: Mapping[str, str] = field(factory=dict, converter=_read)
    _limits: Mapping[str, Decimal] = field(init=False, eq=False, repr=False)
    """The limit of each enabled code; 0 for a code without a limit."""

    @_limits.default
    def _find_limits(self) -> Mapping[str, Decimal]:
        settings = self.as_json()
        return {
            code: Decimal(value) if CODES[code].unit else Decimal(0)
            for code, value in settings.items()
            if value != "off"
        }

    def changed(self, settings: Mapping[str, Any]) -> Self:
        """Return these settings with some changed. Raises ValueError."""
        return type(self)({**self.changes, **settings})

    def has(self, code: str) -> bool:
        """Return True for an enabled code."""
        return code in self._limits

    def limit(self, code: str) -> Decimal | None:
        """Return the limit of a code; None if it is off."""
        return self._limits.get(code)

    def as_json(self) -> dict[str, str]:
        """Return every setting by code."""
        return {code: self.changes.get(code, known.default) for code, known in CODES.items()}


DEFAULT: Final = Plausibility()
