"""What the demo shows of an audit: a CDR, and a sentence on how its total compares with its tariff."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

from attrs import frozen

from ocpi_emsp.pricing import Audit, Verdict

EXPECTED: Final[Sequence[tuple[str, Verdict, Decimal | None]]] = (
    ("CDR1", Verdict.RIGHT, Decimal(0)),
    ("CDR2", Verdict.WRONG, Decimal("3.00")),
    ("CDR3", Verdict.UNDECIDABLE, None),
)
"""The CDRs, with the expected verdict and difference of each."""


@frozen(kw_only=True)
class Audited:
    """A CDR of the demo and its audit."""

    cdr: str
    audit: Audit | None = None
    """The audit; None if none was made."""
    what_happened: str
    ok: bool

    def as_json(self) -> dict[str, Any]:
        """Return its entry in the JSON of ``--json``."""
        names = ("verdict", "claimed", "expected", "low", "high", "difference", "currency")
        found = {} if self.audit is None else self.audit.as_json()
        said = {name: found.get(name) for name in names}
        return {"cdr": self.cdr, **said, "what_happened": self.what_happened, "ok": self.ok}


def not_reached(why: str) -> tuple[Audited, ...]:
    """Return each audit as failed for this reason."""
    return tuple(Audited(cdr=cdr, what_happened=why, ok=False) for cdr, *_ in EXPECTED)


def sentence(audit: Audit) -> str:
    """Return an audit in short: the total, and how it compares."""
    claimed = f"{audit.claimed:.2f} {audit.currency}"
    match audit.verdict:
        case Verdict.RIGHT:
            return f"right: {claimed}, as its tariff says"
        case Verdict.WRONG if audit.difference is not None:
            direction = "too much" if audit.difference > 0 else "too little"
            return f"wrong: {claimed} is {abs(audit.difference):.2f} {direction}"
        case _ if audit.low is not None and audit.high is not None:
            return f"undecidable: {claimed} lies between {audit.low:.2f} and {audit.high:.2f}"
    return f"{audit.verdict}: {claimed}"
