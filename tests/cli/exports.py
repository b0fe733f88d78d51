"""What the tests of an export and an import share."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

from cli import filled
from ocpi_emsp.cli import stores
from ocpi_emsp.flows.commands.reservations import Reservation
from ocpi_emsp.flows.commands.session_match import PendingMatch
from ocpi_emsp.models import CommandType, TokenType
from ocpi_emsp.ports import (
    Entry,
    Query,
    Record,
)
from ocpi_emsp.storage import SqlStore

HEADER = '{"ocpi_emsp_export":1}'
DAY = timedelta(days=1)
TOO_DEEP = 1_000_000
"""What no Python reads."""
OTHER = "sqlite:///other.db"
TIMES = {"last_updated": "2024-01-01T00:00:00Z", "received_at": "2024-01-01T00:00:00Z"}
ENTRY: dict[str, Any] = {
    "id": "E1",
    "topic": "event",
    "name": "SessionReceived",
    "at": "2024-01-01T00:00:00Z",
    "body": "",
    "details": {"country_code": "NL", "party_id": "TNM", "correlation_id": "c"},
}

OWNER = {"country_code": "NL", "party_id": "TNM"}
RESERVATION = Reservation(
    country_code="NL",
    party_id="TNM",
    reservation_id=7,
    location_id="LOC1",
    token_uid="012345678",
    token_type=TokenType.RFID,
    auth_id="DE8ACC12E46L89",
    expiry_date=filled.AT,
    command="U1",
    asked_at=filled.AT,
)
LOOKOUT = PendingMatch(
    command=CommandType.START_SESSION,
    uid="U2",
    country_code="NL",
    party_id="TNM",
    auth_id="DE8ACC12E46L89",
    location_id="LOC1",
    evse_uid=None,
    since=filled.AT,
    until=filled.AT,
)
DECIDED: dict[str, Any] = {
    "correlation_id": "c",
    "token_uid": "012345678",
    "token_type": "RFID",
    "location_id": "LOC1",
    "evse_uids": ["3256"],
    "allowed_evse_uids": [],
    "decided_by": "token",
    "reason": "",
    "latency_ms": 1.5,
}


def lines_of(text: str) -> list[str]:
    """The lines of an export without the first, which says when it was made."""
    header, *rest = text.split("\n")[:-1]
    assert set(json.loads(header)) == {"ocpi_emsp_export", "exported_at"}
    return rest


def line(**members: Any) -> str:
    return json.dumps({"kind": "tariff", "country_code": "NL", "party_id": "TNM", "id": "T", **TIMES, **members})


def entry(**members: Any) -> str:
    return json.dumps({"entry": {**ENTRY, **members}})


def given(path: Path, *lines: str, header: str = HEADER, end: bool = True) -> str:
    last = [json.dumps({"end": {"lines": len(lines)}})] if end else []
    path.write_text("\n".join([header, *lines, *last]) + "\n", "utf-8")
    return str(path)


def stored(url: str, kind: str) -> list[Record]:
    store = SqlStore(url)
    with stores.reading(store) as tx:
        found = list(tx.page(Query(kind=kind, limit=1000)).records)
    store.close()
    return found


def waiting(url: str, topic: str) -> list[Entry]:
    store = SqlStore(url)
    with stores.reading(store) as tx:
        found = list(tx.entries(topic))
    store.close()
    return found
