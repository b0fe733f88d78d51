"""Who may write where, and how paths and tokens are spelled (PARTNER-QUIRKS.md rows 1, 10, 16, 17)."""

import base64
from typing import Any

import pytest
from attrs import evolve

from flows.support import Peer, peer
from ocpi_emsp.testing.cpo import samples
from our_emsp import register

LOCATION = samples.location()


@pytest.fixture
def cpo() -> Peer:
    return peer()


OBJECTS: dict[str, Any] = {
    "locations/{}/LOC1": samples.location(),
    "locations/{}/LOC1/LOC1-E1": samples.evse(),
    "locations/{}/LOC1/LOC1-E1/1": samples.connector(),
    "sessions/{}/SES1": samples.session(),
    "tariffs/{}/TAR1": samples.tariff(),
}


@pytest.mark.parametrize("path", OBJECTS)
@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH"])
def test_another_partys_objects_can_neither_be_read_nor_written(cpo: Peer, path: str, method: str) -> None:
    other = cpo.other("DE", "ABC")
    theirs = {name.format("*"): body for name, body in OBJECTS.items()}
    for name, body in theirs.items():
        other.put(name, body)
    body = OBJECTS[path] if method == "PUT" else {"vendor": 1} if method == "PATCH" else None
    before = [other.data(name) for name in theirs]
    cpo.taken()
    for owner in ("DE/ABC", "NL/ABC", "DE/TNM", "XX/YYY"):
        assert cpo.push(method, path.format(owner), body).both == (404, 2000)
    assert [other.data(name) for name in theirs] == before
    assert cpo.taken() == []


def test_two_parties_may_use_the_same_ids(cpo: Peer) -> None:
    other = cpo.other()
    cpo.put("locations/*/LOC1", LOCATION)
    other.put("locations/*/LOC1", {**LOCATION, "name": "Theirs"})
    assert cpo.data("locations/*/LOC1")["name"] != other.data("locations/*/LOC1")["name"]


def test_what_a_party_shares_with_a_name_that_contains_it_is_nothing(cpo: Peer) -> None:
    cpo.put("locations/*/LOC1", LOCATION)
    assert cpo.push("GET", "locations/NLT/NM/LOC1").status == 404
    assert cpo.push("GET", "locations/N/LTNM/LOC1").status == 404


@pytest.mark.parametrize("owner", ["nl/tnm", "NL/tnm", "nL/TnM", "%4EL/TNM"])
def test_country_code_and_party_id_compare_without_case(cpo: Peer, owner: str) -> None:
    cpo.put("locations/*/LOC1", LOCATION)
    assert cpo.push("PUT", f"locations/{owner}/LOC1", {**LOCATION, "name": "Again"}).both == (200, 1000)
    assert cpo.data("locations/*/LOC1")["name"] == "Again"


def test_a_party_that_registers_in_lower_case_is_the_same_party(cpo: Peer) -> None:
    lower = evolve(cpo, token=register(cpo.emsp, "fr", "abc"), country_code="FR", party_id="ABC")
    lower.put("locations/*/LOC1", LOCATION)
    assert evolve(lower, country_code="fr", party_id="abc").data("locations/*/LOC1") == LOCATION


@pytest.mark.parametrize(
    "spelled", ["locations/*/LOC1/", "LOCATIONS/*/LOC1", "Locations/*/LOC1/", "locations/*/LO%431"]
)
def test_paths_are_read_with_a_trailing_slash_in_any_case_and_percent_encoded(cpo: Peer, spelled: str) -> None:
    cpo.put("locations/*/LOC1", LOCATION)
    assert cpo.data(spelled) == LOCATION


def test_object_ids_compare_with_case(cpo: Peer) -> None:
    """In 2.1.1 the id of a location is a string, not a CiString."""
    cpo.put("locations/*/LOC1", LOCATION)
    assert cpo.push("GET", "locations/*/loc1").both == (404, 2003)


def test_an_unknown_module_and_an_unknown_path_are_404(cpo: Peer) -> None:
    for path in ("vendor", "vendor/1", "hubclientinfo", "locations/NL", "locations/*/1/2/3/4"):
        assert cpo.push("GET", path).both == (404, 2000)


@pytest.mark.parametrize("module", ["locations", "sessions", "tariffs", "commands"])
def test_a_module_without_an_id_is_405_or_404_and_never_a_failure(cpo: Peer, module: str) -> None:
    answer = cpo.push("GET", module)
    assert answer.code == 2000
    assert answer.status in (404, 405)


# --- tokens of the Authorization header -----------------------------------------------------------------------------


def as_base64(token: str) -> str:
    return base64.b64encode(token.encode()).decode()


@pytest.mark.parametrize("scheme", ["Token", "token", "TOKEN", "tOkEn", " Token ", "Token  "])
def test_the_token_is_taken_raw_or_in_base64_whatever_the_case_of_the_scheme(cpo: Peer, scheme: str) -> None:
    assert cpo.push("GET", "tokens", authorization=f"{scheme} {cpo.token}").status == 200
    assert cpo.push("GET", "tokens", authorization=f"{scheme} {as_base64(cpo.token)}").status == 200


def test_it_is_remembered_how_a_party_sends_its_token(cpo: Peer) -> None:
    seen = []
    for token in (cpo.token, as_base64(cpo.token), as_base64(cpo.token), cpo.token):
        cpo.push("GET", "tokens", authorization=f"Token {token}")
        seen.append(cpo.party().sends_base64)
    assert seen == [False, True, True, False]


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Token",
        "Token ",
        "Bearer {}",
        "Basic {}",
        "{}",
        "Token {} x",
        "Token x{}",
        "Token é",
        "Token =",
        "Token ///=",
    ],
)
def test_any_other_header_is_401(cpo: Peer, authorization: str) -> None:
    answer = cpo.push("GET", "tokens", authorization=authorization.format(cpo.token) or " ")
    assert answer.both == (401, 2000)
    assert answer.headers["www-authenticate"] == "Token"
    assert cpo.token not in answer.text


def test_two_layers_of_base64_are_one_too_many(cpo: Peer) -> None:
    assert cpo.push("GET", "tokens", authorization=f"Token {as_base64(as_base64(cpo.token))}").status == 401
