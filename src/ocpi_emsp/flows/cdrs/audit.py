"""The audit of stored CDRs: what is stored beside one is looked up, and the pure audit does the rest.

Rules of this module (docs/audit.md):
- nothing is written; what is looked up for some CDRs is read in one transaction, and nothing is reckoned inside it;
- it is reckoned aside: an audit of 10,000 periods holds up no event loop;
- readings that are given replace those of the party's profile; a mapping changes single ones of them;
- what a party's own profile does not say, that of the connection says which its objects come over (a hub's).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias, TypeVar

from attrs import evolve, field, frozen

from ocpi_emsp.codec import decode
from ocpi_emsp.codec.readings import shown
from ocpi_emsp.errors import InvalidObject, NotJson, OcpiError, UnknownObject
from ocpi_emsp.flows.core.context import Context
from ocpi_emsp.flows.inbound.stored import current, received_key
from ocpi_emsp.flows.parties.hub_owners import connection_of
from ocpi_emsp.flows.parties.party import Party
from ocpi_emsp.flows.parties.profile_readings import readings_of_party
from ocpi_emsp.models import Cdr, Connector, Evse, Location, Tariff
from ocpi_emsp.ports import Key, Kind, Owner, Query, Record, Transaction
from ocpi_emsp.pricing import Audit, Readings
from ocpi_emsp.pricing.documents import audit as audit_document
from ocpi_emsp.scalars import given

GivenReadings: TypeAlias = Readings | Mapping[str, Any] | None
"""Readings in place of the party's; changes of the party's; None for those of the party."""

T = TypeVar("T", Location, Evse, Tariff)

MAX_TARIFFS: Final = 100
"""Tariffs of a party that are looked at where a CDR has none and its connector names none."""


@frozen(kw_only=True)
class Known:
    """A CDR, and what is stored beside it; or why the CDR cannot be read."""

    record: Record
    cdr: Cdr | None = None
    problem: OcpiError | None = None
    location: Location | None = None
    tariffs: tuple[Tariff, ...] = ()
    time_zone: str | None = None
    readings: Readings = field(factory=Readings)


def require_readings(readings: GivenReadings) -> GivenReadings:
    """The readings as they are given, checked. Raises TypeError, ValueError that names the reading."""
    what: object = readings
    if isinstance(readings, Mapping):
        Readings.of(readings)
    elif what is not None and not isinstance(what, Readings):
        expected = 'expected Readings or a mapping, for example {"step": "per_period"}'
        raise TypeError(f"invalid readings '{given(readings)}': {expected}")
    return readings


async def audit_stored(context: Context, owner: Owner, cdr_id: str, readings: GivenReadings = None) -> Audit:
    """Audit one CDR. Raises UnknownObject; InvalidObject if what is stored cannot be read."""
    key = received_key(Kind.CDR, owner, cdr_id)
    async with context.store.transaction(read_only=True) as tx:
        record = await tx.get(key)
        if record is None:
            raise UnknownObject(f"cdr {shown(cdr_id)} of {'-'.join(owner)} is not known")
        known = await look_up(tx, record, await connection_of(tx, record.key[1:3]), readings)
    return await context.aside(reckon, known)


async def look_up(tx: Transaction, record: Record, party: Party | None, readings: GivenReadings = None) -> Known:
    """What is stored beside a CDR; ``party``: the one that its objects come from."""
    own = readings_of_party(party)
    chosen = own if readings is None else readings if isinstance(readings, Readings) else own.changed(**readings)
    known = Known(record=record, readings=chosen, time_zone=None if party is None else party.profile.time_zone)
    try:
        cdr = decode(Cdr, record.document, updated=record.last_updated)
    except (InvalidObject, NotJson) as error:
        return evolve(known, problem=error)
    location = await _location(tx, record.key, cdr.location)
    tariffs = () if cdr.tariffs else await _tariffs(tx, record.key, cdr, location)
    return evolve(known, cdr=cdr, location=location, tariffs=tariffs)


def reckon(known: Known) -> Audit:
    """Audit a CDR by what is known. Raises InvalidObject, NotJson."""
    if known.problem is not None:
        raise known.problem
    return audit_document(
        current(known.record),
        tariffs=known.tariffs,
        location=known.location,
        readings=known.readings,
        time_zone=known.time_zone,
    )


# --- what is stored beside a CDR ------------------------------------------------------------------------------------


async def _location(tx: Transaction, cdr: Key, copy: Location) -> Location | None:
    """The stored location with the EVSE of the CDR, of which the CDR has a copy; None where none is readable."""
    key = Key(Kind.LOCATION, cdr.country_code, cdr.party_id, copy.id)
    location = await _read(tx, key, Location)
    if location is None or len(copy.evses) != 1:
        return location
    evse = await _read(tx, key._replace(kind=Kind.EVSE, id=copy.evses[0].uid, parent=key.id), Evse)
    return location if evse is None else evolve(location, evses=(evse,))


async def _read(tx: Transaction, key: Key, model: type[T]) -> T | None:
    record = await tx.get(key)
    return None if record is None else _decoded(record, model)


def _decoded(record: Record, model: type[T]) -> T | None:
    try:
        return decode(model, record.document, updated=record.last_updated)
    except (InvalidObject, NotJson):
        return None  # a partner may have sent anything: it is audited as if nothing were stored


async def _tariffs(tx: Transaction, cdr: Key, document: Cdr, location: Location | None) -> tuple[Tariff, ...]:
    """The stored tariffs that may have been in force when the session began."""
    named = _tariff_id(document.location) or (_tariff_id(location) if location is not None else None)
    code, party_id = cdr.country_code, cdr.party_id
    query = Query(kind=Kind.TARIFF, country_code=code, party_id=party_id, limit=MAX_TARIFFS, count=False)
    records: Sequence[Record] = ()
    if named is not None:
        records = (await tx.page(evolve(query, id=named))).records
        records = records or (await tx.page(evolve(query, id_in_any_case=named))).records
    else:
        records = (await tx.page(query)).records
    read = (_decoded(record, Tariff) for record in records)
    return tuple(tariff for tariff in read if tariff is not None)


def _tariff_id(location: Location) -> str | None:
    """The tariff that the one connector of a location names."""
    connectors: list[Connector] = [connector for evse in location.evses for connector in evse.connectors]
    return connectors[0].tariff_id if len(connectors) == 1 else None
