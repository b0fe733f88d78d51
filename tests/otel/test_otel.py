"""Spans and metrics of OpenTelemetry, by its in-memory exporter and reader."""

import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import httpx
import pytest
from attrs import frozen
from opentelemetry import baggage, context, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from flows.support import Peer, peer, serve
from flows.telling import TOKEN, Seen
from ocpi_emsp import Allowed, AuthorizationInfo, AuthorizationRequest, OcpiError, PartyId
from ocpi_emsp.contrib.otel import _BUCKETS, OtelTelemetry
from ocpi_emsp.ports import COUNTERS, GAUGES, HISTOGRAMS
from ocpi_emsp.testing.cpo import samples
from ocpi_emsp.testing.cpo.wire import encode
from ocpi_emsp.wire import Request
from our_emsp import CPO_TOKEN, credentials, register
from scripted_cpo import clients

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PARENT = f"00-{TRACE}-{SPAN}-01"


@frozen
class Otel:
    """What was recorded."""

    exporter: InMemorySpanExporter
    reader: InMemoryMetricReader
    tracers: TracerProvider
    telemetry: OtelTelemetry

    def spans(self) -> list[ReadableSpan]:
        """Since the last look."""
        spans = list(self.exporter.get_finished_spans())
        self.exporter.clear()
        return spans

    def metrics(self) -> dict[str, list[Any]]:
        """The points of every metric, collected now."""
        data = self.reader.get_metrics_data()
        scopes = [scope for resource in data.resource_metrics for scope in resource.scope_metrics] if data else []
        metrics = [metric for scope in scopes for metric in scope.metrics]
        found = {metric.name: list(metric.data.data_points) for metric in metrics}
        assert len(found) == len(metrics), "a metric is there once"
        return found


@pytest.fixture
def otel() -> Iterator[Otel]:
    exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
    tracers, meters = TracerProvider(), MeterProvider([reader])
    tracers.add_span_processor(SimpleSpanProcessor(exporter))
    yield Otel(exporter, reader, tracers, OtelTelemetry(tracers, meters))
    meters.shutdown()
    tracers.shutdown()


def seen_cpo() -> Seen:
    """A CPO that lists a good and a bad location."""
    return Seen(lists={"locations": [samples.location("PULLED"), {"id": "BAD"}]})


@pytest.fixture
def seen() -> Seen:
    return seen_cpo()


@pytest.fixture
def cpo(otel: Otel, seen: Seen) -> Peer:
    """NL-TNM, registered."""
    registered = peer(telemetry=otel.telemetry, http_client=serve(seen))
    otel.spans()
    seen.requests.clear()
    return registered


def about(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def trace_of(span: ReadableSpan) -> tuple[str, str | None]:
    """The ids of its trace and of its parent."""
    found = span.get_span_context()
    assert found is not None
    parent = trace.format_span_id(span.parent.span_id) if span.parent else None
    return trace.format_trace_id(found.trace_id), parent


# --- requests -------------------------------------------------------------------------------------------------------


def test_a_served_request_is_a_span_of_the_callers_trace(cpo: Peer, otel: Otel) -> None:
    cpo.push("PUT", "tariffs/*/TAR1", samples.tariff("TAR1"), headers={"traceparent": PARENT, "x-request-id": "r-1"})
    (span,) = otel.spans()
    assert span.kind is SpanKind.SERVER
    assert span.name == "PUT /2.1.1/tariffs/{country_code}/{party_id}/{tariff_id}"
    assert trace_of(span) == (TRACE, SPAN)
    assert about(span) == {
        "http.request.method": "PUT",
        "http.route": "/2.1.1/tariffs/{country_code}/{party_id}/{tariff_id}",
        "http.response.status_code": 201,
        "ocpi.module": "tariffs",
        "ocpi.status_code": 1000,
        "ocpi.party": "NL-TNM",
        "ocpi.correlation_id": "r-1",
    }
    assert span.status.status_code is StatusCode.UNSET


@pytest.mark.parametrize("header", ["", "nonsense", "00-0-0-00", "\x00" * 55])
def test_a_header_that_is_none_begins_a_trace(cpo: Peer, otel: Otel, header: str) -> None:
    assert cpo.push("GET", "credentials", headers={"traceparent": header}).status == 200
    (span,) = otel.spans()
    assert trace_of(span)[1] is None


def test_the_span_of_a_framework_is_the_parent(cpo: Peer, otel: Otel) -> None:
    with otel.tracers.get_tracer("framework").start_as_current_span("request") as outer:
        cpo.push("GET", "credentials", headers={"traceparent": PARENT})
    (span, _) = otel.spans()
    expected = outer.get_span_context()
    assert trace_of(span) == (trace.format_trace_id(expected.trace_id), trace.format_span_id(expected.span_id))


def test_our_own_fault_is_an_error_and_quotes_nothing(cpo: Peer, otel: Otel) -> None:
    def broken(**_: object) -> Any:
        raise ValueError("a secret in a message")

    cpo.store.transaction = broken  # type: ignore[method-assign] # a bug of ours
    assert cpo.push("GET", "credentials").both == (500, 3000)
    (span,) = otel.spans()
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, None)
    assert about(span)["error.type"] == "3000"
    assert list(span.events) == []
    assert "secret" not in span.to_json()


def test_nothing_secret_is_in_a_span_or_a_metric(cpo: Peer, otel: Otel) -> None:
    cpo.push("POST", "tokens/012345678/authorize", headers={"traceparent": PARENT})
    cpo.push("PUT", "credentials", credentials(token=CPO_TOKEN))
    with cpo.emsp.partner("NL-TNM").client() as client:
        client.credentials()
    text = " ".join([*(span.to_json() for span in otel.spans()), repr(otel.metrics())])
    assert "credentials" in text
    for secret in (cpo.token, CPO_TOKEN, "012345678"):
        assert secret not in text


# --- calls ----------------------------------------------------------------------------------------------------------


def test_a_call_is_a_span_and_carries_the_trace(cpo: Peer, otel: Otel, seen: Seen) -> None:
    with cpo.emsp.partner("NL-TNM").client() as client:
        client.credentials()
    (span,) = otel.spans()
    assert (span.kind, span.name) == (SpanKind.CLIENT, "GET credentials")
    (sent,) = seen.headers
    _, trace_id, span_id, _ = sent["traceparent"].split("-")
    found = span.get_span_context()
    assert found is not None
    assert (trace_id, span_id) == (trace.format_trace_id(found.trace_id), trace.format_span_id(found.span_id))
    assert about(span) == {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "server.address": "tnm.test",
        "ocpi.module": "credentials",
        "ocpi.status_code": 1000,
        "ocpi.party": "NL-TNM",
        "ocpi.correlation_id": sent["x-correlation-id"],
    }


def test_the_calls_back_during_a_handshake_are_in_the_trace_of_the_request(cpo: Peer, otel: Otel) -> None:
    cpo.push("PUT", "credentials", credentials(), headers={"traceparent": PARENT})
    *calls, served = otel.spans()
    assert [(span.kind, trace_of(span)[0]) for span in calls] == [(SpanKind.CLIENT, TRACE)] * 2
    context_of = served.get_span_context()
    assert context_of is not None
    assert {trace_of(span)[1] for span in calls} == {trace.format_span_id(context_of.span_id)}


def test_what_the_propagator_carries_never_replaces_the_token(cpo: Peer, seen: Seen) -> None:
    attached = context.attach(baggage.set_baggage("authorization", "no-token"))
    try:
        with cpo.emsp.partner("NL-TNM").client() as client:
            client.credentials()
    finally:
        context.detach(attached)
    assert seen.headers[-1]["authorization"] == f"Token {CPO_TOKEN}"


def test_a_call_that_fails_is_an_error(cpo: Peer, otel: Otel) -> None:
    def gone(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("gone")

    cpo.emsp._contexts.setup.http_client = serve(gone)
    with cpo.emsp.partner("NL-TNM").client() as client, pytest.raises(OcpiError):
        client.credentials()
    (span,) = otel.spans()
    assert span.status.status_code is StatusCode.ERROR
    assert about(span)["error.type"] == "TransportFailed"
    assert list(span.events) == []


def test_a_sync_is_the_parent_of_its_calls(cpo: Peer, otel: Otel) -> None:
    cpo.emsp.partner("NL-TNM").sync(modules=["locations"])
    call, sync = otel.spans()
    assert (sync.name, sync.kind, call.name) == ("sync locations", SpanKind.INTERNAL, "GET locations")
    assert call.parent == sync.get_span_context()
    assert about(sync)["ocpi.sync.ended"] == "done"


def test_under_an_async_host_concurrent_requests_have_their_own_traces(otel: Otel) -> None:
    emsp = peer(
        telemetry=otel.telemetry,
        **clients(seen_cpo()),
    ).emsp
    tokens = {party: register(emsp, "FR", party) for party in ("AAA", "BBB", "CCC")}
    otel.spans()

    async def renew(number: int, party: str, token: str) -> None:
        headers = {"authorization": f"Token {token}", "traceparent": f"00-{number:032x}-{SPAN}-01"}
        body = encode(credentials("FR", party))
        answer = await emsp.aio.handle(Request("PUT", "/2.1.1/credentials", headers=headers, body=body))
        assert answer.status == 200

    async def all_at_once() -> None:
        async with anyio.create_task_group() as group:
            for number, (party, token) in enumerate(tokens.items(), start=1):
                group.start_soon(renew, number, party, token)

    anyio.run(all_at_once)
    traces = [trace_of(span)[0] for span in otel.spans()]
    assert sorted(traces) == sorted(f"{number:032x}" for number in (1, 2, 3) for _ in range(3))
    assert not trace.get_current_span().get_span_context().is_valid


@pytest.mark.parametrize("mode", ["async", "sync"])
@pytest.mark.parametrize("plain", [True, False], ids=["plain", "awaited"])
def test_a_hook_runs_within_the_span_of_its_request(otel: Otel, mode: str, plain: bool) -> None:
    emsp = peer(telemetry=otel.telemetry, http_client=serve(seen_cpo())).emsp
    token, within = register(emsp, "FR", "AAA"), dict[str, str]()

    def decide(request: AuthorizationRequest) -> AuthorizationInfo:
        found = trace.format_trace_id(trace.get_current_span().get_span_context().trace_id)
        within[request.correlation_id] = found
        return AuthorizationInfo(allowed=Allowed.ALLOWED)

    async def decide_later(request: AuthorizationRequest) -> AuthorizationInfo:
        if mode == "async":
            await anyio.lowlevel.checkpoint()
        return decide(request)

    emsp.authorize(decide if plain else decide_later)
    emsp.tokens.put(TOKEN)
    wanted = {f"c-{number}": f"{number:032x}" for number in range(1, 21)}

    def asked(correlation_id: str, trace_id: str) -> Request:
        ids = {"x-correlation-id": correlation_id, "traceparent": f"00-{trace_id}-{SPAN}-01"}
        headers = {"authorization": f"Token {token}", **ids}
        return Request("POST", f"/2.1.1/tokens/{TOKEN.uid}/authorize", headers=headers)

    async def all_at_once() -> None:
        async with anyio.create_task_group() as group:
            for each in wanted.items():
                group.start_soon(emsp.aio.handle, asked(*each))

    if mode == "async":
        anyio.run(all_at_once)
    else:
        for each in wanted.items():
            emsp.handle(asked(*each))
    assert within == wanted
    served = [span for span in otel.spans() if about(span).get("ocpi.correlation_id") in wanted]
    assert {str(about(span)["ocpi.correlation_id"]): trace_of(span)[0] for span in served} == wanted


# --- metrics --------------------------------------------------------------------------------------------------------


def test_requests_are_counted_and_timed(cpo: Peer, otel: Otel) -> None:
    for _ in range(3):
        cpo.put("tariffs/*/TAR1", samples.tariff("TAR1"))
    cpo.push("PUT", "tariffs/*/TAR1", {"id": "TAR1"})
    metrics = otel.metrics()
    counted = {
        (point.attributes["http.response.status_code"], point.attributes["ocpi.status_code"]): point.value
        for point in metrics["ocpi.server.requests"]
        if point.attributes["ocpi.module"] == "tariffs"
    }
    assert counted == {(201, 1000): 1, (200, 1000): 2, (200, 2001): 1}
    durations = [
        point for point in metrics["ocpi.server.request.duration"] if point.attributes["ocpi.module"] == "tariffs"
    ]
    assert sum(point.count for point in durations) == 4
    assert {point.explicit_bounds for point in durations} == {_BUCKETS}
    rules = {point.attributes["ocpi.rule"]: point.value for point in metrics["ocpi.findings"]}
    assert rules["field.required"] > 1


def test_calls_are_counted_and_timed(cpo: Peer, otel: Otel) -> None:
    cpo.emsp.partner("NL-TNM").sync(modules=["locations"])
    metrics = otel.metrics()
    (point,) = [each for each in metrics["ocpi.client.requests"] if each.attributes["ocpi.module"] == "locations"]
    assert point.value == 1
    assert point.attributes["ocpi.status_code"] == 1000
    assert [
        each.count for each in metrics["ocpi.client.request.duration"] if each.attributes["ocpi.module"] == "locations"
    ] == [1]


def test_the_gauges_are_read_when_they_are_collected(cpo: Peer, otel: Otel) -> None:
    assert "ocpi.sync.lag" not in otel.metrics()
    cpo.emsp.partner("NL-TNM").sync(modules=["locations"])
    cpo.clock.advance(minutes=5)
    (point,) = otel.metrics()["ocpi.sync.lag"]
    assert (point.value, dict(point.attributes)) == (300.0, {"ocpi.party": "NL-TNM", "ocpi.module": "locations"})


def test_one_telemetry_serves_several_emsps(otel: Otel, caplog: pytest.LogCaptureFixture) -> None:
    cpos = [peer(telemetry=otel.telemetry, http_client=serve(seen_cpo())) for _ in range(2)]
    others = [cpos[0], cpos[1].other("DE", "ABC")]
    for cpo in others:
        cpo.emsp.partner(PartyId(cpo.country_code, cpo.party_id)).sync(modules=["locations"])
    parties = sorted(point.attributes["ocpi.party"] for point in otel.metrics()["ocpi.sync.lag"])
    assert parties == ["DE-ABC", "NL-TNM"]
    assert [record for record in caplog.records if record.name.startswith("opentelemetry")] == []


def test_a_store_that_fails_gives_no_value_and_does_not_disturb_the_collection(
    cpo: Peer, otel: Otel, caplog: pytest.LogCaptureFixture
) -> None:
    cpo.emsp.partner("NL-TNM").sync(modules=["locations"])
    cpo.store.transaction = None  # type: ignore[method-assign, assignment] # a bug of ours
    otel.metrics()
    metrics = otel.metrics()
    assert "ocpi.sync.lag" not in metrics
    assert "ocpi.server.requests" in metrics
    noted = [record for record in caplog.records if record.levelno >= logging.WARNING and "telemetry" in record.name]
    assert noted == []
    assert len([record for record in caplog.records if record.getMessage().startswith("telemetry.failed")]) == 1


def test_the_table_of_the_docs_is_the_one_in_the_source() -> None:
    text = (Path(__file__).parent.parent.parent / "docs" / "how-to" / "observability.md").read_text("utf-8")
    rows = re.findall(r"^\| `(ocpi\.[a-z._]+)` \| (counter|histogram|gauge) \| (\S+) \|", text, re.MULTILINE)
    source = {"counter": COUNTERS, "histogram": HISTOGRAMS, "gauge": GAUGES}
    assert sorted(rows) == sorted(
        (name, kind, unit) for kind, table in source.items() for name, (unit, _) in table.items()
    )
