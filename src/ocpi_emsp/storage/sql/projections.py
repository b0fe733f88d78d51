"""What the columns for queries hold: taken from the typed view of a record.

Rules of this module:
- the flow's view is used where it gave one, else the document is decoded; a document without a usable view leaves the
  columns empty, as does a value that is not in the document;
- a party's document is redacted: the token that we present stands only in the sealed copy.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import msgspec

from ocpi_emsp.codec import decode
from ocpi_emsp.errors import OcpiError
from ocpi_emsp.models import Cdr, Evse, Location, Session, Tariff, Token
from ocpi_emsp.ports import Kind, Record
from ocpi_emsp.scalars import DateTime
from ocpi_emsp.support import SupportMatrix

Columns = dict[str, Any]

_LARGEST = 60
"""The exponent of the largest amount: with an exponent of thousands, PostgreSQL would refuse the record."""


class _Command(msgspec.Struct):
    """What the columns need of a stored command."""

    command: str
    state: str
    acknowledgement: str | None = None
    result: str | None = None
    deadline: DateTime | None = None
    session_id: str | None = None


class _Audit(msgspec.Struct):
    """What the columns need of a stored audit."""

    verdict: str
    currency: str
    claimed: Decimal
    expected: Decimal | None = None
    low: Decimal | None = None
    high: Decimal | None = None
    difference: Decimal | None = None
    at_least: bool = False


class _Profile(msgspec.Struct, frozen=True):
    refuses: str | None = None
    actions: tuple[dict[str, str], ...] = ()
    matrix: str | None = None


class _Party(msgspec.Struct):
    """What the columns need of a stored party."""

    state: str
    versions_url: str | None = None
    endpoints: tuple[dict[str, str], ...] = ()
    profile: _Profile = _Profile()
    issued: tuple[dict[str, Any], ...] = ()


def projection(record: Record) -> Columns:
    """The columns of a record, by name; none for a kind without any, or without a view: they are empty then."""
    found = _PROJECTIONS.get(record.key.kind)
    if found is None:
        return {}
    model, project = found
    view = record.view
    if not isinstance(view, model):
        try:
            is_ours = model in (_Command, _Party, _Audit)
            view = (
                msgspec.json.decode(record.document, type=model)
                if is_ours
                else decode(model, record.document, updated=record.last_updated)
            )
        except (OcpiError, msgspec.MsgspecError):
            return {}
    return project(view)


def _location(location: Location) -> Columns:
    return {
        "country": location.country,
        "city": location.city,
        "latitude": _degrees(location.coordinates.latitude),
        "longitude": _degrees(location.coordinates.longitude),
    }


def _degrees(text: str) -> float | None:
    try:
        degrees = float(text)
    except ValueError:
        return None
    return degrees if math.isfinite(degrees) else None


def _evse(evse: Evse) -> Columns:
    return {"status": evse.status.value, "evse_id": evse.evse_id}


def _session(session: Session) -> Columns:
    return {
        "status": session.status.value,
        "auth_id": session.auth_id,
        "start_datetime": session.start_datetime,
    }


def _tariff(tariff: Tariff) -> Columns:
    return {"currency": tariff.currency}


def _cdr(cdr: Cdr) -> Columns:
    return {
        "auth_id": cdr.auth_id,
        "start_date_time": cdr.start_date_time,
        "stop_date_time": cdr.stop_date_time,
        "currency": cdr.currency,
        "total_cost": cdr.total_cost,
        "location_id": cdr.location.id,
    }


def _token(token: Token) -> Columns:
    return {
        "uid": token.uid,
        "auth_id": token.auth_id,
        "valid": token.valid,
        "whitelist": token.whitelist.value,
    }


def _party(party: _Party) -> Columns:
    profile = party.profile
    return {
        "state": party.state,
        "versions_url": party.versions_url,
        "endpoints": [{"identifier": each["identifier"], "url": each["url"]} for each in party.endpoints],
        "policy": {"refuses": profile.refuses, "actions": {each["rule"]: each["action"] for each in profile.actions}},
        "matrix": json.loads(SupportMatrix.from_csv(profile.matrix).to_json()) if profile.matrix else None,
        "token_hashes": [each["sha256"] for each in party.issued],
    }


def _audit(audit: _Audit) -> Columns:
    return {name: _amount(value) for name, value in msgspec.structs.asdict(audit).items()}


def _amount(value: Any) -> Any:
    """A number that every database can hold; none is paid that is larger."""
    is_large = isinstance(value, Decimal) and (not value.is_finite() or abs(value.adjusted()) > _LARGEST)
    return None if is_large and value else value


_PROJECTIONS: Mapping[str, tuple[type[Any], Callable[[Any], Columns]]] = {
    Kind.LOCATION: (Location, _location),
    Kind.EVSE: (Evse, _evse),
    Kind.SESSION: (Session, _session),
    Kind.TARIFF: (Tariff, _tariff),
    Kind.CDR: (Cdr, _cdr),
    Kind.TOKEN: (Token, _token),
    Kind.COMMAND: (_Command, msgspec.structs.asdict),
    Kind.PARTY: (_Party, _party),
    Kind.AUDIT: (_Audit, _audit),
}
