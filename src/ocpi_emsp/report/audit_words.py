"""The words of an audit, for every form that people read: amounts, volumes, sentences.

Rules of this module:
- nothing is escaped here: every renderer escapes for its own form;
- an amount has at least the digits of the claimed one; one with more than :data:`MOST_DECIMALS` decimals is rounded and
  marked with ``~``, and one whose digits fill a line is written with an exponent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from decimal import MAX_EMAX, MIN_EMIN, ROUND_HALF_EVEN, Context, Decimal
from types import MappingProxyType
from typing import Final

from ocpi_emsp.findings import counted
from ocpi_emsp.pricing import Audit, Line, Quote, Readings, Reason, Verdict
from ocpi_emsp.pricing.currencies import minor_digits
from ocpi_emsp.pricing.result import text
from ocpi_emsp.report.audits import VERDICTS, AuditTally, CurrencySums, is_absurd

TITLE = "CDR audit"
INTRODUCTION = (
    "Each CDR was calculated from its charging periods and its tariff as OCPI 2.1.1 defines them. Amounts exclude VAT "
    "unless a reading includes it, times are UTC, and periods, elements and components are counted from 0."
)
MOST_DECIMALS = 4
NO_BOUND = "no bound"

_WIDE = Context(prec=400, Emax=MAX_EMAX, Emin=MIN_EMIN, rounding=ROUND_HALF_EVEN)
_PER = {"Wh": " per kWh", "s": " per hour"}

READING_QUESTIONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "element": "which element of a tariff prices a dimension",
        "step": "how often step_size rounds a volume up",
        "step_volume": "which volume step_size rounds up",
        "duration": "what min_duration and max_duration count from",
        "boundary": "how a period is divided where a price changes within it",
        "power": "what min_power and max_power are compared with",
        "flat": "how often a fee is charged",
        "upper": "whether an upper limit belongs to what it limits",
        "wrap_day": "which day a window past midnight belongs to",
        "dates": "whether times of day apply to each day of the dates",
        "equal_times": "what a window with equal times means",
        "missing": "what a priced dimension means that no period reports",
        "tariffs": "which of several tariffs applies",
        "rounding": "how a total may be rounded",
        "tolerance": "by what amount a total may be off",
        "vat": "the VAT rate in percent that totals include",
        "price_unit": "whether a price is per unit or per block of step_size",
        "credit": "how a credit is written",
        "session_time": "whether SESSION_TIME is a dimension with a price",
    }
)
"""The question that each reading answers."""


# --- amounts and volumes --------------------------------------------------------------------------------------------


def amount(number: Decimal | None, digits: int = 2) -> str:
    """Return an amount with at least ``digits`` decimals; None gives the text for a missing bound."""
    if number is None:
        return NO_BOUND
    if is_absurd(number):
        return f"{_WIDE.create_decimal(number).normalize(Context(prec=6, Emax=MAX_EMAX, Emin=MIN_EMIN)):E}"
    whole, _, decimals = str(text(number)).partition(".")
    if len(decimals) > MOST_DECIMALS:
        rounded = number.quantize(Decimal(1).scaleb(-MOST_DECIMALS), context=_WIDE)
        return f"~{rounded:f}" if rounded else f"~{number.normalize(Context(prec=3)):E}"
    return f"{whole}.{decimals.ljust(digits, '0')}" if decimals or digits else whole


def signed(number: Decimal, digits: int = 2) -> str:
    """Return an amount with its sign; ``+`` means that the CDR claims too much."""
    shown = amount(number.copy_abs(), digits)
    return f"{'-' if number < 0 else '+' if number else ''}{shown}"


def between(low: Decimal | None, high: Decimal | None, digits: int = 2) -> str:
    """Return two bounds, or the only one; empty if there is none."""
    if low is None or high is None:
        bound, word = (low, "at least") if high is None else (high, "at most")
        return "" if bound is None else f"{word} {amount(bound, digits)}"
    return amount(low, digits) if low == high else f"{amount(low, digits)} to {amount(high, digits)}"


def digits_of(audit: Audit) -> int:
    """Return the decimals of an audit's amounts: those of the minor unit, or of the claimed amounts if they have
    more.
    """
    exponent = audit.claimed.as_tuple().exponent
    written = -exponent if isinstance(exponent, int) else 0
    return min(max(written, minor_digits(audit.currency)), MOST_DECIMALS)


def difference(audit: Audit) -> str:
    """Return the difference with its sign; prefixed with ``>=`` if only a bound is known; empty if unknown."""
    if audit.difference is None:
        return ""
    digits = digits_of(audit)
    return f"{'>= ' if audit.at_least else ''}{signed(audit.difference, digits)}"


def expected(audit: Audit) -> str:
    """Return the expected amount, or its bounds; empty if there are none."""
    digits = digits_of(audit)
    return amount(audit.expected, digits) if audit.expected is not None else between(audit.low, audit.high, digits)


def volume(number: Decimal, unit: str) -> str:
    """Return a volume: Wh as kWh, seconds as hours, minutes and seconds, a fee as its count."""
    if unit == "Wh":
        return f"{plain(number.scaleb(-3, _WIDE))} kWh"
    if unit == "s" and number == number.to_integral_value() and 0 <= number < 10**9:
        minutes, seconds = divmod(int(number), 60)
        return f"{minutes // 60}:{minutes % 60:02}:{seconds:02} h"
    return f"{plain(number)} {unit}".rstrip()


def plain(number: Decimal) -> str:
    """Return a number unchanged, or with an exponent if its digits would fill a line."""
    return f"{number:E}" if is_absurd(number) else str(text(number))


def billed(line: Line) -> str:
    """Return the volume of a line, and the billed volume if step_size adds to it."""
    measured = volume(line.measured, line.unit)
    return measured if line.billed == line.measured else f"{measured}, billed {volume(line.billed, line.unit)}"


def price(line: Line) -> str:
    """Return the price of a line with its unit; ``free`` if there is none, and a placeholder for several."""
    if line.dimension == "VAT":
        return "on top"
    if line.price is None:
        return "free" if line.cost is not None and not line.cost else "more than one price"
    step = f", step {line.step_size}" if line.step_size and line.step_size != 1 else ""
    return f"{plain(line.price)}{_PER.get(line.unit, '')}{step}"


def billed_at(line: Line) -> str:
    """Return the volume of a line at its price."""
    return f"{billed(line)}{', ' if line.price is None else ' at '}{price(line)}"


def cost(line: Line, digits: int = 2) -> str:
    """Return the cost of a line, or its bounds."""
    return amount(line.cost, digits) if line.cost is not None else between(line.low, line.high, digits) or NO_BOUND


def moment(at: datetime) -> str:
    """Return a time in UTC, to the second."""
    return at.strftime("%Y-%m-%d %H:%M:%SZ")


def place(line: Line) -> str:
    """Return the charging period and the component of a line."""
    parts = ["session" if line.period is None else f"period {line.period}"]
    if line.tariff_id is not None:
        parts.append(f"tariff {line.tariff_id}")
    if line.element is not None:
        parts.append(f"element {line.element}")
    if line.component is not None:
        parts.append(f"component {line.component}")
    return ", ".join(parts)


# --- sentences ------------------------------------------------------------------------------------------------------


def headline(audit: Audit) -> str:
    """Say what the CDR claims, what is expected, and how far the two are apart."""
    digits, currency = digits_of(audit), audit.currency
    claimed = f"claimed {amount(audit.claimed, digits)} {currency}"
    known = expected(audit)
    awaited = f"{claimed}, expected {known} {currency}" if known else f"{claimed}, the expected amount is not known"
    if audit.verdict is not Verdict.WRONG or audit.difference is None:
        return awaited
    least = "at least " if audit.at_least else ""
    direction = "too much" if audit.difference > 0 else "too little"
    return f"{awaited}: {least}{amount(audit.difference.copy_abs(), digits)} {currency} {direction}"


def quoted(quote: Quote) -> str:
    """Say what a plan would cost."""
    digits = minor_digits(quote.currency)
    known = amount(quote.total, digits) if quote.total is not None else between(quote.low, quote.high, digits)
    return f"{known} {quote.currency}" if known else "the amount is not known"


def reason(each: Reason) -> str:
    """Return a reason with its place and its code."""
    where = f"{each.pointer}: " if each.pointer else ""
    return f"{where}{each.message} [{each.code}]"


def notes(audit: Audit) -> Iterator[str]:
    """Yield reasons, explanations and assumptions of an audit, a sentence each."""
    yield from map(reason, audit.reasons)
    yield from (f"explained by: {each.message} [{each.code}]" for each in audit.explanations)
    yield from (f"assumed: {each}" for each in audit.assumptions)


def readings(used: Readings) -> str:
    """Return the readings that differ from the defaults, in short."""
    differing = used.differing()
    shown = ", ".join(f"{name}={value}" for name, value in differing.items())
    return f"read with {shown}" if shown else "read with the default readings"


def summary(tally: AuditTally) -> list[str]:
    """Return the number of CDRs by verdict, then a line for each currency."""
    verdicts = ", ".join(f"{tally.counts[verdict]} {verdict.value}" for verdict in reversed(VERDICTS))
    lines = [f"{counted(tally.total, 'CDR')}: {verdicts}"]
    if tally.failed:
        lines[0] += f"; {counted(tally.failed, 'document')} could not be audited"
    lines += map(currency, tally.currencies)
    if tally.other_currencies:
        lines.append(f"{counted(tally.other_currencies, 'CDR')} in further currencies: not added up here")
    return lines


def currency(sums: CurrencySums) -> str:
    """Return the sums of one currency in a sentence."""
    digits = minor_digits(sums.currency)
    said = [f"{sums.currency}: {counted(sums.cdrs, 'CDR')}, claimed {amount(sums.claimed, digits)}"]
    words = ((sums.overcharged, "too much"), (sums.undercharged, "too little"), (sums.undecidable, "undecidable"))
    said += [f"{amount(sum_, digits)} {word}" for sum_, word in words if sum_]
    if sums.not_summed:
        said.append(f"{counted(sums.not_summed, 'amount')} too large or too small to add")
    return ", ".join(said)


def sum_cells(sums: CurrencySums) -> Sequence[str]:
    """Return the sums of one currency as the cells below :data:`SUM_COLUMNS`."""
    amounts = (sums.claimed, sums.expected, sums.overcharged, sums.undercharged, sums.undecidable)
    digits = minor_digits(sums.currency)
    return sums.currency, str(sums.cdrs), *(amount(each, digits) for each in amounts)


SUM_COLUMNS = ("currency", "CDRs", "claimed", "expected", "too much", "too little", "undecidable")
