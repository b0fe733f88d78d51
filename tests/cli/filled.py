"""A database with something of everything in it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from ocpi_emsp import Emsp
from ocpi_emsp.codec import encode
from ocpi_emsp.flows.commands.reservations import Reservation, ReservationState
from ocpi_emsp.flows.commands.states import CommandState, SentCommand
from ocpi_emsp.flows.parties.party import Party, PartyState, issue, party_key
from ocpi_emsp.models import BusinessDetails, CommandResponseType, CommandType, Endpoint, ModuleID, TokenType
from ocpi_emsp.ports import AUTHORIZATION, DEAD, EVENT, RELAY, Entry, Key, Kind, Record
from ocpi_emsp.pricing import Audit, Explanation, Line, Readings, Reason, Verdict
from ocpi_emsp.pricing.stored import to_document
from ocpi_emsp.storage import SqlStore
from ocpi_emsp.wire import Request
from our_emsp import make_emsp

EXAMPLES = Path(__file__).parents[1] / "vectors/examples"
AT = datetime(2024, 5, 6, 7, 8, 9, 123456, tzinfo=UTC)
OWNER = ("NL", "TNM")
OURS = ("IT", "BEC")
TOKEN = "the-token-that-the-CPO-presents"
SECRET = "the-token-that-we-present"
CORRELATION = "correlation-1"
BIG = b"1.000000000000000000000000000001"


def example(name: str) -> bytes:
    return (EXAMPLES / name).read_bytes()


def emsp_on(store: SqlStore) -> Emsp:
    return make_emsp(url="https://emsp.example.com/ocpi/emsp", store=store, matrix=None)


def fill(url: str) -> None:
    """Put a party and its objects into a database, two rejections and decisions, and events that wait or are dead."""
    store = SqlStore(url)
    store.upgrade()
    with store.for_mode("sync").blocking_transaction() as tx:  # type: ignore[union-attr] # it is one of a URL
        for record in records():
            tx.put(record)
        for entry in (*entries(), *decisions()):
            tx.append(entry)
    for body in (b'{"id": "LOC2"}', b"no JSON \xff"):
        refused = emsp_on(store).handle(put_location(body))
        assert refused.status in (200, 400)
    store.close()


def put_location(body: bytes, location_id: str = "LOC2") -> Request:
    path = f"/2.1.1/locations/NL/TNM/{location_id}"
    return Request("PUT", path, "", {"authorization": f"Token {TOKEN}"}, body)


def records() -> list[Record]:
    """One record of every kind, a location with two EVSEs, and documents that are hard to keep."""
    location: dict[str, Any] = json.loads(example("locations/location-LOC1.json"))
    evses = location.pop("evses")
    cdr = example("cdrs/cdr.json").strip().replace(b'"total_cost"', b'"x_big": ' + BIG + b', "total_cost"', 1)
    party = Party(
        country_code="NL",
        party_id="TNM",
        state=PartyState.REGISTERED,
        issued=(issue(TOKEN, AT),),
        token=SECRET,
        versions_url="https://cpo.example.com/versions",
        business_details=BusinessDetails(name="The New Motion"),
        endpoints=(Endpoint(identifier=ModuleID.CREDENTIALS, url="https://cpo.example.com/credentials"),),
    )
    credential = Key(Kind.CREDENTIAL, "", "", issue(TOKEN, AT).sha256)
    command = (
        b'{"country_code":"NL","party_id":"TNM","uid":"U1","command":"STOP_SESSION","sent_at":"2024-01-01T00:00:00Z"}'
    )
    started = SentCommand(
        uid="U2",
        command=CommandType.START_SESSION,
        country_code="NL",
        party_id="TNM",
        state=CommandState.ANSWERED,
        sent_at=AT,
        acknowledgement=CommandResponseType.ACCEPTED,
        result=CommandResponseType.REJECTED,
        token_uid="012345678",
        token_type=TokenType.RFID,
        location_id="LOC1",
        evse_uid="3256",
    )
    reservation = Reservation(
        country_code="NL",
        party_id="TNM",
        reservation_id=7,
        location_id="LOC1",
        evse_uid="3256",
        token_uid="012345678",
        token_type=TokenType.RFID,
        auth_id="DE8ACC12E46L89",
        expiry_date=AT,
        state=ReservationState.USED,
        command="U3",
        asked_at=AT,
        session_id="101",
    )
    return [
        record(party_key("NL", "TNM"), encode(party)),
        record(credential, b'["NL","TNM"]'),
        record(owned(Kind.LOCATION, "LOC1"), json.dumps(location, ensure_ascii=False).encode()),
        *(record(owned(Kind.EVSE, each["uid"], "LOC1"), json.dumps(each, indent=1).encode()) for each in evses),
        record(owned(Kind.SESSION, "101"), example("sessions/session-completed.json")),
        record(
            owned(Kind.TARIFF, "12"), b'{"id":"12", "name":"\xc3\xa9\xe2\x80\xa8\xf0\x9f\x94\x8c", "currency" : "EUR"}'
        ),
        record(owned(Kind.CDR, "12345"), cdr),
        record(owned(Kind.CDR_CONFLICT, "12345", "hash"), b' {"id":"12345"} '),
        record(Key(Kind.TOKEN, *OURS, "012345678", "RFID"), example("tokens/token.json").strip()),
        record(owned(Kind.COMMAND, "U1"), command),
        record(owned(Kind.COMMAND, "U2"), encode(started)),
        record(owned(Kind.CHECKPOINT, "locations"), b'{"at":"2024-01-01T00:00:00Z"}'),
        record(owned(Kind.RESERVATION, "7", "LOC1"), encode(reservation)),
        record(owned(Kind.AUDIT, "12345"), to_document(audited())),
    ]


def audited() -> Audit:
    """An audit with one of everything."""
    line = Line(
        dimension="TIME",
        period=0,
        start=AT.replace(microsecond=0),
        end=AT.replace(microsecond=0) + timedelta(hours=2),
        measured=Decimal(7103),
        billed=Decimal(7200),
        unit="s",
        price=Decimal("2.00"),
        step_size=300,
        cost=Decimal(4),
        low=Decimal(4),
        high=None,
        tariff_id="12",
        element=0,
        component=0,
        why="the first element",
    )
    return Audit(
        cdr="12345",
        verdict=Verdict.WRONG,
        claimed=Decimal("4.84"),
        expected=None,
        low=Decimal("1E-50"),
        high=Decimal(4),
        difference=Decimal("0.84"),
        at_least=True,
        currency="EUR",
        lines=(line,),
        reasons=(Reason(code="zone.unknown", pointer="/location/time_zone", message="\u2028 no zone"),),
        assumptions=("the tariff is the stored one",),
        explanations=(Explanation(code="vat", message="21 % on top", settings={"vat": "21"}),),
        readings=Readings(step="none", tolerance=Decimal("0.01")),
    )


def record(key: Key, document: bytes) -> Record:
    return Record(key, document, AT, AT.replace(microsecond=7))


def owned(kind: str, object_id: str, parent: str = "") -> Key:
    return Key(kind, *OWNER, object_id, parent)


def entries() -> list[Entry]:
    """Events that wait, for listeners and for a relay, and dead ones."""
    details = {"country_code": "NL", "party_id": "TNM", "correlation_id": CORRELATION, "created": True}
    topics = {"waiting": EVENT, "relayed": RELAY, "dead": DEAD[EVENT], "dead-relayed": DEAD[RELAY]}
    return [
        Entry(
            id=name,
            topic=topic,
            name="SessionReceived",
            key=owned(Kind.SESSION, "101"),
            at=AT,
            body=example("sessions/session-completed.json"),
            details=details,
            attempts=3 if name.startswith("dead") else 0,
            error="ValueError: no" if name.startswith("dead") else "",
            due=AT if name == "relayed" else None,
        )
        for name, topic in topics.items()
    ]


def decisions() -> list[Entry]:
    """What was decided on authorizations: one of a party that has an EVSE in mind, one of a party that nobody knows."""
    return [
        decision("decided", "ALLOWED", OWNER, location_id="LOC1", evse_uids=["3256"], decided_by="hook"),
        decision("unknown", "404/2000", ("DE", "ABC"), token_uid="x\x1b[2J", reason="there is no such token"),
    ]


def decision(entry_id: str, outcome: str, owner: tuple[str, str], **details: Any) -> Entry:
    said = {
        "country_code": owner[0],
        "party_id": owner[1],
        "correlation_id": CORRELATION,
        "token_uid": "012345678",
        "token_type": "RFID",
        "location_id": "",
        "evse_uids": [],
        "allowed_evse_uids": [],
        "decided_by": "request",
        "reason": "",
        "latency_ms": 12.345,
    }
    return Entry(id=entry_id, topic=AUTHORIZATION, name=outcome, key=None, at=AT, details={**said, **details})
