"""Driver, place and time of a charge, from the document of a CDR or session, and a token's auth_id: stores search by
these.

Rules of this module: the flow's view is used if there is one, otherwise the document is decoded; a document without a
usable view can only be found by its key, its owner and its times.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from ocpi_emsp.codec import decode
from ocpi_emsp.errors import OcpiError
from ocpi_emsp.models import Cdr, Session, Token
from ocpi_emsp.ports import Kind, Query, Record


class Charge(NamedTuple):
    """The driver; for a CDR or session the start, and for a CDR the location."""

    auth_id: str
    start: datetime | None
    location_id: str | None


def charge_of(record: Record) -> Charge | None:
    """Return the charge of a record; None for another kind, or if it is unreadable."""
    model = _MODELS.get(record.key.kind)
    if model is None:
        return None
    view = record.view
    if not isinstance(view, model):
        try:
            view = decode(model, record.document, updated=record.last_updated)
        except OcpiError:
            return None
    return _of(view)


def _of(view: Cdr | Session | Token) -> Charge:
    match view:
        case Cdr():
            return Charge(view.auth_id, view.start_date_time, view.location.id)
        case Session():
            return Charge(view.auth_id, view.start_datetime, None)
        case Token():
            return Charge(view.auth_id, None, None)


_MODELS: dict[str, type[Cdr] | type[Session] | type[Token]] = {
    Kind.CDR: Cdr,
    Kind.SESSION: Session,
    Kind.TOKEN: Token,
}


def asks_for_charges(query: Query) -> bool:
    """Return True if a query selects by charge."""
    selections = (query.auth_id, query.location_id, query.start_from, query.start_to, query.by_start)
    return any(value is not None for value in selections)


def is_asked_for(charge: Charge | None, query: Query) -> bool:
    """Return True for a charge that a query selects."""
    return charge is not None and (
        (query.auth_id is None or query.auth_id == charge.auth_id)
        and (query.location_id is None or query.location_id == charge.location_id)
        and (query.start_from is None or (charge.start is not None and query.start_from <= charge.start))
        and (query.start_to is None or (charge.start is not None and charge.start < query.start_to))
        and (query.by_start is None or charge.start is not None)
    )
