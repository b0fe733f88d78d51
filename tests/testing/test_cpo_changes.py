"""What can be done to a running CPO: changes, failures that come and go, Token objects; by method and over /control."""

import json
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ocpi_emsp.testing.cpo import PRESETS, SimulatedCpo, UnknownObjectError, samples
from testing.support import API, COMMANDS, Pair, client, crawl, ids, pair, payload

DOCS = Path(__file__).parents[2] / "docs" / "how-to" / "simulated-cpo.md"
TOKEN = f"{API}/tokens/NL/EXA/"


def test_a_row_of_the_documentation_for_every_preset() -> None:
    rows = re.findall(r"^\| `([\w.-]+)` \| (.+) \| (.+) \|$", DOCS.read_text(), re.MULTILINE)
    assert [name for name, *_ in rows] == list(PRESETS)


def test_the_example_of_the_documentation_runs(capsys: pytest.CaptureFixture[str]) -> None:
    [block] = re.findall(r"^```python\n(.*?)^```", DOCS.read_text(), re.MULTILINE | re.DOTALL)
    exec(compile(block, str(DOCS), "exec"), {})
    assert re.fullmatch(r"(http://127\.0\.0\.1:\d+) \1/ocpi/cpo/versions\n\{\} \[\]\n", capsys.readouterr().out)


# Objects

RECENT = "?date_from=2025-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("module", "object_id", "child"),
    [
        ("cdrs", "CDR2", {}),
        ("locations", "LOC2", {}),
        ("locations", "LOC2", {"evse_uid": "LOC2-E1"}),
        ("locations", "LOC2", {"evse_uid": "LOC2-E1", "connector_id": "1"}),
        ("sessions", "SES2", {}),
        ("tariffs", "TAR2", {}),
    ],
)
def test_a_changed_object_is_found_by_its_new_last_updated(module: str, object_id: str, child: dict[str, str]) -> None:
    async def scenario(peer: Pair) -> None:
        assert ids(await crawl(peer, f"/{module}{RECENT}")) == [[]]
        before = await peer.data(f"/{module}/{object_id}")
        peer.cpo.change(module, object_id, {"x_note": "changed"}, **child)
        [[after]] = [payload(page)["data"] for page in await crawl(peer, f"/{module}{RECENT}")]
        assert after["id"] == object_id
        assert '"x_note":"changed"' in json.dumps(after, default=str, separators=(",", ":"))
        assert after["last_updated"] > "2025" > before["last_updated"]
        # It has not moved: the oldest by creation comes first.
        [listed] = ids(await crawl(peer, f"/{module}?date_from=2000-01-01T00:00:00Z"))
        assert listed[1] == object_id
        assert peer.emsp.requests == []

    pair(scenario)


def test_a_push_changes_the_list_as_well() -> None:
    async def scenario(peer: Pair) -> None:
        assert (await peer.cpo.patch_evse("LOC3", "LOC3-E2", {"status": "BLOCKED"})).ok
        assert ids(await crawl(peer, f"/locations{RECENT}")) == [["LOC3"]]
        peer.cpo.own("locations", {**samples.location("NEW"), "last_updated": "2026-01-01T00:00:00Z"})
        assert ids(await crawl(peer, "/locations?date_from=2025-12-31T23:59:59Z&date_to=2026-01-01T00:00:01Z")) == [
            ["NEW"]
        ]

    pair(scenario)


def test_objects_are_withdrawn_and_restored() -> None:
    async def scenario(peer: Pair) -> None:
        peer.cpo.withdraw("locations", "LOC1", "LOC3")
        pages = await crawl(peer, "/locations")
        assert (ids(pages), pages[0].headers["x-total-count"]) == ([["LOC2", "LOC4"]], "2")
        assert (await peer.http.get(f"{API}/locations/LOC1")).status_code == 404
        peer.cpo.restore("locations", "LOC3")
        assert ids(await crawl(peer, "/locations")) == [["LOC2", "LOC3", "LOC4"]]
        peer.cpo.restore("locations")
        assert ids(await crawl(peer, "/locations")) == [["LOC1", "LOC2", "LOC3", "LOC4"]]
        peer.cpo.withdraw("locations", "LOC2")
        peer.cpo.own("locations", samples.location("LOC2"))
        assert ids(await crawl(peer, "/locations")) == [["LOC1", "LOC2", "LOC3", "LOC4"]]

    pair(scenario, locations=4)


@pytest.mark.parametrize("child", [{}, {"evse_uid": "none"}, {"evse_uid": "LOC1-E1", "connector_id": "9"}])
def test_an_object_that_is_not_known_cannot_be_changed(child: dict[str, str]) -> None:
    cpo = SimulatedCpo()
    with pytest.raises(UnknownObjectError, match="locations has no"):
        cpo.change("locations", "LOC1" if child else "LOC9", {}, **child)
    with pytest.raises(UnknownObjectError, match="tariffs has no 'TAR9'"):
        cpo.change("tariffs", "TAR9", {})
    with pytest.raises(UnknownObjectError, match="locations has no 'LOC9'"):
        cpo.withdraw("locations", "LOC1", "LOC9")
    with pytest.raises(UnknownObjectError, match="locations has no 'LOC9'"):
        cpo.restore("locations", "LOC9")


@pytest.mark.parametrize("path", ["/cdrs/CDR1", "/locations/LOC1", "/locations/LOC1/LOC1-E1", "/tariffs/TAR1"])
def test_single_objects_may_not_be_served(path: str) -> None:
    async def scenario(peer: Pair) -> None:
        assert (await peer.http.get(API + path)).status_code == 404
        assert (await peer.http.get(f"{API}/locations")).status_code == 200
        peer.cpo.behave()
        assert (await peer.http.get(API + path)).status_code == 200

    pair(scenario, **PRESETS["no-single-objects"])


def ahead(text: str) -> timedelta:
    return datetime.fromisoformat(text) - datetime.now(UTC)


def test_a_clock_that_is_two_hours_ahead() -> None:
    async def scenario(peer: Pair) -> None:
        peer.cpo.change("locations", "LOC1", {"name": "Later"})
        response = await peer.http.get(f"{API}/locations{RECENT}")
        [location] = payload(response)["data"]
        for text in (payload(response)["timestamp"], location["last_updated"]):
            assert timedelta(hours=1, minutes=50) < ahead(text) <= timedelta(hours=2)
        for path in ("/locations/none", "/credentials"):
            assert ahead(payload(await peer.http.get(API + path))["timestamp"]) > timedelta(hours=1, minutes=50)
        assert '"kwh":10.0000' in (await peer.http.get(f"{API}/sessions/SES1")).text

    pair(scenario, **PRESETS["clock-skew"])


# Misbehaving


def test_a_cpo_fails_from_now_on_and_is_well_again() -> None:
    async def scenario(peer: Pair) -> None:
        async def status() -> int:
            return (await peer.http.get(f"{API}/locations")).status_code

        assert await status() == 200
        peer.cpo.misbehave("server-error")
        assert [await status(), await status()] == [500, 500]
        assert peer.cpo.deviating == {"list_failure": "server-error"}
        peer.cpo.misbehave("server-error-once")
        assert [await status(), await status()] == [500, 200]
        peer.cpo.misbehave("server-error-once")
        assert [await status(), await status()] == [500, 200]
        peer.cpo.misbehave("server-error", failure_after=1, failure_times=2)
        assert [await status() for _ in range(4)] == [200, 500, 500, 200]
        peer.cpo.behave()
        assert await status() == 200
        assert peer.cpo.deviating == {}
        assert peer.cpo.list_requests == {"locations": 12}

    pair(scenario)


@pytest.mark.parametrize(
    ("preset", "deviations", "error", "said"),
    [
        ("nice", {}, ValueError, "expected one of plain, base64"),
        (None, {"nice": True}, TypeError, "invalid deviation 'nice': expected some of accept_credentials_patch"),
        (None, {"url": "http://other"}, TypeError, "invalid deviation 'url'"),
        ("loop", {"list_failure": "sad"}, ValueError, "list_failure"),
        ("loop", {"failing_modules": ["tokens"]}, ValueError, "failing_modules"),
        ("loop", {"shrinking": "x"}, TypeError, "not supported"),
        ("loop", {"retry_after": "x"}, ValueError, "invalid literal"),
        ("loop", {"refused_tokens": "("}, ValueError, "refused_tokens"),
    ],
)
def test_what_cannot_be_set_changes_nothing(
    preset: str | None, deviations: dict[str, Any], error: type[Exception], said: str
) -> None:
    cpo = SimulatedCpo(**PRESETS["no-totals"])
    with pytest.raises(error, match=re.escape(said)):
        cpo.misbehave(preset, **deviations)
    assert cpo.deviating == {"totals": False}


# Token objects


def token(uid: str, **changes: Any) -> dict[str, Any]:
    return {**samples.token(uid), **changes}


def test_received_tokens_are_told_with_method_and_order() -> None:
    async def scenario(peer: Pair) -> None:
        await peer.http.put(f"{TOKEN}2", json=token("2"))
        await peer.http.put(f"{TOKEN}1", json=token("1", issuer=None))
        await peer.http.patch(f"{TOKEN}2", json={"valid": False})
        await peer.http.get(f"{TOKEN}2")
        await peer.http.put(f"{TOKEN}3", content=b"{")
        await peer.http.post(f"{API}/commands/START_SESSION", json=COMMANDS["START_SESSION"])
        assert [(each.method, each.uid, each.status, each.status_code) for each in peer.cpo.received_tokens] == [
            ("PUT", "2", 201, 1000),
            ("PUT", "1", 200, 2001),
            ("PATCH", "2", 200, 1000),
            ("PUT", "3", 400, 2000),
        ]
        assert [each.document for each in peer.cpo.received_tokens][2:] == [{"valid": False}, None]
        assert [each["uid"] for each in peer.cpo.tokens] == ["2"]

    pair(scenario)


def test_tokens_may_be_for_reading_only() -> None:
    async def scenario(peer: Pair) -> None:
        for method in ("PUT", "PATCH"):
            response = await peer.http.request(method, f"{TOKEN}1", json=token("1"))
            assert (response.status_code, response.headers["allow"]) == (405, "GET")
        assert [each.status for each in peer.cpo.received_tokens] == [405, 405]

    pair(scenario, **PRESETS["read-only-tokens"])


@pytest.mark.parametrize(("preset", "status", "code"), [("failing-patch", 500, 3000), ("failing-patch-404", 404, 2000)])
def test_a_patch_of_a_token_may_fail_where_put_and_get_work(preset: str, status: int, code: int) -> None:
    async def scenario(peer: Pair) -> None:
        assert (await peer.http.put(f"{TOKEN}1", json=token("1"))).status_code == 201
        response = await peer.http.patch(f"{TOKEN}1", json={"valid": False})
        assert (response.status_code, payload(response)["status_code"]) == (status, code)
        assert await peer.data("/tokens/NL/EXA/1") == token("1")

    pair(scenario, **PRESETS[preset])


def test_some_tokens_may_be_refused() -> None:
    async def scenario(peer: Pair) -> None:
        codes = {}
        for uid in ("10", "13", "17", "37x"):
            codes[uid] = payload(await peer.http.put(f"{TOKEN}{uid}", json=token(uid)))["status_code"]
        assert codes == {"10": 1000, "13": 2001, "17": 2001, "37x": 1000}
        assert payload(await peer.http.patch(f"{TOKEN}13", json={"valid": False}))["status_code"] == 2001
        assert [each["uid"] for each in peer.cpo.tokens] == ["10", "37x"]

    pair(scenario, **PRESETS["refuses-tokens"])


# Over the control interface

Ask = Callable[..., Awaitable[Any]]


def controlled(scenario: Callable[[Pair, Ask], Awaitable[None]], **settings: Any) -> None:
    async def run(peer: Pair) -> None:
        async with client(peer.cpo) as http:

            async def ask(path: str, body: Any = None) -> Any:
                if path == "state":
                    return (await http.get("http://cpo.test/control/state")).json()
                response = await http.post(f"http://cpo.test/control/{path}", json=body or {})
                return response.json() if response.status_code == 200 else (response.status_code, response.json())

            await scenario(peer, ask)

    pair(run, **settings)


def test_the_control_interface_changes_the_cpo() -> None:
    async def scenario(peer: Pair, ask: Ask) -> None:
        evse = {"module": "locations", "id": "LOC1", "evse_uid": "LOC1-E1", "changes": {"status": "BLOCKED"}}
        assert await ask("change", evse) == {}
        assert ids(await crawl(peer, f"/locations{RECENT}")) == [["LOC1"]]
        assert await ask("own", {"module": "tariffs", "document": {"id": "NEW"}}) == {}
        assert ids(await crawl(peer, "/tariffs")) == [["TAR1", "TAR2", "NEW"]]
        assert await ask("withdraw", {"module": "tariffs", "ids": ["TAR1", "NEW"]}) == {}
        assert ids(await crawl(peer, "/tariffs")) == [["TAR2"]]
        assert await ask("restore", {"module": "tariffs"}) == {}
        assert ids(await crawl(peer, "/tariffs")) == [["TAR1", "TAR2", "NEW"]]
        await peer.http.put(f"{TOKEN}2", json=token("2"))
        state = await ask("state")
        assert state["list_requests"] == {"locations": 1, "tariffs": 3}
        assert state["received_tokens"] == [
            {"method": "PUT", "uid": "2", "document": token("2"), "status": 201, "status_code": 1000}
        ]

    controlled(scenario)


@pytest.mark.parametrize(
    ("named", "sent"),
    [
        ({"module": "locations", "id": "LOC1"}, "PUT locations/NL/TNM/LOC1"),
        ({"module": "locations", "id": "LOC1", "evse_uid": "LOC1-E1"}, "PUT locations/NL/TNM/LOC1/LOC1-E1"),
        (
            {"module": "locations", "id": "LOC1", "evse_uid": "LOC1-E1", "connector_id": "1"},
            "PUT locations/NL/TNM/LOC1/LOC1-E1/1",
        ),
        ({"module": "sessions", "id": "SES1", "changes": {"kwh": 3.5}}, "PATCH sessions/NL/TNM/SES1"),
        (
            {"module": "locations", "id": "LOC1", "evse_uid": "LOC1-E1", "changes": {"status": "BLOCKED"}},
            "PATCH locations/NL/TNM/LOC1/LOC1-E1",
        ),
        ({"module": "cdrs", "id": "CDR1"}, "POST cdrs/"),
    ],
)
def test_the_control_interface_pushes(named: dict[str, Any], sent: str) -> None:
    async def scenario(peer: Pair, ask: Ask) -> None:
        exchange = await ask("push", named)
        assert exchange["status_code"] == 1000
        assert f"{exchange['method']} {exchange['url'].split('/m/')[1]}" == sent
        document = await peer.data(f"/{named['module']}/{named['id']}")
        if "changes" in named:
            assert exchange["request_body"] == named["changes"]
            assert json.dumps(next(iter(named["changes"].values()))) in json.dumps(document, default=str)
        elif "evse_uid" not in named:
            assert exchange["request_body"]["id"] == document["id"]

    controlled(scenario)


def test_the_control_interface_lets_the_cpo_misbehave() -> None:
    async def scenario(peer: Pair, ask: Ask) -> None:
        fine = {"retry_after": 1, "unlisted_share": 0.5, "clock_skew": 0.5}
        assert await ask("misbehave", {"preset": "busy", "deviations": fine}) == {}
        response = await peer.http.get(f"{API}/locations")
        assert (response.status_code, response.headers["retry-after"]) == (503, "1")
        assert (await ask("state"))["deviations"] == {"list_failure": "busy", "failure_every": 2, **fine}
        assert await ask("behave") == {}
        assert (await peer.http.get(f"{API}/locations")).status_code == 200
        assert (await ask("state"))["deviations"] == {}

    controlled(scenario, monotonic=lambda: 0.0)


@pytest.mark.parametrize(
    ("path", "body", "status", "said"),
    [
        ("change", {"module": "locations", "id": "LOC1"}, 400, "Missing or not an object: changes"),
        ("change", {"module": "locations", "id": "LOC9", "changes": {}}, 404, "locations has no 'LOC9'"),
        ("change", {"module": "tokens", "id": "1", "changes": {}}, 400, "module is none of"),
        ("push", {"module": "locations", "id": "LOC9"}, 404, "locations has no 'LOC9'"),
        ("push", {"module": "locations", "id": "LOC1", "connector_id": "1"}, 400, "not a string: evse_uid"),
        ("push", {"module": "cdrs", "id": "CDR1", "changes": {}}, 400, "a CDR has no changes"),
        ("push", {"module": "tariffs", "id": "TAR1", "evse_uid": "E"}, 400, "of locations only"),
        ("misbehave", {"deviations": {"drip_seconds": -1}}, 400, "drip_seconds"),
        ("misbehave", {"preset": "nice"}, 400, "expected one of plain"),
        ("misbehave", {"preset": None}, 400, "not a string: preset"),
        ("own", {"module": "tariffs", "document": {}}, 400, "not a string: id"),
        ("restore", {"module": "tariffs", "ids": ["TAR9"]}, 404, "tariffs has no 'TAR9'"),
        ("withdraw", {"module": "tariffs", "ids": "TAR1"}, 400, "ids is not a list"),
    ],
)
def test_the_control_interface_names_what_is_wrong(path: str, body: Any, status: int, said: str) -> None:
    async def scenario(_: Pair, ask: Ask) -> None:
        answered, error = await ask(path, body)
        assert answered == status
        assert said in error["error"]

    controlled(scenario)
