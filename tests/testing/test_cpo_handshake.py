"""The credentials handshake, in both directions of the simulated CPO, through its public doors.

What is expected comes from the text of OCPI 2.1.1, not from the code under test.
"""

from typing import Any

import anyio
import httpx
import pytest

from ocpi_emsp.testing.cpo import (
    PRESETS,
    HandshakeError,
    NotRegisteredError,
    SimulatedCpo,
)
from testing.support import (
    API,
    CPO,
    CREDENTIALS,
    EMSP,
    TOKEN_A,
    TOKEN_B,
    FakeEmsp,
    Pair,
    client,
    pair,
    payload,
    receiver,
    refuse,
)


def test_post_credentials_fetches_the_endpoints_and_gives_a_new_token() -> None:
    async def run() -> None:
        emsp = FakeEmsp()
        async with receiver(emsp) as cpo, client(cpo, cpo.invite().token_a) as http:
            assert cpo.invite().versions_url == f"{CPO}/versions"
            response = await http.post(f"{API}/credentials/", json=CREDENTIALS)
            credentials = payload(response)["data"]
            assert response.status_code == 201
            assert credentials["url"] == f"{CPO}/versions"
            assert (credentials["country_code"], credentials["party_id"]) == ("NL", "TNM")
            assert credentials["token"] not in (TOKEN_A, TOKEN_B)
            assert [each[:3] for each in emsp.requests] == [
                ("GET", "/ocpi/emsp/versions", f"Token {TOKEN_B}"),
                ("GET", "/ocpi/emsp/2.1.1/", f"Token {TOKEN_B}"),
            ]
            assert cpo.registered
            assert (await http.get(f"{CPO}/versions")).status_code == 401
            async with client(cpo, credentials["token"]) as known:
                assert payload(await known.get(f"{API}/credentials"))["data"] == credentials
            assert cpo.invite().token_a != TOKEN_A

    anyio.run(run)


@pytest.mark.parametrize(
    ("emsp", "status_code"),
    [
        (FakeEmsp(failing="/versions"), 3001),
        (FakeEmsp(failing="/2.1.1/"), 3001),
        (FakeEmsp(token="another"), 3001),
        (FakeEmsp(versions=["2.0"]), 3002),
        (FakeEmsp(modules=("locations",)), 3003),
        (FakeEmsp(modules=("credentials",)), 3003),
        (FakeEmsp(modules=("credentials", "locations")), 3003),
    ],
)
def test_post_credentials_reports_what_the_emsp_lacks(emsp: FakeEmsp, status_code: int) -> None:
    async def run() -> None:
        async with receiver(emsp, required_endpoints=["cdrs"]) as cpo, client(cpo, TOKEN_A) as http:
            response = await http.post(f"{API}/credentials", json=CREDENTIALS)
            assert (response.status_code, payload(response)["status_code"]) == (200, status_code)
            assert not cpo.registered
            assert (await http.get(f"{CPO}/versions")).status_code == 200

    anyio.run(run)


def test_post_credentials_reports_an_emsp_that_does_not_answer() -> None:
    async def run() -> None:
        transport = httpx.MockTransport(refuse)
        async with SimulatedCpo(token_a=TOKEN_A, transport=transport) as cpo, client(cpo, TOKEN_A) as http:
            response = await http.post(f"{API}/credentials", json=CREDENTIALS)
            assert (response.status_code, payload(response)["status_code"]) == (200, 3001)

    anyio.run(run)


def test_post_credentials_needs_all_fields() -> None:
    async def run() -> None:
        async with receiver(FakeEmsp()) as cpo, client(cpo, TOKEN_A) as http:
            response = await http.post(f"{API}/credentials", json={**CREDENTIALS, "business_details": {}})
            assert payload(response)["status_code"] == 2001
            assert payload(response)["status_message"] == "Missing required field: business_details.name"

    anyio.run(run)


def test_put_and_delete_credentials_are_405_before_the_registration() -> None:
    async def run() -> None:
        async with receiver(FakeEmsp()) as cpo, client(cpo, TOKEN_A) as http:
            for method in ("PUT", "PATCH", "DELETE"):
                response = await http.request(method, f"{API}/credentials", json=CREDENTIALS)
                assert response.status_code == 405
                assert response.headers["allow"] == "GET, POST"

    anyio.run(run)


@pytest.mark.parametrize(("method", "body"), [("PUT", CREDENTIALS), ("PATCH", {"party_id": "NEW"})])
def test_updated_credentials_get_a_new_token(method: str, body: dict[str, Any]) -> None:
    async def scenario(peer: Pair) -> None:
        response = await peer.http.request(method, f"{API}/credentials", json=body)
        assert response.status_code == 200
        assert [each[1] for each in peer.emsp.requests] == ["/ocpi/emsp/versions", "/ocpi/emsp/2.1.1/"]
        assert (await peer.http.get(f"{CPO}/versions")).status_code == 401
        async with client(peer.cpo, payload(response)["data"]["token"]) as http:
            assert (await http.get(f"{CPO}/versions")).status_code == 200
        assert peer.cpo.registration.emsp == {**CREDENTIALS, **body}

    pair(scenario)


def test_patch_credentials_can_be_refused_and_must_be_an_object() -> None:
    async def refused(peer: Pair) -> None:
        response = await peer.http.patch(f"{API}/credentials", json={})
        assert response.status_code == 405
        assert "PATCH" not in response.headers["allow"]

    async def no_object(peer: Pair) -> None:
        response = await peer.http.patch(f"{API}/credentials", json=[])
        assert payload(response)["status_code"] == 2001

    pair(refused, accept_credentials_patch=False)
    pair(no_object)


def test_delete_credentials_ends_the_registration() -> None:
    async def scenario(peer: Pair) -> None:
        assert payload(await peer.http.delete(f"{API}/credentials"))["status_code"] == 1000
        assert not peer.cpo.registered
        assert (await peer.http.get(f"{CPO}/versions")).status_code == 401
        with pytest.raises(NotRegisteredError):
            await peer.cpo.push_location("LOC1")

    pair(scenario)


# Handshake, as initiator


def test_register_runs_the_handshake() -> None:
    async def run() -> None:
        emsp = FakeEmsp(token=TOKEN_A)
        async with SimulatedCpo(transport=httpx.ASGITransport(app=emsp.app)) as cpo:
            emsp.cpo = cpo
            exchanges = await cpo.register(f"{EMSP}/versions", TOKEN_A)
            assert [(each.method, each.url, each.status, each.status_code) for each in exchanges] == [
                ("GET", f"{EMSP}/versions", 200, 1000),
                ("GET", f"{EMSP}/2.1.1/", 200, 1000),
                ("POST", f"{EMSP}/m/credentials/", 200, 1000),
            ]
            assert cpo.registered
            assert (await cpo.call("GET", "locations", "x")).status == 200
            async with client(cpo, emsp.cpo_token) as http:
                assert (await http.get(f"{API}/locations")).status_code == 200
                assert (await http.post(f"{API}/credentials", json=CREDENTIALS)).status_code == 405

    anyio.run(run)


@pytest.mark.parametrize(
    ("emsp", "status_code", "exchanges"),
    [
        (FakeEmsp(token=TOKEN_A, failing="/versions"), 3001, 1),
        (FakeEmsp(token=TOKEN_A, versions=["2.0"]), 3002, 1),
        (FakeEmsp(token=TOKEN_A, modules=["tokens"]), 3003, 2),
    ],
)
def test_register_does_not_post_without_the_endpoints(emsp: FakeEmsp, status_code: int, exchanges: int) -> None:
    async def run() -> None:
        async with SimulatedCpo(transport=httpx.ASGITransport(app=emsp.app)) as cpo:
            with pytest.raises(HandshakeError) as raised:
                await cpo.register(f"{EMSP}/versions", TOKEN_A)
            assert raised.value.status_code == status_code
            assert len(raised.value.exchanges) == exchanges
            assert not any(method == "POST" for method, *_ in emsp.requests)

    anyio.run(run)


def test_a_refused_registration_is_seen_in_the_last_exchange() -> None:
    async def run() -> None:
        emsp = FakeEmsp(token=TOKEN_A, failing="/m/credentials/")
        async with SimulatedCpo(transport=httpx.ASGITransport(app=emsp.app)) as cpo:
            exchanges = await cpo.register(f"{EMSP}/versions", TOKEN_A)
            assert (exchanges[-1].status, exchanges[-1].ok) == (500, False)
            assert not cpo.registered
            offered = exchanges[-1].request_body["token"]
            async with client(cpo, offered) as http:
                assert (await http.get(f"{CPO}/versions")).status_code == 401

    anyio.run(run)


def test_an_answer_without_credentials_is_no_registration() -> None:
    async def run() -> None:
        emsp = FakeEmsp(token=TOKEN_A)
        emsp.answers["POST", "/m/credentials/"] = {"token": "only"}
        async with SimulatedCpo(transport=httpx.ASGITransport(app=emsp.app)) as cpo:
            with pytest.raises(HandshakeError, match="no credentials"):
                await cpo.register(f"{EMSP}/versions", TOKEN_A)
            assert not cpo.registered

    anyio.run(run)


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_update_credentials_replaces_the_tokens_of_both_sides(method: str) -> None:
    async def scenario(peer: Pair) -> None:
        peer.emsp.cpo = peer.cpo
        fields = ["token"] if method == "PATCH" else []
        exchanges = await peer.cpo.update_credentials(method, fields=fields)
        assert [each.method for each in exchanges] == ["GET", "GET", method]
        assert set(exchanges[-1].request_body) == (set(fields) or set(CREDENTIALS))
        assert (await peer.http.get(f"{CPO}/versions")).status_code == 401
        async with client(peer.cpo, peer.emsp.cpo_token) as http:
            assert (await http.get(f"{CPO}/versions")).status_code == 200
        assert (await peer.cpo.get_session("SES1")).ok
        assert peer.emsp.requests[-1][2] == "Token token-of-emsp"

    pair(scenario)


def test_a_hub_renews_by_delete_and_a_new_registration() -> None:
    async def scenario(peer: Pair) -> None:
        exchanges = await peer.cpo.update_credentials()
        assert [each.method for each in exchanges] == ["DELETE", "GET", "GET", "POST"]
        assert set(exchanges[-1].request_body) == set(CREDENTIALS)
        assert len({each[2] for each in peer.emsp.requests[-4:]}) == 1, "with the token of before"

    pair(scenario, **PRESETS["hub-renews"])


def test_unregister_forgets_all_tokens() -> None:
    async def scenario(peer: Pair) -> None:
        exchange = await peer.cpo.unregister()
        assert (exchange.method, exchange.url) == ("DELETE", f"{EMSP}/m/credentials/")
        assert not peer.cpo.registered
        assert (await peer.http.get(f"{CPO}/versions")).status_code == 401
        with pytest.raises(NotRegisteredError):
            await peer.cpo.update_credentials()

    pair(scenario)
