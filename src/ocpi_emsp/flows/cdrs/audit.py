"""The audit of stored CDRs: the data stored around a CDR is looked up and passed to the pure audit.

Rules of this module (docs/how-to/audit-bills.md):
- nothing is written; look-ups for several CDRs share one transaction, and nothing is reckoned inside it;
- the reckoning runs aside: an audit of 10,000 periods blocks no event loop;
- the reckoning code is imported by the first audit: an eMSP without audits starts without it;
- given readings replace those of the party's profile; a mapping changes single ones of them;
- for a CDR without a tariff, the tariffs count that were stored when its session began;
- a setting that the party's own profile lacks is taken from the connection that its objects come over (a hub's).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final, TypeAlias, TypeVar

from attrs import evolve, field, frozen

from ocpi_emsp.codec import decode
from ocpi_emsp.codec.readings import shown
from ocpi_emsp.errors import InvalidObject, NotJson, OcpiError, UnknownObject
from ocpi_emsp.flows.cdrs.surroundings import Gatherer
from ocpi_emsp.flows.core.context import Context
from ocpi_emsp.flows.inbound.evses import find_evse
from ocpi_emsp.flows.inbound.stored import received_key
from ocpi_emsp.flows.inbound.tariff_versions import version_at, versions_at
from ocpi_emsp.flows.parties.hub_owners import connection_of
from ocpi_emsp.flows.parties.party import Party
from ocpi_emsp.flows.parties.profile_plausibility import plausibility_of_party
from ocpi_emsp.flows.parties.profile_readings import readings_of_party
from ocpi_emsp.models import Cdr, Evse, Location, Tariff
from ocpi_emsp.ports import Key, Kind, Owner, Query, Record, Transaction
from ocpi_emsp.pricing import Audit, Readings
from ocpi_emsp.pricing.plausibility import Plausibility, Surroundings
from ocpi_emsp.scalars import given

GivenReadings: TypeAlias = Readings | Mapping[str, Any] | None
"""Readings in place of the party's; changes of the party's; None for those of the party."""

T = TypeVar("T", Location, Evse, Tariff)

MAX_TARIFFS: Final = 100
"""Tariffs of a party that are examined if a CDR has none and its connector names none."""


@frozen(kw_only=True)
class Known:
    """A CDR and the data stored around it; or why the CDR is unreadable."""

    record: Record
    cdr: Cdr | None = None
    problem: OcpiError | None = None
    location: Location | None = None
    tariffs: tuple[Tariff, ...] = ()
    notes: tuple[str, ...] = ()
    """Members of these that concern money and are unknown to 2.1.1."""
    time_zone: str | None = None
    readings: Readings = field(factory=Readings)
    plausibility: Plausibility = field(factory=Plausibility)
    around: Surroundings | None = None
    """The data for the plausibility checks; None if these are not requested."""


def require_readings(readings: GivenReadings) -> GivenReadings:
    """Return the given readings, validated. Raises TypeError, ValueError that names the reading."""
    what: object = readings
    if isinstance(readings, Mapping):
        Readings.of(readings)
    elif what is not None and not isinstance(what, Readings):
        expected = 'expected Readings or a mapping, for example {"step": "per_period"}'
        raise TypeError(f"invalid readings '{given(readings)}': {expected}")
    return readings


async def audit_stored(context: Context, owner: Owner, cdr_id: str, readings: GivenReadings = None) -> Audit:
    """Audit one CDR. Raises UnknownObject; InvalidObject if the stored data is unreadable."""
    key = received_key(Kind.CDR, owner, cdr_id)
    async with context.store.transaction(read_only=True) as tx:
        record = await tx.get(key)
        if record is None:
            raise UnknownObject(f"cdr {shown(cdr_id)} of {'-'.join(owner)} is not known")
        gatherer = Gatherer(context)
        known = await look_up(tx, record, await connection_of(tx, record.key[1:3]), gatherer, readings)
    return await context.aside(reckon, known)


async def look_up(
    tx: Transaction,
    record: Record,
    party: Party | None,
    gatherer: Gatherer | None,
    readings: GivenReadings = None,
) -> Known:
    """Return what is stored around a CDR; ``party`` sends its objects; ``gatherer`` is None if only the price is
    audited.
    """
    from ocpi_emsp.pricing.documents import unregarded

    own = readings_of_party(party)
    chosen = own if readings is None else readings if isinstance(readings, Readings) else own.changed(**readings)
    known = Known(record=record, readings=chosen, time_zone=None if party is None else party.profile.time_zone)
    try:
        cdr = decode(Cdr, record.document, updated=record.last_updated)
    except (InvalidObject, NotJson) as error:
        return evolve(known, problem=error)
    location = await _location(tx, record.key, cdr.location)
    stored = [] if cdr.tariffs else await _tariffs(tx, record.key, cdr, location)
    tariffs = [(tariff, each.document) for each in stored if (tariff := _decoded(each, Tariff)) is not None]
    return evolve(
        known,
        cdr=cdr,
        location=location,
        tariffs=tuple(tariff for tariff, _ in tariffs),
        notes=tuple(
            f"{note} (tariff {tariff.id})" for tariff, document in tariffs for note in unregarded(Tariff, document)
        ),
        plausibility=plausibility_of_party(party),
        around=None if gatherer is None else await gatherer.around(tx, record, cdr, party),
    )


def reckon(known: Known) -> Audit:
    """Audit a CDR with the looked-up data. Raises InvalidObject, NotJson."""
    from ocpi_emsp.pricing.beside import beside
    from ocpi_emsp.pricing.documents import unregarded
    from ocpi_emsp.pricing.verdict.judge import judge

    if known.problem is not None or known.cdr is None:
        raise known.problem or InvalidObject("the CDR is not usable")
    place, zone = known.location, known.time_zone
    notes = [*unregarded(Cdr, known.record.document), *known.notes]
    audit = judge(
        known.cdr, tariffs=known.tariffs, location=place, readings=known.readings, time_zone=zone, notes=notes
    )
    if known.around is None:
        return audit
    return beside(audit, known.cdr, known.around, known.plausibility, location=place, time_zone=zone)


# --- data stored around a CDR ---------------------------------------------------------------------------------------


async def _location(tx: Transaction, cdr: Key, copy: Location) -> Location | None:
    """Return the stored location, with the EVSE of the CDR, that the CDR has a copy of; None if it is not readable."""
    key = Key(Kind.LOCATION, cdr.country_code, cdr.party_id, copy.id)
    location = await _read(tx, key, Location)
    if location is None:
        return None
    used = key._replace(kind=Kind.EVSE, id=copy.evses[0].uid, parent=key.id) if len(copy.evses) == 1 else None
    record = None if used is None else await find_evse(tx, used)
    evse = None if record is None else _decoded(record, Evse)
    return evolve(location, evses=() if evse is None else (evse,))


async def _read(tx: Transaction, key: Key, model: type[T]) -> T | None:
    record = await tx.get(key)
    return None if record is None else _decoded(record, model)


def _decoded(record: Record, model: type[T]) -> T | None:
    try:
        return decode(model, record.document, updated=record.last_updated)
    except (InvalidObject, NotJson):
        return None  # a partner may have sent anything: the audit ignores it


async def _tariffs(tx: Transaction, key: Key, cdr: Cdr, location: Location | None) -> Sequence[Record]:
    """Return the stored tariffs as of the begin of the session: the one that its connector names, otherwise all.

    If none was valid then, the current ones are returned, and the audit states that they came later.
    """
    owner, start = (key.country_code, key.party_id), cdr.start_date_time
    from ocpi_emsp.pricing.session.measure import used_connector

    named = used_connector(cdr.location, location).tariff_id
    query = Query(kind=Kind.TARIFF, country_code=owner[0], party_id=owner[1], limit=MAX_TARIFFS, count=False)
    if named is None:
        found = await _first(versions_at(tx, owner, start))
    else:
        query = evolve(query, id_in_any_case=named)
        spellings = dict.fromkeys((named, *(each.key.id for each in (await tx.page(query)).records)))
        versions = [await version_at(tx, owner, spelling, start) for spelling in spellings]
        found = [each for each in versions if each is not None]
    return found or (await tx.page(query)).records


async def _first(records: AsyncIterator[Record]) -> list[Record]:
    """Return the first :data:`MAX_TARIFFS`."""
    found = list[Record]()
    async for record in records:
        found.append(record)
        if len(found) == MAX_TARIFFS:
            break
    return found
