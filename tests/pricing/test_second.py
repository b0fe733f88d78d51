"""The second implementation gives what was reckoned by hand, for every value of every reading."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from pricing.second import audited
from pricing.vectors import amounts, cdr, vectors

DEFAULT = {
    "element": "per_dimension",
    "step": "session_last",
    "step_volume": "priced",
    "duration": "session",
    "boundary": "bounds",
    "power": "current",
    "flat": "session",
    "upper": "exclusive",
    "wrap_day": "moment",
    "dates": "daily",
    "equal_times": "never",
    "missing": "undecidable",
    "tariffs": "connector",
    "rounding": "common",
    "tolerance": "0",
    "vat": None,
    "price_unit": "unit",
    "credit": "negative_total",
    "session_time": "off",
}
SECOND = dict(each for each in vectors() if each[1].get("second", True))


@pytest.mark.parametrize("name", SECOND)
def test_the_second_implementation_gives_the_amount_reckoned_by_hand(name: str) -> None:
    vector: Mapping[str, Any] = SECOND[name]
    found = audited(cdr(vector), DEFAULT | vector.get("readings", {}))
    assert (found.low, found.high) == amounts(vector)
