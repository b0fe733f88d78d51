"""Audits for the tests of what is made of them: of given amounts, with a line, and hostile ones."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from ocpi_emsp.pricing import Audit, Explanation, Line, Quote, Readings, Reason, Verdict
from report.support import HOSTILE

START = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)


def line(**changes: Any) -> Line:
    """2 hours and 5 Wh of energy at 0.25 per kWh."""
    given: dict[str, Any] = {
        "dimension": "ENERGY",
        "period": 0,
        "start": START,
        "end": START.replace(hour=9),
        "measured": Decimal(12300),
        "billed": Decimal(12500),
        "unit": "Wh",
        "price": Decimal("0.25"),
        "step_size": 500,
        "cost": Decimal("3.125"),
        "low": Decimal("3.125"),
        "high": Decimal("3.125"),
        "tariff_id": "T1",
        "element": 0,
        "component": 1,
        "why": "it is the first element whose restrictions match",
    }
    return Line(**(given | changes))


def audit(verdict: Verdict = Verdict.WRONG, claimed: str = "12.00", **changes: Any) -> Audit:
    """An audit that expects 9.00 EUR; without a known amount where it is undecidable."""
    is_open = verdict is Verdict.UNDECIDABLE
    amount = Decimal(claimed)
    known = None if is_open else amount if verdict is Verdict.RIGHT else Decimal(9)
    given: dict[str, Any] = {
        "cdr": "CDR1",
        "verdict": verdict,
        "claimed": amount,
        "expected": known,
        "low": Decimal(8) if is_open else known,
        "high": Decimal(20) if is_open else known,
        "difference": None if is_open else amount - known,  # type: ignore[operator] # one that is known
        "currency": "EUR",
        "lines": (line(),),
        "readings": Readings(),
    }
    return Audit(**(given | changes))


def wrong_at_least(claimed: str = "25.00") -> Audit:
    """One that lies beyond its upper bound of 20."""
    bounds: dict[str, Any] = {"expected": None, "low": Decimal(8), "high": Decimal(20)}
    return audit(claimed=claimed, difference=Decimal(claimed) - 20, at_least=True, **bounds)


def hostile(text: str) -> Audit:
    """One in which everything that comes from a partner is this text."""
    reason = Reason(code="boundary.unknown", pointer=f"/{text}", message=text)
    return audit(
        cdr=text,
        currency=text,
        lines=(line(dimension=text, tariff_id=text, why=text), line(cost=None, price=None, low=None, high=None)),
        reasons=(reason,),
        assumptions=(text,),
        explanations=(Explanation(code="vat", message=text),),
    )


ALL_HOSTILE = tuple(map(hostile, HOSTILE))


def quote(**changes: Any) -> Quote:
    """One of 3.125 EUR."""
    given: dict[str, Any] = {
        "total": Decimal("3.125"),
        "low": Decimal("3.125"),
        "high": Decimal("3.125"),
        "currency": "EUR",
        "tariff_id": "T1",
        "lines": (line(),),
        "readings": Readings(),
    }
    return Quote(**(given | changes))
