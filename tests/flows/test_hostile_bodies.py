"""Bodies that cost more than they look, over every door and route: what is refused, where it is read, what it costs."""

from __future__ import annotations

import io
import json
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import anyio
import pytest

from flows.support import Peer, at, peer
from ocpi_emsp import Emsp, Limits
from ocpi_emsp._bridge import BodyThreads
from ocpi_emsp.check.examples import base
from ocpi_emsp.codec import moments, repeated, weight
from ocpi_emsp.flows.inbound import twins
from ocpi_emsp.flows.locations import connectors, pushed
from ocpi_emsp.flows.serving import bodies
from ocpi_emsp.models import Cdr, Connector, Credentials, Evse, Location, Session, Tariff
from ocpi_emsp.settings import BodyLimits, CredentialLimits
from ocpi_emsp.wire import Request

Door: TypeAlias = Callable[[Emsp, Request], dict[str, Any]]
LOCATION = "/2.1.1/locations/NL/TNM/LOC1"
ROUTES: dict[str, tuple[str, str, Any, str]] = {
    "put-location": ("PUT", LOCATION, Location, "evses"),
    "put-evse": ("PUT", f"{LOCATION}/3256", Evse, "connectors"),
    "put-connector": ("PUT", f"{LOCATION}/3256/1", Connector, "vendor"),
    "put-session": ("PUT", "/2.1.1/sessions/NL/TNM/101", Session, "charging_periods"),
    "put-tariff": ("PUT", "/2.1.1/tariffs/NL/TNM/12", Tariff, "elements"),
    "post-cdr": ("POST", "/2.1.1/cdrs", Cdr, "charging_periods"),
    "post-credentials": ("PUT", "/2.1.1/credentials", Credentials, "roles"),
    "patch-location": ("PATCH", LOCATION, None, "evses"),
    "patch-session": ("PATCH", "/2.1.1/sessions/NL/TNM/101", None, "charging_periods"),
    "authorize": ("POST", "/2.1.1/tokens/T0/authorize", None, "evse_uids"),
    "result": ("POST", "/2.1.1/commands/START_SESSION/u1", None, "vendor"),
}
"""By write: method, path, the object, and a list in it."""


def in_place(emsp: Emsp, request: Request) -> dict[str, Any]:
    """By ``handle``."""
    return json.loads(emsp.handle(request).body)  # type: ignore[no-any-return]


def on_a_loop(emsp: Emsp, request: Request) -> dict[str, Any]:
    """Through the ASGI application."""
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": request.body}

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(name.encode(), value.encode()) for name, value in request.headers.items()]
    path = f"/ocpi/emsp{request.url}"
    scope = {"type": "http", "method": request.method, "path": path, "query_string": b"", "headers": headers}
    anyio.run(emsp.asgi(background=False), scope, receive, send)
    return json.loads(sent[1]["body"])  # type: ignore[no-any-return]


def by_wsgi(emsp: Emsp, request: Request) -> dict[str, Any]:
    """Through the WSGI application."""
    environ = {
        "REQUEST_METHOD": request.method,
        "PATH_INFO": f"/ocpi/emsp{request.url}",
        "HTTP_AUTHORIZATION": request.headers["authorization"],
        "CONTENT_LENGTH": str(len(request.body)),
        "wsgi.input": io.BytesIO(request.body),
    }
    return json.loads(b"".join(emsp.wsgi()(environ, lambda *_: lambda _: None)))  # type: ignore[no-any-return]


DOORS: dict[str, Door] = {"handle": in_place, "asgi": on_a_loop, "wsgi": by_wsgi}


@pytest.fixture
def cpo() -> Peer:
    """NL-TNM, which has a location, a session and a tariff here."""
    found = peer(listen=False)
    for name in ("put-location", "put-session", "put-tariff"):
        method, path, kind, _ = ROUTES[name]
        assert in_place(found.emsp, request(found, method, path, plain(kind)))["status_code"] == 1000
    return found


def request(cpo: Peer, method: str, path: str, body: Any) -> Request:
    """A request of it, with a document or bytes."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Request(method, path, headers={"authorization": f"Token {cpo.token}"}, body=data)


def plain(kind: Any) -> dict[str, Any]:
    """A valid object, as JSON has it."""
    found: dict[str, Any] = json.loads(json.dumps(base(kind), default=float)) if kind else {}
    ids = {Session: "101", Tariff: "12"}
    return {**found, "id": ids[kind]} if kind in ids else found


def full(name: str, number: int) -> bytes:
    """The object of a write, with a list of so many empty objects."""
    _, _, kind, member = ROUTES[name]
    before, after = json.dumps({**plain(kind), member: "@"}).encode().split(b'"@"')
    return before + b"[" + b",".join([b"{}"] * number) + b"]" + after


# --- what is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("door", "name"),
    [*(("handle", name) for name in ROUTES), ("asgi", "put-location"), ("asgi", "authorize"), ("wsgi", "post-cdr")],
)
def test_what_holds_too_much_is_refused_with_its_place_and_stored(cpo: Peer, door: str, name: str) -> None:
    """Without the weighing: other rules, after all of it was parsed."""
    method, path, _, member = ROUTES[name]
    body = full(name, 21_900)
    answer = DOORS[door](cpo.emsp, request(cpo, method, path, body))
    assert answer["status_code"] == 2001
    [finding] = answer["data"]
    assert (finding["rule"], finding["pointer"]) == ("document.bounds", f"/{member}")
    assert finding["message"] == "21900 items in one list, at most 20000 are read"
    *_, rejection = cpo.emsp.rejections.list()
    stored = b"" if name == "post-credentials" else body  # they hold a token
    assert (rejection.body, [each.rule for each in rejection.findings]) == (stored, ["document.bounds"])


def test_the_bounds_are_settings() -> None:
    cpo = peer(limits=Limits(bodies=BodyLimits(items=3, aside=1000)))
    document = plain(Session) | {"charging_periods": periods(4) * 20}
    answer = in_place(cpo.emsp, request(cpo, *ROUTES["put-session"][:2], document))
    assert answer["data"][0]["message"] == "80 items in one list, at most 3 are read"


def test_what_is_smaller_is_weighed_where_it_deviates(cpo: Peer) -> None:
    """Without ``bounds`` of ``accept``: 21,000 objects of 64 KiB are diagnosed on the event loop."""
    body = full("post-cdr", 21_000)
    assert len(body) < BodyLimits().aside
    answer = in_place(cpo.emsp, request(cpo, "POST", "/2.1.1/cdrs", body))
    assert [each["rule"] for each in answer["data"]] == ["document.bounds"]


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_credentials_have_a_limit_of_their_own(cpo: Peer, door: str, method: str) -> None:
    """Without the bound: 256 KiB are read, and a token of 4 MiB is stored."""
    path, credentials = "/2.1.1/credentials", plain(Credentials) | {"token": "x" * 256 * 1024}
    answer = DOORS[door](cpo.emsp, request(cpo, method, path, credentials))
    limit = "the credentials are over the limit of 262144 bytes (CredentialLimits.request_body)"
    assert (answer["status_code"], answer["status_message"]) == (2000, limit)
    assert cpo.emsp.handle(request(cpo, method, path, credentials)).status == 413
    assert list(cpo.emsp.rejections.list()) == []


def test_the_limit_of_credentials_is_a_setting() -> None:
    cpo = peer(limits=Limits(credentials=CredentialLimits(request_body=1000)), listen=False)
    method, path = ROUTES["post-credentials"][:2]
    assert cpo.emsp.handle(request(cpo, method, path, b" " * 1001)).status == 413
    assert cpo.emsp.handle(request(cpo, method, path, b" " * 1000)).status == 400  # it is empty
    assert cpo.emsp.handle(request(cpo, *ROUTES["put-session"][:2], b" " * 1001)).status == 400


def test_a_patch_of_more_than_is_merged_is_refused(cpo: Peer) -> None:
    """Without the bound: 15,000 EVSEs are merged one by one inside the transaction."""
    answer = in_place(
        cpo.emsp, request(cpo, "PATCH", LOCATION, {"evses": [{"uid": str(each)} for each in range(15_000)]})
    )
    assert [each["rule"] for each in answer["data"]] == ["document.bounds"]


LARGE: dict[str, tuple[str, str, Callable[[], Any]]] = {
    "location": ("PUT", LOCATION, lambda: plain(Location) | {"evses": evses(400), "vendor": ["x"] * 9000}),
    "session": (*ROUTES["put-session"][:2], lambda: plain(Session) | {"charging_periods": periods(5000)}),
    "cdr": (*ROUTES["post-cdr"][:2], lambda: plain(Cdr) | {"charging_periods": periods(5000)}),
    "patch": ("PATCH", ROUTES["put-session"][1], lambda: {"charging_periods": periods(5000)}),
}


def evses(number: int, **changes: Any) -> list[dict[str, Any]]:
    """EVSEs with uids of their own, which deviate."""
    return [{**plain(Evse), "uid": str(each), "evse_id": None, "status": "ODD", **changes} for each in range(number)]


def periods(number: int) -> list[dict[str, Any]]:
    """Charging periods that deviate: their times have no zone."""
    period = plain(Session)["charging_periods"][0]
    return [{**period, "start_date_time": at(each % 1000).removesuffix("Z")} for each in range(number)]


@pytest.mark.parametrize(("door", "name"), [*zip(DOORS, LARGE, strict=False), ("asgi", "patch"), ("asgi", "location")])
def test_what_is_large_and_real_is_taken_at_every_door(cpo: Peer, door: str, name: str) -> None:
    method, path, make = LARGE[name]
    assert DOORS[door](cpo.emsp, request(cpo, method, path, make()))["status_code"] == 1000
    assert len(list(cpo.emsp.rejections.list())) == 0


# --- where it is read -----------------------------------------------------------------------------------------------


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The threads in which bodies are weighed."""
    found: list[int] = []

    def weighing(data: bytes, bounds: Any) -> None:
        found.append(threading.get_ident())
        weight.weigh(data, bounds)

    monkeypatch.setattr(bodies, "weigh", weighing)
    return iter([found])


@pytest.mark.parametrize("name", ["location", "patch"])
def test_a_large_body_is_read_away_from_the_event_loop(cpo: Peer, threads: Iterator[list[int]], name: str) -> None:
    """Without ``aside``: it is read in the thread of the loop, where nothing else is served meanwhile."""
    found, (method, path, make) = next(threads), LARGE[name]
    on_a_loop(cpo.emsp, request(cpo, method, path, make()))
    in_place(cpo.emsp, request(cpo, method, path, make()))
    away, here = found
    assert away != threading.get_ident() == here


def test_others_are_served_while_a_large_body_is_read(cpo: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without ``aside``: the reading waits for an answer that is given after it, and fails."""
    answered = threading.Event()

    def waiting(*_: Any) -> None:
        assert answered.wait(20)

    monkeypatch.setattr(bodies, "weigh", waiting)
    large = request(cpo, "PUT", LOCATION, plain(Location) | {"vendor": "x" * 70_000})

    async def both() -> list[int]:
        found: list[int] = []

        async def serve(sent: Request) -> None:
            found.append((await cpo.emsp.aio.handle(sent)).status)

        async with anyio.create_task_group() as group:
            group.start_soon(serve, large)
            await anyio.lowlevel.checkpoint()
            await serve(request(cpo, "GET", LOCATION, b""))
            answered.set()
        return found

    assert anyio.run(both) == [200, 200]


def test_few_bodies_are_read_at_once_and_the_switch_interval_is_given_back() -> None:
    """Without the limiter: all eight at once."""
    before, running, most, switched = sys.getswitchinterval(), set[int](), [0], list[float]()
    lock, enough = threading.Lock(), threading.Barrier(2)

    def reading(number: int) -> int:
        with lock:
            running.add(number)
            most[0] = max(most[0], len(running))
        enough.wait(20)
        switched.append(sys.getswitchinterval())
        with lock:
            running.discard(number)
        return number

    async def all_of_them() -> None:
        aside = BodyThreads(2)
        async with anyio.create_task_group() as group:
            for number in range(8):
                group.start_soon(aside, reading, number)

    anyio.run(all_of_them)
    assert (most[0], len(switched)) == (2, 8)
    assert max(switched) <= 0.001
    assert sys.getswitchinterval() == before


# --- what it costs --------------------------------------------------------------------------------------------------


def counting(monkeypatch: pytest.MonkeyPatch, module: Any, name: str) -> list[int]:
    """The sizes of what a function of a module is called with from now on."""
    sizes, function = list[int](), getattr(module, name)

    def called(first: Any, *more: Any) -> Any:
        sizes.append(len(first))
        return function(first, *more)

    monkeypatch.setattr(module, name, called)
    return sizes


def test_the_time_of_a_location_is_read_once_for_its_evses(cpo: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without ``Around``: the whole location is read for each EVSE without a time, 17 s for one of 4 MiB."""
    undated = [{name: value for name, value in evse.items() if name != "last_updated"} for evse in evses(300)]
    body = json.dumps(plain(Location) | {"evses": undated}).encode()
    sizes = counting(monkeypatch, moments, "said_at")
    assert in_place(cpo.emsp, request(cpo, "PUT", LOCATION, body))["status_code"] == 1000
    assert sum(sizes) < 10 * len(body)


def test_connectors_are_looked_up_and_not_searched(cpo: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the places by id: 8100 ids are read for 90 connectors of an EVSE that is older."""

    def evse(moment: str, newer: str) -> dict[str, Any]:
        listed = [{**plain(Connector), "id": str(each), "last_updated": newer} for each in range(90)]
        return {**plain(Evse), "connectors": listed, "last_updated": moment}

    path = f"{LOCATION}/3256"
    assert in_place(cpo.emsp, request(cpo, "PUT", path, evse(at(10), at(10))))["status_code"] == 1000
    sizes = counting(monkeypatch, connectors, "identity")
    assert in_place(cpo.emsp, request(cpo, "PUT", path, evse(at(5), at(20))))["status_code"] == 1000
    assert 90 <= len(sizes) < 900


def test_what_one_patch_says_of_one_evse_again_and_again_is_compared_once(
    cpo: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without it: each is compared with each later one, 80,000 times for 400."""
    changes = {"evses": [{"uid": "3256", "floor_level": str(each % 7)} for each in range(400)]}
    sizes = counting(monkeypatch, twins, "members")
    assert in_place(cpo.emsp, request(cpo, "PATCH", LOCATION, changes))["status_code"] == 1000
    assert len(sizes) < 2000


def test_no_step_is_long(cpo: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the pieces: 4000 EVSEs are read in one step of C, which no other thread can interrupt."""
    listed = evses(4000, status="AVAILABLE", directions=[], images=[])
    body = json.dumps(plain(Location) | {"evses": listed, "operator": None}, separators=(",", ":")).encode()
    decoded = [counting(monkeypatch, pushed, "_decode"), counting(monkeypatch, repeated, "_has_each_once")]
    assert in_place(cpo.emsp, request(cpo, "PUT", LOCATION, body))["status_code"] == 1000
    for sizes in decoded:
        assert len(body) - 10_000 < sum(sizes) < 2 * len(body)
        assert max(sizes) <= len(body) // 10


def test_what_does_not_count_is_stored_in_part_and_then_as_a_whole(cpo: Peer) -> None:
    """Without MAX_BESIDE: 299 rejections of one request."""
    body = json.dumps(plain(Location) | {"evses": [plain(Evse) | {"floor_level": str(each)} for each in range(300)]})
    assert in_place(cpo.emsp, request(cpo, "PUT", LOCATION, body.encode()))["status_code"] == 1000
    stored = list(cpo.emsp.rejections.list())
    assert len(stored) == twins.MAX_BESIDE + 1
    assert stored[-1].body == body.encode()
    assert (stored[-1].method, stored[-1].path) == ("PUT", LOCATION)
