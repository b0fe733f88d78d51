"""Which rows of the support matrix work with a partner, by the results of its checks.

Rules of this module: a row is only reported as working if exactly its request succeeded, and as not working if the
partner rejects it or does not offer its module; everything else is untried, with the known facts.
"""

from __future__ import annotations

from collections.abc import Iterator

from attrs import define, field

from ocpi_emsp.flows.partner_health.diagnosis import ExpectedSupport, Works
from ocpi_emsp.support import TO_CPO, SupportMatrix, SupportRow


@define
class Seen:
    """The results of a partner's checks."""

    modules: frozenset[str] | None = None
    """The modules that it offers, in lower case; None if they were unreadable."""
    unusable: dict[str, str] = field(factory=dict)
    """Modules whose URL must not be called, with the reason."""
    tried: dict[str, tuple[Works, str]] = field(factory=dict)
    """The result of the GET of each module."""


def expected_support(matrix: SupportMatrix, seen: Seen) -> Iterator[ExpectedSupport]:
    """Yield each row, and whether it works."""
    for row in matrix.rows:
        works, why = _judged(row, seen)
        yield ExpectedSupport(row, works, why)


def _judged(row: SupportRow, seen: Seen) -> tuple[Works, str]:
    if not row.supported:
        return Works.OFF, "our matrix switches it off"
    return _call_of_ours(row, seen) if row.direction == TO_CPO else _call_of_theirs(row, seen)


def _call_of_ours(row: SupportRow, seen: Seen) -> tuple[Works, str]:
    if seen.modules is None:
        return Works.NO, "its endpoints cannot be read"
    if row.module not in seen.modules:
        return Works.NO, f"it offers no {row.module} endpoint"
    if row.module in seen.unusable:
        return Works.NO, seen.unusable[row.module]
    works, why = seen.tried.get(row.module, (Works.UNTRIED, ""))
    if row.methods == "GET" and why:
        return works, why
    against = f"; against it: {why}" if works is Works.NO else ""
    return Works.UNTRIED, f"the endpoint is there; only GET is tried{against}"


def _call_of_theirs(row: SupportRow, seen: Seen) -> tuple[Works, str]:
    cannot = "cannot be tried from here"
    if seen.modules is None:
        return Works.UNTRIED, f"{cannot}; against it: its endpoints cannot be read"
    if row.module not in seen.modules:
        return Works.UNTRIED, f"{cannot}; against it: it offers no {row.module} endpoint itself"
    return Works.UNTRIED, f"{cannot}; for it: it offers a {row.module} endpoint itself"
