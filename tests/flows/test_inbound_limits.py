"""What a party, and an address without a known token, may send: refused with 429, said once, and others unaffected."""

from __future__ import annotations

import base64
import json
import logging
from itertools import pairwise
from typing import Any

import anyio
import pytest

from flows.support import peer
from ocpi_emsp import Emsp, Limits
from ocpi_emsp._bridge import run
from ocpi_emsp._inbound_gate import Inbound, make_gate
from ocpi_emsp.adapters.asgi import AsgiApp
from ocpi_emsp.errors import TooManyRequests
from ocpi_emsp.flows.core.inbound_limits import MOST_LISTED, PartyUsage, Strangers
from ocpi_emsp.flows.serving.admission import _warn_of_proxy
from ocpi_emsp.resources.serving import answering
from ocpi_emsp.settings import Forwarded, HttpLimits, InboundLimits
from ocpi_emsp.storage import MemoryStore
from ocpi_emsp.wire import Request, Response
from our_emsp import FakeClock, make_emsp

STRANGER = "203.0.113.9"
UNNAMED: list[tuple[str, dict[str, str]]] = [("GET", {}), ("PUT", {"authorization": ""})]


def limited(clock: FakeClock | None = None, **limits: Any) -> tuple[Emsp, str]:
    """An eMSP with these limits, and the token A of NL-TNM."""
    forwarded = limits.pop("forwarded", None)
    store = limits.pop("store", None) or MemoryStore()
    emsp = make_emsp(
        limits=Limits(inbound=InboundLimits(**limits)), clock=clock or FakeClock(), forwarded=forwarded, store=store
    )
    return emsp, emsp.parties.invite("NL-TNM").token_a.reveal()


def get(emsp: Emsp, token: str, peer: str = "", **headers: str) -> Response:
    return emsp.handle(Request("GET", "/versions", headers={"authorization": f"Token {token}", **headers}, peer=peer))


def statuses(emsp: Emsp, token: str, number: int, peer: str = "", **headers: str) -> list[int]:
    return [get(emsp, token, peer, **headers).status for _ in range(number)]


def lines(caplog: pytest.LogCaptureFixture, event: str) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.getMessage().startswith(event)]


# --- a party --------------------------------------------------------------------------------------------------------


def test_requests_per_second_with_a_burst(caplog: pytest.LogCaptureFixture) -> None:
    """Without the limit: all are answered 200."""
    caplog.set_level(logging.INFO, "ocpi_emsp")
    clock = FakeClock()
    emsp, token = limited(clock, requests_per_second=2, burst=3)
    other = emsp.parties.invite("DE-ABC").token_a.reveal()
    assert statuses(emsp, token, 5) == [200, 200, 200, 429, 429]
    assert statuses(emsp, other, 1) == [200]
    clock.advance(seconds=1)
    assert statuses(emsp, token, 4) == [200, 200, 429, 429]
    refused = get(emsp, token)
    assert dict(refused.headers)["retry-after"] == "1"
    envelope = json.loads(refused.body)
    assert envelope["status_code"] == 2000
    assert envelope["status_message"].startswith("your requests exceed 2 per second: send the request again")
    # Said once in an episode, however many are refused; no line for each.
    [line] = lines(caplog, "inbound.limited")
    assert "party=NL-TNM limit=requests_per_second retry_after=1" in line
    assert [each for each in lines(caplog, "request.answered") if "status=429" in each] == [
        lines(caplog, "request.answered")[3]
    ]
    clock.advance(minutes=2)
    assert statuses(emsp, token, 1) == [200]
    assert lines(caplog, "inbound.recovered") == ["inbound.recovered party=NL-TNM refused=5"]


def test_bytes_per_minute() -> None:
    """Without the limit: 4 MiB after 4 MiB, as fast as the line is."""
    clock = FakeClock()
    emsp, token = limited(clock, bytes_per_minute=600, burst_bytes=2000)
    headers = {"authorization": f"Token {token}"}
    sent = [
        emsp.handle(Request("POST", "/2.1.1/credentials", headers=headers, body=b" " * 900)).status for _ in range(4)
    ]
    assert sent == [400, 400, 400, 429]
    assert statuses(emsp, token, 1) == [429]
    clock.advance(seconds=69)  # 2,700 bytes, of which 2,000 may be ahead
    assert statuses(emsp, token, 1) == [429]
    clock.advance(seconds=2)
    assert statuses(emsp, token, 1) == [200]


def test_concurrent_requests() -> None:
    """Without the limit: each body that is under way holds its memory. A request that ends makes room for another."""
    emsp, token = limited(concurrent_requests=2)
    depth: list[int] = []

    async def read(most: int) -> bytes:
        if len(depth) < 2:
            depth.append(most)
            depth.append(answering(emsp._contexts)(head(), read).status)
        return b""

    def head() -> Request:
        return Request("GET", "/versions", headers={"authorization": f"Token {token}"})

    assert answering(emsp._contexts)(head(), read).status == 200
    assert depth[1:] == [depth[0], 429, 200]
    assert statuses(emsp, token, 3) == [200, 200, 200]


def test_a_request_that_fails_makes_room_again() -> None:
    emsp, token = limited(concurrent_requests=1)

    async def read(most: int) -> bytes:
        raise RuntimeError(f"cannot read {most} bytes")

    head = Request("GET", "/versions", headers={"authorization": f"Token {token}"})
    assert [answering(emsp._contexts)(head, read).status for _ in range(3)] == [500, 500, 500]
    assert statuses(emsp, token, 1) == [200]


def test_a_profile_has_limits_of_its_own() -> None:
    clock = FakeClock()
    emsp, token = limited(clock, requests_per_second=1, burst=1000)
    emsp.partner("NL-TNM").set_profile(inbound_requests_per_second=500, inbound_concurrent_requests=1)
    assert set(statuses(emsp, token, 1000)) == {200}
    assert statuses(emsp, token, 1) == [429]
    clock.advance(seconds=1)
    assert set(statuses(emsp, token, 500)) == {200}
    emsp.partner("NL-TNM").set_profile(inbound_bytes_per_minute=1)
    assert statuses(emsp, token, 1) == [429]


def test_none_is_no_limit() -> None:
    emsp, token = limited(
        requests_per_second=None, concurrent_requests=None, bytes_per_minute=None, unknown_tokens_per_minute=None
    )
    assert set(statuses(emsp, token, 1500)) == {200}
    assert set(statuses(emsp, "unknown", 500, STRANGER)) == {401}


def test_the_defaults_let_a_large_cpo_push() -> None:
    """100,000 charge points, 50 changes a second with 4 KB each, after an outage of 20 seconds: for an hour."""
    usage, limits = PartyUsage(), InboundLimits()
    for number in range(1000):
        usage.enter(0.0, limits)
        usage.leave(4096, limits)
        assert usage.running == 0, number
    for number in range(50 * 3600):
        now = 1.0 + number / 50
        usage.enter(now, limits)
        usage.leave(4096, limits)


def test_a_clock_that_is_put_back_locks_nobody_out() -> None:
    usage, limits = PartyUsage(), InboundLimits(requests_per_second=10, burst=2)
    usage.enter(1_000_000.0, limits)
    usage.enter(1_000_000.0, limits)
    with pytest.raises(TooManyRequests):
        usage.enter(900_000.0, limits)
    usage.enter(900_000.2, limits)


def test_requests_without_a_token_fill_no_log(caplog: pytest.LogCaptureFixture) -> None:
    """Without the count: two lines for each, as many as a stranger likes. Nobody is refused for it."""
    caplog.set_level(logging.INFO, "ocpi_emsp")
    clock = FakeClock()
    emsp, token = limited(clock, unknown_tokens_per_minute=3)
    unnamed = [Request(method, "/versions", headers=headers, peer=STRANGER) for method, headers in UNNAMED * 10]
    assert {emsp.handle(request).status for request in unnamed} == {401}
    assert len(lines(caplog, "request.refused")) == 3
    assert len(lines(caplog, "request.answered")) == 4  # with the one that says why no more follow
    [line] = lines(caplog, "inbound.limited")
    assert f"peer={STRANGER} limit=unknown_tokens_per_minute" in line
    assert statuses(emsp, token, 2, STRANGER) == [200, 200]
    assert get(emsp, "unknown", STRANGER).status == 401  # unknown tokens count by themselves
    assert emsp.handle(Request("GET", "/versions", headers={}, peer="203.0.113.200")).status == 401
    assert len(lines(caplog, "request.refused")) == 5
    clock.advance(minutes=5)
    assert emsp.handle(unnamed[0]).status == 401
    assert len(lines(caplog, "request.refused")) == 6


# --- addresses ------------------------------------------------------------------------------------------------------


class _Counting(MemoryStore):
    """Counts the looks at it."""

    looks = 0

    def transaction(self, *, read_only: bool = False) -> Any:
        self.looks += 1
        return super().transaction(read_only=read_only)


def test_unknown_tokens_of_an_address() -> None:
    """Without the limit: each costs a query, and is answered 401. Beyond it, the store is not asked."""
    clock, store = FakeClock(), _Counting()
    emsp, token = limited(clock, unknown_tokens_per_minute=3, store=store)
    assert statuses(emsp, token, 1, STRANGER) == [200]
    assert statuses(emsp, "unknown", 4, STRANGER) == [401, 401, 401, 429]
    before = store.looks
    refused = get(emsp, "another", STRANGER)
    assert (refused.status, dict(refused.headers)["retry-after"], store.looks) == (429, "20", before)
    assert get(emsp, "another", "203.0.113.10").status == 401
    # A partner at the same address, behind one proxy for instance, does not notice.
    assert statuses(emsp, token, 1, STRANGER) == [200]
    clock.advance(seconds=21)
    assert statuses(emsp, "unknown", 2, STRANGER) == [401, 429]


def guess(emsp: Emsp, first: int, number: int) -> list[int]:
    """Answers to so many different unknown tokens of one address."""
    return [get(emsp, f"guess-{each}", STRANGER).status for each in range(first, first + number)]


def test_strangers_lock_no_partner_out_after_a_start() -> None:
    """Without the list: a partner at the strangers' address, whose token this process has not seen, is 429 for good."""
    clock, store = FakeClock(), _Counting()
    emsp, _ = limited(clock, unknown_tokens_per_minute=3, store=store)
    before, token = limited(clock, store=store)
    assert guess(emsp, 0, 5) == [401, 401, 401, 429, 429]
    # Issued by another process after the list was read: it gets in once the next one is due, a second later.
    fresh = before.parties.invite("DE-ABC").token_a.reveal()
    assert statuses(emsp, token, 1, STRANGER) == [200]
    assert statuses(emsp, fresh, 2, STRANGER) == [429, 429]
    clock.advance(seconds=1)
    assert statuses(emsp, fresh, 1, STRANGER) == [200]
    looks = store.looks
    assert guess(emsp, 100, 500) == [429] * 500
    assert store.looks == looks
    # Issued by this one: at once.
    assert statuses(emsp, emsp.parties.invite("DE-DEF").token_a.reveal(), 1, STRANGER) == [200]
    # In base64, too.
    assert statuses(emsp, base64.b64encode(token.encode()).decode(), 1, STRANGER) == [200]


def test_a_partner_that_varies_its_header_evicts_no_other() -> None:
    """With headers remembered as they are sent: after 4,096 of them, the other partner is 429."""
    clock = FakeClock()
    emsp, token = limited(clock, unknown_tokens_per_minute=2, requests_per_second=None)
    other = emsp.parties.invite("DE-ABC").token_a.reveal()
    assert statuses(emsp, other, 1, STRANGER) == [200]
    assert guess(emsp, 0, 3) == [401, 401, 429]
    assert {get(emsp, " " * number + token, STRANGER).status for number in range(500)} == {200}
    assert statuses(emsp, other, 1, STRANGER) == [200]


def test_what_strangers_cost_is_bounded_in_all() -> None:
    """Without the bound of all: each address has a limit of its own, and 40 looks at the store are made."""
    clock, store = FakeClock(), _Counting()
    emsp, token = limited(clock, unknown_tokens_of_all_per_minute=10, store=store)
    store.looks = 0
    answers = [get(emsp, f"guess-{each}", f"203.0.113.{each}").status for each in range(40)]
    assert answers == [401] * 10 + [429] * 30
    assert store.looks == 11  # one of them is the list
    assert statuses(emsp, token, 1, STRANGER) == [200]


def test_a_long_list_is_read_less_often() -> None:
    strangers = Strangers()
    assert strangers.begin_list(100.0)
    assert not strangers.begin_list(100.5)
    strangers.listed({"a"}, 3)
    assert [strangers.begin_list(now) for now in (102.9, 103.0, 50.0)] == [False, True, True]


def test_every_token_is_listed() -> None:
    """Without the following pages: the 501st token is unknown beyond the limit."""
    store = MemoryStore()
    emsp, _ = limited(unknown_tokens_per_minute=1, store=store)
    other, _ = limited(store=store)
    tokens = [other.parties.invite(f"NL-{each:03}").token_a.reveal() for each in range(501)]
    assert guess(emsp, 0, 2) == [401, 429]
    assert statuses(emsp, tokens[-1], 1, STRANGER) == [200]


def test_a_proxy_that_is_not_named_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    _warn_of_proxy.cache_clear()
    emsp, _ = limited(forwarded=Forwarded(["10.0.0.0/8"]))
    statuses(emsp, "unknown", 1, **{"x-forwarded-for": STRANGER})
    assert lines(caplog, "inbound.proxy_unnamed") == []
    emsp, _ = limited()
    for header in ("x-forwarded-for", "forwarded"):
        statuses(emsp, "unknown", 2, **{header: STRANGER})
    assert len(lines(caplog, "inbound.proxy_unnamed")) == 1


def test_a_token_that_ended_is_known_no_longer() -> None:
    cpo = peer(limits=Limits(inbound=InboundLimits(unknown_tokens_per_minute=2)))
    assert statuses(cpo.emsp, cpo.token, 1, STRANGER) == [200]
    assert cpo.push("DELETE", "/credentials").code == 1000
    cpo.clock.advance(days=8)
    assert statuses(cpo.emsp, cpo.token, 5, STRANGER) == [401, 401, 401, 429, 429]


@pytest.mark.parametrize("other", ["2001:db8:1:2::5", "2001:db8:1:2:ffff::1"])
def test_addresses_of_one_network_are_one(other: str) -> None:
    """Without the /64: a host takes a new one of its 18 trillion addresses for each request."""
    emsp, _ = limited(unknown_tokens_per_minute=1)
    assert statuses(emsp, "unknown", 1, "2001:db8:1:2::1") == [401]
    assert statuses(emsp, "unknown", 1, other) == [429]
    assert statuses(emsp, "unknown", 1, "2001:db8:1:3::1") == [401]


def test_a_header_of_an_untrusted_peer_is_ignored() -> None:
    """With the header believed: a new address for each request, and somebody else's is locked out."""
    proxies = Forwarded(["10.0.0.0/8"])
    for forwarded in (None, proxies):
        emsp, _ = limited(unknown_tokens_per_minute=2, forwarded=forwarded)
        spoofed = [
            get(emsp, "unknown", STRANGER, **{"x-forwarded-for": f"198.51.100.{number}"}).status for number in range(4)
        ]
        assert spoofed == [401, 401, 429, 429]
        assert get(emsp, "unknown", "198.51.100.0").status == 401
    through = {"x-forwarded-for": f"198.51.100.7, {STRANGER}"}
    emsp, _ = limited(unknown_tokens_per_minute=2, forwarded=proxies)
    assert statuses(emsp, "unknown", 3, "10.0.0.1", **through) == [401, 401, 429]
    assert statuses(emsp, "unknown", 1, "10.0.0.2", **{"x-forwarded-for": "198.51.100.7"}) == [401]


def test_addresses_are_forgotten_beyond_a_number() -> None:
    """Without the bound: a failure of each of a million addresses is remembered."""
    strangers, limits = Strangers(), InboundLimits(addresses=100)
    for number in range(1000):
        strangers.failed(str(number), [str(number)], 0.0, limits)
    assert list(strangers.addresses) == [str(number) for number in range(900, 1000)]
    for number in range(MOST_LISTED + 10):
        strangers.issued(str(number))
    assert len(strangers.valid) == MOST_LISTED


def test_a_request_without_a_token_is_no_unknown_token() -> None:
    """It costs no query: a probe of a load balancer may go on."""
    emsp, _ = limited(unknown_tokens_per_minute=1)
    assert {emsp.handle(Request("GET", "/versions", peer=STRANGER)).status for _ in range(5)} == {401}


# --- large bodies ---------------------------------------------------------------------------------------------------

CHUNK = 16_384


def test_large_bodies_are_read_a_few_at_a_time() -> None:
    """Without the places: 50 half bodies of 4 MiB hold 200 MiB; so they hold 64 KiB each, but for four of them."""
    limits = Limits(http=HttpLimits(body_timeout=0.4, body_grace=0.1), inbound=InboundLimits(large_body_wait=0.2))
    emsp = make_emsp(limits=limits)
    token = emsp.parties.invite("NL-TNM").token_a.reveal()
    received: dict[int, int] = {}
    answered: list[int] = []

    async def call(number: int) -> None:
        async def receive() -> Any:
            if received.setdefault(number, 0) >= 4_000_000:
                await anyio.sleep_forever()
            received[number] += CHUNK
            return {"type": "http.request", "body": b"a" * CHUNK, "more_body": True}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                held.append(received[number])
                answered.append(message["status"])

        await emsp.asgi()(scope(token), receive, send)

    held: list[int] = []

    async def all_at_once() -> None:
        async with anyio.create_task_group() as group:
            for number in range(20):
                group.start_soon(call, number)

    anyio.run(all_at_once)
    assert sorted(answered) == [408] * 4 + [429] * 16
    assert sum(each > 64 * 1024 + CHUNK for each in held) == 4


def scope(token: str, length: int = 4_194_304) -> dict[str, Any]:
    headers = [(b"authorization", f"Token {token}".encode()), (b"content-length", str(length).encode())]
    path = {"path": "/2.1.1/credentials", "raw_path": b"/2.1.1/credentials", "query_string": b"", "root_path": ""}
    return {"type": "http", "http_version": "1.1", "method": "POST", "headers": headers, **path}


def test_large_bodies_take_turns_and_rest() -> None:
    """Without the turns: four are handled at once; without the rest, one follows the other, and others wait."""
    gate = make_gate("async", Inbound())
    limits = InboundLimits(large_body_rest=3.0)
    running: list[int] = []
    times: list[tuple[float, float]] = []

    async def one(party: tuple[str, str]) -> None:
        async with gate.large(party, 0.0, limits) as turn, turn:
            began = anyio.current_time()
            running.append(1)
            assert sum(running) <= 2  # one of each party
            await anyio.sleep(0.02)
            running.append(-1)
            if party == ("NL", "TNM"):
                times.append((began, anyio.current_time()))

    async def all_at_once() -> None:
        async with anyio.create_task_group() as group:
            for _ in range(4):
                group.start_soon(one, ("NL", "TNM"))
            group.start_soon(one, ("DE", "ABC"))

    anyio.run(all_at_once)
    assert all(began - ended >= 3 * 0.02 for (_, ended), (began, _) in pairwise(times))


def test_a_thread_waits_for_no_place() -> None:
    gate, limits = make_gate("sync", Inbound()), InboundLimits(large_bodies=1)

    async def nested(party: tuple[str, str]) -> None:
        async with gate.large(("NL", "TNM"), 0.0, limits) as turn, turn, gate.large(party, 0.0, limits):
            pass

    run(nested(("DE", "ABC")))
    with pytest.raises(TooManyRequests, match="you have 1 large request in progress"):
        run(nested(("NL", "TNM")))
    run(nested(("DE", "ABC")))


def test_a_large_body_is_still_taken() -> None:
    body: dict[str, Any] = {"id": "TAR1", "currency": "EUR", "elements": [], "last_updated": "2024-05-01T00:00:00Z"}
    body["elements"] = [{"price_components": [{"type": "ENERGY", "price": 1, "step_size": 1}]}] * 2000
    assert len(json.dumps(body)) > InboundLimits().large_body
    assert peer().put("/tariffs/NL/TNM/TAR1", body).both == (201, 1000)


def test_every_adapter_gives_the_peer() -> None:
    seen: list[str] = []

    async def handle(request: Request, _: Any) -> Response:
        seen.append(request.peer)
        return Response(200)

    async def nothing(*_: Any) -> Any:
        return {"type": "http.disconnect"}

    app = AsgiApp(handle, "", HttpLimits())
    for client in (("192.0.2.1", 5), None):
        anyio.run(app, {**scope("T", 0), "client": client}, nothing, nothing)
    assert seen == ["192.0.2.1", ""]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("requests_per_second", 0),
        ("burst", None),
        ("concurrent_requests", 1.5),
        ("bytes_per_minute", "much"),
        ("large_body_rest", -1),
        ("large_body_wait", 0),
        ("addresses", 0),
    ],
)
def test_a_limit_with_which_nothing_could_work_is_refused(name: str, value: Any) -> None:
    with pytest.raises((ValueError, TypeError), match=rf"invalid InboundLimits.{name} '.*': expected .*, for example "):
        InboundLimits(**{name: value})
