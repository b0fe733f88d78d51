"""Values of the columns for queries, from the typed view of a record.

Rules of this module:
- the flow's view is used if there is one, otherwise the document is decoded; a document without a usable view leaves
  the columns empty, as does a value that is not in the document;
- a party's document is redacted: only the sealed copy has the token that we present.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, TypeAlias

import msgspec

from ocpi_emsp.codec import decode
from ocpi_emsp.codec.structs import is_read_as
from ocpi_emsp.errors import OcpiError
from ocpi_emsp.models import Cdr, Evse, Location, Session, Tariff, Token
from ocpi_emsp.ports import Kind, Record
from ocpi_emsp.scalars import DateTime
from ocpi_emsp.support import SupportMatrix

Cells: TypeAlias = tuple[Any, ...]

_LARGEST = 60
"""Exponent of the largest amount: PostgreSQL would refuse a record with an exponent of thousands."""


class _Command(msgspec.Struct):
    """The members of a stored command that have columns."""

    command: str
    state: str
    acknowledgement: str | None = None
    result: str | None = None
    deadline: DateTime | None = None
    session_id: str | None = None


class _Audit(msgspec.Struct):
    """The members of a stored audit that have columns."""

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
    """The members of a stored party that have columns."""

    state: str
    versions_url: str | None = None
    endpoints: tuple[dict[str, str], ...] = ()
    profile: _Profile = _Profile()
    issued: tuple[dict[str, Any], ...] = ()


def projected(kind: str) -> tuple[str, ...]:
    """Return the names of the columns of a kind."""
    found = _PROJECTIONS.get(kind)
    return () if found is None else found[2]


def projection(record: Record) -> Cells:
    """Return the values of these columns; None for each if the record has no view."""
    found = _PROJECTIONS.get(record.key.kind)
    if found is None:
        return ()
    model, project, names = found
    view = record.view
    if not is_read_as(view, model):
        try:
            is_ours = model in (_Command, _Party, _Audit)
            view = (
                msgspec.json.decode(record.document, type=model)
                if is_ours
                else decode(model, record.document, updated=record.last_updated)
            )
        except (OcpiError, msgspec.MsgspecError):
            return (None,) * len(names)
    return project(view)


def _location(location: Location) -> Cells:
    place = location.coordinates
    return location.country, location.city, _degrees(place.latitude), _degrees(place.longitude)


def _degrees(text: str) -> float | None:
    try:
        degrees = float(text)
    except ValueError:
        return None
    return degrees if math.isfinite(degrees) else None


def _evse(evse: Evse) -> Cells:
    return evse.status.value, evse.evse_id


def _session(session: Session) -> Cells:
    return session.status.value, session.auth_id, session.start_datetime


def _tariff(tariff: Tariff) -> Cells:
    return (tariff.currency,)


def _cdr(cdr: Cdr) -> Cells:
    return (cdr.auth_id, cdr.start_date_time, cdr.stop_date_time, cdr.currency, cdr.total_cost, cdr.location.id)


def _token(token: Token) -> Cells:
    return token.uid, token.auth_id, token.valid, token.whitelist.value


def _party(party: _Party) -> Cells:
    profile = party.profile
    endpoints = [{"identifier": each["identifier"], "url": each["url"]} for each in party.endpoints]
    policy = {"refuses": profile.refuses, "actions": {each["rule"]: each["action"] for each in profile.actions}}
    matrix = json.loads(SupportMatrix.from_csv(profile.matrix).to_json()) if profile.matrix else None
    return party.state, party.versions_url, endpoints, policy, matrix, [each["sha256"] for each in party.issued]


def _audit(audit: _Audit) -> Cells:
    return tuple(_amount(value) for value in msgspec.structs.astuple(audit))


def _amount(value: Any) -> Any:
    """Return a number that every database can hold; None for a larger one, which is never a real amount."""
    is_large = isinstance(value, Decimal) and (not value.is_finite() or abs(value.adjusted()) > _LARGEST)
    return None if is_large and value else value


_PROJECTIONS: Mapping[str, tuple[type[Any], Callable[[Any], Cells], tuple[str, ...]]] = {
    Kind.LOCATION: (Location, _location, ("country", "city", "latitude", "longitude")),
    Kind.EVSE: (Evse, _evse, ("status", "evse_id")),
    Kind.SESSION: (Session, _session, ("status", "auth_id", "start_datetime")),
    Kind.TARIFF: (Tariff, _tariff, ("currency",)),
    Kind.CDR: (
        Cdr,
        _cdr,
        ("auth_id", "start_date_time", "stop_date_time", "currency", "total_cost", "location_id"),
    ),
    Kind.TOKEN: (Token, _token, ("uid", "auth_id", "valid", "whitelist")),
    Kind.COMMAND: (_Command, msgspec.structs.astuple, _Command.__struct_fields__),
    Kind.PARTY: (_Party, _party, ("state", "versions_url", "endpoints", "policy", "matrix", "token_hashes")),
    Kind.AUDIT: (_Audit, _audit, _Audit.__struct_fields__),
}
"""For each kind its view, the function that takes the values from it, and the names of their columns."""
