"""Plausibility beside the price: what is suspicious in a CDR, whatever its total (docs/how-to/audit-bills.md)."""

from __future__ import annotations

from decimal import localcontext

from attrs import evolve

from ocpi_emsp.models import Cdr
from ocpi_emsp.pricing.plausibility.around import of_prices, of_surroundings
from ocpi_emsp.pricing.plausibility.document import of_document
from ocpi_emsp.pricing.plausibility.settings import CODES, DEFAULT, Plausibility
from ocpi_emsp.pricing.plausibility.surroundings import (
    Amounts,
    KnownPlace,
    KnownSession,
    KnownToken,
    Neighbour,
    Surroundings,
)
from ocpi_emsp.pricing.plausibility.wording import ANY
from ocpi_emsp.pricing.result import Audit, Reason

__all__ = [
    "CODES",
    "DEFAULT",
    "Amounts",
    "KnownPlace",
    "KnownSession",
    "KnownToken",
    "Neighbour",
    "Plausibility",
    "Surroundings",
    "suspicions",
    "with_suspicions",
]

_ORDER = {code: number for number, code in enumerate(CODES)}


def suspicions(
    cdr: Cdr,
    amounts: Amounts | None = None,
    settings: Plausibility = DEFAULT,
    around: Surroundings | None = None,
) -> tuple[Reason, ...]:
    """Return the suspicions about a CDR, in the order of the registry.

    ``amounts`` is the cost under its own tariff, None if it was not reckoned; ``around`` is what is known around the
    CDR, None for the document alone.
    """
    connector = None if around is None else around.connector
    with localcontext(ANY):
        found = list(of_document(cdr, amounts, settings, connector))
        if around is not None:
            found += of_surroundings(Neighbour.of(cdr), around, settings)
            if cdr.total_cost >= 0:
                found += of_prices(cdr, amounts, around, settings)
    return tuple(sorted(found, key=lambda reason: _ORDER[reason.code])) if found else ()


def with_suspicions(audit: Audit, cdr: Cdr, settings: Plausibility, around: Surroundings | None = None) -> Audit:
    """Return the audit with the suspicions under these settings, in place of its previous ones."""
    found = suspicions(cdr, Amounts(audit.low, audit.high), settings, around)
    return evolve(audit, reasons=(*(each for each in audit.reasons if each.code not in CODES), *found))
