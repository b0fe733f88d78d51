"""Ids travel with what they caused; the telemetry is told of everything, and disturbs nothing."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from attrs import define, evolve, field

from flows.support import (
    CPO_TOKEN,
    NOW,
    FakeClock,
    Peer,
    at,
    cpo_server,
    credentials,
    envelope,
    make_emsp,
    peer,
    register,
    serve,
)
from ocpi_emsp import OcpiError, Request, Token
from ocpi_emsp._bridge import run
from ocpi_emsp.flows.telemetry import GuardedTelemetry
from ocpi_emsp.models import TokenType, WhitelistType
from ocpi_emsp.ports import NAMES, Attributes, Kind, Measurement, Query, Record, Role
from ocpi_emsp.storage import MemoryStore
from ocpi_emsp.testing.cpo import samples
from ocpi_emsp.testing.cpo.wire import encode

IDS = {"x-correlation-id": "c-1", "x-request-id": "r-1"}
TOKEN = Token(
    uid="012345678",
    type=TokenType.RFID,
    auth_id="DE8ACC12E46L89",
    issuer="Be Charge",
    valid=True,
    whitelist=WhitelistType.ALLOWED,
    last_updated=NOW,
)


def records(store: MemoryStore, *kinds: str) -> list[Record]:
    """Everything of these kinds that is stored."""

    async def read() -> list[Record]:
        async with store.transaction(read_only=True) as tx:
            return [record for kind in kinds for record in (await tx.page(Query(kind=kind, limit=1000))).records]

    return run(read())


# --- ids of a request -----------------------------------------------------------------------------------------------


def ids_of(cpo: Peer, headers: Mapping[str, str], path: str = "versions") -> tuple[str, str]:
    """The ids that a request is answered with."""
    answer = cpo.push("GET", path, headers=headers)
    return answer.headers["x-correlation-id"], answer.headers["x-request-id"]


def test_ids_are_echoed() -> None:
    assert ids_of(peer(), IDS) == ("c-1", "r-1")


def test_a_request_without_a_correlation_id_is_its_own_cause() -> None:
    assert ids_of(peer(), {"x-request-id": "r-1"}) == ("r-1", "r-1")


def test_a_request_id_is_made_beside_a_given_correlation_id() -> None:
    correlation_id, request_id = ids_of(peer(), {"x-correlation-id": "c-1"})
    assert correlation_id == "c-1"
    assert len(request_id) == 24


def test_ids_are_made_where_none_is_given_and_never_twice() -> None:
    cpo = peer()
    made = [each for _ in range(50) for each in ids_of(cpo, {})]
    assert len(set(made)) == 100


@pytest.mark.parametrize("given", ["", "x" * 129, "a\r\nset-cookie: x", "a\x00", "Zür", "a\x7f", "\u2028"])
@pytest.mark.parametrize("name", ["x-correlation-id", "x-request-id"])
def test_an_id_that_could_break_a_line_or_a_header_is_replaced(name: str, given: str) -> None:
    for found in ids_of(peer(), {name: given}):
        assert len(found) == 24
        assert found.isalnum()


def test_the_longest_id_that_is_taken() -> None:
    longest = "x" * 128
    assert ids_of(peer(), {"x-correlation-id": longest, "x-request-id": longest}) == (longest, longest)


# --- ids of what is stored ------------------------------------------------------------------------------------------


def stored_ids(cpo: Peer) -> dict[str, str]:
    """Under which id each object was changed last."""
    kinds = [kind for kind in NAMES if kind not in (Kind.PARTY, Kind.CREDENTIAL)]
    return {f"{record.key.kind} {record.key.id}": record.correlation_id for record in records(cpo.store, *kinds)}


def test_each_change_is_stored_with_the_id_that_it_came_under() -> None:
    cpo = peer()

    def push(number: int, method: str, path: str, body: Any) -> None:
        assert cpo.push(method, path, body, headers={"x-correlation-id": f"c-{number}"}).code == 1000

    place = samples.location("LOC1", evses=2)
    first, second = (evse["uid"] for evse in place["evses"])
    push(1, "PUT", "locations/*/LOC1", place)
    push(2, "PATCH", f"locations/*/LOC1/{first}", {"status": "CHARGING", "last_updated": "2024-05-15T00:00:00Z"})
    push(3, "PUT", "sessions/*/SES1", {**samples.session("SES1"), "last_updated": at(1)})
    push(4, "POST", "cdrs", cdr := samples.cdr("CDR1"))
    push(5, "PUT", "tariffs/*/TAR1", samples.tariff("TAR1"))
    assert cpo.push("POST", "cdrs", {**cdr, "total_cost": 1}, headers={"x-correlation-id": "c-6"}).code != 1000
    stored = stored_ids(cpo)
    assert stored == {
        "location LOC1": "c-2",
        f"evse {first}": "c-2",
        f"evse {second}": "c-1",
        "session SES1": "c-3",
        "cdr CDR1": "c-4",
        "cdr_conflict CDR1": "c-6",
        "tariff TAR1": "c-5",
    }
    push(7, "PATCH", "sessions/*/SES1", {"status": "COMPLETED", "last_updated": at(2)})
    push(8, "PATCH", "tariffs/*/TAR1", {"currency": "USD", "last_updated": stamped_later(cpo, "tariffs/*/TAR1")})
    push(9, "PUT", "locations/*/LOC1", {**place, "evses": place["evses"][:1], "last_updated": "2024-05-20T00:00:00Z"})
    stored = stored_ids(cpo)
    assert (stored["session SES1"], stored["tariff TAR1"]) == ("c-7", "c-8")
    assert (stored["location LOC1"], stored[f"evse {second}"]) == ("c-9", "c-9"), "one that is left out is changed"


def stamped_later(cpo: Peer, path: str) -> str:
    return str(max(cpo.data(path)["last_updated"], "2024-05-31T00:00:00Z"))


def test_the_rejection_has_the_id() -> None:
    cpo = peer()
    cpo.push("PUT", "tariffs/*/TAR1", {}, headers=IDS)
    (rejection,) = cpo.emsp.rejections.list()
    assert rejection.correlation_id == "c-1"


# --- ids of calls ---------------------------------------------------------------------------------------------------


@define
class Seen:
    """A CPO that remembers the headers of every request; it fails where it shall."""

    headers: list[httpx.Headers] = field(factory=list)
    status: int = 200

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.headers.append(request.headers)
        if self.status != 200:
            return httpx.Response(self.status)
        path = request.url.path.removeprefix("/cpo/2.1.1/")
        if path == "credentials":
            return httpx.Response(200, json=envelope(credentials()))
        if path in ("sessions", "cdrs", "tariffs", "locations"):
            listed = [samples.location("PULLED")] if path == "locations" else []
            return httpx.Response(200, content=encode(envelope(listed)))
        if path.startswith("commands"):
            return httpx.Response(200, json=envelope({"result": "ACCEPTED"}))
        if path == "/cpo/versions":
            return cpo_server(request)
        if not path.startswith("/cpo"):
            return httpx.Response(200, json=envelope(None))
        modules = ("credentials", "locations", "sessions", "cdrs", "tariffs", "tokens", "commands")
        base = f"https://{request.url.host}/cpo/2.1.1"
        endpoints = [{"identifier": name, "url": f"{base}/{name}"} for name in modules]
        return httpx.Response(200, json=envelope({"version": "2.1.1", "endpoints": endpoints}))

    def ids(self) -> tuple[list[str], list[str]]:
        """The correlation and request ids since the last look."""
        seen = [(headers["x-correlation-id"], headers["x-request-id"]) for headers in self.headers]
        self.headers.clear()
        return [each for each, _ in seen], [each for _, each in seen]


@pytest.fixture
def seen() -> Seen:
    return Seen()


@pytest.fixture
def cpo(seen: Seen) -> Peer:
    """NL-TNM, registered, whose server is ``seen``."""
    registered = peer(http_client=serve(seen))
    seen.ids()
    return registered


def test_the_calls_during_a_handshake_go_on_with_the_id(seen: Seen) -> None:
    emsp = make_emsp(http_client=serve(seen))
    invited = emsp.invite("NL", "TNM")
    headers = {"authorization": f"Token {invited.token_a}", **IDS}
    emsp.handle(Request("POST", "/2.1.1/credentials", headers=headers, body=encode(credentials())))
    correlation, requests = seen.ids()
    assert correlation == ["c-1", "c-1"], "versions and details"
    assert len({*requests, "r-1"}) == 3


def test_the_calls_of_our_own_handshake_belong_together(seen: Seen) -> None:
    emsp = make_emsp(http_client=serve(seen), store=(store := MemoryStore()))
    emsp.register("https://tnm.test/cpo/versions", token_a=CPO_TOKEN)
    correlation, requests = seen.ids()
    assert len(correlation) == 3
    assert len(set(correlation)) == 1
    assert len(set(requests)) == 3
    (party,) = records(store, Kind.PARTY)
    assert party.correlation_id == correlation[0]


def test_each_call_of_a_client_is_on_its_own(cpo: Peer, seen: Seen) -> None:
    with cpo.emsp.client("NL", "TNM") as client:
        for _ in range(3):
            client.credentials()
    correlation, requests = seen.ids()
    assert len({*correlation, *requests}) == 6


def test_a_sync_of_a_module_is_one_id_which_its_objects_get(cpo: Peer, seen: Seen) -> None:
    cpo.emsp.sync("NL", "TNM", modules=["locations", "tariffs"])
    (locations, tariffs), _ = seen.ids()
    assert locations != tariffs
    stored = records(cpo.store, Kind.LOCATION, Kind.EVSE)
    assert len(stored) > 1
    assert {record.correlation_id for record in stored} == {locations}
    checkpoints = {record.key.id: record.correlation_id for record in records(cpo.store, Kind.CHECKPOINT)}
    assert checkpoints["locations"] == locations
    assert checkpoints["tariffs"] == tariffs


def test_what_vanished_has_the_id_of_the_sync_that_missed_it(cpo: Peer, seen: Seen) -> None:
    for number in range(9):
        cpo.put(f"locations/*/L{number}", samples.location(f"L{number}", evses=0))
    cpo.put("locations/*/GONE", samples.location("GONE", evses=0))
    cpo.clock.advance(hours=1)
    listed = [samples.location(f"L{number}", evses=0) for number in range(9)]

    def lists(request: httpx.Request) -> httpx.Response:
        seen(request)
        return httpx.Response(200, content=encode(envelope(listed)))

    cpo.emsp._http_client = serve(lists)
    seen.ids()
    report = cpo.emsp.sync("NL", "TNM", modules=["locations"], full=True)
    assert report.modules[0].missing == 1, report
    correlation, _ = seen.ids()
    gone = next(record for record in records(cpo.store, Kind.LOCATION) if record.key.id == "GONE")
    assert [gone.correlation_id] == list(dict.fromkeys(correlation))


def test_a_token_and_what_was_pushed_of_it(cpo: Peer, seen: Seen) -> None:
    cpo.emsp.tokens.put(TOKEN)
    (token,) = records(cpo.store, Kind.TOKEN)
    assert len(token.correlation_id) == 24
    cpo.emsp.push_tokens("NL", "TNM")
    correlation, _ = seen.ids()
    (pushed,) = records(cpo.store, Kind.PUSHED)
    assert [pushed.correlation_id] == list(dict.fromkeys(correlation))


def test_a_command_is_stored_with_the_id_that_it_was_sent_under(cpo: Peer, seen: Seen) -> None:
    cpo.put("locations/*/LOC1", samples.location("LOC1"))
    with cpo.emsp.client("NL", "TNM") as client:
        client.start_session(token=TOKEN, location_id="LOC1", force=True)
    correlation, _ = seen.ids()
    (command,) = records(cpo.store, Kind.COMMAND)
    assert [command.correlation_id] == correlation


# --- telemetry ------------------------------------------------------------------------------------------------------


@define
class Told:
    """A telemetry that remembers."""

    spans: list[tuple[str, Role, dict[str, Any]]] = field(factory=list)
    counts: list[tuple[str, int, Attributes]] = field(factory=list)
    durations: list[tuple[str, float, Attributes]] = field(factory=list)
    gauges: dict[str, Callable[[], Sequence[Measurement]]] = field(factory=dict)
    received: list[Mapping[str, str]] = field(factory=list)
    open: int = 0

    @contextmanager
    def span(
        self, name: str, role: Role, attributes: Attributes, headers: Mapping[str, str] | None = None
    ) -> Iterator["ToldSpan"]:
        about = dict(attributes)
        self.spans.append((name, role, about))
        self.received.append(headers or {})
        self.open += 1
        try:
            yield ToldSpan(about)
        finally:
            self.open -= 1

    def count(self, name: str, value: int, attributes: Attributes) -> None:
        self.counts.append((name, value, attributes))

    def duration(self, name: str, seconds: float, attributes: Attributes) -> None:
        self.durations.append((name, seconds, attributes))

    def gauge(self, name: str, read: Callable[[], Sequence[Measurement]]) -> None:
        self.gauges[name] = read

    def clear(self) -> None:
        for each in (self.spans, self.counts, self.durations, self.received):
            each.clear()


@define
class ToldSpan:
    about: dict[str, Any]

    def set(self, attributes: Attributes) -> None:
        self.about.update(attributes)

    def headers(self) -> Mapping[str, str]:
        return {"traceparent": "t-1", "authorization": "Token of-a-trace"}


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def told_of(seen: Seen, told: Told) -> Peer:
    registered = peer(http_client=serve(seen), telemetry=told)
    seen.ids()
    told.clear()
    return registered


def test_a_request_is_a_span_and_two_numbers(told_of: Peer, told: Told) -> None:
    told_of.push("PUT", "tariffs/*/TAR1", samples.tariff("TAR1"), headers={**IDS, "traceparent": "t-0"})
    about = {"http.request.method": "PUT", "ocpi.module": "tariffs", "http.response.status_code": 201}
    about |= {"ocpi.status_code": 1000}
    ((name, role, attributes),) = told.spans
    assert (name, role) == ("PUT /2.1.1/tariffs/{country_code}/{party_id}/{tariff_id}", "server")
    assert attributes == about | {
        "http.route": "/2.1.1/tariffs/{country_code}/{party_id}/{tariff_id}",
        "ocpi.correlation_id": "c-1",
        "ocpi.party": "NL-TNM",
    }
    assert told.counts == [("ocpi.server.requests", 1, about)]
    assert told.durations == [("ocpi.server.request.duration", 0.0, about)]
    assert told.received == [{**IDS, "traceparent": "t-0"}], "the token is not among them"
    assert told.open == 0


def test_a_refused_request_says_which_rules(told_of: Peer, told: Told) -> None:
    told_of.push("PUT", "tariffs/*/TAR1", {**samples.tariff("TAR1"), "currency": 1, "elements": [], "id": None})
    codes = [about["ocpi.status_code"] for name, _, about in told.counts if name == "ocpi.server.requests"]
    assert codes == [2001]
    found = [(value, about) for name, value, about in told.counts if name == "ocpi.findings"]
    assert {about["ocpi.module"] for _, about in found} == {"tariffs"}
    assert {about["ocpi.severity"] for _, about in found} == {"error", "warning"}
    assert sum(value for value, _ in found) == len(told_of.emsp.rejections.list()[0].findings)
    assert "error.type" not in told.spans[0][2], "what a partner does wrong is no error of ours"


def test_deviations_that_are_let_pass_are_counted(told_of: Peer, told: Told) -> None:
    place = {**samples.location("LOC1"), "country": "NL"}
    assert told_of.push("PUT", "locations/*/LOC1", place).code == 1000
    found = [about["ocpi.severity"] for name, _, about in told.counts if name == "ocpi.findings"]
    assert found == ["warning"]


@pytest.mark.parametrize(
    ("method", "path", "authorization", "name", "module", "both"),
    [
        ("GET", "nowhere", None, "GET", "_OTHER", (404, 2000)),
        ("BREW", "tariffs/*/T", None, "_OTHER", "tariffs", (405, 2000)),
        ("GET", "tariffs/*/T", "Token nobody", "GET /2.1.1/tariffs/{country_code}/{party_id}/{tariff_id}", "tariffs",
         (401, 2000)),
    ],
)  # fmt: skip
def test_requests_that_lead_nowhere_have_few_attributes(
    told_of: Peer, told: Told, method: str, path: str, authorization: str | None, name: str, module: str, both: object
) -> None:
    assert told_of.push(method, path, authorization=authorization).both == both
    ((span, _, about),) = told.spans
    assert (span, about["ocpi.module"]) == (name, module)
    ((_, _, counted),) = told.counts
    assert counted["http.request.method"] in ("GET", "_OTHER")
    assert set(counted) == {
        "http.request.method", "ocpi.module", "http.response.status_code", "ocpi.status_code",
    }  # fmt: skip


def test_our_own_fault_is_an_error(told_of: Peer, told: Told) -> None:
    told_of.store.transaction = None  # type: ignore[assignment, method-assign] # a bug of ours
    assert told_of.push("GET", "versions").both == (500, 3000)
    assert told.spans[0][2]["error.type"] == "3000"
    assert told.open == 0


def test_a_call_is_a_span_with_the_headers_of_the_trace_and_our_token(told_of: Peer, told: Told, seen: Seen) -> None:
    with told_of.emsp.client("NL", "TNM") as client:
        client.credentials()
    (sent,) = seen.headers
    assert (sent["traceparent"], sent["authorization"]) == ("t-1", f"Token {CPO_TOKEN}")
    ((name, role, about),) = told.spans
    assert (name, role) == ("GET credentials", "client")
    counted: dict[str, Any] = {"http.request.method": "GET", "ocpi.module": "credentials"}
    counted |= {"http.response.status_code": 200, "ocpi.status_code": 1000}
    assert about == counted | {
        "server.address": "tnm.test",
        "ocpi.party": "NL-TNM",
        "ocpi.correlation_id": sent["x-correlation-id"],
    }
    assert told.counts == [("ocpi.client.requests", 1, counted)]
    assert told.durations == [("ocpi.client.request.duration", 0.0, counted)]


def test_a_call_that_fails_says_how(told_of: Peer, told: Told, seen: Seen) -> None:
    seen.status = 502
    with told_of.emsp.client("NL", "TNM") as client, pytest.raises(OcpiError):
        client.credentials()

    def gone(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("gone")

    told_of.emsp._http_client = serve(gone)
    with told_of.emsp.client("NL", "TNM") as client, pytest.raises(OcpiError):
        client.credentials()
    failed = [(about.get("http.response.status_code"), about["error.type"]) for _, _, about in told.spans]
    assert failed == [(502, "AnswerUnusable"), (None, "TransportFailed")]
    assert [about["error.type"] for _, _, about in told.counts] == ["AnswerUnusable", "TransportFailed"]
    assert told.open == 0


def test_a_sync_is_a_span_for_each_module_around_its_calls(told_of: Peer, told: Told) -> None:
    told_of.emsp.sync("NL", "TNM", modules=["locations", "tariffs"])
    assert [(name, role) for name, role, _ in told.spans] == [
        ("sync locations", "internal"),
        ("GET locations", "client"),
        ("sync tariffs", "internal"),
        ("GET tariffs", "client"),
    ]
    (_, _, about), (_, _, call) = told.spans[:2]
    assert about.pop("ocpi.correlation_id") == call["ocpi.correlation_id"]
    assert about == {
        "ocpi.party": "NL-TNM",
        "ocpi.module": "locations",
        "ocpi.sync.full": False,
        "ocpi.sync.ended": "done",
    }


def test_findings_of_pulled_objects_are_counted(told_of: Peer, told: Told) -> None:
    listed = [{"id": "BAD"}, {**samples.location("LOC1"), "country": "NL"}]
    told_of.emsp._http_client = serve(lambda _: httpx.Response(200, content=encode(envelope(listed))))
    told_of.emsp.sync("NL", "TNM", modules=["locations"])
    severities = {about["ocpi.severity"] for name, _, about in told.counts if name == "ocpi.findings"}
    assert severities == {"error", "warning"}


def test_the_lag_of_a_sync_grows_until_the_next_one(told_of: Peer, told: Told, seen: Seen) -> None:
    def lag() -> list[tuple[float, Attributes]]:
        return [(each.value, each.attributes) for each in told.gauges["ocpi.sync.lag"]()]

    assert lag() == []
    told_of.emsp.sync("NL", "TNM", modules=["locations"])
    about = {"ocpi.party": "NL-TNM", "ocpi.module": "locations"}
    assert lag() == [(0.0, about)]
    told_of.clock.advance(hours=1)
    assert lag() == [(3600.0, about)]
    seen.status = 503
    told_of.emsp._patience = evolve(told_of.emsp._patience, attempts=1)
    told_of.emsp._contexts.clear()
    told_of.emsp.sync("NL", "TNM", modules=["locations"])
    assert lag() == [(3600.0, about)], "one that failed changes nothing"
    seen.status = 200
    told_of.clock.advance(hours=1)
    told_of.emsp.sync("NL", "TNM", modules=["locations"])
    assert lag()[0][0] < 7200
    told_of.push("DELETE", "credentials")
    assert lag() == [], "nobody syncs a party that is gone"


def test_pending_commands_are_counted_until_their_result(told_of: Peer, told: Told) -> None:
    def pending() -> list[tuple[float, Attributes]]:
        return [(each.value, each.attributes) for each in told.gauges["ocpi.commands.pending"]()]

    assert pending() == []
    with told_of.emsp.client("NL", "TNM") as client:
        sent = [client.start_session(token=TOKEN, location_id="L", force=True).command.uid for _ in range(3)]
    assert pending() == [(3, {"ocpi.party": "NL-TNM"})]
    told_of.push("POST", f"commands/START_SESSION/{sent[0]}", {"result": "ACCEPTED"})
    assert pending() == [(2, {"ocpi.party": "NL-TNM"})]


# --- a telemetry that fails -----------------------------------------------------------------------------------------


class Broken:
    """A telemetry that raises wherever it is told to."""

    def __init__(self, *where: str) -> None:
        self.where = where

    def __getattr__(self, name: str) -> Any:
        def call(*_: object, **__: object) -> Any:
            if name in self.where:
                raise RuntimeError(f"{name} is broken")
            return self

        if name in ("span", "count", "duration", "gauge", "set", "headers"):
            return call if name != "headers" or name in self.where else dict
        raise AttributeError(name)

    def __enter__(self) -> "Broken":
        if "enter" in self.where:
            raise RuntimeError("enter is broken")
        return self

    def __exit__(self, *_: object) -> bool:
        if "exit" in self.where:
            raise RuntimeError("exit is broken")
        return True  # it swallows what is not its own


PARTS = ("span", "enter", "exit", "set", "headers", "count", "duration", "gauge")


@pytest.mark.parametrize("where", [(), *((part,) for part in PARTS), PARTS], ids="+".join)
def test_a_telemetry_that_fails_disturbs_nothing_and_is_noted_once(
    seen: Seen, where: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    cpo = peer(http_client=serve(seen), telemetry=Broken(*where))
    assert cpo.push("PUT", "tariffs/*/TAR1", samples.tariff("TAR1")).both == (201, 1000)
    assert cpo.push("PUT", "tariffs/*/TAR1", {}).both == (200, 2001)
    with cpo.emsp.client("NL", "TNM") as client:
        assert client.credentials().party_id == "TNM"
    seen.status = 502
    with cpo.emsp.client("NL", "TNM") as client, pytest.raises(OcpiError):
        client.credentials()
    noted = [record for record in caplog.records if record.getMessage().startswith("telemetry.failed")]
    assert [record.levelno for record in noted] == [logging.WARNING] * bool(where)


def test_a_gauge_gives_nothing_where_the_store_fails(caplog: pytest.LogCaptureFixture) -> None:
    told = Told()
    emsp = make_emsp(telemetry=told)
    emsp._context("sync").store.transaction = None  # type: ignore[method-assign, assignment] # a bug of ours
    assert [told.gauges[name]() for name in sorted(told.gauges)] == [(), ()]
    assert len([record for record in caplog.records if "telemetry.failed" in record.getMessage()]) == 1


def test_without_a_telemetry_nothing_is_made() -> None:
    silent = GuardedTelemetry()
    assert not silent.on
    with silent.span("a", "server", {}) as span, silent.span("b", "client", {}) as other:
        span.set({"a": 1})
        assert span is other
        assert span.headers() == {}
    silent.count("a", 1, {})
    silent.duration("a", 1.0, {})
    silent.gauge("a", list)


def test_a_clock_that_is_put_back_makes_no_negative_time(told: Told) -> None:
    clock = FakeClock()
    emsp = make_emsp(telemetry=told, clock=clock, http_client=serve(Seen()))
    token = register(emsp)
    told.clear()
    store = emsp._context("sync").store
    transaction = store.transaction

    def slow(**options: Any) -> Any:
        clock.advance(seconds=-5)
        return transaction(**options)

    store.transaction = slow  # type: ignore[method-assign]
    emsp.handle(Request("GET", "/versions", headers={"authorization": f"Token {token}"}))
    assert [seconds for _, seconds, _ in told.durations] == [0.0]
