"""ocpplab-ocpi-211-sdk as the client of a CPO: every call of a CPO that it knows, with our default settings.

What it has of its own, and what that means for us:
- a CDR has the location of OCPI 2.2, flat, with ``type`` and ``evses`` missing: read as that (``version.newer``);
- a session has ``evse_uid`` and ``connector_id`` beside its location: notes;
- it asks for a CDR of ours below country and party: 2.1.1 has no such path (mod_cdrs.md 2.2.1), so 404;
- its base URL is one for all modules, that of our version details; it follows no next links, but pages by offset.

It serves nothing: the CPO's own versions and lists are those of extrawest-ocpi.
"""

from __future__ import annotations

from typing import Any

import pytest

from ocpi_emsp import (
    Allowed,
    AuthorizationInfo,
    AuthorizationRequest,
    Cdr,
    Emsp,
    Session,
    SupportMatrix,
    Tariff,
    decode,
)
from ocpi_emsp.models import CommandResponseType, SessionStatus, Status
from ocpi_emsp.testing.cpo.wire import encode
from our_emsp import token
from served.support import Host
from software.support import TOKEN_C, Connected, Document, Extrawest, Sdk, on_every_store, records
from software.test_extrawest_ocpi import COMMANDS, expected

RECORDS = records()
LATER = "2024-02-01T00:00:00Z"
OWNER = ("NL", "TNM")
OWN = {"business_details": {"name": "The New Motion"}, "party_id": "TNM", "country_code": "NL"}


def cdr_of_the_sdk() -> Document:
    """A CDR with the location that the SDK's types have."""
    cdr = dict(RECORDS["cdrs"]["cdr1"])
    cdr["stop_date_time"] = cdr.pop("end_date_time")
    place = cdr["location"]
    evse = place["evses"][0]
    connector = evse["connectors"][0]
    names = ("id", "name", "address", "city", "postal_code", "country", "coordinates")
    used = {"evse_uid": evse["uid"], "evse_id": evse["evse_id"], "connector_id": connector["id"]}
    socket = {f"connector_{name}": connector[name] for name in ("standard", "format", "power_type")}
    return {**cdr, "location": {**{name: place[name] for name in names}, **used, **socket}}


# --- the handshake --------------------------------------------------------------------------------------------------


def test_it_reads_our_versions_with_token_a(emsp: Emsp, sdk: Sdk, host: Host) -> None:
    sdk.become(host.url, emsp.parties.invite("NL-TNM").token_a.reveal())
    details = f"{host.url}/2.1.1"
    assert sdk.done("versions.get_versions") == [{"version": "2.1.1", "url": details}]
    found = sdk.done("versions.get_version", "2.1.1")
    modules = {"credentials", "locations", "sessions", "cdrs", "tariffs", "tokens", "commands"}
    assert {each["identifier"]: each["url"] for each in found["endpoints"]} == {
        module: f"{details}/{module}/" for module in modules
    }


def test_it_registers_with_us_and_we_pull_from_the_same_cpo(registered_by_sdk: Connected, sdk: Sdk) -> None:
    party = registered_by_sdk.emsp.parties.get("NL-TNM")
    assert party is not None
    assert (party.token, party.versions_url) == (TOKEN_C, registered_by_sdk.cpo.versions_url)
    assert sdk.done("credentials.get_credentials") == {
        "token": sdk.token,
        "url": f"{registered_by_sdk.url}/versions",
        "business_details": {"name": "Be Charge"},
        "party_id": "BEC",
        "country_code": "IT",
    }
    assert registered_by_sdk.partner.sync(full=True).ok


def test_it_renews_ends_and_begins_anew_the_registration(registered_by_sdk: Connected, sdk: Sdk) -> None:
    versions = registered_by_sdk.cpo.versions_url
    renewed = sdk.done("credentials.put_credentials", token=TOKEN_C, url=versions, **OWN)
    assert renewed["token"] != sdk.token
    again = sdk("credentials.post_credentials", token=TOKEN_C, url=versions, **OWN)
    assert again["status"] == 405
    sdk.become(sdk.base, renewed["token"])
    assert sdk.done("credentials.get_credentials")["token"] == renewed["token"]
    assert sdk("credentials.delete_credentials")["status"] == 405
    registered_by_sdk.partner.set_matrix(SupportMatrix.full())
    sdk.done("credentials.delete_credentials")
    party = registered_by_sdk.emsp.parties.get("NL-TNM")
    assert party is not None
    assert party.state.value == "UNREGISTERED"
    assert sdk("credentials.get_credentials")["raised"] == "UnauthorizedError"
    begun = sdk.done("credentials.post_credentials", token=TOKEN_C, url=versions, **OWN)
    sdk.become(sdk.base, begun["token"])
    assert sdk.done("credentials.get_credentials")["token"] == begun["token"]


# --- pushes ---------------------------------------------------------------------------------------------------------


@on_every_store
def test_locations_evses_and_connectors(registered_by_sdk: Connected, sdk: Sdk) -> None:
    emsp, at = registered_by_sdk.emsp, (*OWNER, "LOC1")
    sdk.done("locations.put_receiver_location", *at, **RECORDS["locations"]["LOC1"])
    location = emsp.locations.get("NL-TNM", "LOC1")
    assert location == expected("locations", "LOC1")

    sdk.done("locations.patch_receiver_location", *at, request={"name": "Moved", "last_updated": LATER})
    evse: Document = {**RECORDS["locations"]["LOC1"]["evses"][0], "status": "CHARGING", "last_updated": LATER}
    sdk.done("locations.put_receiver_evse", *at, "LOC1-E1", **evse)
    new = {**evse, "uid": "LOC1-E3"}
    sdk.done("locations.put_receiver_evse", *at, "LOC1-E3", **new)
    sdk.done("locations.patch_receiver_evse", *at, "LOC1-E2", request={"status": "BLOCKED", "last_updated": LATER})
    connector = {**evse["connectors"][0], "amperage": 16, "last_updated": LATER}
    sdk.done("locations.put_receiver_connector", *at, "LOC1-E1", "1", **connector)
    sdk.done(
        "locations.patch_receiver_connector",
        *at,
        "LOC1-E2",
        "1",
        request={"tariff_id": "TAR2", "last_updated": LATER},
    )
    location = emsp.locations.get("NL-TNM", "LOC1")
    assert location is not None
    assert location.name == "Moved"
    assert {each.uid: each.status for each in location.evses} == {
        "LOC1-E1": Status.CHARGING,
        "LOC1-E2": Status.BLOCKED,
        "LOC1-E3": Status.CHARGING,
    }
    first, second, _ = location.evses
    assert (first.connectors[0].amperage, second.connectors[0].tariff_id) == (16, "TAR2")

    assert sdk("locations.get_receiver_location", *at)["status"] == 405
    registered_by_sdk.partner.set_matrix(SupportMatrix.full())
    assert sdk.done("locations.get_receiver_location", *at)["name"] == "Moved"


@on_every_store
def test_sessions(registered_by_sdk: Connected, sdk: Sdk) -> None:
    emsp, session = registered_by_sdk.emsp, RECORDS["sessions"]["SES3"]
    used = {"evse_uid": "LOC3-E1", "connector_id": "1"}
    sdk.done("sessions.put_session_by_id", *OWNER, "SES3", **{**session, "end_datetime": None}, **used)
    assert emsp.sessions.get("NL-TNM", "SES3") == decode(Session, encode(session))
    changes: Document = {"kwh": 13.25, "status": "COMPLETED", "end_datetime": LATER, "last_updated": LATER}
    sdk.done("sessions.patch_session_by_id", *OWNER, "SES3", **changes)
    stored = emsp.sessions.get("NL-TNM", "SES3")
    assert stored is not None
    assert (str(stored.kwh), stored.status) == ("13.25", SessionStatus.COMPLETED)
    registered_by_sdk.partner.set_matrix(SupportMatrix.full())
    assert sdk.done("sessions.get_session_by_id", *OWNER, "SES3")["kwh"] == 13.25


@on_every_store
def test_tariffs(registered_by_sdk: Connected, sdk: Sdk) -> None:
    emsp, tariff = registered_by_sdk.emsp, RECORDS["tariffs"]["TAR1"]
    sdk.done("tariffs.put_receiver_tariff", *OWNER, "TAR1", **tariff)
    assert emsp.tariffs.get("NL-TNM", "TAR1") == decode(Tariff, encode(tariff))
    sdk.done("tariffs.patch_receiver_tariff", *OWNER, "TAR1", request={"currency": "CHF", "last_updated": LATER})
    stored = emsp.tariffs.get("NL-TNM", "TAR1")
    assert stored is not None
    assert stored.currency == "CHF"
    assert sdk("tariffs.delete_receiver_tariff", *OWNER, "TAR1")["status"] == 405
    registered_by_sdk.partner.set_matrix(SupportMatrix.full())
    assert sdk.done("tariffs.get_receiver_tariff", *OWNER, "TAR1")["currency"] == "CHF"
    sdk.done("tariffs.delete_receiver_tariff", *OWNER, "TAR1")
    assert emsp.tariffs.get("NL-TNM", "TAR1") is None


@on_every_store
def test_cdrs(registered_by_sdk: Connected, sdk: Sdk) -> None:
    emsp, cdr = registered_by_sdk.emsp, cdr_of_the_sdk()
    answered = sdk("cdrs.create_cdr", **cdr)
    assert answered["answer"]["status_code"] == 1000
    assert answered["headers"]["location"] == f"{registered_by_sdk.url}/2.1.1/cdrs/cdr1"
    stored, written = emsp.cdrs.get("NL-TNM", "cdr1"), decode(Cdr, encode(RECORDS["cdrs"]["cdr1"]))
    assert stored is not None
    assert (stored.stop_date_time, stored.total_cost) == (written.stop_date_time, written.total_cost)
    (evse,), (used,) = stored.location.evses, written.location.evses
    assert (evse.uid, evse.evse_id, evse.connectors[0].id) == (used.uid, used.evse_id, used.connectors[0].id)
    assert evse.connectors[0].standard == used.connectors[0].standard
    assert sdk("cdrs.create_cdr", **cdr)["headers"]["location"] == answered["headers"]["location"]
    listed = registered_by_sdk.partner.sync(modules=["cdrs"], full=True)
    assert listed.ok, "with its location as in 2.1.1, and end_date_time: the same bill"
    assert listed.unchanged == 1
    registered_by_sdk.partner.set_matrix(SupportMatrix.full())
    assert sdk.done("cdrs.get_cdr_by_id", "cdr1")["id"] == "cdr1"
    assert sdk("cdrs.get_receiver_cdr", *OWNER, "cdr1")["status"] == 404


def test_a_wrong_token_is_said_so(registered_by_sdk: Connected, sdk: Sdk) -> None:
    sdk.become(f"{registered_by_sdk.url}/2.1.1", "nobody's")
    refused = sdk("tariffs.put_receiver_tariff", *OWNER, "TAR1", **RECORDS["tariffs"]["TAR1"])
    assert (refused["raised"], refused["status"]) == ("UnauthorizedError", 401)


# --- tokens and authorizations --------------------------------------------------------------------------------------


def test_it_pulls_our_tokens(registered_by_sdk: Connected, sdk: Sdk) -> None:
    for number in (2, 3):
        registered_by_sdk.emsp.tokens.put(token(f"T{number}"))
    pages = [sdk.done("tokens.get_tokens", offset=offset, limit=2) for offset in (0, 2)]
    assert [[each["uid"] for each in page] for page in pages] == [["T1", "T2"], ["T3"]]
    assert sdk.done("tokens.get_tokens", date_from="2099-01-01T00:00:00Z") == []


@on_every_store
def test_authorizations(registered_by_sdk: Connected, sdk: Sdk) -> None:
    emsp, asked = registered_by_sdk.emsp, list[AuthorizationRequest]()

    @emsp.authorize
    def may_charge(request: AuthorizationRequest) -> AuthorizationInfo:
        asked.append(request)
        return request.refuse(Allowed.BLOCKED) if request.token.uid == "T2" else request.allow()

    emsp.tokens.put(token("T2"))
    registered_by_sdk.push("locations", "LOC1")
    assert sdk.done("tokens.post_authorize", "T1") == {"allowed": "ALLOWED"}
    at = {"location_id": "LOC1", "evse_uids": ["LOC1-E1"]}
    assert sdk.done("tokens.post_authorize", "T1", type="RFID", **at) == {"allowed": "ALLOWED", "location": at}
    assert sdk.done("tokens.post_authorize", "T2")["allowed"] == "BLOCKED"
    assert sdk("tokens.post_authorize", "T9")["raised"] == "NotFoundError"
    assert [each.token.uid for each in asked] == ["T1", "T1", "T2"]


# --- results of commands --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "result"), [*((each, "ACCEPTED") for each in COMMANDS), ("stop_session", "TIMEOUT")]
)
def test_it_posts_the_result_of_a_command(
    command: str, result: str, registered_by_sdk: Connected, cpo: Extrawest, sdk: Sdk
) -> None:
    registered_by_sdk.partner.sync()
    registered_by_sdk.partner.set_profile(endpoints={"commands": cpo.commands_url})
    registered_by_sdk.partner.set_matrix(SupportMatrix.full())
    cpo.begin(partner=cpo.seen()["partner"], results=False)
    with registered_by_sdk.partner.client() as client:
        pending: Any = getattr(client, command)(**COMMANDS[command])
        (seen,) = cpo.seen()["commands"]
        *_, name, uid = seen["response_url"].split("/")
        sdk.done("commands.sender_commands_uid", command=name, uid=uid, result=result)
        assert pending.result(timeout=10) is CommandResponseType(result)
