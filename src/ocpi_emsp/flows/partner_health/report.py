"""A partner report of received data: the stored documents, and the rejections.

Rules of this module: pages of the store are read in one transaction each; the time of a finding is that of its
document's receipt.
"""

from __future__ import annotations

from typing import Any

from ocpi_emsp.check import check
from ocpi_emsp.flows.core.context import Context
from ocpi_emsp.flows.inbound.evses import evses_in, is_whole, without_evses
from ocpi_emsp.flows.inbound.stored import every, reader
from ocpi_emsp.flows.serving.rejections import list_rejections
from ocpi_emsp.models import Cdr, Evse, Location, Session, Tariff
from ocpi_emsp.ports import Kind, Record
from ocpi_emsp.report import PartnerReport

_KINDS: dict[str, type[Any]] = {
    Kind.LOCATION: Location,
    Kind.EVSE: Evse,
    Kind.SESSION: Session,
    Kind.TARIFF: Tariff,
    Kind.CDR: Cdr,
    Kind.CDR_CONFLICT: Cdr,
}
_PAGE = 100
_REJECTIONS = 10_000


_OBJECTS = {
    "location": "Location",
    "evse": "Evse",
    "connector": "Connector",
    "sessions": "Session",
    "tariffs": "Tariff",
    "cdrs": "Cdr",
    "credentials": "Credentials",
    "commands": "CommandResponse",
    "tokens": "LocationReferences",
}
"""The object that a route carries, by its module or by the end of its name."""


async def partner_report(context: Context, country_code: str, party_id: str) -> PartnerReport:
    """Return the deviations of a party's objects and rejections, rule by rule."""
    report = PartnerReport(party=f"{country_code}-{party_id}")
    for kind in _KINDS:
        async for record in every(reader(context, kind, (country_code, party_id)), _PAGE):
            for each in _parts(record):
                _add(report, each, context)
    for rejection in await list_rejections(context, country_code, party_id, _REJECTIONS):
        source = f"{rejection.method} {rejection.path}"
        report.add(source, _object(rejection.route), rejection.findings, rejection.body, rejection.at, accepted=False)
    return report


def _parts(record: Record) -> list[Record]:
    """Return a location without its EVSEs, and these, also if they are stored in its record."""
    return [without_evses(record), *evses_in(record)] if is_whole(record) else [record]


def _add(report: PartnerReport, record: Record, context: Context) -> None:
    model = _KINDS[record.key.kind]
    source = "/".join(part for part in (record.key.kind, record.key.parent, record.key.id) if part)
    found = check(record.document, model, now=context.clock.now())
    report.add(source, model, found, record.document, record.received_at, accepted=True)


def _object(route: str) -> str | None:
    module, _, name = route.partition(".")
    return _OBJECTS.get(name.rpartition("_")[2]) or _OBJECTS.get(module)
