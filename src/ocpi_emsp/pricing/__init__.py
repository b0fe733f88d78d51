"""What a CDR should cost, line by line, whether its total is right, and what a charge would cost (docs/audit.md)."""

from ocpi_emsp.pricing.documents import audit, quote
from ocpi_emsp.pricing.plausibility import Plausibility, Surroundings
from ocpi_emsp.pricing.readings import CHOICES, Readings
from ocpi_emsp.pricing.reasons import REASONS, ReasonCode
from ocpi_emsp.pricing.result import Audit, Explanation, Line, Plan, Quote, Reason, Verdict

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
