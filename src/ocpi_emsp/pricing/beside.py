"""What is suspicious beside the price, where what is stored around a CDR is known.

Rules of this module: the published tariff is reckoned only where it says something else than the CDR's own; it counts
as one of the party's own choice, whatever the connector names.
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
    """The audit of a CDR with what is suspicious around it, in place of what its document alone showed.

    ``location`` and ``time_zone`` are those that the audit was made with.
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
