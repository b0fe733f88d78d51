"""What a CDR should cost, line by line, whether its total is right; quotes (docs/how-to/audit-bills.md)."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from ocpi_emsp.pricing.plausibility import Plausibility, Surroundings
from ocpi_emsp.pricing.readings import CHOICES, Readings
from ocpi_emsp.pricing.reasons import REASONS, ReasonCode
from ocpi_emsp.pricing.result import Audit, Explanation, Line, Plan, Quote, Reason, Verdict

if TYPE_CHECKING:
    from ocpi_emsp.pricing.documents import audit, quote

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

_LATE = {"audit": "ocpi_emsp.pricing.documents", "quote": "ocpi_emsp.pricing.documents"}
"""Names that are imported when they are first used: readings and events of audits need no reckoning."""

if not TYPE_CHECKING:  # a type checker reads the imports above, and must not take every name for one of ours

    def __getattr__(name: str) -> object:
        if name in _LATE:
            return globals().setdefault(name, getattr(import_module(_LATE[name]), name))
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
