"""The decimals of a currency's minor unit (ISO 4217).

Rules of this module: a currency that is not listed has two, so an unknown code does, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

_NONE = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
_THREE = "BHD IQD JOD KWD LYD OMR TND"
_FOUR = "CLF UYW"

_DIGITS: Final[Mapping[str, int]] = MappingProxyType(
    {code: digits for codes, digits in ((_NONE, 0), (_THREE, 3), (_FOUR, 4)) for code in codes.split()}
)


def minor_digits(currency: str) -> int:
    """Return the decimals of the minor unit: 2 for EUR, 0 for JPY, 3 for KWD. Case is ignored."""
    return _DIGITS.get(currency.upper(), 2)
