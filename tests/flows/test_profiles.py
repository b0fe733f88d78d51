"""Party profiles as data: how they are set, and what a field does to calls and pushes (docs/reference/profiles.md)."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from attrs import evolve

from flows.support import Peer, at, peer, serve, stamp
from ocpi_emsp import PartyId, SupportMatrix, codec
from ocpi_emsp.codec import decode
from ocpi_emsp.errors import NotRegistered
from ocpi_emsp.flows.parties.extra_headers import ExtraHeader
from ocpi_emsp.flows.parties.party import Party, PartyState, Profile, RuleAction
from ocpi_emsp.flows.parties.profile import DEFAULTS
from ocpi_emsp.flows.parties.profile_plausibility import plausibility_of
from ocpi_emsp.flows.parties.profile_readings import readings_of
from ocpi_emsp.models import Endpoint, ModuleID
from ocpi_emsp.pricing import Plausibility, Readings
from ocpi_emsp.testing.cpo import samples
from ocpi_emsp.testing.cpo.wire import encode
from our_emsp import credentials, token
from scripted_cpo import envelope

ROOT = Path(__file__).parents[2]
WHO = ("NL", "TNM")
SESSION = {**samples.session("SES1"), "last_updated": at(1)}
START = datetime(2024, 5, 20, 8, tzinfo=UTC)
MODULES = ("credentials", "locations", "sessions", "commands", "tokens")
CONTROL = "https://tnm.test/cpo"


@pytest.fixture
def cpo() -> Peer:
    return peer()


# --- setting --------------------------------------------------------------------------------------------------------

VALUES: dict[str, tuple[Any, Any]] = {
    "base64_token": (True, True),
    "refuses": ("warning", "warning"),
    "matrix": (SupportMatrix.full(), SupportMatrix.full().to_csv()),
    "append_charging_periods": (True, True),
    "requests_per_second": ("0.5", Decimal("0.5")),
    "concurrent_requests": (3, 3),
    "inbound_requests_per_second": (500, 500),
    "inbound_concurrent_requests": (5, 5),
    "inbound_bytes_per_minute": (10_000_000, 10_000_000),
    "trailing_slash": (True, True),
    "announce_slash": (False, False),
    "page_limit": (7, 7),
    "allowed_parties": (["de-abc", "DE-ABC", "FR-XYZ", "es-*", "*"], ("DE-ABC", "FR-XYZ", "ES-*", "*")),
    "owner_from": ("Operator.Name", "operator.name"),
    "headers": ({"OCPI-to-Party-ID": "AAA"}, (ExtraHeader(name="ocpi-to-party-id", value="AAA"),)),
    "time_zone": ("Europe/Amsterdam", "Europe/Amsterdam"),
    "patches_sessions": (False, False),
    "cdr_id_is_session_id": (True, True),
    "required_modules": (["Locations", "cdrs"], ("locations", "cdrs")),
    "push_tokens": (False, False),
    "authorization_ids": (True, True),
    "absent_as_null": (True, True),
    "credentials_extensions": ({"vendor": {"id": 7}}, '{"vendor":{"id":7}}'),
    "endpoints": (
        {"commands": "https://tnm.test/commands"},
        (Endpoint(identifier=ModuleID.COMMANDS, url="https://tnm.test/commands"),),
    ),
    "max_objects": (7, 7),
    "max_bytes": (70, 70),
    "hosts": (["API.Example.com.", "bücher.example", "api.example.com"], ("api.example.com", "xn--bcher-kva.example")),
    "without_locations": (True, True),
    "readings": ({"vat": 21, "step": "per_period", "flat": "session"}, '{"step": "per_period", "vat": "21"}'),
    "plausibility": (
        {"session.long": 48, "duplicate": False, "session.short": "60"},
        '{"duplicate": "off", "session.long": "48"}',
    ),
}


@pytest.mark.parametrize("name", sorted(VALUES))
def test_a_field_is_set_kept_and_taken_back(cpo: Peer, name: str) -> None:
    given, kept = VALUES[name]
    partner = cpo.emsp.partner("nl-tnm")
    assert getattr(partner.set_profile(**{name: given}), name) == kept
    assert partner.profile() == evolve(Profile(), **{name: kept})
    back: dict[str, Any] = {name: None}
    assert partner.set_profile(**back) == Profile()
    assert partner.profile() == Profile()


def test_readings_are_given_as_a_mapping_an_object_or_readings_and_taken_apart_from_what_is_unknown(cpo: Peer) -> None:
    partner, profile = cpo.emsp.partner("NL-TNM"), Profile()
    for given in ({"vat": 19.5}, '{"vat": 19.50, "step": "session_last"}', Readings(vat=Decimal("19.5"))):
        profile = partner.set_profile(readings=given)
        assert readings_of(profile) == Readings(vat=Decimal("19.5"))
    assert partner.set_profile(readings={"flat": "session"}).readings is None
    other_version = evolve(profile, readings='{"flat": "each_period", "step": "of_tomorrow", "tomorrow": "1"}')
    assert readings_of(other_version) == Readings(flat="each_period")


def test_plausibility_is_given_as_a_mapping_an_object_or_itself(cpo: Peer) -> None:
    partner, profile = cpo.emsp.partner("NL-TNM"), Profile()
    for given in ({"cdr.late": 7.5}, '{"cdr.late": 7.50, "duplicate": true}', Plausibility({"cdr.late": "7.5"})):
        profile = partner.set_profile(plausibility=given)
        assert plausibility_of(profile) == Plausibility({"cdr.late": Decimal("7.5")})
    assert partner.set_profile(plausibility={"duplicate": "on"}).plausibility is None
    other_version = evolve(profile, plausibility='{"duplicate": "off", "cdr.late": "soon", "tomorrow": "1"}')
    assert plausibility_of(other_version) == Plausibility({"duplicate": "off"})


def test_rules_count_as_something_else_with_a_policy_of_the_partys_own(cpo: Peer) -> None:
    actions = {"string.length": "ignore", "datetime.zone": "error"}
    profile = cpo.emsp.partner(PartyId(*WHO)).set_profile(refuses="warning", actions=actions)
    assert {each.rule: each.action for each in profile.actions} == actions
    answer = cpo.push("PUT", "sessions/*/SES1", {**SESSION, "last_updated": "2024-05-01T00:00:00"})
    assert ("/last_updated", "datetime.zone") in answer.findings


def test_a_field_that_is_not_named_stays(cpo: Peer) -> None:
    cpo.emsp.partner(PartyId(*WHO)).set_profile(page_limit=7)
    cpo.emsp.partner(PartyId(*WHO)).set_matrix(SupportMatrix.full())
    assert cpo.emsp.partner(PartyId(*WHO)).set_profile(trailing_slash=True).page_limit == 7
    assert cpo.party().profile.matrix is not None


BAD: list[tuple[str, Any, str]] = [
    ("hosts", "api.example.com", "invalid hosts 'api.example.com': expected a list of host names"),
    ("hosts", ["https://api.example.com"], "invalid hosts 'https://api.example.com': expected a list of host names"),
    ("hosts", ["127.1"], "invalid hosts '127.1': expected a list of host names, for example ['api.example.com']"),
    ("hosts", [7], "invalid hosts '7': expected a list of host names"),
    ("actions", {"no.rule": "error"}, "invalid actions: invalid rule 'no.rule': expected a rule"),
    ("actions", {"datetime.zone": "shout"}, "shout"),
    ("actions", {"datetime.zone": "error"}, "so set refuses as well"),
    ("actions", 7, "invalid actions '7': expected a mapping of rules"),
    ("actions", {1: "error", "a": "error"}, "invalid actions: invalid rule 1: expected a rule"),
    (
        "allowed_parties",
        "DE-ABC",
        "invalid allowed_parties 'DE-ABC': expected a list of texts, for example ['NL-ABC'] or ['*']",
    ),
    ("allowed_parties", ["DEABC"], "invalid allowed_parties 'DEABC': expected CC-XXX, for example NL-ABC"),
    ("allowed_parties", ["DE-ABCD"], "invalid allowed_parties 'DE-ABCD': expected CC-XXX"),
    ("allowed_parties", ["DE-ABC", 3], "invalid allowed_parties 'DE-ABC, 3': expected a list of texts"),
    (
        "allowed_parties",
        ["nl-tnm"],
        "invalid allowed_parties 'NL-TNM': expected another party",
    ),
    ("allowed_parties", ["it-bec"], "invalid allowed_parties 'IT-BEC': expected another party than the eMSP itself"),
    (
        "allowed_parties",
        ["DE-*BC"],
        "invalid allowed_parties 'DE-*BC': expected CC-XXX, for example NL-ABC, or a pattern",
    ),
    ("allowed_parties", ["D*-ABC"], "or a pattern such as NL-* or *"),
    ("headers", "x-key", "invalid headers: expected a mapping of names to texts"),
    ("headers", {"x-key": 3}, "invalid headers: expected a mapping of names to texts"),
    ("headers", {"x key": "secret"}, "invalid headers: the name 'x key' cannot be that of a header"),
    ("headers", {"": "secret"}, "invalid headers: the name '' cannot be"),
    ("headers", {"x-key": "a\nb"}, "invalid headers: the value of 'x-key' cannot be that of a header"),
    ("headers", {"x-key": "Malm\u00f6"}, "invalid headers: the value of 'x-key' cannot"),
    ("headers", {"x-key": " a"}, "invalid headers: the value of 'x-key' cannot"),
    ("headers", {"x-key": ""}, "invalid headers: the value of 'x-key' cannot"),
    ("headers", {"x-key": "a" * 4001}, "at most 4000 characters"),
    ("headers", {"x-key": "a", "X-Key": "b"}, "invalid headers: the header 'X-Key' is given twice"),
    ("headers", {"Authorization": "a"}, "invalid headers: the header 'Authorization' is set with each call already"),
    ("owner_from", "operator", "invalid owner_from 'operator': expected one of operator.name, evse_id, country_code/"),
    ("owner_from", 3, "invalid owner_from '3': expected one of"),
    ("concurrent_requests", 0, "1 or more"),
    ("inbound_requests_per_second", 0, "1 or more"),
    ("concurrent_requests", True, "a whole number"),
    ("matrix", "a,b", "support matrix: expected the columns"),
    ("page_limit", 0, "invalid page_limit '0': expected a whole number of 1 or more, for example 100"),
    ("page_limit", True, "expected a whole number"),
    ("page_limit", "7", "expected a whole number"),
    ("patches", True, "invalid profile field 'patches': expected one of patches_sessions, "),
    ("refuses", "shout", "invalid refuses 'shout': expected one of note, warning, error"),
    ("requests_per_second", "0", "or more"),
    ("requests_per_second", "many", "invalid requests_per_second 'many': expected a number"),
    (
        "required_modules",
        ["locations", "vendor"],
        "invalid required_modules 'locations, vendor': expected modules",
    ),
    ("time_zone", "Europe/Nowhere", "invalid time zone"),
    ("time_zone", "/etc/localtime", "invalid time zone"),
    ("absent_as_null", 1, "invalid absent_as_null '1': expected True or False"),
    ("credentials_extensions", 7, "invalid credentials_extensions '7': expected a mapping of names to values"),
    ("credentials_extensions", "{", "invalid credentials_extensions '{': expected a mapping of names to values, or a"),
    ("credentials_extensions", {"Token": 1}, "Token is a member of Credentials and cannot be an extension"),
    ("readings", 7, "invalid readings '7': expected a mapping of readings to values, or a JSON object"),
    (
        "readings",
        "step=none",
        "invalid readings 'step=none': expected a mapping of readings to values, or a JSON object",
    ),
    ("readings", '["step"]', "expected a mapping of readings to values"),
    ("readings", {1: "none"}, "invalid readings '1': expected a mapping of readings to values"),
    ("readings", {"steps": "none"}, "invalid reading 'steps': expected one of step, "),
    ("readings", {"step": "never"}, "invalid reading step 'never': expected one of session_last, "),
    ("readings", {"vat": -1}, "invalid reading vat '-1': expected a number of 0 or more, for example 0.01"),
    ("readings", '{"tolerance": "NaN"}', "invalid reading tolerance 'NaN': expected a number of 0 or more"),
    ("readings", '{"tolerance": 1e999999999}', "invalid reading tolerance "),
    ("readings", {"vat": 10**5000}, "invalid reading vat "),
    ("readings", {"vat": 1e-300}, "invalid reading vat '"),
    ("readings", {"vat": True}, "invalid reading vat 'True': expected a number of 0 or more"),
    ("readings", "[" * 100_000, "expected a mapping of readings to values"),
    ("plausibility", 7, "invalid plausibility '7': expected a mapping of codes to settings, or a JSON object"),
    ("plausibility", '["duplicate"]', "expected a mapping of codes to settings"),
    ("plausibility", "[" * 100_000, "expected a mapping of codes to settings"),
    ("plausibility", {1: "off"}, "invalid plausibility '1': expected a mapping of codes to settings"),
    ("plausibility", {"duplicates": "off"}, "invalid plausibility 'duplicates': expected one of duplicate, "),
    ("plausibility", {"session.long": "never"}, "invalid plausibility session.long 'never': expected a number"),
    ("plausibility", {"session.long": 10**5000}, "invalid plausibility session.long '"),
    ("plausibility", '{"session.long": 1e999999999}', "invalid plausibility session.long '1e999999999'"),
    ("trailing_slash", "yes", "invalid trailing_slash 'yes': expected True or False"),
]


@pytest.mark.parametrize(("name", "value", "why"), BAD, ids=[f"{name}-{n}" for n, (name, _, _) in enumerate(BAD)])
def test_what_a_profile_cannot_hold_is_refused_by_name_and_changes_nothing(
    cpo: Peer, name: str, value: Any, why: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(why)) as caught:
        cpo.emsp.partner(PartyId(*WHO)).set_profile(base64_token=True, **{name: value})
    assert str(caught.value).startswith("invalid ")
    assert name in str(caught.value)
    assert cpo.party().profile == Profile()


def test_a_registered_party_is_behind_nobodys_connection(cpo: Peer) -> None:
    cpo.other("DE", "ABC")
    with pytest.raises(ValueError, match="'DE-ABC': expected a party without a registration of its own"):
        cpo.emsp.partner(PartyId(*WHO)).set_profile(allowed_parties=["FR-XYZ", "DE-ABC"])


def test_a_party_that_is_not_there(cpo: Peer) -> None:
    partner = cpo.emsp.partner("de-xyz")
    for call in (partner.profile, partner.set_profile, partner.suggestions):
        with pytest.raises(NotRegistered, match="DE-XYZ"):
            call()


def test_an_async_host_does_the_same(cpo: Peer) -> None:
    async def work() -> tuple[Profile, Profile, list[Any]]:
        partner = cpo.emsp.aio.partner(PartyId(*WHO))
        changed = await partner.set_profile(page_limit=5)
        return changed, await partner.profile(), await partner.suggestions()

    changed, read, suggested = anyio.run(work)
    assert (changed.page_limit, read, suggested) == (5, changed, [])


def test_a_party_of_an_older_version_has_the_defaults() -> None:
    old = b'{"country_code":"NL","party_id":"TNM","state":"REGISTERED","profile":{"base64_token":true}}'
    assert decode(Party, old).profile == Profile(base64_token=True)


def test_a_profile_with_everything_is_stored_as_it_is() -> None:
    values = {name: kept for name, (_, kept) in VALUES.items()}
    profile = Profile(**values, actions=(RuleAction(rule="datetime.zone", action="error"),))
    party = Party(country_code="NL", party_id="TNM", state=PartyState.REGISTERED, profile=profile)
    assert decode(Party, codec.encode(party)).profile == profile


def test_every_field_has_a_value_above() -> None:
    assert {*VALUES, "actions"} == set(DEFAULTS)


def test_the_page_has_a_row_for_each_field() -> None:
    page = (ROOT / "docs" / "reference" / "profiles.md").read_text("utf-8").partition("## Hubs")[0]
    rows = re.findall(r"^\| `(\w+)` \| `?([^|`]*)`? \|", page, re.MULTILINE)
    said = {name: default.strip() for name, default in rows}
    shown = {True: "true", False: "false", None: "none", (): "none"}
    assert said == {name: shown[default] for name, default in DEFAULTS.items()}
    assert [name for name, _ in rows] == list(DEFAULTS), "in the order of the class"


# --- what is called -------------------------------------------------------------------------------------------------


def calling(paths: list[str], endpoint: str = "{}", location: Any = None) -> Any:
    """A CPO that notes which path, with its query, is called; it has one location, or none."""
    found = [] if location is None else [location]

    def server(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/cpo/versions":
            return httpx.Response(200, json=envelope([{"version": "2.1.1", "url": f"{CONTROL}/2.1.1"}]))
        if request.url.path == "/cpo/2.1.1":
            given = [{"identifier": name, "url": f"{CONTROL}/{endpoint.format(name)}"} for name in MODULES]
            return httpx.Response(200, json=envelope({"version": "2.1.1", "endpoints": given}))
        paths.append(request.url.raw_path.decode())
        if request.url.path.rstrip("/").endswith("/credentials"):
            return httpx.Response(200, json=envelope(credentials()))
        last = request.url.path.rstrip("/").rpartition("/")[2]
        data = found if last in MODULES else location or samples.location("LOC1")
        return httpx.Response(200, content=encode(envelope(data)))

    return serve(server)


def call_everything(cpo: Peer) -> None:
    with cpo.emsp.partner(PartyId(*WHO)).client() as client:
        client.location("LOC1")
        list(client.locations())
        list(client.sessions(date_from=cpo.clock.now(), limit=50))
        client.patch_token("T/1", valid=False)


def test_a_trailing_slash_ends_every_url_that_we_build() -> None:
    paths: list[str] = []
    cpo = peer(http_client=calling(paths))
    call_everything(cpo)
    before = list(paths)
    cpo.emsp.partner(PartyId(*WHO)).set_profile(trailing_slash=True)
    paths.clear()
    call_everything(cpo)
    assert not any(path.partition("?")[0].endswith("/") for path in before)
    assert paths == [f"{path}/{mark}{query}" for path, mark, query in (each.partition("?") for each in before)]
    assert paths[0] == "/cpo/locations/LOC1/"
    assert paths[-1] == "/cpo/tokens/IT/BEC/T%2F1/"


def test_a_query_of_the_endpoint_stays_behind_the_path() -> None:
    paths: list[str] = []
    cpo = peer(http_client=calling(paths, "{}/?tenant=1"))
    cpo.emsp.partner(PartyId(*WHO)).set_profile(trailing_slash=True)
    with cpo.emsp.partner(PartyId(*WHO)).client() as client:
        client.location("LOC1")
        list(client.locations(limit=2))
    assert paths == ["/cpo/locations/LOC1/?tenant=1", "/cpo/locations/?tenant=1&limit=2"]


def test_the_credentials_endpoint_is_called_as_the_partner_gave_it() -> None:
    paths: list[str] = []
    cpo = peer(http_client=calling(paths))
    cpo.emsp.partner(PartyId(*WHO)).set_profile(trailing_slash=True)
    with cpo.emsp.partner(PartyId(*WHO)).client() as client:
        client.credentials()
        client.put_credentials()
    assert len(paths) > 1
    assert set(paths) == {"/cpo/credentials"}


@pytest.mark.parametrize(("asked", "sent"), [(None, "7"), (3, "3"), (50, "7")])
def test_a_client_asks_for_no_more_objects_than_the_page_limit(asked: int | None, sent: str) -> None:
    paths: list[str] = []
    cpo = peer(http_client=calling(paths))
    cpo.emsp.partner(PartyId(*WHO)).set_profile(page_limit=7)
    with cpo.emsp.partner(PartyId(*WHO)).client() as client:
        list(client.locations(limit=asked))
    assert paths == [f"/cpo/locations?limit={sent}"]


# --- time zones -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("local", "kept"),
    [
        ("2024-01-15T12:00:00", "2024-01-15T12:00:00+01:00"),
        ("2024-05-01T12:00:00", "2024-05-01T12:00:00+02:00"),
        ("2024-10-27T02:30:00", "2024-10-27T02:30:00+02:00"),
        ("2024-03-31T02:30:00", "2024-03-31T02:30:00+01:00"),
        ("2024-05-01T12:00:00Z", "2024-05-01T12:00:00Z"),
        ("2024-05-01T12:00:00+05:30", "2024-05-01T12:00:00+05:30"),
    ],
    ids=["winter", "summer", "twice", "skipped", "UTC", "offset"],
)
def test_a_pushed_timestamp_without_a_zone_is_in_the_partys(cpo: Peer, local: str, kept: str) -> None:
    cpo.emsp.partner(PartyId(*WHO)).set_profile(time_zone="Europe/Amsterdam")
    body = {**SESSION, "start_datetime": local, "vendor": {"seen": "2024-05-01T12:00:00"}}
    answer = cpo.push("PUT", "sessions/*/SES1", body)
    assert answer.both == (201, 1000)
    assert ("read in Europe/Amsterdam [datetime.zone]" in answer.message) == (local != kept)
    assert cpo.data("sessions/*/SES1") == {**body, "start_datetime": kept}


def test_without_a_zone_nothing_changes(cpo: Peer) -> None:
    body = {**SESSION, "start_datetime": "2024-05-01T12:00:00"}
    answer = cpo.put("sessions/*/SES1", body)
    assert answer.message == "Success"
    assert cpo.data("sessions/*/SES1") == body


def test_a_patch_is_read_in_the_zone_and_told_from_what_is_newer(cpo: Peer) -> None:
    cpo.emsp.partner(PartyId(*WHO)).set_profile(time_zone="Europe/Amsterdam")
    cpo.put("sessions/*/SES1", {**SESSION, "last_updated": "2024-05-01T10:00:00Z"})
    older = cpo.push("PATCH", "sessions/*/SES1", {"kwh": 1, "last_updated": "2024-05-01T11:59:59"})
    assert older.message.startswith("Not stored")
    newer = cpo.push("PATCH", "sessions/*/SES1", {"kwh": 2, "last_updated": "2024-05-01T12:00:01"})
    assert newer.code == 1000
    assert cpo.data("sessions/*/SES1")["last_updated"] == "2024-05-01T12:00:01+02:00"


def test_a_rejection_keeps_what_was_received(cpo: Peer) -> None:
    cpo.emsp.partner(PartyId(*WHO)).set_profile(time_zone="Europe/Amsterdam")
    body = b'{"id": "SES1", "last_updated": "2024-05-01T12:00:00"}'
    assert cpo.push("PUT", "sessions/*/SES1", body).code == 2001
    (rejection,) = cpo.emsp.rejections.list()
    assert rejection.body == body


def test_the_dates_of_a_query_are_in_the_zone_too(cpo: Peer) -> None:
    cpo.emsp.tokens.put(evolve(token("T1"), last_updated=datetime(2024, 5, 1, 12, tzinfo=UTC)))
    cpo.emsp.partner(PartyId(*WHO)).set_profile(time_zone="America/New_York")
    before, after = "2024-05-01T08:00:00", "2024-05-01T08:00:01"
    found = {
        query: len(cpo.push("GET", "tokens", query=query).data)
        for query in (
            f"date_from={before}",
            f"limit=5&date_from={after}",
            f"date_to={before}",
            f"limit=5&date_to={after}",
            f"date_to={after}Z",
        )
    }
    assert list(found.values()) == [1, 0, 0, 1, 0]


def test_a_client_reads_in_the_zone() -> None:
    location = samples.location("LOC1") | {"last_updated": "2024-05-01T12:00:00"}
    cpo = peer(http_client=calling([], location=location))
    cpo.emsp.partner(PartyId(*WHO)).set_profile(time_zone="Europe/Amsterdam")
    with cpo.emsp.partner(PartyId(*WHO)).client() as client:
        read = [client.location("LOC1"), *client.locations()]
    assert [each.last_updated.isoformat() for each in read] == ["2024-05-01T10:00:00+00:00"] * 2


# --- reconciling ----------------------------------------------------------------------------------------------------


def test_equal_ids_are_a_pair_where_the_profile_says_so(cpo: Peer) -> None:
    seen = samples.session("S1", start=START) | {"last_updated": stamp(START)}
    other = samples.session("S2", start=START + timedelta(days=3)) | {"auth_id": "SOMEBODY-ELSE"}
    billed = samples.cdr("S2", of=seen) | {"last_updated": stamp(START)}
    for session in (seen, other | {"last_updated": stamp(START), "location": samples.location("LOC77")}):
        cpo.put(f"sessions/*/{session['id']}", session)
    assert cpo.push("POST", "cdrs", billed).code == 1000

    def pairs() -> list[tuple[str, str]]:
        return [(pair.cdr.id, pair.session.id) for pair in cpo.emsp.partner(PartyId(*WHO)).reconcile().matched]

    assert pairs() == [("S2", "S1")]
    cpo.emsp.partner(PartyId(*WHO)).set_profile(cdr_id_is_session_id=True)
    assert pairs() == [("S2", "S2")]
    found = cpo.emsp.partner(PartyId(*WHO)).reconcile()
    assert {each.what for each in found.differences} >= {"auth_id", "evse", "time"}
