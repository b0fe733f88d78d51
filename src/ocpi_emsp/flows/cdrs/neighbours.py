"""CDRs and sessions around a CDR: of its driver, or at its place, in its time.

Rules of this module:
- every query is bounded and uses an index; a session that began more than a day before counts as over;
- if there are more than a named limit, only those that start nearest count, and the audit says that there are more: the
  work for a CDR is bounded in any crowd;
- another party may have the same driver: so a session that was received over two connections is found, and so are two
  places at once. The location ids are that party's own, so only an evse_id identifies the same EVSE.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from functools import partial
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
"""CDRs of one driver, or at one location, that are examined around a CDR; if there are more, the nearest."""
SESSIONS: Final = 40
"""Sessions of one driver, likewise: each is compared with each of the nearest CDRs."""
RIVALS: Final = 20
"""Other CDRs to which a session may belong instead."""
DAY: Final = timedelta(days=1)
CLOCKS: Final = timedelta(minutes=1, seconds=1)
"""Difference of two clocks that show the same moment."""
_ZONES: Final = timedelta(hours=15)
"""Difference of two clocks of which one shows another zone's time."""
_INSTANT: Final = timedelta(microseconds=1)
_HELD: Final = 4096
"""Summaries that are cached."""


@define
class Others:
    """The CDRs that may be related to another one, by their keys."""

    summaries: dict[Key, CdrSummary] = field(factory=dict)
    of_driver_beyond: bool = False
    """True if the driver has more of them: these are the nearest."""
    at_location_beyond: bool = False


@define
class CdrReader:
    """Reads summaries of CDRs, and caches some: consecutive CDRs share many neighbours."""

    _summaries: Summaries = field(factory=Summaries, init=False)
    _held: dict[tuple[Key, int, int], CdrSummary | None] = field(factory=dict, init=False)

    def read(self, record: Record) -> CdrSummary | None:
        """Return the summary; None for an unreadable CDR, which is related to nothing."""
        name = record.key, record.sequence, record.revision
        if name not in self._held:
            if len(self._held) >= _HELD:
                self._held.clear()
                self._summaries = Summaries()
            cdr = _read(Cdr, record)
            self._held[name] = self._summaries.of_cdr(cdr, record) if isinstance(cdr, Cdr) else None
        return self._held[name]


async def other_cdrs(tx: Transaction, record: Record, cdr: Cdr, reference: str | None, reader: CdrReader) -> Others:
    """Return the CDRs that may be related to this one; ``reference`` is the id of one that it names."""
    owner, found, others = _owner(record.key), dict[Key, Record](), Others()
    window = _window(cdr)
    for spelling in _in_any_case(cdr.auth_id):
        near, is_beyond = await _near(tx, evolve(window, auth_id=spelling), cdr.start_date_time)
        found |= near
        others.of_driver_beyond |= is_beyond
    if cdr.location.id:
        at_place = evolve(window, country_code=owner[0], party_id=owner[1], location_id=cdr.location.id)
        near, others.at_location_beyond = await _near(tx, at_place, cdr.start_date_time)
        found |= near
    if reference is not None:
        named = await tx.get(received_key(Kind.CDR, owner, reference))
        found |= {} if named is None else {named.key: named}
    found.pop(record.key, None)
    others.summaries = {key: summary for key, each in found.items() if (summary := reader.read(each)) is not None}
    return others


def _window(cdr: Cdr) -> Query:
    """Return a query for the start times of CDRs that may be related to a CDR; it includes the CDR itself."""
    start, stop = cdr.start_date_time, max(cdr.start_date_time, cdr.stop_date_time)
    return Query(
        kind=Kind.CDR,
        start_from=moved(start, -DAY),
        start_to=moved(stop, CLOCKS),
        limit=NEIGHBOURS + 1,
        count=False,
    )


async def _near(tx: Transaction, query: Query, start: datetime) -> tuple[dict[Key, Record], bool]:
    """Return what matches, and whether there was more; beyond the query's limit, half of it starts before and half
    after.
    """
    found = await _charged(tx, evolve(query, by_start="first"))
    if len(found) < query.limit:
        return found, False
    half, behind = query.limit // 2, moved(start, _INSTANT)
    before = await _charged(tx, evolve(query, by_start="last", start_to=behind, limit=half))
    after = await _charged(tx, evolve(query, by_start="first", start_from=behind, limit=half))
    return before | after, True


async def _charged(tx: Transaction, query: Query) -> dict[Key, Record]:
    return {record.key: record for record in (await tx.page(query)).records}


def neighbour(summary: CdrSummary, key: Key, of: Key) -> Neighbour:
    """Return a CDR as a neighbour of the CDR with the key ``of``."""
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
) -> tuple[KnownSession | None, bool]:
    """Return the session of a CDR, paired as by a reconciliation, and whether the driver has more sessions around it.

    ``others``: CDRs to which the session may belong instead.
    """
    summaries, owner = Summaries(), _owner(record.key)
    found, is_beyond = await _sessions(tx, record, cdr)
    if not found:
        return None, is_beyond
    sessions = [summaries.of_session(session, each) for each, session in found]
    me = summaries.of_cdr(cdr, record)
    rivals = sorted((each for key, each in others.items() if _owner(key) == owner), key=partial(_farness, me))
    pairs = match_all([me, *rivals[:RIVALS]], sessions, equal_ids=equal_ids)
    return next((known_session(pair.session) for pair in pairs if pair.cdr is me), None), is_beyond


def _farness(me: CdrSummary, other: CdrSummary) -> tuple[bool, timedelta]:
    """Return a sort key: CDRs of the same driver first, then those with the nearest start."""
    return other.auth_id.upper() != me.auth_id.upper(), abs(other.start_date_time - me.start_date_time)


def known_session(session: SessionSummary) -> KnownSession:
    """Return the times of a session."""
    return KnownSession(id=session.id, start_datetime=session.start_datetime, end_datetime=session.end_datetime)


async def _sessions(tx: Transaction, record: Record, cdr: Cdr) -> tuple[list[tuple[Record, Session]], bool]:
    owner = _owner(record.key)
    query = Query(
        kind=Kind.SESSION,
        country_code=owner[0],
        party_id=owner[1],
        start_from=moved(min(cdr.start_date_time, cdr.stop_date_time), -_ZONES),
        start_to=moved(max(cdr.start_date_time, cdr.stop_date_time), _ZONES),
        limit=SESSIONS + 1,
        count=False,
    )
    found, is_beyond = dict[Key, Record](), False
    for spelling in _in_any_case(cdr.auth_id):
        near, more = await _near(tx, evolve(query, auth_id=spelling), cdr.start_date_time)
        found |= near
        is_beyond |= more
    same_id = await tx.get(Key(Kind.SESSION, *owner, cdr.id))
    found |= {} if same_id is None else {same_id.key: same_id}
    read = ((each, _read(Session, each)) for each in found.values())
    return [(each, session) for each, session in read if isinstance(session, Session)], is_beyond


def _in_any_case(auth_id: str) -> Iterator[str]:
    """Yield the id as it is, and in upper case, the usual case of contract ids: an index is case-sensitive."""
    yield from dict.fromkeys((auth_id, auth_id.upper()))


def _read(model: type[Cdr] | type[Session], record: Record) -> Cdr | Session | None:
    try:
        return decode(model, record.document, updated=record.last_updated)
    except OcpiError:
        return None  # it is related to nothing


def _owner(key: Key) -> Owner:
    return key.country_code, key.party_id
