"""The tariff that a party had published when a session began, beside the tariffs in its CDR.

Rules of this module: the stored connector names it, otherwise the copy in the CDR, otherwise the ids of the CDR's own
tariffs; the version valid at the start counts.
"""

from __future__ import annotations

from collections.abc import Iterator

from ocpi_emsp.codec import decode
from ocpi_emsp.errors import OcpiError
from ocpi_emsp.flows.inbound.tariff_versions import version_at
from ocpi_emsp.models import Cdr, Connector, Tariff
from ocpi_emsp.ports import Key, Transaction


async def published_tariff(tx: Transaction, cdr: Key, document: Cdr, stored: Connector | None) -> Tariff | None:
    """Return the published tariff, or None if none is known."""
    for tariff_id in dict.fromkeys(_ids(document, stored)):
        record = await version_at(tx, (cdr.country_code, cdr.party_id), tariff_id, document.start_date_time)
        if record is None:
            continue
        try:
            return decode(Tariff, record.document, updated=record.last_updated)
        except OcpiError:
            continue  # a partner may have sent anything
    return None


def _ids(cdr: Cdr, stored: Connector | None) -> Iterator[str]:
    copied = [connector for evse in cdr.location.evses for connector in evse.connectors]
    for connector in (*([stored] if stored else []), *(copied if len(copied) == 1 else [])):
        if connector.tariff_id:
            yield connector.tariff_id
    yield from (tariff.id for tariff in cdr.tariffs)
