"""Calls towards the eMSP, and commands of the simulated CPO, through its public doors.

What is expected comes from the text of OCPI 2.1.1, not from the code under test.
"""

from collections.abc import Awaitable
from decimal import Decimal
from typing import Any

import httpx
import pytest

from ocpi_emsp.testing.cpo import (
    EndpointMissingError,
    Exchange,
    UnknownObjectError,
    samples,
)
from testing.support import API, COMMANDS, EMSP, TOKEN_B, Pair, pair, payload, refuse


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

    pair(scenario, sessions_follow_commands=False)


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


def test_sessions_follow_commands() -> None:
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

    pair(scenario)


def test_a_session_ends_by_itself() -> None:
    async def scenario(peer: Pair) -> None:
        await peer.http.post(f"{API}/commands/START_SESSION", json=COMMANDS["START_SESSION"])
        await peer.cpo.wait_idle()
        assert [each[0] for each in peer.emsp.requests] == ["POST", "PUT", "PATCH", "POST"]
        (session_id,) = {each[3]["id"] for each in peer.emsp.requests if each[0] == "PUT"}
        stop = {**COMMANDS["STOP_SESSION"], "session_id": session_id}
        await peer.http.post(f"{API}/commands/STOP_SESSION", json=stop)
        await peer.cpo.wait_idle()
        assert len(peer.emsp.requests) == 5  # the result; there is one CDR

    pair(scenario, session_seconds=0.01)
