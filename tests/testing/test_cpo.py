"""The simulated CPO, through its public doors: its ASGI application, its methods and its control interface.

What is expected comes from the text of OCPI 2.1.1, not from the code under test.
"""

import base64
import json
import re
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal
from typing import Any

import anyio
import httpx
import pytest
from attrs import define, field

from ocpi_emsp.testing.cpo import (
    PRESETS,
    EndpointMissingError,
    Exchange,
    HandshakeError,
    NotRegisteredError,
    SimulatedCpo,
    UnknownObjectError,
    samples,
)
from ocpi_emsp.testing.cpo.server import Ready, run, serving

CPO = "http://cpo.test/ocpi/cpo"
API = f"{CPO}/2.1.1"
EMSP = "https://emsp.test/ocpi/emsp"
MODULES = ("cdrs", "commands", "credentials", "locations", "sessions", "tariffs", "tokens")
TOKEN_A = "token-a"
TOKEN_B = "token-b"

CREDENTIALS = {
    "token": TOKEN_B,
    "url": f"{EMSP}/versions",
    "business_details": {"name": "Example Provider"},
    "party_id": "EXA",
    "country_code": "NL",
}


@define
class FakeEmsp:
    """A minimal eMSP as an ASGI application: versions, credentials, pages of one token, and 1000 to the rest.

    `failing` is a path that is answered with 500; `answers` replaces the data of an answer.
    """

    cpo: SimulatedCpo | None = None
    versions: list[str] = field(factory=lambda: ["2.0", "2.1.1"])
    modules: Sequence[str] = MODULES
    token: str = TOKEN_B
    tokens: list[dict[str, Any]] = field(factory=list)
    failing: str = ""
    answers: dict[tuple[str, str], Any] = field(factory=dict)
    cpo_token: str = ""
    requests: list[tuple[str, str, str, Any]] = field(factory=list)

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        target = scope["raw_path"].decode()
        if scope["query_string"]:
            target = f"{target}?{scope['query_string'].decode()}"
        authorization = dict(scope["headers"]).get(b"authorization", b"").decode()
        document = json.loads(body, parse_float=Decimal) if body else None
        self.requests.append((scope["method"], target, authorization, document))
        status, headers, data = await self.answer(scope["method"], target, authorization, document)
        code = 1000 if status < 300 else 2000
        envelope = {"data": data, "status_code": code, "timestamp": "2024-01-01T00:00:00Z"}
        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": raw})
        await send({"type": "http.response.body", "body": json.dumps(envelope).encode()})

    async def answer(
        self, method: str, target: str, authorization: str, document: Any
    ) -> tuple[int, dict[str, str], Any]:
        path = target.split("?")[0].removeprefix("/ocpi/emsp")
        if self.failing and path == self.failing:
            return 500, {}, None
        if authorization not in (f"Token {self.token}", f"Token {_base64(self.token)}"):
            return 401, {}, None
        if (method, path) in self.answers:
            return 200, {}, self.answers[method, path]
        match method, path:
            case "GET", "/versions":
                return 200, {}, [{"version": each, "url": f"{EMSP}/{each}/"} for each in self.versions]
            case "GET", "/2.1.1/":
                endpoints = [{"identifier": each, "url": f"{EMSP}/m/{each}/"} for each in self.modules]
                return 200, {}, {"version": "2.1.1", "endpoints": endpoints}
            case (("POST" | "PUT" | "PATCH"), "/m/credentials/"):
                return 200, {}, await self.take_credentials(document)
            case "GET", "/m/tokens/":
                return self.token_page(target)
            case "POST", "/m/cdrs/":
                return 201, {"location": f"/ocpi/emsp/m/cdrs/{document['id']}"}, None
        return 200, {}, {"path": path}

    async def take_credentials(self, document: dict[str, Any]) -> dict[str, Any]:
        """Fetches the CPO's versions with the token offered, as a receiver must, and gives a new token."""
        self.cpo_token = document["token"]
        if self.cpo is not None:
            async with client(self.cpo, self.cpo_token) as http:
                assert (await http.get(self.cpo.versions_url)).status_code == 200
        self.token = "token-of-emsp"
        return {**CREDENTIALS, "token": self.token}

    def token_page(self, target: str) -> tuple[int, dict[str, str], Any]:
        offset = int(httpx.URL(target).params.get("offset", "0"))
        url = f"{EMSP}/m/tokens/?offset={offset + 1}"
        link = {"link": f'<{url}>; rel="next"'} if offset + 1 < len(self.tokens) else {}
        return 200, link, self.tokens[offset : offset + 1]


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def client(cpo: SimulatedCpo, token: str = "") -> httpx.AsyncClient:
    """An HTTP client of the CPO's application that presents `token`."""
    headers = {"authorization": f"Token {token}"} if token else {}
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=cpo.app), headers=headers)


@define
class Pair:
    """A CPO and an eMSP that are registered with each other, and the eMSP's HTTP client."""

    cpo: SimulatedCpo
    emsp: FakeEmsp
    http: httpx.AsyncClient

    async def data(self, path: str) -> Any:
        return payload(await self.http.get(API + path))["data"]


def pair(scenario: Callable[[Pair], Awaitable[None]], **settings: Any) -> None:
    """Runs `scenario` with a registered pair, and closes everything after it."""

    async def run() -> None:
        emsp = FakeEmsp()
        transport = httpx.ASGITransport(app=emsp.app)
        async with SimulatedCpo(token_a=TOKEN_A, transport=transport, **settings) as cpo:
            async with client(cpo, TOKEN_A) as http:
                registered = payload(await http.post(f"{API}/credentials", json=CREDENTIALS))
            emsp.requests.clear()
            async with client(cpo, registered["data"]["token"]) as http:
                await scenario(Pair(cpo, emsp, http))

    anyio.run(run)


def payload(response: httpx.Response) -> dict[str, Any]:
    """The envelope of an answer, checked for what every envelope must have."""
    envelope: dict[str, Any] = json.loads(response.text, parse_float=Decimal)
    assert response.headers["content-type"] == "application/json"
    assert isinstance(envelope["status_code"], int)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", envelope["timestamp"])
    return envelope


def next_url(response: httpx.Response) -> str | None:
    links = response.links
    return links["next"]["url"] if "next" in links else None


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


# Handshake, as receiver


def receiver(emsp: FakeEmsp, **settings: Any) -> SimulatedCpo:
    return SimulatedCpo(token_a=TOKEN_A, transport=httpx.ASGITransport(app=emsp.app), **settings)


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


def refuse(_: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("refused")


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


def test_unregister_forgets_all_tokens() -> None:
    async def scenario(peer: Pair) -> None:
        exchange = await peer.cpo.unregister()
        assert (exchange.method, exchange.url) == ("DELETE", f"{EMSP}/m/credentials/")
        assert not peer.cpo.registered
        assert (await peer.http.get(f"{CPO}/versions")).status_code == 401
        with pytest.raises(NotRegisteredError):
            await peer.cpo.update_credentials()

    pair(scenario)


# Calls


def test_client_owned_objects_are_pushed_below_country_code_and_party_id() -> None:
    async def scenario(peer: Pair) -> None:
        cpo = peer.cpo
        calls: list[tuple[Awaitable[Exchange], str, str]] = [
            (cpo.push_location("LOC1"), "PUT", "locations/NL/TNM/LOC1"),
            (cpo.patch_location("LOC1", {"name": "New"}), "PATCH", "locations/NL/TNM/LOC1"),
            (cpo.push_evse("LOC1", "LOC1-E2"), "PUT", "locations/NL/TNM/LOC1/LOC1-E2"),
            (cpo.patch_evse("LOC1", "LOC1-E1", {"status": "CHARGING"}), "PATCH", "locations/NL/TNM/LOC1/LOC1-E1"),
            (cpo.push_connector("LOC1", "LOC1-E1", "1"), "PUT", "locations/NL/TNM/LOC1/LOC1-E1/1"),
            (
                cpo.patch_connector("LOC1", "LOC1-E1", "1", {"tariff_id": "TAR2"}),
                "PATCH",
                "locations/NL/TNM/LOC1/LOC1-E1/1",
            ),
            (cpo.get_location("LOC1", "LOC1-E1"), "GET", "locations/NL/TNM/LOC1/LOC1-E1"),
            (cpo.push_session("SES1"), "PUT", "sessions/NL/TNM/SES1"),
            (cpo.patch_session("SES4", {"kwh": Decimal("1.50")}), "PATCH", "sessions/NL/TNM/SES4"),
            (cpo.push_tariff("TAR1"), "PUT", "tariffs/NL/TNM/TAR1"),
            (cpo.patch_tariff("TAR1", {"currency": "DKK"}), "PATCH", "tariffs/NL/TNM/TAR1"),
            (cpo.get_tariff("TAR1"), "GET", "tariffs/NL/TNM/TAR1"),
            (cpo.delete_tariff("TAR2"), "DELETE", "tariffs/NL/TNM/TAR2"),
            (cpo.push_tariff(samples.tariff("a/b*c")), "PUT", "tariffs/NL/TNM/a%2Fb%2Ac"),
        ]
        for call, method, path in calls:
            exchange = await call
            assert (exchange.method, exchange.url) == (method, f"{EMSP}/m/{path}")
            assert exchange.ok
            assert peer.emsp.requests[-1][:2] == (method, f"/ocpi/emsp/m/{path}")
            assert peer.emsp.requests[-1][3] == exchange.request_body

    pair(scenario)


def test_what_is_pushed_is_what_the_lists_show() -> None:
    async def scenario(peer: Pair) -> None:
        await peer.cpo.patch_evse("LOC1", "LOC1-E1", {"status": "CHARGING", "last_updated": "2024-06-01T00:00:00Z"})
        await peer.cpo.push_connector("LOC2", "LOC2-E1", samples.connector("2"))
        await peer.cpo.push_evse("LOC3", samples.evse("NEW"))
        await peer.cpo.push_location(samples.location("MINE"))
        await peer.cpo.delete_tariff("TAR1")
        await peer.cpo.patch_session("SES9", {"status": "INVALID"})
        locations = await peer.data("/locations")
        assert [each["id"] for each in locations] == ["LOC1", "LOC2", "LOC3", "MINE"]
        assert locations[0]["last_updated"] == "2024-06-01T00:00:00Z"
        assert locations[0]["evses"][0]["status"] == "CHARGING"
        assert [each["id"] for each in locations[1]["evses"][0]["connectors"]] == ["1", "2"]
        assert [each["uid"] for each in locations[2]["evses"]] == ["LOC3-E1", "LOC3-E2", "NEW"]
        changed = await peer.data("/locations?date_from=2024-06-01T00:00:00Z")
        assert [each["id"] for each in changed] == ["LOC1"]
        assert [each["id"] for each in await peer.data("/tariffs")] == ["TAR2"]

    pair(scenario)


def test_a_change_without_last_updated_is_of_now() -> None:
    async def scenario(peer: Pair) -> None:
        await peer.cpo.patch_connector("LOC1", "LOC1-E1", "1", {"amperage": 16})
        await peer.cpo.patch_location("LOC2", {"name": "New"})
        location = await peer.data("/locations/LOC1")
        assert location["last_updated"] == location["evses"][0]["last_updated"] > "2025"
        recent = await peer.data("/locations?date_from=2025-01-01T00:00:00Z")
        assert [each["id"] for each in recent] == ["LOC1", "LOC2"]

    pair(scenario)


def test_a_cdr_is_posted_and_read_at_its_location() -> None:
    async def scenario(peer: Pair) -> None:
        posted = await peer.cpo.post_cdr("CDR1")
        assert (posted.method, posted.url, posted.status) == ("POST", f"{EMSP}/m/cdrs/", 201)
        assert peer.emsp.requests[-1][3]["total_cost"] == Decimal("3.50")
        assert (await peer.cpo.get_cdr(posted.headers["Location"])).url == f"{EMSP}/m/cdrs/CDR1"
        await peer.cpo.post_cdr(samples.cdr("NEW", remark="by hand"))
        assert (await peer.data("/cdrs/NEW"))["remark"] == "by hand"

    pair(scenario)


def test_tokens_are_fetched_page_by_page_and_stored() -> None:
    async def scenario(peer: Pair) -> None:
        peer.emsp.tokens = [samples.token(uid) for uid in ("1", "2", "3")]
        listed = await peer.cpo.get_tokens(date_from="2024-01-01T00:00:00Z", limit=1)
        assert [each["uid"] for each in listed.tokens] == ["1", "2", "3"]
        assert len(listed.exchanges) == 3
        assert "date_from=2024-01-01T00" in listed.exchanges[0].url
        assert (await peer.data("/tokens/NL/EXA/2"))["uid"] == "2"

    pair(scenario)


def test_authorize_asks_with_type_and_location_references() -> None:
    async def scenario(peer: Pair) -> None:
        await peer.cpo.authorize("0/1")
        assert peer.emsp.requests[-1][1:] == (
            "/ocpi/emsp/m/tokens/0%2F1/authorize",
            f"Token {TOKEN_B}",
            None,
        )
        references = {"location_id": "LOC1", "evse_uids": ["LOC1-E1"]}
        await peer.cpo.authorize("01", "OTHER", references)
        assert peer.emsp.requests[-1][1] == "/ocpi/emsp/m/tokens/01/authorize?type=OTHER"
        assert peer.emsp.requests[-1][3] == references

    pair(scenario)


def test_a_call_needs_a_listed_endpoint_and_a_known_object() -> None:
    async def scenario(peer: Pair) -> None:
        with pytest.raises(EndpointMissingError):
            await peer.cpo.call("GET", "chargingprofiles")
        with pytest.raises(UnknownObjectError):
            await peer.cpo.push_session("none")
        with pytest.raises(UnknownObjectError):
            await peer.cpo.push_evse("LOC1", "none")
        exchange = await peer.cpo.call("PUT", "locations", "NL/TNM/X", body={"id": "X"}, headers={"Authorization": ""})
        assert (exchange.status, exchange.status_code) == (401, 2000)
        assert peer.cpo.sent[-1] is exchange

    pair(scenario)


# Commands


def command(**changes: Any) -> dict[str, Any]:
    body: dict[str, Any] = {
        "response_url": f"{EMSP}/m/commands/START_SESSION/1234",
        "token": samples.token(),
        "location_id": "LOC1",
        **changes,
    }
    return {name: value for name, value in body.items() if value is not None}


COMMANDS = {
    "START_SESSION": command(evse_uid="LOC1-E1"),
    "RESERVE_NOW": command(expiry_date="2030-01-01T00:00:00Z", reservation_id=7),
    "STOP_SESSION": command(token=None, location_id=None, session_id="SES4"),
    "UNLOCK_CONNECTOR": command(token=None, evse_uid="LOC1-E1", connector_id="1"),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_acknowledged_and_its_result_posted_later(name: str) -> None:
    async def scenario(peer: Pair) -> None:
        response = await peer.http.post(f"{API}/commands/{name}", json=COMMANDS[name])
        assert (response.status_code, payload(response)["status_code"]) == (200, 1000)
        assert payload(response)["data"] == {"result": "ACCEPTED"}
        await peer.cpo.wait_idle()
        target = "/ocpi/emsp/m/commands/START_SESSION/1234"
        assert peer.emsp.requests == [("POST", target, f"Token {TOKEN_B}", {"result": "ACCEPTED"})]
        [result] = peer.cpo.command_results_sent
        assert (result.command, result.result, result.status_code) == (name, "ACCEPTED", 1000)

    pair(scenario)


def test_acknowledgements_and_results_can_be_set() -> None:
    async def scenario(peer: Pair) -> None:
        async def send(name: str) -> str:
            result = payload(await peer.http.post(f"{API}/commands/{name}", json=COMMANDS[name]))
            acknowledgement: str = result["data"]["result"]
            return acknowledgement

        assert await send("START_SESSION") == "ACCEPTED"
        assert await send("RESERVE_NOW") == "NOT_SUPPORTED"
        assert await send("UNLOCK_CONNECTOR") == "ACCEPTED"
        await peer.cpo.wait_idle()
        assert [each.result for each in peer.cpo.command_results_sent] == ["TIMEOUT"]

    pair(
        scenario,
        command_acknowledgements={"RESERVE_NOW": "NOT_SUPPORTED"},
        command_results={"START_SESSION": "TIMEOUT", "UNLOCK_CONNECTOR": None},
        command_delay=0.01,
    )


@pytest.mark.parametrize(
    ("name", "changes", "expected"),
    [
        ("STOP_SESSION", {"session_id": "none"}, (1000, {"result": "UNKNOWN_SESSION"})),
        ("START_SESSION", {"location_id": "none"}, (2003, None)),
        ("START_SESSION", {"evse_uid": "none"}, (1000, {"result": "REJECTED"})),
        ("UNLOCK_CONNECTOR", {"connector_id": None}, (2001, None)),
        ("RESERVE_NOW", {"reservation_id": "7"}, (2001, None)),
        ("RESERVE_NOW", {"token": {}}, (2001, None)),
        ("START_SESSION", {"response_url": "/relative"}, (2001, None)),
        ("START_SESSION", {"response_url": "http://[broken"}, (2001, None)),
    ],
)
def test_a_command_that_cannot_be_sent_to_a_charge_point_has_no_result(
    name: str, changes: dict[str, Any], expected: tuple[int, Any]
) -> None:
    async def scenario(peer: Pair) -> None:
        response = await peer.http.post(f"{API}/commands/{name}", json={**COMMANDS[name], **changes})
        assert response.status_code == 200
        assert (payload(response)["status_code"], payload(response).get("data")) == expected
        await peer.cpo.wait_idle()
        assert peer.emsp.requests == []

    pair(scenario)


def test_a_result_that_does_not_arrive_is_recorded() -> None:
    async def scenario(peer: Pair) -> None:
        await peer.cpo.aclose()
        peer.cpo.transport = httpx.MockTransport(refuse)
        await peer.http.post(f"{API}/commands/START_SESSION", json=COMMANDS["START_SESSION"])
        await peer.cpo.wait_idle()
        assert [each.error for each in peer.cpo.command_results_sent] == ["refused"]

    pair(scenario)


def test_pending_results_are_cancelled_at_the_end() -> None:
    async def scenario(peer: Pair) -> None:
        await peer.http.post(f"{API}/commands/START_SESSION", json=COMMANDS["START_SESSION"])
        await peer.cpo.aclose()
        await peer.cpo.wait_idle()
        assert not peer.cpo.command_results_sent

    pair(scenario, command_delay=3600)


def test_sessions_follow_commands_where_it_is_set() -> None:
    async def scenario(peer: Pair) -> None:
        await peer.http.post(f"{API}/commands/START_SESSION", json=COMMANDS["START_SESSION"])
        await peer.cpo.wait_idle()
        assert [each[0] for each in peer.emsp.requests] == ["POST", "PUT"]
        session = peer.emsp.requests[-1][3]
        assert (session["status"], session["auth_id"]) == ("ACTIVE", samples.token()["auth_id"])
        assert [each["uid"] for each in session["location"]["evses"]] == ["LOC1-E1"]
        stop = {**COMMANDS["STOP_SESSION"], "session_id": session["id"]}
        await peer.http.post(f"{API}/commands/STOP_SESSION", json=stop)
        await peer.cpo.wait_idle()
        assert [each[0] for each in peer.emsp.requests[2:]] == ["POST", "PATCH", "POST"]
        assert (await peer.data(f"/sessions/{session['id']}"))["status"] == "COMPLETED"
        cdr = peer.emsp.requests[-1][3]
        assert (cdr["total_energy"], cdr["total_cost"]) == (Decimal("5.0000"), Decimal("1.50"))
        await peer.http.post(f"{API}/commands/STOP_SESSION", json=COMMANDS["STOP_SESSION"])
        await peer.cpo.wait_idle()
        finished = peer.emsp.requests[-1][3]
        assert finished["total_time"] == Decimal("1.2500")

    pair(scenario, sessions_follow_commands=True)


# Presets


def test_every_preset_makes_a_cpo() -> None:
    for preset in PRESETS.values():
        SimulatedCpo(locations=1, **preset)


def test_bare_command_results() -> None:
    async def scenario(peer: Pair) -> None:
        response = await peer.http.post(f"{API}/commands/START_SESSION", json=COMMANDS["START_SESSION"])
        assert payload(response)["data"] == "ACCEPTED"
        await peer.cpo.wait_idle()
        assert peer.emsp.requests[-1][3] == "ACCEPTED"

    pair(scenario, **PRESETS["bare-command-result"])


def test_no_totals() -> None:
    async def scenario(peer: Pair) -> None:
        response = await peer.http.get(f"{API}/locations")
        assert "x-total-count" not in response.headers
        assert "x-limit" not in response.headers
        assert next_url(response) is not None

    pair(scenario, page_limit=2, **PRESETS["no-totals"])


@pytest.mark.parametrize(
    ("preset", "expected"),
    [
        ("plain", "https://cpo.test:8443/ocpi/cpo/2.1.1/locations?offset=2&limit=2&date_to=2030-01-01T00:00:00Z"),
        ("relative-link", "/ocpi/cpo/2.1.1/locations?offset=2&limit=2&date_to=2030-01-01T00:00:00Z"),
        ("loop", "https://cpo.test:8443/ocpi/cpo/2.1.1/locations?date_to=2030-01-01T00:00:00Z"),
        ("http-link", "http://cpo.test/ocpi/cpo/2.1.1/locations?offset=2&limit=2&date_to=2030-01-01T00:00:00Z"),
        (
            "foreign-link",
            "https://pages.example.com/ocpi/cpo/2.1.1/locations?offset=2&limit=2&date_to=2030-01-01T00:00:00Z",
        ),
        ("lost-filters", "https://cpo.test:8443/ocpi/cpo/2.1.1/locations?offset=2&limit=2"),
    ],
)
def test_next_links(preset: str, expected: str) -> None:
    async def scenario(peer: Pair) -> None:
        peer.cpo.url = "https://cpo.test:8443"
        response = await peer.http.get(f"{API}/locations?date_to=2030-01-01T00:00:00Z")
        assert next_url(response) == expected

    pair(scenario, page_limit=2, **PRESETS[preset])


def test_an_empty_page_without_data() -> None:
    async def scenario(peer: Pair) -> None:
        assert "data" not in payload(await peer.http.get(f"{API}/locations?offset=9"))
        assert "data" in payload(await peer.http.get(f"{API}/locations"))

    pair(scenario, **PRESETS["empty-without-data"])


def test_html_errors() -> None:
    async def scenario(peer: Pair) -> None:
        response = await peer.http.get(f"{API}/locations")
        assert response.status_code == 502
        assert response.headers["content-type"] == "text/html"
        assert (await peer.http.get(f"{API}/locations/LOC1")).status_code == 200

    pair(scenario, **PRESETS["html-errors"])


def test_quirky_documents() -> None:
    async def scenario(peer: Pair) -> None:
        [location, *_] = await peer.data("/locations")
        assert location["country"] == "NL"
        assert location["evses"][0]["floor_level"] == 0
        assert location["last_updated"] == "2024-01-01T00:00:00"
        [tariff, *_] = await peer.data("/tariffs")
        assert tariff["elements"][-1]["price_components"][0]["price"] == "0.30"
        cdr = (await peer.cpo.post_cdr("CDR1")).request_body
        assert cdr["location"]["country"] == "NL"
        assert len(await peer.data("/locations?date_from=2024-01-01T00:01:00Z")) == 2

    pair(scenario, **PRESETS["quirky"])


# Control


def test_the_control_interface_drives_the_cpo() -> None:
    async def scenario(peer: Pair) -> None:
        async with client(peer.cpo) as http:

            async def post(path: str, body: Any = None) -> Any:
                return (await http.post(f"http://cpo.test/control/{path}", json=body or {})).json()

            await peer.http.put(f"{API}/tokens/NL/EXA/012345678", json=samples.token())
            await peer.http.post(f"{API}/commands/START_SESSION", json=COMMANDS["START_SESSION"])
            assert await post("wait-idle") == {}
            call = {
                "method": "PATCH",
                "module": "locations",
                "path": "NL/TNM/LOC1/LOC1-E1",
                "body": {"status": "CHARGING"},
            }
            exchange = await post("call", call)
            assert exchange["url"] == f"{EMSP}/m/locations/NL/TNM/LOC1/LOC1-E1"
            assert (exchange["status"], exchange["status_code"]) == (200, 1000)
            assert exchange["request_body"] == {"status": "CHARGING"}
            text = (await http.get("http://cpo.test/control/state")).text
            state = json.loads(text)
            assert state["registered"] is True
            assert state["emsp"]["party_id"] == "EXA"
            assert state["tokens"] == [samples.token()]
            assert [(each["method"], each["path"], each["status"]) for each in state["received"]] == [
                ("POST", "/ocpi/cpo/2.1.1/credentials", 201),
                ("PUT", "/ocpi/cpo/2.1.1/tokens/NL/EXA/012345678", 201),
                ("POST", "/ocpi/cpo/2.1.1/commands/START_SESSION", 200),
            ]
            assert [each["result"] for each in state["command_results"]] == ["ACCEPTED"]
            assert peer.http.headers["authorization"].removeprefix("Token ") not in text
            assert TOKEN_B not in text
            updated = await post("update", {"method": "PATCH", "fields": ["token"]})
            assert (updated["registered"], updated["error"], len(updated["exchanges"])) == (True, None, 3)
            assert (await post("unregister"))["registered"] is False
            invitation = (await http.get("http://cpo.test/control/invite")).json()
            assert invitation["versions_url"] == f"{CPO}/versions"
            peer.emsp.token = "a"
            body = {"versions_url": f"{EMSP}/versions", "token_a": "a"}
            assert (await post("register", body))["registered"] is True
            peer.emsp.versions = []
            failed = await post("register", {**body, "token_a": peer.emsp.token})
            assert failed["error"].startswith("3002")

    pair(scenario)


def test_control_reports_errors_as_json() -> None:
    async def run() -> None:
        async with SimulatedCpo() as cpo, client(cpo) as http:

            async def status(method: str, path: str, body: Any = None) -> int:
                response = await http.request(method, f"http://cpo.test/control/{path}", json=body)
                assert isinstance(response.json()["error"], str)
                return response.status_code

            assert await status("GET", "nothing") == 404
            assert await status("GET", "call") == 405
            assert await status("POST", "call", {"method": "GET"}) == 400
            assert await status("POST", "call", {"method": "GET", "module": "tokens", "query": []}) == 400
            assert await status("POST", "update", {"method": "POST"}) == 400
            assert await status("POST", "register", []) == 400
            assert await status("POST", "call", {"method": "GET", "module": "tokens"}) == 409

    anyio.run(run)


def test_control_reports_an_emsp_that_does_not_answer() -> None:
    async def scenario(peer: Pair) -> None:
        await peer.cpo.aclose()
        peer.cpo.transport = httpx.MockTransport(refuse)
        async with client(peer.cpo) as http:
            call = {"method": "GET", "module": "tokens"}
            response = await http.post("http://cpo.test/control/call", json=call)
            assert (response.status_code, response.json()) == (502, {"error": "ConnectError: refused"})

    pair(scenario)


def test_control_is_for_loopback_only_and_can_be_switched_off() -> None:
    async def run() -> None:
        async with SimulatedCpo() as cpo:
            remote = httpx.ASGITransport(app=cpo.app, client=("192.0.2.1", 1))
            async with httpx.AsyncClient(transport=remote) as http:
                assert (await http.get("http://cpo.test/control/invite")).status_code == 403
        async with SimulatedCpo(control=False) as cpo, client(cpo) as http:
            assert (await http.get("http://cpo.test/control/invite")).status_code == 401

    anyio.run(run)


# Over HTTP


def test_it_is_served_over_http() -> None:
    async def run() -> None:
        cpo = SimulatedCpo(token_a=TOKEN_A)
        async with serving(cpo) as url, httpx.AsyncClient() as http:
            headers = {"authorization": f"Token {TOKEN_A}"}
            versions = payload(await http.get(cpo.versions_url, headers=headers))["data"]
            assert versions == [{"version": "2.1.1", "url": f"{url}/ocpi/cpo/2.1.1"}]
            async with serving(SimulatedCpo()) as other:
                body = {"versions_url": f"{url}/ocpi/cpo/versions", "token_a": TOKEN_A}
                # The CPOs are symmetric in the handshake, so one can be the other's partner.
                done = (await http.post(f"{other}/control/register", json=body)).json()
            assert done["registered"] is True
            assert cpo.registered

    anyio.run(run)


SERVE = """
import sys
from ocpi_emsp.testing.cpo import SimulatedCpo
from ocpi_emsp.testing.cpo.server import run
run("127.0.0.1", 0, SimulatedCpo(token_a="token-a"))
"""


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_run_prints_one_line_and_ends_cleanly(stop: signal.Signals) -> None:
    command = [sys.executable, "-W", "error", "-c", SERVE]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        assert set(ready) == {"versions_url", "token_a", "control_url"}
        with httpx.Client() as http:
            answer = http.get(ready["versions_url"], headers={"authorization": f"Token {ready['token_a']}"})
            assert payload(answer)["status_code"] == 1000
            assert http.get(f"{ready['control_url']}/state").json()["registered"] is False
        process.send_signal(stop)
        output, errors = process.communicate(timeout=10)
    assert (process.returncode, output, errors) == (0, "", "")


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_run_publishes_the_port_that_was_bound(host: str) -> None:
    ready: list[Ready] = []

    def stop(told: Ready) -> None:
        ready.append(told)
        signal.raise_signal(signal.SIGTERM)

    run(host, 0, SimulatedCpo(token_a=TOKEN_A), stop)
    [told] = ready
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/ocpi/cpo/versions", told.versions_url)
    assert told.control_url == told.versions_url.replace("ocpi/cpo/versions", "control")
    assert told.token_a == TOKEN_A


def test_importing_the_package_needs_no_uvicorn() -> None:
    check = "import sys, ocpi_emsp.testing.cpo; sys.exit('uvicorn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0
