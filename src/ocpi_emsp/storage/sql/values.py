"""Parameters and rows of keys, queries and entries, with the names of statements.py.

Rules of this module: owner codes are in upper case, in and out.
"""

from __future__ import annotations

import json
from typing import Any

from ocpi_emsp.ports import Entry, Key, Query
from ocpi_emsp.storage.memory import owned
from ocpi_emsp.storage.sql.statements import ObjectStatements


def identity(statements: ObjectStatements, key: Key, prefix: str = "k_") -> dict[str, Any]:
    """Return the parameters that identify a record."""
    values = {f"{prefix}country_code": key.country_code, f"{prefix}party_id": key.party_id, f"{prefix}id": key.id}
    if statements.parent:
        values[prefix + statements.parent] = key.parent
    return values


def key_of(statements: ObjectStatements, kind: str, row: Any) -> Key:
    """Return the key of a row."""
    parent = getattr(row, statements.parent) if statements.parent else ""
    return Key(kind, row.country_code, row.party_id, row.id, parent)


def page_values(query: Query) -> dict[str, Any]:
    """Return the parameters of a page: those that the query sets."""
    values = {
        "country_code": query.country_code.upper() if query.country_code is not None else None,
        "party_id": query.party_id.upper() if query.party_id is not None else None,
        "auth_id": query.auth_id,
        "location_id": query.location_id,
        "start_from": query.start_from,
        "start_to": query.start_to,
        "date_from": query.date_from,
        "date_to": query.date_to,
        "received_from": query.received_from,
        "received_to": query.received_to,
        "id": query.id,
        "id_in_any_case": query.id_in_any_case.lower() if query.id_in_any_case is not None else None,
        "at": query.at,
        "offset": query.offset,
    }
    return {"after": query.after, **{name: value for name, value in values.items() if value is not None}}


def key_text(key: Key | None) -> str | None:
    """Return a key as the journal stores it."""
    return None if key is None else json.dumps(owned(key))


def entry_values(entry: Entry) -> dict[str, Any]:
    """Return the columns of an entry."""
    codes = {name: entry.details.get(name) for name in ("country_code", "party_id")}
    owner = {name: code.upper() if isinstance(code, str) else None for name, code in codes.items()}
    return {
        "id": entry.id,
        "topic": entry.topic,
        "name": entry.name,
        **owner,
        "key": key_text(entry.key),
        "at": entry.at,
        "body": entry.body,
        "details": json.dumps(dict(entry.details)),
        "attempts": entry.attempts,
        "error": entry.error.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00"),
        "due": entry.due,
    }


def entry_of(row: Any) -> Entry:
    """Return the entry of a row."""
    return Entry(
        id=row.id,
        topic=row.topic,
        name=row.name,
        key=None if row.key is None else Key(*json.loads(row.key)),
        at=row.at,
        body=row.body,
        details=json.loads(row.details),
        attempts=row.attempts,
        error=row.error,
        due=row.due,
        sequence=row.sequence,
    )
