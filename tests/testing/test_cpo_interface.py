"""The CPO interface: versions, lists, objects, tokens of the simulated CPO, through its public doors.

What is expected comes from the text of OCPI 2.1.1, not from the code under test.
"""

import re
from decimal import Decimal
from typing import Any

import anyio
import httpx
import pytest

from ocpi_emsp.testing.cpo import (
    PRESETS,
    SimulatedCpo,
    samples,
)
from testing.support import (
    API,
    CPO,
    CREDENTIALS,
    MODULES,
    TOKEN_A,
    TOKEN_B,
    Pair,
    _base64,
    client,
    next_url,
    pair,
    payload,
)

# Versions, authentication, errors


def test_versions_and_details_list_absolute_urls_with_and_without_trailing_slash() -> None:
    async def scenario(peer: Pair) -> None:
        peer.cpo.url = "http://127.0.0.1:1234"
        for slash in ("", "/"):
            versions = payload(await peer.http.get(f"{CPO}/versions{slash}"))["data"]
            assert versions == [{"version": "2.1.1", "url": "http://127.0.0.1:1234/ocpi/cpo/2.1.1"}]
            details = payload(await peer.http.get(f"{API}{slash}"))["data"]
            assert details["version"] == "2.1.1"
            urls = {each["identifier"]: each["url"] for each in details["endpoints"]}
            assert set(urls) == set(MODULES)
            assert urls["locations"] == "http://127.0.0.1:1234/ocpi/cpo/2.1.1/locations"

    pair(scenario)


@pytest.mark.parametrize(
    "authorization", ["", "Token unknown", "Bearer token-a", "Basic token-a", f"Token {_base64(TOKEN_A)}"]
)
def test_missing_and_unknown_tokens_are_401(authorization: str) -> None:
    async def run() -> None:
        async with SimulatedCpo(token_a=TOKEN_A) as cpo, client(cpo) as http:
            headers = {"authorization": authorization} if authorization else {}
            response = await http.get(f"{CPO}/versions", headers=headers)
            assert response.status_code == 401
            assert payload(response)["status_code"] == 2000
            assert "data" not in payload(response)

    anyio.run(run)


def test_base64_is_accepted_and_sent_where_the_preset_says_so() -> None:
    async def scenario(peer: Pair) -> None:
        raw = peer.http.headers["authorization"].removeprefix("Token ")
        response = await peer.http.get(f"{CPO}/versions", headers={"authorization": f"Token {_base64(raw)}"})
        assert response.status_code == 200
        assert peer.cpo.received[-1].token_format == "base64"
        await peer.cpo.call("GET", "tokens")
        assert peer.emsp.requests[-1][2] == f"Token {_base64(TOKEN_B)}"
        wrong = await peer.http.get(f"{CPO}/versions", headers={"authorization": "Token !"})
        assert wrong.status_code == 401

    pair(scenario, **PRESETS["base64"])


def test_token_a_gives_access_to_versions_and_credentials_only() -> None:
    async def run() -> None:
        async with SimulatedCpo(token_a=TOKEN_A) as cpo, client(cpo, TOKEN_A) as http:
            assert (await http.get(f"{CPO}/versions")).status_code == 200
            assert (await http.get(f"{API}/credentials")).status_code == 200
            assert (await http.get(f"{API}/locations")).status_code == 401

    anyio.run(run)


@pytest.mark.parametrize(
    ("path", "status_code"),
    [
        ("/nothing", 2000),
        ("/locations/LOC9", 2003),
        ("/locations/LOC01", 2003),
        ("/locations/LOC1/none", 2000),
        ("/locations/LOC1/LOC1-E1/9", 2000),
        ("/locations/1/2/3/4", 2000),
        ("/sessions/none", 2000),
        ("/commands/DANCE", 2000),
        ("/tokens", 2000),
        ("/tokens/NL/EXA/none", 2000),
        ("/tokens/NL/OTH/012345678", 2000),
    ],
)
def test_unknown_resources_are_404(path: str, status_code: int) -> None:
    async def scenario(peer: Pair) -> None:
        response = await peer.http.get(API + path)
        assert (response.status_code, payload(response)["status_code"]) == (404, status_code)
        assert "data" not in payload(response)

    pair(scenario)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/locations", {"GET"}),
        ("PUT", "/sessions/SES1", {"GET"}),
        ("DELETE", "/tokens/NL/EXA/1", {"GET", "PUT", "PATCH"}),
        ("GET", "/commands/START_SESSION", {"POST"}),
        ("POST", "/credentials", {"GET", "PUT", "PATCH", "DELETE"}),
    ],
)
def test_methods_that_a_resource_has_not_are_405_with_allow(method: str, path: str, allowed: set[str]) -> None:
    async def scenario(peer: Pair) -> None:
        response = await peer.http.request(method, API + path, json=CREDENTIALS)
        assert response.status_code == 405
        assert set(response.headers["allow"].split(", ")) == allowed
        assert payload(response)["status_code"] == 2000

    pair(scenario)


def test_a_body_that_is_not_json_is_400() -> None:
    async def scenario(peer: Pair) -> None:
        response = await peer.http.put(f"{API}/tokens/NL/EXA/1", content=b'{"uid": ')
        assert response.status_code == 400
        assert payload(response)["status_code"] == 2000

    pair(scenario)


# Lists


def test_a_list_is_paged_oldest_first_with_link_and_totals() -> None:
    async def scenario(peer: Pair) -> None:
        response = await peer.http.get(f"{API}/locations/")
        assert [each["id"] for each in payload(response)["data"]] == ["LOC1", "LOC2"]
        assert response.headers["x-total-count"] == "5"
        assert response.headers["x-limit"] == "2"
        pages = [response]
        while (url := next_url(pages[-1])) is not None:
            assert url.startswith("http://cpo.test/ocpi/cpo/2.1.1/locations")
            pages.append(await peer.http.get(url))
        ids = [each["id"] for page in pages for each in payload(page)["data"]]
        assert ids == ["LOC1", "LOC2", "LOC3", "LOC4", "LOC5"]
        assert len(pages) == 3

    pair(scenario, locations=5, page_limit=2)


def test_the_server_lowers_the_limit_but_takes_a_smaller_one() -> None:
    async def scenario(peer: Pair) -> None:
        big = await peer.http.get(f"{API}/locations", params={"limit": 2000})
        assert big.headers["x-limit"] == "3"
        assert len(payload(big)["data"]) == 3
        small = await peer.http.get(f"{API}/locations", params={"limit": 1, "offset": 4})
        assert [each["id"] for each in payload(small)["data"]] == ["LOC5"]
        assert "link" not in small.headers
        beyond = await peer.http.get(f"{API}/locations", params={"offset": 99})
        assert payload(beyond)["data"] == []

    pair(scenario, locations=5, page_limit=3)


def test_filters_select_by_last_updated_and_stay_in_the_link() -> None:
    async def scenario(peer: Pair) -> None:
        filters = {"date_from": "2024-01-01T00:01:00Z", "date_to": "2024-01-01T00:04:00"}
        first = await peer.http.get(f"{API}/locations", params=filters)
        assert first.headers["x-total-count"] == "3"
        assert [each["id"] for each in payload(first)["data"]] == ["LOC2", "LOC3"]
        following = next_url(first)
        assert following is not None
        assert dict(httpx.URL(following).params) == {"offset": "2", "limit": "2", **filters}
        last = await peer.http.get(following)
        assert [each["id"] for each in payload(last)["data"]] == ["LOC4"]
        assert next_url(last) is None

    pair(scenario, locations=6, page_limit=2)


@pytest.mark.parametrize("query", ["offset=-1", "offset=x", "limit=0", "date_from=yesterday", "date_to=2024-01-01"])
def test_parameters_that_are_wrong_are_2001(query: str) -> None:
    async def scenario(peer: Pair) -> None:
        response = await peer.http.get(f"{API}/locations?{query}")
        assert (response.status_code, payload(response)["status_code"]) == (200, 2001)

    pair(scenario)


def test_date_from_is_required_for_sessions_unless_it_is_switched_off() -> None:
    async def strict(peer: Pair) -> None:
        assert payload(await peer.http.get(f"{API}/sessions"))["status_code"] == 2001
        found = await peer.data("/sessions?date_from=2000-01-01T00:00:00Z")
        assert [each["id"] for each in found] == ["SES1", "SES2", "SES3", "SES4"]

    async def lenient(peer: Pair) -> None:
        assert len(await peer.data("/sessions")) == 4

    pair(strict)
    pair(lenient, require_date_from=False)


def test_a_hundred_thousand_locations_are_served_on_demand() -> None:
    async def scenario(peer: Pair) -> None:
        response = await peer.http.get(f"{API}/locations", params={"offset": 99_999})
        assert [each["id"] for each in payload(response)["data"]] == ["LOC100000"]
        assert response.headers["x-total-count"] == "100000"

    pair(scenario, locations=100_000)


def test_a_location_an_evse_and_a_connector_can_be_read() -> None:
    async def scenario(peer: Pair) -> None:
        location = await peer.data("/locations/LOC2")
        evse = await peer.data("/locations/LOC2/LOC2-E1")
        connector = await peer.data("/locations/LOC2/LOC2-E1/1/")
        assert location["evses"][0] == evse
        assert evse["connectors"] == [connector]

    pair(scenario)


# Documents


def test_the_documents_are_valid_by_the_tables() -> None:
    async def scenario(peer: Pair) -> None:
        for location in await peer.data("/locations"):
            assert re.fullmatch(r"[A-Z]{3}", location["country"])
            assert re.fullmatch(r"-?[0-9]{1,2}\.[0-9]{6}", location["coordinates"]["latitude"])
            assert re.fullmatch(r"-?[0-9]{1,3}\.[0-9]{6}", location["coordinates"]["longitude"])
            assert len(location["evses"]) == 2
        uids = [evse["uid"] for each in await peer.data("/locations") for evse in each["evses"]]
        assert len(uids) == len(set(uids)) == 6
        for tariff in await peer.data("/tariffs"):
            prices = [part["price"] for each in tariff["elements"] for part in each["price_components"]]
            assert all(price.as_tuple().exponent == -2 for price in prices)

    pair(scenario)


def test_a_cdr_belongs_to_a_completed_session_and_has_an_id_of_its_own() -> None:
    async def scenario(peer: Pair) -> None:
        listed = await peer.data("/sessions?date_from=2000-01-01T00:00:00Z")
        sessions = {each["start_datetime"]: each for each in listed}
        assert [each["status"] for each in listed].count("ACTIVE") == 2
        for cdr in await peer.data("/cdrs"):
            session = sessions[cdr["start_date_time"]]
            assert session["status"] == "COMPLETED"
            assert cdr["id"] != session["id"]
            assert (cdr["total_energy"], cdr["total_cost"]) == (session["kwh"], session["total_cost"])
            assert (cdr["total_time"], cdr["total_parking_time"]) == (Decimal("1.2500"), Decimal("0.2500"))
            assert cdr["location"] == session["location"]
            [evse] = cdr["location"]["evses"]
            assert [tariff["id"] for tariff in cdr["tariffs"]] == [evse["connectors"][0]["tariff_id"]]
            assert cdr["last_updated"] > cdr["stop_date_time"]

    pair(scenario, sessions=8)


def test_costs_follow_the_tariff() -> None:
    async def scenario(peer: Pair) -> None:
        for cdr in await peer.data("/cdrs"):
            prices = {each["type"]: each["price"] for each in cdr["tariffs"][0]["elements"][-1]["price_components"]}
            parking = cdr["total_parking_time"] * prices["PARKING_TIME"]
            assert cdr["total_cost"] == cdr["total_energy"] * prices["ENERGY"] + parking

    pair(scenario)


def test_samples_are_deterministic_and_decimals_exact_on_the_wire() -> None:
    assert samples.location("X", evses=3) == samples.location("X", evses=3)
    assert samples.token("U")["uid"] == "U"

    async def scenario(peer: Pair) -> None:
        response = await peer.http.get(f"{API}/sessions/SES1")
        assert '"kwh":10.0000' in response.text
        assert '"total_cost":3.50' in response.text

    pair(scenario)


def test_documents_exist_without_evses_and_tariffs_too() -> None:
    async def scenario(peer: Pair) -> None:
        [cdr] = await peer.data("/cdrs")
        assert "tariffs" not in cdr
        assert "tariff_id" not in cdr["location"]["evses"][0]["connectors"][0]
        assert await peer.data("/tariffs") == []

    pair(scenario, locations=0, evses=0, tariffs=0, cdrs=1)


# Tokens


def test_tokens_are_put_patched_and_read() -> None:
    async def scenario(peer: Pair) -> None:
        url = f"{API}/tokens/NL/EXA/012345678"
        created = await peer.http.put(url, json=samples.token())
        assert (created.status_code, payload(created)["status_code"]) == (201, 1000)
        updated = await peer.http.put(url, json=samples.token())
        assert updated.status_code == 200
        patched = await peer.http.patch(url, json={"valid": False, "visual_number": None})
        assert (patched.status_code, payload(patched)["status_code"]) == (200, 1000)
        stored = await peer.data("/tokens/NL/EXA/012345678")
        assert stored["valid"] is False
        assert "visual_number" not in stored
        assert peer.cpo.tokens == [stored]

    pair(scenario)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"issuer": None}, "Missing required field: issuer"),
        ({"valid": "true"}, "valid"),
        ({"whitelist": "SOMETIMES"}, "whitelist"),
        ({"uid": "other"}, "other"),
        ({"auth_id": "x" * 37}, "auth_id"),
        ({"last_updated": "2024"}, "last_updated"),
    ],
)
def test_a_token_that_is_not_valid_is_2001(change: dict[str, Any], said: str) -> None:
    async def scenario(peer: Pair) -> None:
        url = f"{API}/tokens/NL/EXA/012345678"
        await peer.http.put(url, json=samples.token())
        for response in (
            await peer.http.put(url, json={**samples.token(), **change}),
            await peer.http.patch(url, json=change),
        ):
            assert (response.status_code, payload(response)["status_code"]) == (200, 2001)
            assert said in payload(response)["status_message"]
        assert await peer.data("/tokens/NL/EXA/012345678") == samples.token()

    pair(scenario)


def test_patch_of_an_unknown_token_is_404_and_needs_an_object() -> None:
    async def scenario(peer: Pair) -> None:
        url = f"{API}/tokens/NL/EXA/012345678"
        assert (await peer.http.patch(url, json={"valid": False})).status_code == 404
        await peer.http.put(url, json=samples.token())
        assert payload(await peer.http.patch(url, json=[]))["status_code"] == 2001
        assert payload(await peer.http.put(url, json="text"))["status_code"] == 2001

    pair(scenario)


def test_an_id_may_hold_what_separates_a_path() -> None:
    async def scenario(peer: Pair) -> None:
        token = samples.token("a/b c")
        response = await peer.http.put(f"{API}/tokens/NL/EXA/a%2Fb%20c", json=token)
        assert response.status_code == 201
        assert await peer.data("/tokens/NL/EXA/a%2Fb%20c/") == token
        assert peer.cpo.received[-1].path == "/ocpi/cpo/2.1.1/tokens/NL/EXA/a%2Fb%20c/"

    pair(scenario)


def test_a_client_that_goes_away_while_it_sends_is_no_error() -> None:
    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        raise AssertionError(f"nobody reads {message}")

    scope = {"type": "http", "method": "POST", "path": "/ocpi/cpo/versions", "query_string": b"", "headers": []}
    anyio.run(SimulatedCpo().app, scope, receive, send)
