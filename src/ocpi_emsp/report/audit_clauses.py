"""The clause of the specification that a reason or a line of an audit refers to, and its URL."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

SPECIFICATION: Final = "https://github.com/ocpi/ocpi/blob/release-2.1.1-bugfixes/"

_CDR = "mod_cdrs.md#31-cdr-object"
_PERIOD = "mod_cdrs.md#44-chargingperiod-class"
_TARIFF = "mod_tariffs.md#31-tariff-object"
_PRICE = "mod_tariffs.md#42-pricecomponent-class"
_PRICE_TYPE = "mod_tariffs.md#44-tariffdimensiontype-enum"
_RESTRICTION = "mod_tariffs.md#45-tariffrestrictions-class"

_CLAUSES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "tariff": _TARIFF,
        "tariff.ambiguous": "mod_locations.md#33-connector-object",
        "tariff.empty": "mod_tariffs.md#43-tariffelement-class",
        "dimension": "mod_cdrs.md#42-cdrdimension-class",
        "energy": _PERIOD,
        "time": _PERIOD,
        "boundary": _PERIOD,
        "period": _PERIOD,
        "power": _RESTRICTION,
        "restriction": _RESTRICTION,
        "price_type": _PRICE_TYPE,
        "price": _PRICE,
        "step_size": _PRICE,
        "zone": "mod_locations.md#31-location-object",
        "volume": "mod_cdrs.md#42-cdrdimension-class",
        "number": "types.md#14-number-type",
        "token": "mod_tokens.md#32-token-object",
        "location": "mod_locations.md#31-location-object",
        "connector": "mod_locations.md#33-connector-object",
        "work": "",
    }
)
"""Clause by code, or by the part of the code before its first full stop."""

LINE_CLAUSE: Final = _PRICE
"""The clause that lines of a bill refer to."""


def clause_of(code: str) -> str:
    """Return the clause of a reason as a file with its anchor; for an unknown code, that of the CDR."""
    return _CLAUSES.get(code, _CLAUSES.get(code.partition(".")[0], _CDR))


def url_of(clause: str) -> str:
    """Return the URL of a clause."""
    return f"{SPECIFICATION}{clause}"
