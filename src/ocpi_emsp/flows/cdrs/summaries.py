"""The compared values of CDRs and sessions: few of each, since a period of a large party must fit into memory."""

from __future__ import annotations

import sys

from attrs import define, field

from ocpi_emsp.codec.extensions import authorization_id_of
from ocpi_emsp.flows.cdrs.reconcile_report import CdrSummary, SessionSummary
from ocpi_emsp.models import Cdr, Location, Session
from ocpi_emsp.ports import Record
from ocpi_emsp.pricing.places import ChargingPlace


@define
class Summaries:
    """Creates summaries with one shared object per place: there are fewer places than sessions."""

    _places: dict[ChargingPlace, ChargingPlace] = field(factory=dict, init=False)

    def of_cdr(self, cdr: Cdr, record: Record) -> CdrSummary:
        """Return the summary of a CDR."""
        return CdrSummary(
            id=cdr.id,
            auth_id=sys.intern(cdr.auth_id),
            place=self._place(cdr.location),
            start_date_time=cdr.start_date_time,
            stop_date_time=cdr.stop_date_time,
            total_energy=cdr.total_energy,
            total_cost=cdr.total_cost,
            currency=sys.intern(cdr.currency),
            last_updated=record.last_updated,
            authorization_id=authorization_id_of(record.document),
        )

    def of_session(self, session: Session, record: Record) -> SessionSummary:
        """Return the summary of a session."""
        return SessionSummary(
            id=session.id,
            status=session.status,
            auth_id=sys.intern(session.auth_id),
            place=self._place(session.location),
            start_datetime=session.start_datetime,
            end_datetime=session.end_datetime,
            kwh=session.kwh,
            total_cost=session.total_cost,
            currency=sys.intern(session.currency),
            last_updated=record.last_updated,
            authorization_id=authorization_id_of(record.document),
        )

    def _place(self, location: Location) -> ChargingPlace:
        place = ChargingPlace.of(location)
        return self._places.setdefault(place, place)
