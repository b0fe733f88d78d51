"""Whether a party has published the location, EVSE and connector in a CDR's location copy.

Rules of this module (docs/how-to/audit-bills.md):
- ids are compared case-insensitively, and an EVSE by its evse_id as well; parts that a copy leaves out are not checked;
- nothing is known for a party without stored locations, or one that sends none by its profile.
"""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from ocpi_emsp.codec import decode
from ocpi_emsp.errors import OcpiError
from ocpi_emsp.flows.inbound.evses import evse_of, evses_of
from ocpi_emsp.models import Connector, Evse
from ocpi_emsp.ports import Key, Kind, Query, Record, Transaction
from ocpi_emsp.pricing.places import ChargingPlace, plain_evse_id
from ocpi_emsp.pricing.plausibility import KnownPlace

_UNKNOWN = KnownPlace()


@frozen
class Place:
    """What is known of a place, and the stored connector."""

    known: KnownPlace = _UNKNOWN
    connector: Connector | None = None


async def known_place(tx: Transaction, cdr: Key, place: ChargingPlace) -> Place:
    """Look up the place of a CDR."""
    location = await _location(tx, cdr, place.location_id)
    if location is None:
        query = Query(kind=Kind.LOCATION, country_code=cdr.country_code, party_id=cdr.party_id, limit=1, count=False)
        has_any = bool((await tx.page(query)).records)
        return Place(KnownPlace(location=False if has_any and place.location_id else None))
    if not (place.evse_uid or place.evse_id):
        return Place(KnownPlace(location=True))
    evse = await _evse(tx, location, place)
    if isinstance(evse, KnownPlace):
        return Place(evse)
    named = (place.connector_id or "").upper()
    found = next((each for each in evse.connectors if each.id.upper() == named), None)
    return Place(KnownPlace(location=True, evse=True, connector=found is not None if named else None), found)


async def _location(tx: Transaction, cdr: Key, location_id: str) -> Record | None:
    key = Key(Kind.LOCATION, cdr.country_code, cdr.party_id, location_id)
    found = await tx.get(key)
    if found is not None or not location_id:
        return found
    query = Query(
        kind=Kind.LOCATION,
        country_code=cdr.country_code,
        party_id=cdr.party_id,
        id_in_any_case=location_id,
        limit=1,
        count=False,
    )
    return next(iter((await tx.page(query)).records), None)


async def _evse(tx: Transaction, location: Record, used: ChargingPlace) -> Evse | KnownPlace:
    """Return the stored EVSE, or what is known if no readable one is stored."""
    record = await evse_of(tx, location, used.evse_uid) if used.evse_uid else None
    if record is None:
        children = await evses_of(tx, location)
        record = _named(children, used)
        if record is None:
            return KnownPlace(location=True, evse=False if children else None)
    return _read(record) or KnownPlace(location=True, evse=True)


def _named(children: Sequence[Record], used: ChargingPlace) -> Record | None:
    for record in children:
        if used.evse_uid and record.key.id.upper() == used.evse_uid.upper():
            return record
    if used.evse_id:
        for record in children:
            stored = _read(record)
            if stored is not None and stored.evse_id and plain_evse_id(stored.evse_id) == plain_evse_id(used.evse_id):
                return record
    return None


def _read(record: Record) -> Evse | None:
    try:
        return decode(Evse, record.document, updated=record.last_updated)
    except OcpiError:
        return None  # a partner may have sent anything; the EVSE exists
