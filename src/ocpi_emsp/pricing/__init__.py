"""What a CDR should cost, line by line, and whether its total is right; quotes (docs/how-to/audit-bills.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocpi_emsp._extras import late
from ocpi_emsp.pricing.readings import CHOICES, Readings
from ocpi_emsp.pricing.reasons import REASONS, ReasonCode
from ocpi_emsp.pricing.result import Audit, Explanation, Line, Plan, Quote, Reason, Verdict

if TYPE_CHECKING:
    from ocpi_emsp.pricing.documents import audit, quote
    from ocpi_emsp.pricing.plausibility import Plausibility, Surroundings

__all__ = [
    "CHOICES",
    "REASONS",
    "Audit",
    "Explanation",
    "Line",
    "Plan",
    "Plausibility",
    "Quote",
    "Readings",
    "Reason",
    "ReasonCode",
    "Surroundings",
    "Verdict",
    "audit",
    "quote",
]

if not TYPE_CHECKING:  # type checkers read the imports above; __getattr__ would make every name valid for them
    # Readings and events of audits do not need the reckoning code.
    __getattr__ = late(
        __name__,
        {
            "Plausibility": "ocpi_emsp.pricing.plausibility",
            "Surroundings": "ocpi_emsp.pricing.plausibility",
            "audit": "ocpi_emsp.pricing.documents",
            "quote": "ocpi_emsp.pricing.documents",
        },
    )


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
