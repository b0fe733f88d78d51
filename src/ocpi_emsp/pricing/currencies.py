"""How many decimals the minor unit of a currency has (ISO 4217).

Rules of this module: two where nothing else is listed, so for a code that is not known, too.
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
    """The decimals of the minor unit: 2 for EUR, 0 for JPY, 3 for KWD. In any case."""
    return _DIGITS.get(currency.upper(), 2)
