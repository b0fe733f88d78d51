"""The telemetry is told of every request, call and sync, in few different words."""

from typing import Any

import httpx
import pytest
from attrs import evolve

from flows.support import Peer, offline_emsp, peer, serve
from flows.telling import IDS, TOKEN, Seen, Told
from ocpi_emsp import OcpiError
from ocpi_emsp.flows.calls.call_log import LoggedCall
from ocpi_emsp.ports import Attributes
from ocpi_emsp.routes import INCOMING, MODULES
from ocpi_emsp.testing.cpo import samples
from ocpi_emsp.testing.cpo.wire import encode
from ocpi_emsp.wire import Request
from our_emsp import CPO_TOKEN, FakeClock, register
from scripted_cpo import envelope


@pytest.fixture
def seen() -> Seen:
    return Seen()


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
    assert sum(value for value, _ in found) == len(next(iter(told_of.emsp.rejections.list())).findings)
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


def test_whatever_a_stranger_sends_there_are_few_different_numbers(told_of: Peer, told: Told) -> None:
    modules = (*MODULES, "versions", "2.1.1", "2.2", "x" * 5000, "%00", "\N{SNOWMAN}", "a b", "..", "")
    for number, module in enumerate(modules * 3):
        for path in (module, f"2.1.1/{module}", f"2.1.1/{module}/NL/TNM/{number}", f"{module}/{number}?{number}"):
            for method in ("GET", "PUT", "get", f"M{number}", "", "GET\r\nX: 1", "\N{SNOWMAN}" * 99):
                headers = {"authorization": f"Token {number}", "x-correlation-id": f"c-{number}"}
                told_of.emsp.handle(Request(method, f"/{path}", "", headers, peer=f"192.0.2.{number}"))
    counted = {tuple(sorted(about.items())) for _, _, about in told.counts}
    assert len(told.counts) > 1000
    assert len(counted) <= 3 * (len(MODULES) + 3), counted
    assert len({name for name, _, _ in told.spans}) <= 2 + len(INCOMING)


def test_our_own_fault_is_an_error(told_of: Peer, told: Told) -> None:
    told_of.store.transaction = None  # type: ignore[assignment, method-assign] # a bug of ours
    assert told_of.push("GET", "versions").both == (500, 3000)
    assert told.spans[0][2]["error.type"] == "3000"
    assert told.open == 0


def test_a_call_is_a_span_with_the_headers_of_the_trace_and_our_token(told_of: Peer, told: Told, seen: Seen) -> None:
    with told_of.emsp.partner("NL-TNM").client() as client:
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


def test_modules_that_a_partner_makes_up_are_no_attributes(seen: Seen, told: Told) -> None:
    made_up = [{"identifier": f"made-up-{n}", "url": f"https://tnm.test/cpo/2.1.1{'/' * n}"} for n in range(5)]

    def hostile(request: httpx.Request) -> httpx.Response:
        answer = seen(request)
        if request.url.path != "/cpo/2.1.1":
            return answer
        details = answer.json()["data"]
        return httpx.Response(200, json=envelope({**details, "endpoints": [*made_up, *details["endpoints"]]}))

    cpo = peer(http_client=serve(hostile), telemetry=told)
    told.clear()
    cpo.emsp.partner("NL-TNM").sync(modules=["locations"])
    with cpo.emsp.partner("NL-TNM").client() as client:
        client.credentials()
        client.start_session(token=TOKEN, location_id="L", force=True)
    modules = [about["ocpi.module"] for name, _, about in told.counts if name == "ocpi.client.requests"]
    assert modules == ["locations", "credentials", "commands"]
    assert [name for name, role, _ in told.spans if role == "client"] == [
        "GET locations", "GET credentials", "POST commands",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("url", "module"),
    [
        ("https://tnm.test/cpo/2.1.1/sessions/1", "sessions"),
        ("https://tnm.test/cpo/2.1.1/sessions?offset=1", "sessions"),
        ("https://tnm.test/cpo/2.1.1/sessions2", ""),
        ("https://tnm.test/cpo/2.1.1", ""),
    ],
)
def test_a_call_of_whatever_url_is_of_the_module_that_it_lies_under(told_of: Peer, url: str, module: str) -> None:
    party = told_of.emsp.parties.get("NL-TNM")
    assert LoggedCall.begin(told_of.emsp._contexts(), Request("GET", url), party, "").module == module


def test_a_call_that_fails_says_how(told_of: Peer, told: Told, seen: Seen) -> None:
    seen.status = 502
    with told_of.emsp.partner("NL-TNM").client() as client, pytest.raises(OcpiError):
        client.credentials()

    def gone(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("gone")

    told_of.emsp._contexts.setup.http_client = serve(gone)
    with told_of.emsp.partner("NL-TNM").client() as client, pytest.raises(OcpiError):
        client.credentials()
    failed = [(about.get("http.response.status_code"), about["error.type"]) for _, _, about in told.spans]
    assert failed == [(502, "AnswerUnusable"), (None, "TransportFailed")]
    assert [about["error.type"] for _, _, about in told.counts] == ["AnswerUnusable", "TransportFailed"]
    assert told.open == 0


def test_a_sync_is_a_span_for_each_module_around_its_calls(told_of: Peer, told: Told) -> None:
    told_of.emsp.partner("NL-TNM").sync(modules=["locations", "tariffs"])
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
    told_of.emsp._contexts.setup.http_client = serve(lambda _: httpx.Response(200, content=encode(envelope(listed))))
    told_of.emsp.partner("NL-TNM").sync(modules=["locations"])
    severities = {about["ocpi.severity"] for name, _, about in told.counts if name == "ocpi.findings"}
    assert severities == {"error", "warning"}


def test_the_lag_of_a_sync_grows_until_the_next_one(told_of: Peer, told: Told, seen: Seen) -> None:
    def lag() -> list[tuple[float, Attributes]]:
        return [(each.value, each.attributes) for each in told.gauges["ocpi.sync.lag"]()]

    assert lag() == []
    told_of.emsp.partner("NL-TNM").sync(modules=["locations"])
    about = {"ocpi.party": "NL-TNM", "ocpi.module": "locations"}
    assert lag() == [(0.0, about)]
    told_of.clock.advance(hours=1)
    assert lag() == [(3600.0, about)]
    seen.status = 503
    told_of.emsp._contexts.setup.retry_policy = evolve(told_of.emsp._contexts.setup.retry_policy, attempts=1)
    told_of.emsp._contexts.setup.changes += 1
    told_of.emsp.partner("NL-TNM").sync(modules=["locations"])
    assert lag() == [(3600.0, about)], "one that failed changes nothing"
    seen.status = 200
    told_of.clock.advance(hours=1)
    told_of.emsp.partner("NL-TNM").sync(modules=["locations"])
    assert lag()[0][0] < 7200
    told_of.push("DELETE", "credentials")
    assert lag() == [], "nobody syncs a party that is gone"


def test_pending_commands_are_counted_until_their_result(told_of: Peer, told: Told) -> None:
    def pending() -> list[tuple[float, Attributes]]:
        return [(each.value, each.attributes) for each in told.gauges["ocpi.commands.pending"]()]

    assert pending() == []
    with told_of.emsp.partner("NL-TNM").client() as client:
        sent = [client.start_session(token=TOKEN, location_id="L", force=True).command.uid for _ in range(3)]
    assert pending() == [(3, {"ocpi.party": "NL-TNM"})]
    told_of.push("POST", f"commands/START_SESSION/{sent[0]}", {"result": "ACCEPTED"})
    assert pending() == [(2, {"ocpi.party": "NL-TNM"})]


def test_a_clock_that_is_put_back_makes_no_negative_time(told: Told) -> None:
    clock = FakeClock()
    emsp = offline_emsp(telemetry=told, clock=clock, http_client=serve(Seen()))
    token = register(emsp)
    told.clear()
    store = emsp._contexts().store
    transaction = store.transaction

    def slow(**options: Any) -> Any:
        clock.advance(seconds=-5)
        return transaction(**options)

    store.transaction = slow  # type: ignore[method-assign]
    emsp.handle(Request("GET", "/versions", headers={"authorization": f"Token {token}"}))
    assert [seconds for _, seconds, _ in told.durations] == [0.0]
