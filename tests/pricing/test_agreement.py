"""The library and the second implementation agree on random CDRs, under each reading.

``make test`` tries a few, always the same; ``make laws`` tries 10,000 for each value of each reading.
"""

from __future__ import annotations

import os
from fractions import Fraction
from random import Random
from typing import Any

import msgspec
import pytest

from ocpi_emsp import Cdr, decode
from ocpi_emsp.pricing import Readings, audit
from ocpi_emsp.pricing.readings import CHOICES
from pricing.random_cdrs import random_cdr
from pricing.second import audited

EXAMPLES = int(os.environ.get("LAW_EXAMPLES", "0")) or 5
NEAR = Fraction(1, 10**30)
READINGS = [{name: value} for name, values in CHOICES.items() if name != "rounding" for value in values]
READINGS += [{"vat": "21"}]
READINGS = [each for each in READINGS if each != {"session_time": "on"}]  # a dialect: its vectors are by hand


@pytest.mark.parametrize("chosen", READINGS, ids=lambda each: "-".join(*each.items()))
def test_the_library_agrees_with_the_second_implementation(chosen: dict[str, str]) -> None:
    differing = [each for number in range(EXAMPLES) if (each := difference(f"{chosen} {number}", chosen))]
    assert differing == []


def difference(seed: str, chosen: dict[str, str]) -> str | None:
    """What is wrong with the audit of one random CDR: a sentence with its seed; None if nothing is."""
    draw = Random(seed)
    readings = Readings.of(_others(draw) | chosen)
    document = random_cdr(draw)
    wanted = audited(document, readings.as_json())
    found = audit(decode(Cdr, msgspec.json.Encoder(decimal_format="number").encode(document)), readings=readings)
    said = f"{seed}: from {found.low} to {found.high}, expected from {float(wanted.low)} to {float(wanted.high)}"
    if found.low is None or found.high is None:
        return said
    low, high = Fraction(found.low), Fraction(found.high)
    if low == high and sum(Fraction(each.cost or 0) for each in found.lines) != Fraction(found.expected or 0):
        return f"{said}: the lines do not add up"
    if low > wanted.low + NEAR or high < wanted.high - NEAR:
        return f"{said}: a division lies outside of the bounds"
    room = wanted.slack + NEAR
    if wanted.tight and (low < wanted.low - room or high > wanted.high + room):
        return f"{said}: the bounds are too wide"
    return None


def _others(draw: Random) -> dict[str, Any]:
    """Now and then, another reading beside the one that is tried."""
    if draw.random() < 0.7:
        return {}
    name = draw.choice([each for each in CHOICES if each not in ("rounding", "session_time", "price_unit")])
    return {name: draw.choice(CHOICES[name])}
