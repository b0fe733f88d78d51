"""The columns of tables of stored objects, per kind, read from the documents as they are.

Rules of this module: a document may deviate, so a missing value, or one that does not fit into a cell, is an empty
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
_Cell: TypeAlias = "str | Callable[[Record, Any], str]"
"""A path into the document, such as ``location/id``; or a function of the record and its document."""


def cells(record: Record) -> Cells:
    """Return the row of a record; the document of a location includes its EVSEs."""
    document = _read(record.document)
    columns = _COLUMNS[record.key.kind].values()
    return [_text(document, cell) if isinstance(cell, str) else cell(record, document) for cell in columns]


def member(record: Record, path: str) -> str:
    """Return the text of a member such as ``status``; empty if the document has no usable one."""
    return _text(_read(record.document), path)


def _read(document: bytes) -> Any:
    try:
        return parse(document)
    except NotJson:
        return None


def _at(document: Any, path: str) -> Any:
    for name in path.split("/"):
        document = document.get(name) if isinstance(document, dict) else None
    return document


def _text(document: Any, path: str) -> str:
    value = _at(document, path)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value) if isinstance(value, str | int | Decimal) else ""


def _items(document: Any, path: str) -> Sequence[Any]:
    value = _at(document, path)
    return value if isinstance(value, list) else ()


def _count(path: str) -> _Cell:
    """Return a cell with the number of items of a list."""
    return lambda _, document: str(len(_items(document, path)))


def _joined(by: str, *paths: str) -> _Cell:
    """Return a cell with several values."""
    return lambda _, document: by.join(filter(None, (_text(document, path) for path in paths)))


def _cost(_: Record, document: Any) -> str:
    """Return an amount with its currency; a session has none until the CPO sends one."""
    amount = _text(document, "total_cost")
    return f"{amount} {_text(document, 'currency')}".rstrip() if amount else ""


def _modules(_: Record, document: Any) -> str:
    return " ".join(_text(each, "identifier") for each in _items(document, "endpoints"))


def _statuses(_: Record, document: Any) -> str:
    counts = Counter(_text(evse, "status") for evse in _items(document, "evses"))
    return ", ".join(f"{number} {status}".rstrip() for status, number in counts.most_common()) or "0"


def _owner(record: Record, _: Any) -> str:
    """Return the party; one that we are registering with has no codes yet."""
    return f"{record.key.country_code}-{record.key.party_id}" if record.key.country_code else ""


def _id(record: Record, _: Any) -> str:
    return record.key.id


def _cdr_id(record: Record, document: Any) -> str:
    """Return the id as the CPO wrote it: the key has it in upper case, since CDR ids are case-insensitive."""
    written = _text(document, "id")
    return written if written.upper() == record.key.id else record.key.id


def _parent(record: Record, _: Any) -> str:
    return record.key.parent


def _updated(record: Record, _: Any) -> str:
    return wire_time(record.last_updated)


def _same(*names: str) -> dict[str, _Cell]:
    """Return columns that have the name of their member."""
    return {name: name for name in names}


_PARTY: dict[str, _Cell] = {"party": _owner}
_OWN: dict[str, _Cell] = {"party": _owner, "id": _id}
_UPDATED: dict[str, _Cell] = {"last updated": _updated}
_COLUMNS: Mapping[str, Mapping[str, _Cell]] = {
    Kind.PARTY: {
        **_PARTY,
        "state": "state",
        "expires": "expires_at",
        "name": "business_details/name",
        "modules": _modules,
        "versions URL": "versions_url",
    },
    Kind.LOCATION: {**_OWN, **_same("name", "city", "country"), "EVSEs": _statuses, **_UPDATED},
    Kind.EVSE: {
        **_PARTY,
        "location": _parent,
        "uid": _id,
        "EVSE id": "evse_id",
        "status": "status",
        "connectors": _count("connectors"),
        **_UPDATED,
    },
    Kind.SESSION: {
        **_OWN,
        **_same("status", "auth_id"),
        "start": "start_datetime",
        "kWh": "kwh",
        "cost": _cost,
        "location": "location/id",
    },
    Kind.CDR: {
        **_OWN,
        "id": _cdr_id,
        "auth_id": "auth_id",
        "start": "start_date_time",
        "stop": "stop_date_time",
        "kWh": "total_energy",
        "cost": _cost,
    },
    Kind.TARIFF: {**_OWN, "currency": "currency", "elements": _count("elements"), **_UPDATED},
    Kind.TOKEN: {"uid": _id, "type": _parent, **_same("auth_id", "valid", "whitelist", "issuer"), **_UPDATED},
    Kind.RESERVATION: {
        **_PARTY,
        "location": _parent,
        "id": _id,
        "EVSE": "evse_uid",
        "state": "state",
        "until": "expiry_date",
        "token": "token_uid",
        "command": "command",
        "session": "session_id",
    },
    Kind.COMMAND: {
        **_PARTY,
        "uid": _id,
        "command": "command",
        "sent": "sent_at",
        "state": "state",
        "CPO said": "acknowledgement",
        "result": "result",
        "token": "token_uid",
        "place": _joined("/", "location_id", "evse_uid", "connector_id"),
        "session": "session_id",
    },
}
COLUMNS: Mapping[str, Cells] = {kind: tuple(columns) for kind, columns in _COLUMNS.items()}
