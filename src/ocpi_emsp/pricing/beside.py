"""Suspicions about a CDR that need the data stored around it, beside its price.

Rules of this module: the published tariff is only reckoned if it differs from the CDR's own; it counts as the party's
own choice, whatever tariff the connector names.
"""

from __future__ import annotations

from attrs import evolve

from ocpi_emsp.models import Cdr, Location
from ocpi_emsp.pricing.plausibility import DEFAULT, Amounts, Plausibility, Surroundings, with_suspicions
from ocpi_emsp.pricing.result import Audit
from ocpi_emsp.pricing.verdict.judge import judge


def beside(
    audit: Audit,
    cdr: Cdr,
    around: Surroundings,
    settings: Plausibility = DEFAULT,
    *,
    location: Location | None = None,
    time_zone: str | None = None,
) -> Audit:
    """Return the audit of a CDR with the suspicions from its surroundings, in place of those from its document alone.

    ``location`` and ``time_zone`` must be those that the audit was made with.
    """
    published = around.published_tariff
    own = [tariff.elements for tariff in cdr.tariffs]
    if published is not None and own and published.elements not in own and settings.has("tariff.dearer"):
        bare = evolve(cdr, tariffs=())
        found = judge(bare, tariffs=(published,), location=location, readings=audit.readings, time_zone=time_zone)
        around = evolve(around, published=Amounts(found.low, found.high), published_id=published.id)
    if around.at_location_beyond:
        said = f"more than {around.at_location_beyond} at the location lie around it: the nearest were compared"
        audit = evolve(audit, assumptions=(*audit.assumptions, said))
    return with_suspicions(audit, cdr, settings, around)
