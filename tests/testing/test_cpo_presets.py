"""Presets, the control interface, and the server of the simulated CPO, through its public doors.

What is expected comes from the text of OCPI 2.1.1, not from the code under test.
"""

import json
import re
import signal
import subprocess
import sys
from typing import Any

import anyio
import httpx
import pytest

from ocpi_emsp.testing.cpo import (
    PRESETS,
    SimulatedCpo,
    samples,
)
from ocpi_emsp.testing.cpo.server import Ready, run, serving
from processes import limited
from testing.support import API, COMMANDS, CPO, EMSP, TOKEN_A, TOKEN_B, Pair, client, next_url, pair, payload, refuse


def test_every_preset_makes_a_cpo() -> None:
    for preset in PRESETS.values():
        SimulatedCpo(locations=1, **preset)


def test_bare_command_results() -> None:
    async def scenario(peer: Pair) -> None:
        response = await peer.http.post(f"{API}/commands/START_SESSION", json=COMMANDS["START_SESSION"])
        assert payload(response)["data"] == "ACCEPTED"
        await peer.cpo.wait_idle()
        assert peer.emsp.requests[-1][3] == "ACCEPTED"

    pair(scenario, sessions_follow_commands=False, **PRESETS["bare-command-result"])


def test_wrapped_command_results() -> None:
    async def scenario(peer: Pair) -> None:
        response = await peer.http.post(f"{API}/commands/START_SESSION", json=COMMANDS["START_SESSION"])
        assert payload(response)["data"] == [{"result": "ACCEPTED"}]
        await peer.cpo.wait_idle()
        sent = peer.emsp.requests[-1][3]
        assert (sent["data"], sent["status_code"]) == ([{"result": "ACCEPTED"}], 1000)

    pair(scenario, sessions_follow_commands=False, **PRESETS["wrapped-command-result"])


def test_a_cpo_that_requires_authorization_ids() -> None:
    async def scenario(peer: Pair) -> None:
        command = COMMANDS["START_SESSION"]
        response = await peer.http.post(f"{API}/commands/START_SESSION", json=command)
        assert payload(response)["data"] == {"result": "REJECTED"}
        named = {**command, "authorization_id": "A-1"}
        response = await peer.http.post(f"{API}/commands/START_SESSION", json=named)
        assert payload(response)["data"] == {"result": "ACCEPTED"}
        await peer.cpo.wait_idle()
        [session] = [each[3] for each in peer.emsp.requests if "/sessions/" in each[1]]
        assert session["authorization_id"] == "A-1"
        stop = {**COMMANDS["STOP_SESSION"], "session_id": session["id"]}
        await peer.http.post(f"{API}/commands/STOP_SESSION", json=stop)
        await peer.cpo.wait_idle()
        [cdr] = [each[3] for each in peer.emsp.requests if "/cdrs" in each[1]]
        assert cdr["authorization_id"] == "A-1"

    pair(scenario, **PRESETS["authorization-ids"])


def test_authorizations_without_a_location_and_in_lower_case() -> None:
    async def scenario(peer: Pair) -> None:
        await peer.cpo.authorize("AbC")
        assert peer.emsp.requests[-1][1].endswith("tokens/abc/authorize")
        await peer.cpo.authorize("AbC", None, {"location_id": "LOC1"})
        assert peer.emsp.requests[-1][3] == {"location_id": "LOC1"}

    pair(scenario, **PRESETS["null-authorize-body"], **PRESETS["lower-case-uids"])


@pytest.mark.parametrize("preset", ["hub-operator-name", "hub-evse-ids"])
def test_a_hub_names_owners(preset: str) -> None:
    async def scenario(peer: Pair) -> None:
        for module in ("locations", "cdrs"):
            [*listed] = payload(await peer.http.get(f"{API}/{module}"))["data"]
            places = [each.get("location", each) for each in listed]
            if preset == "hub-operator-name":
                said = [each["operator"]["name"] for each in places]
            else:
                said = [each["evses"][0]["evse_id"][:6] for each in places]
            assert said == [("ES*AAA", "FR*BBB", "PT*CCC")[int(each["id"][3:]) % 3] for each in places]

    pair(scenario, **PRESETS[preset])


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


def test_objects_that_have_one_obvious_reading() -> None:
    async def scenario(peer: Pair) -> None:
        [location, *_] = await peer.data("/locations")
        assert ("last_updated" in location, location["facilities"]) == (False, "HOTEL")
        [session, *_] = await peer.data("/sessions?date_from=2000-01-01T00:00:00Z")
        assert (session["location_id"], "location" in session, session["total_cost"]) == ("LOC1", False, "")
        [cdr, *_] = await peer.data("/cdrs")
        assert {"cdr_token", "cdr_location", "end_date_time"} <= cdr.keys()
        assert "city" not in cdr["cdr_location"]

    settings = {**PRESETS["faulty-copies"], **PRESETS["ocpi-2.2-names"], **PRESETS["half-empty"]}
    pair(scenario, **settings)


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
    piped = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with piped as process, limited(process):
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        assert set(ready) == {"versions_url", "token_a", "control_url"}
        with httpx.Client() as http:
            answer = http.get(ready["versions_url"], headers={"authorization": f"Token {ready['token_a']}"})
            assert payload(answer)["status_code"] == 1000
            assert http.get(f"{ready['control_url']}/state").json()["registered"] is False
        process.send_signal(stop)
        output, errors = process.communicate(timeout=60)
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
    assert subprocess.run([sys.executable, "-c", check], check=False, timeout=60).returncode == 0


def test_slashes() -> None:
    async def scenario(peer: Pair) -> None:
        base = "http://cpo.test/ocpi/cpo/2.1.1"
        details = payload(await peer.http.get(API))["data"]
        assert {each["url"][-1] for each in details["endpoints"]} == {"/"}
        moved = await peer.http.get(f"{API}/locations?limit=2")
        assert (moved.status_code, moved.headers["location"]) == (307, f"{base}/locations/?limit=2")
        moved = await peer.http.get(f"{API}/locations/LOC1/")
        assert (moved.status_code, moved.headers["location"]) == (307, f"{base}/locations/LOC1")
        for path in ("/locations/?limit=2", "/locations/LOC1"):
            assert (await peer.http.get(f"{API}{path}")).status_code == 200

    pair(scenario, **PRESETS["slash-endpoints"])
    assert PRESETS["slash-redirects"] == {"redirect_slashes": True}


@pytest.mark.parametrize(
    ("preset", "link", "headers"),
    [
        ("no-links", None, {"x-limit": "2"}),
        ("unreadable-link", "http://[::1/locations", {"x-limit": "2", "x-total-count": "3"}),
        (
            "uncounted",
            "http://cpo.test/ocpi/cpo/2.1.1/locations?offset=2&limit=2",
            {"x-limit": "2", "x-total-count": "4"},
        ),
    ],
)
def test_headers_of_a_first_page(preset: str, link: str | None, headers: dict[str, str]) -> None:
    async def scenario(peer: Pair) -> None:
        response = await peer.http.get(f"{API}/locations")
        assert next_url(response) == link
        assert {name: value for name, value in response.headers.items() if name.startswith("x-")} == headers

    pair(scenario, page_limit=2, **PRESETS[preset])
