"""How the simulated CPO deviates with commands, one preset each, through its HTTP door."""

from __future__ import annotations

import anyio
import httpx
import pytest

from ocpi_emsp.testing.cpo import PRESETS, SimulatedCpo
from testing.support import API, COMMANDS, SECONDS, Pair, pair, payload, served

RESULT = "/ocpi/emsp/m/commands/START_SESSION/1234"


def results(peer: Pair) -> list[str]:
    """What was posted to the response_url."""
    return [document["result"] for _, target, _, document in peer.emsp.requests if target == RESULT]


async def started(peer: Pair) -> httpx.Response:
    return await peer.http.post(f"{API}/commands/START_SESSION", json=COMMANDS["START_SESSION"])


def test_a_result_comes_before_the_acknowledgement() -> None:
    async def scenario(peer: Pair) -> None:
        with anyio.fail_after(SECONDS):
            response = await started(peer)
        assert results(peer) == ["ACCEPTED"], "before anybody waited for it"
        assert payload(response)["data"] == {"result": "ACCEPTED"}

    pair(scenario, **PRESETS["result-first"])


@pytest.mark.parametrize(
    ("preset", "expected"),
    [
        ("contradicting-results", ["ACCEPTED", "REJECTED"]),
        ("no-result", []),
        ("result-first", ["ACCEPTED"]),
        ("result-twice", ["ACCEPTED", "ACCEPTED"]),
    ],
)
def test_results_that_are_sent(preset: str, expected: list[str]) -> None:
    async def scenario(peer: Pair) -> None:
        assert payload(await started(peer))["data"] == {"result": "ACCEPTED"}
        await peer.cpo.wait_idle()
        assert results(peer) == expected

    pair(scenario, **PRESETS[preset])


def test_a_result_that_contradicts_a_rejection() -> None:
    async def scenario(peer: Pair) -> None:
        await started(peer)
        await peer.cpo.wait_idle()
        assert results(peer) == ["REJECTED", "ACCEPTED"]

    pair(scenario, command_results={"START_SESSION": "REJECTED"}, **PRESETS["contradicting-results"])


def test_a_result_is_late() -> None:
    async def scenario(peer: Pair) -> None:
        await started(peer)
        assert results(peer) == []
        await peer.cpo.wait_idle()
        assert results(peer) == ["ACCEPTED"]

    pair(scenario, **(PRESETS["late-result"] | {"result_delay": 0.05}))


@pytest.mark.parametrize(
    ("preset", "status", "begins"),
    [
        ("command-html", 502, b"<html>"),
        ("command-not-json", 200, b'{"data'),
        ("command-server-error", 500, b"{"),
    ],
)
def test_a_command_that_is_executed_is_answered_badly(preset: str, status: int, begins: bytes) -> None:
    async def scenario(peer: Pair) -> None:
        response = await started(peer)
        assert response.status_code == status
        assert response.content.startswith(begins)
        with pytest.raises((ValueError, KeyError)):
            response.json()["data"]
        await peer.cpo.wait_idle()
        assert results(peer) == ["ACCEPTED"]

    pair(scenario, **PRESETS[preset])


def test_a_command_that_is_executed_gets_no_answer() -> None:
    async def scenario(peer: Pair, api: str) -> None:
        with pytest.raises(httpx.RemoteProtocolError):
            await peer.http.post(f"{api}/commands/START_SESSION", json=COMMANDS["START_SESSION"])
        await peer.cpo.wait_idle()
        assert results(peer) == ["ACCEPTED"]

    served(scenario, **PRESETS["command-no-answer"])


def test_a_deviation_that_does_not_exist_is_refused() -> None:
    for deviation in ({"results": "sometimes"}, {"command_failure": "fire"}, {"result_delay": -1}):
        with pytest.raises(ValueError, match="|".join(deviation)):
            SimulatedCpo(**deviation)
