"""The ways in which lists of the simulated CPO fail, one preset each, through its HTTP door.

What needs the connection itself (reset, bodies without end) is asked for over real HTTP.
"""

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import anyio
import httpx
import pytest

from ocpi_emsp.testing.cpo import PRESETS, SimulatedCpo
from ocpi_emsp.testing.cpo.server import serving
from processes import limited
from testing.support import API, SECONDS, TOKEN_A, FakeEmsp, Pair, crawl, ids, pair, payload, register, served

LISTS = {"cdrs": "", "locations": "", "sessions": "?date_from=2000-01-01T00:00:00Z", "tariffs": ""}


Do = Callable[[], None]


def nothing() -> None:
    """Does nothing."""


def outcome(response: httpx.Response) -> tuple[int, int]:
    return response.status_code, payload(response)["status_code"]


@pytest.mark.parametrize(
    ("preset", "expected"), [("ocpi-2001", (200, 2001)), ("ocpi-3000", (200, 3000)), ("server-error", (500, 3000))]
)
def test_every_list_is_answered_with_an_error(preset: str, expected: tuple[int, int]) -> None:
    async def scenario(peer: Pair) -> None:
        for _ in range(2):
            for module, query in LISTS.items():
                response = await peer.http.get(f"{API}/{module}{query}")
                assert outcome(response) == expected
                assert "data" not in payload(response)
        assert outcome(await peer.http.get(f"{API}/locations/LOC1")) == (200, 1000)

    pair(scenario, **PRESETS[preset])


@pytest.mark.parametrize(("preset", "expected"), [("ocpi-3000-once", (200, 3000)), ("server-error-once", (500, 3000))])
def test_every_list_fails_once(preset: str, expected: tuple[int, int]) -> None:
    async def scenario(peer: Pair) -> None:
        for module in ("locations", "tariffs"):
            assert outcome(await peer.http.get(f"{API}/{module}")) == expected
            assert [outcome(page) for page in await crawl(peer, f"/{module}")] == [(200, 1000)] * 2

    pair(scenario, locations=4, tariffs=4, page_limit=2, **PRESETS[preset])


@pytest.mark.parametrize("preset", ["busy", "busy-date"])
def test_every_second_request_finds_the_cpo_busy(preset: str) -> None:
    async def scenario(peer: Pair) -> None:
        responses = [await peer.http.get(f"{API}/locations") for _ in range(4)]
        assert [each.status_code for each in responses] == [503, 200, 503, 200]
        said = responses[0].headers["retry-after"]
        if preset == "busy":
            assert said == "0"
        else:
            assert said.endswith(" GMT")
            assert abs(parsedate_to_datetime(said) - datetime.now(UTC)) < timedelta(hours=1)
        assert "retry-after" not in responses[1].headers
        peer.cpo.misbehave("busy", retry_after=7, failure_every=3, failing_modules=["tariffs"])
        responses = [await peer.http.get(f"{API}/tariffs") for _ in range(4)]
        assert [each.status_code for each in responses] == [503, 200, 200, 503]
        assert responses[0].headers["retry-after"] == "7"
        assert (await peer.http.get(f"{API}/locations")).status_code == 200
        peer.cpo.misbehave("busy", retry_after=None)
        assert "retry-after" not in (await peer.http.get(f"{API}/tariffs")).headers

    pair(scenario, **PRESETS[preset])


def test_more_requests_in_a_second_than_allowed() -> None:
    now = [100.0]

    async def scenario(peer: Pair) -> None:
        async def status(module: str) -> int:
            return (await peer.http.get(f"{API}/{module}")).status_code

        assert [await status(module) for module in ("locations", "tariffs", "locations")] == [200, 200, 429]
        now[0] += 0.9
        response = await peer.http.get(f"{API}/locations")
        assert (response.status_code, response.headers["retry-after"]) == (429, "1")
        now[0] += 0.1
        assert [await status("cdrs") for _ in range(3)] == [200, 200, 429]

    pair(scenario, requests_per_second=2, monotonic=lambda: now[0], **PRESETS["rate-limited"])


def test_the_token_is_rotated_while_a_list_is_read() -> None:
    async def scenario(peer: Pair) -> None:
        first = await peer.http.get(f"{API}/locations")
        assert first.status_code == 200
        for path in ("/locations?offset=2", "/locations", "/tariffs", "/locations/LOC1", ""):
            assert outcome(await peer.http.get(API + path)) == (401, 2000)
        assert (await peer.cpo.update_credentials())[-1].ok
        peer.http.headers["authorization"] = f"Token {peer.emsp.cpo_token}"
        assert len(await crawl(peer, "/locations")) == 2

    pair(scenario, page_limit=2, **PRESETS["token-rotated"])


def test_a_rotated_token_works_again_when_the_cpo_behaves() -> None:
    async def scenario(peer: Pair) -> None:
        for expected in (200, 401):
            assert (await peer.http.get(f"{API}/locations")).status_code == expected
        peer.cpo.behave()
        assert (await peer.http.get(f"{API}/locations")).status_code == 200

    pair(scenario, **PRESETS["token-rotated"])


def test_one_page_is_cut_json() -> None:
    async def scenario(peer: Pair) -> None:
        first, second, third = [await peer.http.get(f"{API}/locations?limit=1&offset={each}") for each in (0, 1, 1)]
        assert ids([first, third]) == [["LOC1"], ["LOC2"]]
        assert second.status_code == 200
        assert second.text.startswith('{"data":[{"id":"LOC2"')
        with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
            json.loads(second.text)

    pair(scenario, **PRESETS["not-json"])


@pytest.mark.parametrize(
    ("preset", "origin"), [("redirect-loop", "http://cpo.test"), ("redirect-foreign", "https://pages.example.com")]
)
def test_redirects(preset: str, origin: str) -> None:
    async def scenario(peer: Pair) -> None:
        response = await peer.http.get(f"{API}/locations?limit=2")
        assert (response.status_code, response.content) == (302, b"")
        assert response.headers["location"] == f"{origin}/ocpi/cpo/2.1.1/locations?limit=2"

    pair(scenario, **PRESETS[preset])


def test_a_redirect_may_lead_to_an_origin_of_ones_own() -> None:
    async def scenario(peer: Pair) -> None:
        response = await peer.http.get(f"{API}/locations")
        assert response.headers["location"] == "http://127.0.0.1:9/ocpi/cpo/2.1.1/locations"

    pair(scenario, foreign_origin="http://127.0.0.1:9/", **PRESETS["redirect-foreign"])


def test_a_huge_page_is_valid() -> None:
    async def scenario(peer: Pair) -> None:
        response = await peer.http.get(f"{API}/locations?limit=2")
        assert 1_000_000 <= len(response.content) < 1_001_000
        assert "content-length" not in response.headers
        assert response.headers["x-total-count"] == "3"
        [first, second] = payload(response)["data"]
        assert len(first.pop("x_padding")) == len(second.pop("x_padding"))
        assert [first, second] == [await peer.data("/locations/LOC1"), await peer.data("/locations/LOC2")]
        assert ids([await peer.http.get(f"{API}/locations?offset=9")]) == [[]]

    assert PRESETS["huge-page"] == {"list_failure": "huge-page"}
    assert SimulatedCpo().huge_page_bytes == 50_000_000
    pair(scenario, huge_page_bytes=1_000_000, **PRESETS["huge-page"])


# Over HTTP


async def read(http: httpx.AsyncClient, url: str, *, headers: dict[str, str] | None = None, each: Do = nothing) -> str:
    """How the reading of a body ended: "whole" or "cut off"; `each` is done after every piece."""
    try:
        async with http.stream("GET", url, headers=headers) as response:
            async for _ in response.aiter_raw():
                each()
    except httpx.RemoteProtocolError as error:
        return "cut off" if "without sending complete message body" in str(error) else str(error)
    return "whole"


@pytest.mark.parametrize(
    ("preset", "expected"),
    [("reset", ["cut off", "whole", "whole"]), ("reset-always", ["whole", "cut off", "cut off"])],
)
def test_a_connection_is_closed_in_the_middle_of_a_page(preset: str, expected: list[str]) -> None:
    async def scenario(peer: Pair, api: str) -> None:
        for module in ("locations", "cdrs"):
            assert [await read(peer.http, f"{api}/{module}") for _ in range(3)] == expected

    served(scenario, **PRESETS[preset])


async def begin(peer: Pair, url: str, least: int) -> int:
    """The bytes that were read of a body until there were `least`; then the client goes away."""
    read = 0
    async with peer.http.stream("GET", url) as response:
        assert response.headers["transfer-encoding"] == "chunked"
        async for chunk in response.aiter_raw():
            read += len(chunk)
            if read >= least:
                break
    return read


ENDLESS = [("endless-body", 20_000_000), ("slow-body", 5_000)]


@pytest.mark.parametrize(("preset", "least"), ENDLESS)
def test_a_body_without_end_ends_when_the_client_goes_away(preset: str, least: int) -> None:
    async def scenario(peer: Pair, api: str) -> None:
        with anyio.fail_after(SECONDS):
            before = asyncio.all_tasks()
            assert await begin(peer, f"{api}/locations", least) >= least
            await peer.http.aclose()
            # The server needs some turns to see it; nothing else runs here.
            while any("StreamingResponse" in repr(task) for task in asyncio.all_tasks() - before):
                await anyio.lowlevel.checkpoint()

    served(scenario, drip_seconds=0.001, **PRESETS[preset])


@pytest.mark.parametrize("preset", sorted(name for name, _ in ENDLESS))
def test_a_body_without_end_ends_when_the_server_stops(preset: str) -> None:
    async def run() -> None:
        begun, outcomes = anyio.Event(), list[str]()

        async def reading(url: str) -> None:
            outcomes.append(await read(http, url, each=begun.set))

        transport = httpx.ASGITransport(app=FakeEmsp().app)
        cpo = SimulatedCpo(token_a=TOKEN_A, transport=transport, **PRESETS[preset])
        with anyio.fail_after(SECONDS):
            async with httpx.AsyncClient() as http, anyio.create_task_group() as group, serving(cpo) as url:
                api = await register(http, url)
                group.start_soon(reading, f"{api}/locations")
                await begun.wait()
        assert outcomes == ["cut off"]

    anyio.run(run)


SERVE = """
import sys
from ocpi_emsp.testing.cpo import PRESETS, SimulatedCpo
from ocpi_emsp.testing.cpo.server import run
run("127.0.0.1", 0, SimulatedCpo(token_a="token-a", **PRESETS[sys.argv[1]]))
"""


@pytest.mark.parametrize("preset", ["endless-body", "reset", "slow-body"])
def test_a_process_that_cuts_bodies_off_ends_in_order_and_says_nothing(preset: str) -> None:
    async def run(ready: dict[str, str], stop: Callable[[], None]) -> None:
        async with serving(SimulatedCpo()) as url, httpx.AsyncClient() as http:
            # CPOs are symmetric in the handshake, so one registers with the other and lends its token.
            body = {"versions_url": ready["versions_url"], "token_a": ready["token_a"]}
            done = (await http.post(f"{url}/control/register", json=body)).json()
            token = done["exchanges"][-1]["body"]["data"]["token"]
            headers = {"authorization": f"Token {token}"}
            locations = ready["versions_url"].replace("versions", "2.1.1/locations")
            assert await read(http, locations, headers=headers, each=stop) == "cut off"

    command = [sys.executable, "-W", "error", "-c", SERVE, preset]
    piped = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with piped as process, limited(process):
        assert process.stdout is not None
        anyio.run(run, json.loads(process.stdout.readline()), process.terminate)
        output, errors = process.communicate(timeout=SECONDS)
    assert (process.returncode, output, errors) == (0, "", "")
