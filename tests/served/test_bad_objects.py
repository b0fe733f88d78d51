"""Bad input over HTTP, on both servers: objects, paths and parameters that are not what the specification has."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import pytest
from attrs import evolve

from ocpi_emsp import Evse, Limits, Location, check
from ocpi_emsp.events import EvseReceived, ResyncRequested
from ocpi_emsp.findings import Severity
from ocpi_emsp.ports import Kind
from ocpi_emsp.settings import HttpLimits
from ocpi_emsp.support import SupportMatrix
from ocpi_emsp.testing.cpo import samples
from ocpi_emsp.testing.cpo.wire import encode
from our_emsp import token
from served.cases import TOKEN, post_cdr, put_location, put_session, put_tariff, stored
from served.partner import Connect, Partner, invite
from served.support import Answer, Document
from served.writes import WRITES, refused

LOCATION, EVSE, SESSION, TARIFF, CDR = (
    samples.location(),
    samples.evse(),
    samples.session(status="ACTIVE"),
    samples.tariff(),
    samples.cdr(),
)
BODIES = {
    "put-location": LOCATION,
    "put-evse": EVSE,
    "put-connector": samples.connector(),
    "put-session": SESSION,
    "post-cdr": CDR,
    "put-tariff": TARIFF,
}
"""A valid object for each write of a whole one."""


@pytest.fixture
def stocked(partner: Partner) -> Partner:
    """NL-TNM with a location, a session and a tariff."""
    for put in (put_location, put_session, put_tariff):
        assert put(partner).code == 1000
    partner.emsp.tokens.put(TOKEN)
    partner.events.clear()
    return partner


def errors(answer: Answer) -> dict[str, str]:
    """The rules of the findings that are errors, by pointer."""
    return {finding["pointer"]: finding["rule"] for finding in answer.data if finding["severity"] == "error"}


# --- objects --------------------------------------------------------------------------------------------------------


@pytest.mark.servers_in_turn
@pytest.mark.parametrize("write", BODIES)
def test_a_required_field_is_missing(stocked: Partner, write: str) -> None:
    required = {"put-location": "city", "put-evse": "status", "put-connector": "voltage", "put-session": "kwh"}
    field = required.get(write, "currency")
    document = {name: value for name, value in BODIES[write].items() if name != field}
    answer = refused(stocked, write, encode(document))
    assert answer.both == (200, 2001)
    assert len(errors(answer)) == 1
    [finding] = answer.data
    assert finding["pointer"] in ("", f"/{field}")
    assert field in finding["message"]
    assert finding["clause"].startswith(("mod_", "credentials"))
    # All of them are named, not the first.
    assert len(refused(stocked, write, b"{}").data) >= 4


DEPTHS: dict[str, tuple[str, tuple[Any, ...], Any]] = {
    "/evses/1/connectors/0/voltage": ("put-location", ("evses", 1, "connectors", 0, "voltage"), {"volts": 230}),
    "/evses/0": ("put-location", ("evses", 0), "LOC1-E1"),
    "/energy_mix/energy_sources/1/percentage": (
        "put-location",
        ("energy_mix", "energy_sources", 1, "percentage"),
        [39],
    ),
    "/connectors": ("put-evse", ("connectors",), {"id": "1"}),
    "/charging_periods/0/dimensions/0/volume": (
        "put-session",
        ("charging_periods", 0, "dimensions", 0, "volume"),
        "many",
    ),
    "/charging_periods/0/dimensions/1/volume": (
        "post-cdr",
        ("charging_periods", 0, "dimensions", 1, "volume"),
        "a lot",
    ),
    "/elements/0/price_components/1/price": ("put-tariff", ("elements", 0, "price_components", 1, "price"), {}),
    "/last_updated": ("put-tariff", ("last_updated",), "yesterday"),
}


def changed(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    """A copy of the document with another value at one place."""
    if not path:
        return value
    copy = document.copy()
    copy[path[0]] = changed(document[path[0]], path[1:], value)
    return copy


@pytest.mark.servers_in_turn
@pytest.mark.parametrize("pointer", DEPTHS)
def test_a_wrong_type_at_depth(stocked: Partner, pointer: str) -> None:
    write, path, value = DEPTHS[pointer]
    answer = refused(stocked, write, encode(changed(BODIES[write], path, value)))
    assert answer.both == (200, 2001)
    assert set(errors(answer)) == {pointer}
    assert pointer in answer.message


def test_a_wrong_type_in_a_patch(stocked: Partner) -> None:
    answer = refused(stocked, "patch-evse", b'{"connectors": [{"id": "1", "voltage": {"volts": 230}}]}')
    assert answer.both == (200, 2001)
    assert set(errors(answer)) == {"/connectors/0/voltage"}


@pytest.mark.parametrize("write", [write for write in WRITES if write.startswith("patch-")])
def test_a_patch_that_takes_a_required_field_away(stocked: Partner, write: str) -> None:
    fields = {"evse": "status", "location": "address", "connector": "standard", "credentials": "business_details"}
    field = fields.get(write.removeprefix("patch-"), "currency")
    answer = refused(stocked, write, encode({field: None}))
    assert answer.both == (200, 2001)
    assert len(errors(answer)) == 1
    assert field in answer.text


@pytest.mark.servers_in_turn
@pytest.mark.parametrize("write", [write for write in WRITES if "/NL/TNM/" in WRITES[write]])
def test_the_id_in_the_url_differs_from_the_body(stocked: Partner, write: str) -> None:
    member = "uid" if write.endswith("evse") else "id"
    body = BODIES.get(write, {}) | {member: "OTHER"}
    answer = refused(stocked, write, encode(body))
    assert answer.both == (200, 2001)
    assert answer.pointers == {f"/{member}"}
    assert "OTHER" in answer.message


def test_authorize_with_location_references_that_name_no_location(stocked: Partner) -> None:
    answer = refused(stocked, "authorize", b'{"evse_uids": ["E1"]}')
    assert answer.both == (200, 2001)


# --- who may write what ---------------------------------------------------------------------------------------------


@pytest.mark.servers_in_turn
@pytest.mark.parametrize("write", [write for write in WRITES if "/NL/TNM/" in WRITES[write]])
def test_another_party(stocked: Partner, write: str) -> None:
    before = stocked.objects
    method, path = WRITES[write].split()
    for owner in ("DE/TNM", "NL/ABC", "DE/ABC", "IT/BEC", "%4EL/TNX", "NLTNM/X"):
        answer = stocked.ocpi(method, path.replace("NL/TNM", owner), BODIES.get(write, {"name": "Other"}))
        assert answer.both == (404, 2000), owner
    assert stocked.objects == before
    assert stocked.events == []


def test_another_party_reads_nothing(connect: Connect) -> None:
    partner = connect(matrix=SupportMatrix.full())
    put_location(partner)
    post_cdr(partner)
    other = evolve(partner.cpo, country_code="DE", party_id="ABC")
    answer = invite(partner.ocpi, partner.emsp, other)("POST", "/2.1.1/credentials", other.credentials())
    theirs = partner.ocpi.using(answer.data["token"])
    assert theirs("GET", "/2.1.1/locations/NL/TNM/LOC1").both == (404, 2000)
    assert theirs("GET", "/2.1.1/locations/DE/ABC/LOC1").both == (404, 2003)
    assert theirs("GET", "/2.1.1/cdrs/CDR1").both == (404, 2000)
    assert partner.ocpi("GET", "/2.1.1/locations/NL/TNM/LOC1").both == (200, 1000)


# --- paths and methods ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/nowhere",
        "/versions/2.1.1",
        "/versionsx",
        "/2.1.1x",
        "/2.0",
        "/2.1.1/versions",
        "/2.1.1/2.1.1",
        "/2.1.1/chargingprofiles",
        "/2.1.1/hubclientinfo/NL/TNM/X",
        "/2.1.1/location/NL/TNM/LOC1",
        "/2.1.1/locations/NL",
        "/2.1.1/locations/NL/TNM",
        "/2.1.1/locations/NL/TNM/LOC1/E1/1/more",
        "/2.1.1/sessions/NL/TNM/SES1/more",
        "/2.1.1/tokens/x/authorise",
        "/2.1.1/credentials/x",
        "/2.1.1/commands/START_SESSION",
    ],
)
def test_unknown_path(stocked: Partner, path: str) -> None:
    before = stocked.objects
    for method in ("GET", "PUT", "POST", "PATCH", "DELETE"):
        assert stocked.ocpi(method, path, LOCATION).both == (404, 2000), method
    assert stocked.objects == before
    assert list(stocked.emsp.rejections.list()) == []


def test_methods_that_are_off(stocked: Partner) -> None:
    before = stocked.objects
    for path, method, allow in (
        ("/2.1.1/locations/NL/TNM/LOC1", "GET", {"PUT", "PATCH"}),
        ("/2.1.1/locations/NL/TNM/LOC1", "POST", {"PUT", "PATCH"}),
        ("/2.1.1/locations/NL/TNM/LOC1", "DELETE", {"PUT", "PATCH"}),
        ("/2.1.1/tariffs/NL/TNM/TAR1", "DELETE", {"PUT", "PATCH"}),
        ("/2.1.1/cdrs", "GET", {"POST"}),
        ("/2.1.1/tokens", "POST", {"GET"}),
        ("/2.1.1/credentials", "DELETE", {"GET", "POST", "PUT", "PATCH"}),
        ("/2.1.1/locations", "GET", set()),
        ("/2.1.1/sessions", "POST", set()),
        ("/versions", "PURGE", {"GET"}),
    ):
        answer = stocked.ocpi(method, path, LOCATION)
        assert (answer.both, answer.allow) == ((405, 2000), allow), (method, path)
    assert stocked.objects == before


# --- parameters -----------------------------------------------------------------------------------------------------


@pytest.fixture
def with_tokens(connect: Connect) -> Partner:
    """Seven of our tokens, pages of two, at most three."""
    partner = connect(limits=Limits(http=HttpLimits(page_size=2, max_page_size=3)))
    for number in range(7):
        last_updated = TOKEN.last_updated.replace(day=number + 1)
        partner.emsp.tokens.put(token(f"T{number}", last_updated=last_updated))
    return partner


def uids(answer: Answer) -> list[str]:
    """The uids of a page of tokens."""
    return [token["uid"] for token in answer.data]


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=-1",
        "limit=all",
        "limit=",
        "limit=1.5",
        "limit=1e1",
        "limit=%D9%A1",
        "limit=+5",
        "offset=-1",
        "offset=x",
        "offset=",
        "date_from=yesterday",
        "date_from=",
        "date_from=2024-13-01T00:00:00Z",
        "date_to=2024-02-30T00:00:00Z",
        "date_to=1706745600",
        "date_from=%00",
    ],
)
def test_a_parameter_that_cannot_be_read(with_tokens: Partner, query: str) -> None:
    answer = with_tokens.ocpi("GET", f"/2.1.1/tokens?{query}")
    assert answer.both == (200, 2001)
    assert answer.pointers == {f"/{query.partition('=')[0]}"}
    assert "link" not in answer.headers
    [rejection] = with_tokens.emsp.rejections.list()
    assert rejection.query == query


def test_every_bad_parameter_is_named(with_tokens: Partner) -> None:
    answer = with_tokens.ocpi("GET", "/2.1.1/tokens?limit=0&offset=-1&date_from=x&date_to=y&unknown=z")
    assert answer.pointers == {"/limit", "/offset", "/date_from", "/date_to"}


def test_a_limit_over_the_cap_is_clamped(with_tokens: Partner) -> None:
    answer = with_tokens.ocpi("GET", "/2.1.1/tokens?limit=5000&date_from=2024-01-02T00:00:00Z")
    assert answer.both == (200, 1000)
    assert (answer.headers["x-limit"], answer.headers["x-total-count"]) == ("3", "6")
    assert uids(answer) == ["T1", "T2", "T3"]
    # The next link keeps the filter and the limit, and lies below the public URL.
    link = answer.headers["link"]
    assert link.endswith('>; rel="next"')
    url = link[1 : link.index(">")]
    expected = f"{with_tokens.host.url}/2.1.1/tokens?date_from=2024-01-02T00:00:00Z&offset=3&limit=3"
    assert re.fullmatch(re.escape(expected) + r"&after=\d+&total=6", url)
    last = with_tokens.ocpi("GET", url)
    assert uids(last) == ["T4", "T5", "T6"]
    assert "link" not in last.headers


def test_pages_without_a_limit(with_tokens: Partner) -> None:
    found, url = list[str](), "/2.1.1/tokens"
    while url:
        answer = with_tokens.ocpi("GET", url)
        assert answer.headers["x-limit"] == "2"
        assert answer.headers["x-total-count"] == "7"
        found += uids(answer)
        link = answer.headers.get("link", "<>")
        url = link[1 : link.index(">")]
    assert found == [f"T{number}" for number in range(7)]


@pytest.mark.parametrize("query", ["offset=7", "offset=1000000", "date_from=2030-01-01T00:00:00Z"])
def test_a_page_behind_the_end(with_tokens: Partner, query: str) -> None:
    answer = with_tokens.ocpi("GET", f"/2.1.1/tokens?{query}")
    assert (answer.both, answer.data) == ((200, 1000), [])
    assert "link" not in answer.headers


@pytest.mark.parametrize("moment", ["2024-01-02T00:00:00Z", "2024-01-02T00:00:00", "2024-01-02T01:00:00%2B01:00"])
def test_the_window_includes_its_begin_and_excludes_its_end(with_tokens: Partner, moment: str) -> None:
    query = f"date_from={moment}&date_to=2024-01-04T00:00:00Z"
    assert uids(with_tokens.ocpi("GET", f"/2.1.1/tokens?{query}")) == ["T1", "T2"]


# --- unknown objects, fields and values -----------------------------------------------------------------------------


@pytest.mark.servers_in_turn
@pytest.mark.parametrize(
    ("module", "ids", "both", "wanted"),
    [
        ("locations", ("LOC9",), (404, 2003), "LOC9"),
        ("locations", ("LOC9", "LOC9-E1"), (404, 2003), "LOC9"),
        ("locations", ("LOC9", "LOC9-E1", "1"), (404, 2003), "LOC9"),
        ("locations", ("LOC1", "LOC1-E9"), (404, 2000), "LOC1"),
        ("locations", ("LOC1", "LOC1-E9", "1"), (404, 2000), "LOC1"),
        ("locations", ("LOC1", "LOC1-E1", "9"), (404, 2000), "LOC1"),
        ("sessions", ("SES9",), (404, 2000), "SES9"),
        ("tariffs", ("TAR9",), (404, 2000), "TAR9"),
    ],
)
def test_patch_of_an_unknown_object(
    stocked: Partner, module: str, ids: tuple[str, ...], both: tuple[int, int], wanted: str
) -> None:
    before = stocked.objects
    assert stocked.ocpi("PATCH", stocked.path(module, *ids), {"last_updated": "2024-03-01T00:00:00Z"}).both == both
    assert stocked.objects == before
    [event] = stocked.events
    assert isinstance(event, ResyncRequested)
    assert (event.country_code, event.party_id, event.module, event.id) == ("NL", "TNM", module, wanted)


@pytest.mark.parametrize("method", ["PUT", "GET"])
def test_an_evse_or_connector_of_an_unknown_location(connect: Connect, method: str) -> None:
    partner = connect(matrix=SupportMatrix.full())
    put_location(partner)
    before = partner.objects
    for ids, body, both in (
        (("LOC9", "LOC1-E1"), EVSE, (404, 2003)),
        (("LOC9", "LOC1-E1", "1"), samples.connector(), (404, 2003)),
        (("LOC1", "LOC1-E9", "1"), samples.connector(), (404, 2000)),
    ):
        assert partner.ocpi(method, partner.path("locations", *ids), body).both == both
    assert partner.objects == before


VENDOR: Document = {"x-vendor": {"price": Decimal("0.10"), "list": [1, None]}, "beta": True}


@pytest.mark.parametrize(
    ("module", "ids"),
    [
        ("locations", ("LOC1",)),
        ("locations", ("LOC1", "LOC1-E1")),
        ("locations", ("LOC1", "LOC1-E1", "1")),
        ("sessions", ("SES1",)),
        ("tariffs", ("TAR1",)),
    ],
)
def test_patch_with_an_unknown_field(connect: Connect, module: str, ids: tuple[str, ...]) -> None:
    partner = connect(matrix=SupportMatrix.full())
    for put in (put_location, put_session, put_tariff):
        put(partner)
    path = partner.path(module, *ids)
    before = partner.ocpi("GET", path).data
    changes = VENDOR | {"last_updated": "2099-01-01T00:00:00Z"}  # a PATCH needs a member of its object
    assert partner.ocpi("PATCH", path, changes).both == (200, 1000)
    after = partner.ocpi("GET", path)
    vendor = {name: value for name, value in VENDOR.items() if name != "x-vendor"}
    assert {name: after.data[name] for name in vendor} == vendor
    assert '"price":0.10' in after.text
    assert {name: after.data[name] for name in before if name not in ("last_updated", "evses")} == {
        name: before[name] for name in before if name not in ("last_updated", "evses")
    }


def test_unknown_fields_of_a_put_come_back_as_received(connect: Connect) -> None:
    partner = connect(matrix=SupportMatrix.full())
    location = LOCATION | VENDOR
    location["evses"] = [evse | VENDOR for evse in location["evses"]]
    location["evses"][0]["connectors"] = [LOCATION["evses"][0]["connectors"][0] | VENDOR]
    assert partner.ocpi("PUT", partner.path("locations", "LOC1"), location).both == (201, 1000)
    assert partner.ocpi("GET", partner.path("locations", "LOC1")).data == location


def test_an_unknown_enum_value_is_kept_and_reported(connect: Connect) -> None:
    partner = connect(matrix=SupportMatrix.full())
    put_location(partner)
    evse = EVSE | {
        "status": "TELEPORTING",
        "capabilities": ["RFID_READER", "LEVITATION"],
        "last_updated": "2024-03-01T00:00:00Z",
    }
    path = partner.path("locations", "LOC1", "LOC1-E1")
    assert partner.ocpi("PUT", path, evse).both == (200, 1000)
    assert partner.ocpi("GET", path).data == evse
    assert stored(partner, Kind.EVSE, "LOC1-E1", "LOC1") == evse
    event = partner.heard(EvseReceived)[-1]
    assert (event.evse.status.value, [each.value for each in event.evse.capabilities]) == (
        "TELEPORTING",
        ["RFID_READER", "LEVITATION"],
    )
    report = check(evse, Evse)
    assert {finding.pointer for finding in report.at_least(Severity.WARNING)} == {"/status", "/capabilities/1"}
    # By PATCH alike, and inside a whole location.
    assert partner.ocpi("PATCH", path, {"status": "MELTING"}).both == (200, 1000)
    assert partner.ocpi("GET", path).data["status"] == "MELTING"
    whole = LOCATION | {"type": "ORBIT", "last_updated": "2030-01-01T00:00:00Z"}
    assert partner.ocpi("PUT", partner.path("locations", "LOC1"), whole).both == (200, 1000)
    assert partner.ocpi("GET", partner.path("locations", "LOC1")).data["type"] == "ORBIT"
    assert "/type" in {finding.pointer for finding in check(whole, Location)}
