"""The credentials that a CPO brings, renews and withdraws (credentials.md 1 and 3; PARTNER-QUIRKS.md row 19)."""

from datetime import timedelta
from typing import Any

import httpx
import pytest
from attrs import evolve

from flows.support import Peer, cpo_server, offline_emsp, peer, serve
from ocpi_emsp import Limits
from ocpi_emsp.errors import InvalidObject
from ocpi_emsp.events import Event
from ocpi_emsp.flows.parties.authentication import _warn_of_one_process
from ocpi_emsp.settings import CredentialLimits
from ocpi_emsp.storage import MemoryStore
from our_emsp import CPO_TOKEN, URL, FakeClock, credentials
from scripted_cpo import Handler, envelope

OURS = {"url": f"{URL}/versions", "business_details": {"name": "Be Charge"}, "party_id": "BEC", "country_code": "IT"}


def with_token(cpo: Peer, token: str) -> Peer:
    return evolve(cpo, token=token)


def invited(server: Handler | None = None, **settings: Any) -> Peer:
    """A CPO that holds token A and has not registered yet."""
    clock, events = FakeClock(), list[Event]()
    http_client = serve(server or cpo_server())
    emsp = offline_emsp(clock=clock, store=(store := MemoryStore()), http_client=http_client, **settings)
    emsp.on(Event)(events.append)
    return Peer(emsp, clock, store, emsp.parties.invite("FR-ABC").token_a.reveal(), "FR", "ABC", events)


# --- registration ---------------------------------------------------------------------------------------------------


def test_registration_ends_token_a_and_gives_a_token_that_works() -> None:
    cpo = invited()
    answer = cpo.push("POST", "credentials", credentials("FR", "ABC"))
    assert answer.both == (201, 1000)
    token = answer.data.pop("token")
    assert answer.data == OURS
    assert cpo.taken() == ["PartyRegistered"]
    registered = with_token(cpo, token)
    assert registered.push("PUT", "tariffs/*/TAR1", {}).code == 2001
    assert registered.push("GET", "credentials").data == OURS | {"token": token}
    assert cpo.push("GET", "tokens").status == 401


def test_token_a_works_until_the_new_token_is_used() -> None:
    """A CPO that lost the answer can read our versions and ask again how it stands."""
    cpo = invited()
    cpo.push("POST", "credentials", credentials("FR", "ABC"))
    assert cpo.push("GET", "credentials").both == (200, 1000)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "credentials", 200),
        ("GET", "tokens", 401),
        ("PUT", "locations/*/LOC1", 401),
        ("PUT", "credentials", 405),
        ("PATCH", "credentials", 405),
        ("DELETE", "credentials", 405),
    ],
)
def test_token_a_is_for_the_registration_only(method: str, path: str, status: int) -> None:
    cpo = invited()
    answer = cpo.push(method, path, credentials("FR", "ABC") if method != "GET" else None)
    assert answer.status == status
    if status == 405:
        assert answer.headers["allow"] == "GET, POST"


def test_registering_again_is_405() -> None:
    answer = peer().push("POST", "credentials", credentials())
    assert answer.both == (405, 2000)
    assert "PUT" in answer.headers["allow"]
    assert "POST" not in answer.headers["allow"]


def test_a_second_invitation_replaces_the_first_until_the_party_is_registered() -> None:
    cpo = invited()
    again = with_token(cpo, cpo.emsp.parties.invite("FR-ABC").token_a.reveal())
    assert cpo.push("GET", "credentials").status == 401
    assert again.push("POST", "credentials", credentials("FR", "ABC")).status == 201
    with pytest.raises(InvalidObject, match="FR-ABC is registered already"):
        cpo.emsp.parties.invite("fr-abc")


@pytest.mark.parametrize(
    ("body", "pointer"),
    [(credentials("FR", "XYZ"), "/party_id"), (credentials("NL", "ABC"), "/country_code"), ({}, "/token")],
)
def test_the_credentials_must_be_the_invited_partys(body: dict[str, Any], pointer: str) -> None:
    cpo = invited()
    answer = cpo.push("POST", "credentials", body)
    assert answer.both == (200, 2001)
    assert pointer in [each for each, _ in answer.findings]
    assert cpo.push("GET", "tokens").status == 401


def test_a_refused_credentials_object_is_not_kept_with_its_token() -> None:
    cpo = invited()
    cpo.push("POST", "credentials", credentials("FR", "XYZ"))
    (rejection,) = cpo.emsp.rejections.list()
    assert rejection.body == b""
    assert CPO_TOKEN not in str(rejection)
    assert cpo.token not in str(rejection)


def answering(path: str, response: httpx.Response) -> Handler:
    return cpo_server(script={path: lambda _: response})


@pytest.mark.parametrize(
    ("server", "status_code"),
    [
        (answering("/versions", httpx.Response(500)), 3001),
        (answering("/versions", httpx.Response(200, html="<p>")), 3001),
        (answering("/versions", httpx.Response(200, json=envelope([], 2000))), 3001),
        (answering("/versions", httpx.Response(200, json=envelope([{"version": "2.1.1"}]))), 3001),
        (answering("/versions", httpx.Response(200, json=envelope({"version": "2.1.1"}))), 3001),
        (answering("/versions", httpx.Response(200, json=envelope([{"version": "2.2", "url": "x"}]))), 3002),
        (answering("/versions", httpx.Response(200, json=envelope([]))), 3002),
        (answering("/2.1.1", httpx.Response(404)), 3001),
        (answering("/2.1.1", httpx.Response(200, json=envelope({"version": "2.1.1"}))), 3001),
    ],
)
def test_a_partner_whose_api_cannot_be_used_is_told_so(server: Handler, status_code: int) -> None:
    cpo = invited(server)
    assert cpo.push("POST", "credentials", credentials("FR", "ABC")).both == (200, status_code)
    assert cpo.push("GET", "tokens").status == 401
    assert cpo.taken() == ["HandshakeFailed"]


def endpoints(*pairs: tuple[str, str]) -> Handler:
    listed = [{"identifier": name, "url": url} for name, url in pairs]
    return answering("/2.1.1", httpx.Response(200, json=envelope({"version": "2.1.1", "endpoints": listed})))


def test_endpoints_that_are_needed_and_missing_are_named() -> None:
    cpo = invited(
        endpoints(("Credentials", "https://abc.test/c/"), ("vendor", "https://abc.test/v/")), required_modules=["CDRs"]
    )
    answer = cpo.push("POST", "credentials", credentials("FR", "ABC"))
    assert answer.both == (200, 3003)
    assert answer.message == f"endpoints are missing: cdrs; correlation id {answer.headers['x-correlation-id']}"


@pytest.mark.parametrize("url", ["http://plain.test/", "ftp://x.test/", "https://", "credentials", "//host/path"])
def test_an_unsafe_endpoint_is_not_taken(url: str) -> None:
    cpo = invited(endpoints(("credentials", url)))
    assert cpo.push("POST", "credentials", credentials("FR", "ABC")).both == (200, 3001)


def test_an_unsafe_versions_url_is_never_called() -> None:
    def nobody(request: httpx.Request) -> httpx.Response:
        raise AssertionError(request.url)

    cpo = invited(nobody)
    body = credentials("FR", "ABC", url="http://cpo.test/versions")
    assert cpo.push("POST", "credentials", body).both == (200, 3001)


def test_custom_modules_and_module_ids_in_any_case_are_kept() -> None:
    """Rows 16 and 17."""
    pairs = [
        ("CREDENTIALS", "https://abc.test/c/"),
        ("locations", "https://abc.test/x/"),
        ("acme_V", "https://abc.test"),
    ]
    cpo = invited(endpoints(*pairs))
    assert cpo.push("POST", "credentials", credentials("FR", "ABC")).both == (201, 1000)
    assert [(each.identifier, each.url) for each in cpo.party().endpoints][1:] == pairs[1:]
    assert cpo.party().endpoint("credentials") == "https://abc.test/c/"
    assert cpo.party().endpoint("Locations") == "https://abc.test/x/"


# --- renewal --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_the_old_token_works_until_the_new_one_is_first_used(method: str) -> None:
    cpo = peer()
    answer = cpo.push(method, "credentials", credentials())
    assert answer.both == (200, 1000)
    assert answer.data["token"] != cpo.token
    renewed = with_token(cpo, answer.data["token"])
    assert cpo.push("GET", "tokens").status == 200
    assert renewed.push("GET", "tokens").status == 200
    assert cpo.push("GET", "tokens").status == 401
    assert renewed.push("GET", "tokens").status == 200
    assert cpo.taken() == ["PartyUpdated"]


@pytest.mark.parametrize(("hours", "status"), [(1, 200), (2, 200), (2.001, 401)])
def test_the_old_token_works_until_the_grace_time_ends(hours: float, status: int) -> None:
    cpo = peer(limits=Limits(credentials=CredentialLimits(token_grace=timedelta(hours=2))))
    new = cpo.push("PUT", "credentials", credentials()).data["token"]
    cpo.clock.advance(hours=hours)
    assert cpo.push("GET", "tokens").status == status
    assert cpo.push("GET", "tokens").status == status
    assert with_token(cpo, new).push("GET", "tokens").status == 200


def test_a_lost_answer_can_be_repaired_with_the_old_token() -> None:
    cpo = peer()
    lost = cpo.push("PUT", "credentials", credentials()).data["token"]
    answer = cpo.push("PUT", "credentials", credentials())
    assert answer.both == (200, 1000)
    renewed = with_token(cpo, answer.data["token"])
    assert renewed.push("GET", "tokens").status == 200
    assert cpo.push("GET", "tokens").status == 401
    assert with_token(cpo, lost).push("GET", "tokens").status == 401


def test_a_patch_merges_onto_the_stored_credentials() -> None:
    cpo = peer()
    details = {"name": "TNM Renamed", "website": "https://tnm.example.com"}
    answer = cpo.push("PATCH", "credentials", {"business_details": {"website": details["website"]}})
    assert answer.both == (200, 1000)
    party = cpo.party()
    assert party.business_details is not None
    assert (party.business_details.name, party.business_details.website) == ("The New Motion", details["website"])
    assert (party.token, party.versions_url) == (CPO_TOKEN, "https://tnm.test/cpo/versions")
    assert cpo.push("PATCH", "credentials", {"token": None}).findings == [("/token", "field.required")]


def test_a_renewal_that_fails_leaves_what_was_there() -> None:
    server = cpo_server()
    cpo = peer(http_client=serve(server))
    server.script = dict.fromkeys(("/versions", "/2.1.1"), lambda _: httpx.Response(500))
    assert cpo.push("GET", "tokens").status == 200
    before = cpo.party()
    assert cpo.push("PUT", "credentials", credentials(token="another")).both == (200, 3001)
    assert cpo.party() == before
    assert cpo.push("GET", "tokens").status == 200
    assert cpo.taken() == ["HandshakeFailed"]


def test_a_party_keeps_its_name() -> None:
    cpo = peer()
    answer = cpo.push("PUT", "credentials", credentials("NL", "NEW"))
    assert (answer.both, answer.findings) == ((200, 2001), [("/party_id", "credentials.party")])


# --- withdrawal -----------------------------------------------------------------------------------------------------


def test_a_party_that_unregisters_is_forgotten_and_its_objects_stay() -> None:
    cpo = peer()
    assert cpo.push("DELETE", "credentials").both == (200, 1000)
    assert cpo.push("GET", "credentials").status == 401
    assert cpo.taken() == ["PartyUnregistered"]
    again = cpo.emsp.parties.invite("NL-TNM")
    assert with_token(cpo, again.token_a.reveal()).push("POST", "credentials", credentials()).status == 201


def test_no_token_shows_in_a_repr() -> None:
    cpo = peer()
    assert CPO_TOKEN not in repr(cpo.party())
    assert cpo.token not in repr(cpo.party())


# --- several processes ----------------------------------------------------------------------------------------------


def test_a_memory_store_says_once_that_it_is_of_one_process(caplog: pytest.LogCaptureFixture) -> None:
    """Two stores stand for two processes behind one port: what one is told of a partner, the other does not know."""
    _warn_of_one_process.cache_clear()
    here, there = invited(), invited()
    asked = [here, with_token(there, here.token), with_token(there, "unknown"), with_token(here, "unknown")]
    assert [each.push("GET", "credentials").status for each in asked] == [200, 401, 401, 401]
    (line,) = (each.message for each in caplog.records if each.message.startswith("store.one_process"))
    assert "MemoryStore is for one process only" in line
    assert here.token not in caplog.text
