"""CDRs and sessions beside a CDR: of its driver, or at its place, in its time.

Rules of this module:
- every query is bounded and goes by an index; a session that began more than a day before counts as over;
- another party may have the same driver: a session that came over two connections is found, and so are two places at
  once. Its location ids are its own, so an evse_id alone names the same EVSE.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import timedelta
from typing import Final

from attrs import define, evolve, field

from ocpi_emsp.codec import decode
from ocpi_emsp.errors import OcpiError
from ocpi_emsp.flows.cdrs.matching import match_all
from ocpi_emsp.flows.cdrs.moments import moved
from ocpi_emsp.flows.cdrs.reconcile_report import CdrSummary, SessionSummary
from ocpi_emsp.flows.cdrs.summaries import Summaries
from ocpi_emsp.flows.inbound.stored import received_key
from ocpi_emsp.models import Cdr, Session
from ocpi_emsp.ports import Key, Kind, Owner, Query, Record, Transaction
from ocpi_emsp.pricing.plausibility import KnownSession, Neighbour

NEIGHBOURS: Final = 100
"""CDRs of one driver, or at one location, that are looked at beside a CDR; and sessions."""
_HELD: Final = 4096
"""Summaries that are held."""
DAY: Final = timedelta(days=1)
CLOCKS: Final = timedelta(minutes=1, seconds=1)
"""How far two clocks are apart that show the same moment."""
_ZONES: Final = timedelta(hours=15)
"""How far two clocks are apart of which one shows another zone's time."""


@define
class CdrReader:
    """Reads summaries of CDRs, and holds some: of CDRs that are looked at one after the other, many are neighbours."""

    _summaries: Summaries = field(factory=Summaries, init=False)
    _held: dict[tuple[Key, int], CdrSummary | None] = field(factory=dict, init=False)

    def read(self, record: Record) -> CdrSummary | None:
        """The summary; None for a CDR that cannot be read: it has to do with nothing."""
        name = record.key, record.revision
        if name not in self._held:
            if len(self._held) >= _HELD:
                self._held.clear()
            cdr = _read(Cdr, record)
            self._held[name] = self._summaries.of_cdr(cdr, record) if isinstance(cdr, Cdr) else None
        return self._held[name]


async def other_cdrs(
    tx: Transaction, record: Record, cdr: Cdr, reference: str | None, reader: CdrReader
) -> dict[Key, CdrSummary]:
    """The CDRs that may have to do with this one, by their keys; ``reference``: the id of one that it names."""
    owner, found = _owner(record.key), dict[Key, Record]()
    for window in _windows(cdr):
        for spelling in _in_any_case(cdr.auth_id):
            found |= await _charged(tx, evolve(window, auth_id=spelling))
        if cdr.location.id:
            at_place = evolve(window, country_code=owner[0], party_id=owner[1], location_id=cdr.location.id)
            found |= await _charged(tx, at_place)
    if reference is not None:
        named = await tx.get(received_key(Kind.CDR, owner, reference))
        found |= {} if named is None else {named.key: named}
    found.pop(record.key, None)
    read = ((key, reader.read(each)) for key, each in found.items())
    return {key: summary for key, summary in read if summary is not None}


def _windows(cdr: Cdr) -> Iterator[Query]:
    """When what has to do with a CDR starts; what starts with it is looked for alone where a session is very long."""
    query = Query(kind=Kind.CDR, limit=NEIGHBOURS, count=False)
    start, stop = cdr.start_date_time, max(cdr.start_date_time, cdr.stop_date_time)
    if stop - start > 2 * DAY:
        yield evolve(query, start_from=moved(start, -CLOCKS), start_to=moved(start, CLOCKS))
    yield evolve(query, start_from=moved(start, -DAY), start_to=moved(stop, CLOCKS))


async def _charged(tx: Transaction, query: Query) -> dict[Key, Record]:
    return {record.key: record for record in (await tx.page(query)).records}


def neighbour(summary: CdrSummary, key: Key, of: Key) -> Neighbour:
    """A CDR as it is seen beside that of another key."""
    place, name = summary.place, summary.id
    if _owner(key) != _owner(of):
        party = "-".join(_owner(key))
        place, name = evolve(place, location_id=f"{party} {place.location_id}"), f"{name} of {party}"
    return Neighbour(
        id=name,
        auth_id=summary.auth_id,
        place=place,
        start_date_time=summary.start_date_time,
        stop_date_time=summary.stop_date_time,
        total_energy=summary.total_energy,
        total_cost=summary.total_cost,
        currency=summary.currency,
        last_updated=summary.last_updated,
    )


async def session_of(
    tx: Transaction, record: Record, cdr: Cdr, others: Mapping[Key, CdrSummary], *, equal_ids: bool
) -> KnownSession | None:
    """The session of a CDR, as a reconciliation pairs them; ``others``: CDRs that it may be the session of instead."""
    summaries, owner = Summaries(), _owner(record.key)
    sessions = [summaries.of_session(each, found) async for found, each in _sessions(tx, record, cdr)]
    me = summaries.of_cdr(cdr, record)
    rivals = [other for key, other in others.items() if _owner(key) == owner]
    pairs = match_all([me, *rivals], sessions, equal_ids=equal_ids) if sessions else ()
    return next((known_session(pair.session) for pair in pairs if pair.cdr is me), None)


def known_session(session: SessionSummary) -> KnownSession:
    """The times of a session."""
    return KnownSession(id=session.id, start_datetime=session.start_datetime, end_datetime=session.end_datetime)


async def _sessions(tx: Transaction, record: Record, cdr: Cdr) -> AsyncIterator[tuple[Record, Session]]:
    owner = _owner(record.key)
    query = Query(
        kind=Kind.SESSION,
        country_code=owner[0],
        party_id=owner[1],
        start_from=moved(min(cdr.start_date_time, cdr.stop_date_time), -_ZONES),
        start_to=moved(max(cdr.start_date_time, cdr.stop_date_time), _ZONES),
        limit=NEIGHBOURS,
        count=False,
    )
    found = dict[Key, Record]()
    for spelling in _in_any_case(cdr.auth_id):
        found |= await _charged(tx, evolve(query, auth_id=spelling))
    same_id = await tx.get(Key(Kind.SESSION, *owner, cdr.id))
    found |= {} if same_id is None else {same_id.key: same_id}
    for each in found.values():
        session = _read(Session, each)
        if isinstance(session, Session):
            yield each, session


def _in_any_case(auth_id: str) -> Iterator[str]:
    """As it is, and in upper case, in which contracts have their ids: an index knows both apart."""
    yield from dict.fromkeys((auth_id, auth_id.upper()))


def _read(model: type[Cdr] | type[Session], record: Record) -> Cdr | Session | None:
    try:
        return decode(model, record.document, updated=record.last_updated)
    except OcpiError:
        return None  # it has to do with nothing


def _owner(key: Key) -> Owner:
    return key.country_code, key.party_id
