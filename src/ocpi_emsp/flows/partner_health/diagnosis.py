"""The result of a partner's diagnosis, as data.

Rules of this module: nothing here calls a partner; a sentence names what was seen, never a token; expected support has
one item for each row of the support matrix, in its order.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from attrs import frozen

from ocpi_emsp.codec import wire_time
from ocpi_emsp.flows.partner_health.profile_suggestions import Suggestion
from ocpi_emsp.support import SupportRow


class CheckOutcome(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARNING = "warning"
    """It works, with an oddity worth knowing."""
    FAILED = "failed"
    SKIPPED = "skipped"
    """It was not possible, because of an earlier check or of the token."""


class Works(StrEnum):
    """Whether a row of the matrix works."""

    YES = "yes"
    """It was tried successfully."""
    NO = "no"
    UNTRIED = "untried"
    """It cannot be tried read-only, or not with this token; no problem is known unless the reason names one."""
    OFF = "off"
    """Our matrix switches it off."""


@frozen
class Check:
    """One check: its name, its outcome, and a sentence on what was seen."""

    name: str
    outcome: CheckOutcome
    sentence: str


@frozen
class ExpectedSupport:
    """Whether one row of the support matrix works with this partner, and why."""

    row: SupportRow
    works: Works
    why: str

    def as_json(self) -> dict[str, str]:
        """Return a member of a JSON document."""
        row = self.row
        return {
            "module": row.module,
            "direction": row.direction,
            "methods": row.methods,
            "path": row.path,
            "works": self.works.value,
            "why": self.why,
        }


@frozen(kw_only=True)
class Diagnosis:
    """What works with a partner, and what does not."""

    versions_url: str
    at: datetime
    checks: tuple[Check, ...]
    expected_support: tuple[ExpectedSupport, ...]
    suggestions: tuple[Suggestion, ...]
    """Values for the party's profile, which are not applied automatically."""

    @property
    def reachable(self) -> bool:
        """True if any request was answered over HTTP."""
        return all(check.name != "reachable" or check.outcome is not CheckOutcome.FAILED for check in self.checks)

    @property
    def ok(self) -> bool:
        """True if no check failed, and no row that our matrix switches on is known not to work."""
        return not any(check.outcome is CheckOutcome.FAILED for check in self.checks) and not any(
            each.works is Works.NO for each in self.expected_support
        )

    def as_json(self) -> dict[str, Any]:
        """Return a JSON document."""
        return {
            "versions_url": self.versions_url,
            "at": wire_time(self.at),
            "ok": self.ok,
            "reachable": self.reachable,
            "checks": [
                {"name": check.name, "outcome": check.outcome.value, "sentence": check.sentence}
                for check in self.checks
            ],
            "matrix": [each.as_json() for each in self.expected_support],
            "suggestions": [each.as_json() for each in self.suggestions],
        }
