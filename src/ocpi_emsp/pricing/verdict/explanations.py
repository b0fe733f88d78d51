"""What would make a wrong total right.

Rules of this module:
- an explanation is a single change that makes the claimed total RIGHT: it is tried, not guessed;
- only readings that can matter are tried (:mod:`ocpi_emsp.pricing.verdict.relevance`);
- VAT rates are those in common use; VAT, and cents for units, are only tried on a certain amount.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from itertools import islice
from typing import Final

from attrs import evolve

from ocpi_emsp.pricing.exact import Rational, decimal
from ocpi_emsp.pricing.readings import CHOICES, Readings
from ocpi_emsp.pricing.result import Explanation, Verdict, text
from ocpi_emsp.pricing.verdict.blocks import Bill
from ocpi_emsp.pricing.verdict.cdr_case import CdrCase
from ocpi_emsp.pricing.verdict.fine import FINE
from ocpi_emsp.pricing.verdict.relevance import relevant
from ocpi_emsp.pricing.verdict.rightness import Money, billed, down, size
from ocpi_emsp.pricing.verdict.ruling import Ruling

VAT_RATES: Final = (
    "27", "25.5", "25", "24", "23", "22", "21", "20", "19", "18", "17", "16", "15",
    "13.5", "13", "12", "10", "9", "8.1", "8", "7.7", "7", "6", "5.5", "5",
)  # fmt: skip
"""The standard and reduced rates, in percent, that are common where OCPI is in use."""
_PER_MILLE: Final = {rate: int(Decimal(rate) * 10) for rate in VAT_RATES}
_A_THOUSAND: Final = 1000
MAX_TRIED: Final = 100_000
"""Charging periods times elements that are examined, over all tried readings; beyond that no more readings are
tried.
"""
_FAR: Final = 20
"""Another unit is only tried if the total is too high or too low by at least this factor."""


def may_explain(ruling: Ruling) -> bool:
    """Return True if there is something to explain: a wrong total, or contradicting energies."""
    return ruling.verdict is Verdict.WRONG or any(each.code == "energy.contradiction" for each in ruling.reasons)


def explain(case: CdrCase, ruling: Ruling, readings: Readings) -> tuple[Explanation, ...]:
    """Return what would make right a total that is wrong, or whose energies contradict."""
    if ruling.verdict is not Verdict.WRONG:
        return tuple(_volumes_in_wh(case, readings))
    bill = None if ruling.base is None or ruling.expected is None else Bill.of(ruling.base.lines)
    found = [*_readings(case, ruling, readings, bill)]
    if not case.claimed:
        return tuple(found)  # 0 is 0 in every unit
    if bill is not None and ruling.expected is not None:
        found += _of_amount(case, ruling, ruling.expected, readings, bill)
    return (*found, *_energy(case, ruling, readings))


def _readings(case: CdrCase, ruling: Ruling, readings: Readings, bill: Bill | None) -> Iterator[Explanation]:
    for name, value in islice(relevant(case, ruling, readings, bill), MAX_TRIED // _work(ruling)):
        if _is_right(case, evolve(readings, **{name: value})):
            if name == "price_unit" and value == "step":
                message, code = "right if the price is that of each block of step_size", "price_per_step"
            else:
                message, code = f"right if {name} is read as {value}", "reading"
            yield Explanation(code=code, message=message, settings={name: value})


def _work(ruling: Ruling) -> int:
    """Return the work of one reckoning: charging periods times the elements of the tariffs and the zones that may
    apply.
    """
    if ruling.case is None:
        return 1
    elements = sum(len(each.tariff.elements) for each in ruling.case.candidates)
    zones = len(ruling.case.zones.candidates) if ruling.case.has_clock else 1
    return max(len(ruling.case.metered.periods) * elements * zones, 1)


def _is_right(case: CdrCase, readings: Readings, energy: Rational = 1) -> bool:
    return case.rule(readings, energy).verdict is Verdict.RIGHT


# --- arithmetic on a certain amount ---------------------------------------------------------------------------------


def _of_amount(
    case: CdrCase, ruling: Ruling, expected: Rational, readings: Readings, bill: Bill
) -> Iterator[Explanation]:
    money = Money.of(case.cdr.currency, readings)
    claimed = case.claimed
    if readings.vat is None:
        yield from _vat(claimed, expected, money)
    elif readings.vat and money.right(claimed, expected / Fraction(ruling.factor) * (-1 if claimed < 0 else 1)):
        yield Explanation(code="vat", message="right without VAT")
    if money.scale > 1 and size(claimed) > size(expected) and money.right(claimed / Fraction(money.scale), expected):
        message = f"right if the total is in minor units: {text(decimal(claimed / Fraction(money.scale)))}"
        yield Explanation(code="cents", message=message)
    if money.rounding != "common":  # it includes all others
        yield from _roundings(claimed, expected, ruling, money)
    if size(claimed) < size(expected):
        yield from _rounded_down(claimed, expected, ruling.factor, money, bill)


def _vat(claimed: Rational, expected: Rational, money: Money) -> Iterator[Explanation]:
    """Yield the rates that turn the amount into the claimed one: the nearest first, if the amount is small."""
    if not size(expected) < size(claimed) < size(expected) * 2 or (claimed < 0) != (expected < 0):
        return
    # In thousandths of a per mille; one minor unit of a small amount is many of them.
    share, room = int((claimed / Fraction(expected) - 1) * 10**6), int(10**6 / Fraction(expected * money.scale)) + 1
    near = {rate: abs(each * 1000 - share) for rate, each in _PER_MILLE.items() if abs(each * 1000 - share) <= room}
    for rate in sorted(near, key=near.__getitem__)[:3]:
        if money.right(claimed, expected * (1 + Fraction(_PER_MILLE[rate], 1000))):
            yield Explanation(code="vat", message=f"right with {rate}% VAT on top", settings={"vat": rate})


def _roundings(claimed: Rational, expected: Rational, ruling: Ruling, money: Money) -> Iterator[Explanation]:
    lines = () if ruling.base is None else billed(ruling.base.lines)
    for way in CHOICES["rounding"]:
        other = evolve(money, rounding=way, factor=ruling.factor)
        if way != money.rounding and other.right(claimed, expected, lambda: lines):
            code = "rounded_down" if way == "down" else "reading"
            yield Explanation(code=code, message=f"right if rounding is read as {way}", settings={"rounding": way})


def _rounded_down(
    claimed: Rational, expected: Rational, factor: Rational, money: Money, bill: Bill
) -> Iterator[Explanation]:
    for parts, named in ((1, "a whole unit"), (10, "one decimal")):
        if parts < money.scale and claimed and claimed * parts == down(expected * parts):
            yield Explanation(code="rounded_down", message=f"right if the total is rounded down to {named}")
    over = bill.unfinished()
    if over and money.right(claimed, Fraction(bill.bare - over, FINE) * factor):
        yield Explanation(code="rounded_down", message="right if a block of step_size that is not full is not billed")


# --- Wh for kWh -----------------------------------------------------------------------------------------------------


def _energy(case: CdrCase, ruling: Ruling, readings: Readings) -> Iterator[Explanation]:
    bound = ruling.beyond
    if "wh" not in case.measured.reported or bound is None or _work(ruling) > MAX_TRIED:
        return
    claimed, amount = size(case.claimed), size(bound)
    if claimed * _FAR < amount and _is_right(case, readings, Fraction(1, _A_THOUSAND)):
        yield Explanation(code="wh", message="right if the energies of the CDR are Wh instead of kWh")
    elif claimed > amount * _FAR and _is_right(case, readings, _A_THOUSAND):
        yield Explanation(code="wh", message="right if the price of a kWh is that of each Wh")


def _volumes_in_wh(case: CdrCase, readings: Readings) -> Iterator[Explanation]:
    """Yield an explanation if the volumes are a thousand times total_energy, or the reverse."""
    if _is_right(case, readings, Fraction(1, _A_THOUSAND)):
        yield Explanation(code="wh", message="right if the ENERGY volumes are Wh instead of kWh")
