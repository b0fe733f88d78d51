"""What a table of stored objects shows: the columns of each kind, read from the documents as they are.

Rules of this module: a document may deviate, so a value that is not there, or is none that a cell can hold, is an empty
cell.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, TypeAlias

from ocpi_emsp.codec import wire_time
from ocpi_emsp.codec.documents import parse
from ocpi_emsp.errors import NotJson
from ocpi_emsp.ports import Kind, Record

Cells: TypeAlias = Sequence[str]
_Rows: TypeAlias = Callable[[Record, Any, Sequence[Record]], Cells]

COLUMNS: Mapping[str, Cells] = {
    Kind.PARTY: ("party", "state", "name", "modules", "versions URL"),
    Kind.LOCATION: ("party", "id", "name", "city", "country", "EVSEs", "last updated"),
    Kind.EVSE: ("party", "location", "uid", "EVSE id", "status", "connectors", "last updated"),
    Kind.SESSION: ("party", "id", "status", "auth_id", "start", "kWh", "cost", "location"),
    Kind.CDR: ("party", "id", "auth_id", "start", "stop", "kWh", "cost"),
    Kind.TARIFF: ("party", "id", "currency", "elements", "last updated"),
    Kind.TOKEN: ("uid", "type", "auth_id", "valid", "whitelist", "issuer", "last updated"),
    Kind.RESERVATION: ("party", "location", "id", "EVSE", "state", "until", "token", "command", "session"),
    Kind.COMMAND: ("party", "uid", "command", "sent", "state", "CPO said", "result", "token", "place", "session"),
}


def cells(record: Record, children: Sequence[Record] = ()) -> Cells:
    """The row of a record; ``children`` are a location's EVSEs."""
    return _ROWS[record.key.kind](record, _read(record.document), children)


def _read(document: bytes) -> Any:
    try:
        return parse(document)
    except NotJson:
        return None


def _at(document: Any, *path: str) -> Any:
    for name in path:
        document = document.get(name) if isinstance(document, dict) else None
    return document


def _text(document: Any, *path: str) -> str:
    value = _at(document, *path)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value) if isinstance(value, str | int | Decimal) else ""


def _count(document: Any, *path: str) -> str:
    value = _at(document, *path)
    return str(len(value)) if isinstance(value, list) else "0"


def _owner(record: Record) -> str:
    return f"{record.key.country_code}-{record.key.party_id}"


def _updated(record: Record) -> str:
    return wire_time(record.last_updated)


def _cost(document: Any, currency: str) -> str:
    return f"{_text(document, 'total_cost')} {_text(document, currency)}".strip()


def _party(record: Record, document: Any, _: Sequence[Record]) -> Cells:
    listed = _at(document, "endpoints")
    modules = [_text(each, "identifier") for each in listed] if isinstance(listed, list) else []
    # One that we are registering with has no codes yet.
    owner = _owner(record) if record.key.country_code else ""
    name = _text(document, "business_details", "name")
    return owner, _text(document, "state"), name, " ".join(modules), _text(document, "versions_url")


def _location(record: Record, document: Any, evses: Sequence[Record]) -> Cells:
    return (
        _owner(record),
        record.key.id,
        *(_text(document, name) for name in ("name", "city", "country")),
        _statuses(evses),
        _updated(record),
    )


def _statuses(evses: Sequence[Record]) -> str:
    counts = Counter(_text(_read(evse.document), "status") for evse in evses)
    return ", ".join(f"{number} {status}".rstrip() for status, number in counts.most_common()) or "0"


def _evse(record: Record, document: Any, _: Sequence[Record]) -> Cells:
    return (
        _owner(record),
        record.key.parent,
        record.key.id,
        _text(document, "evse_id"),
        _text(document, "status"),
        _count(document, "connectors"),
        _updated(record),
    )


def _session(record: Record, document: Any, _: Sequence[Record]) -> Cells:
    return (
        _owner(record),
        record.key.id,
        *(_text(document, name) for name in ("status", "auth_id", "start_datetime", "kwh")),
        _cost(document, "currency"),
        _text(document, "location", "id"),
    )


def _cdr(record: Record, document: Any, _: Sequence[Record]) -> Cells:
    return (
        _owner(record),
        record.key.id,
        *(_text(document, name) for name in ("auth_id", "start_date_time", "stop_date_time", "total_energy")),
        _cost(document, "currency"),
    )


def _tariff(record: Record, document: Any, _: Sequence[Record]) -> Cells:
    return (
        _owner(record),
        record.key.id,
        _text(document, "currency"),
        _count(document, "elements"),
        _updated(record),
    )


def _token(record: Record, document: Any, _: Sequence[Record]) -> Cells:
    return (
        record.key.id,
        record.key.parent,
        *(_text(document, name) for name in ("auth_id", "valid", "whitelist", "issuer")),
        _updated(record),
    )


def _reservation(record: Record, document: Any, _: Sequence[Record]) -> Cells:
    return (
        _owner(record),
        record.key.parent,
        record.key.id,
        *(_text(document, name) for name in ("evse_uid", "state", "expiry_date", "token_uid", "command", "session_id")),
    )


def _command(record: Record, document: Any, _: Sequence[Record]) -> Cells:
    place = (_text(document, name) for name in ("location_id", "evse_uid", "connector_id"))
    return (
        _owner(record),
        record.key.id,
        *(_text(document, name) for name in ("command", "sent_at", "state", "acknowledgement", "result", "token_uid")),
        "/".join(filter(None, place)),
        _text(document, "session_id"),
    )


_ROWS: Mapping[str, _Rows] = {
    Kind.PARTY: _party,
    Kind.LOCATION: _location,
    Kind.EVSE: _evse,
    Kind.SESSION: _session,
    Kind.CDR: _cdr,
    Kind.TARIFF: _tariff,
    Kind.TOKEN: _token,
    Kind.RESERVATION: _reservation,
    Kind.COMMAND: _command,
}
