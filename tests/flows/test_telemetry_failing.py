"""A telemetry that fails, or gives nonsense, disturbs nothing."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from flows.support import offline_emsp, peer, serve
from flows.telling import PARTS, Broken, Seen, Told
from ocpi_emsp import OcpiError
from ocpi_emsp.flows.core.telemetry import GuardedTelemetry
from ocpi_emsp.ports import Attributes
from ocpi_emsp.testing.cpo import samples
from our_emsp import CPO_TOKEN


@pytest.fixture
def seen() -> Seen:
    return Seen()


@pytest.mark.parametrize("where", [(), *((part,) for part in PARTS), PARTS], ids="+".join)
def test_a_telemetry_that_fails_disturbs_nothing_and_is_noted_once(
    seen: Seen, where: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    cpo = peer(http_client=serve(seen), telemetry=Broken(*where))
    assert cpo.push("PUT", "tariffs/*/TAR1", samples.tariff("TAR1")).both == (201, 1000)
    assert cpo.push("PUT", "tariffs/*/TAR1", {}).both == (200, 2001)
    with cpo.emsp.partner("NL-TNM").client() as client:
        assert client.credentials().party_id == "TNM"
    seen.status = 502
    with cpo.emsp.partner("NL-TNM").client() as client, pytest.raises(OcpiError):
        client.credentials()
    noted = [record for record in caplog.records if record.getMessage().startswith("telemetry.failed")]
    assert [record.levelno for record in noted] == [logging.WARNING] * bool(where)


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({"TraceParent": "t-1", "b3_x": "1"}, {"traceparent": "t-1", "b3_x": "1"}),
        ({"Authorization": "Token of-a-trace"}, {}),
        ({"x y": "1", "": "1", "n\r\nm": "1", "\N{SNOWMAN}": "1", "good": "1"}, {"good": "1"}),
        ({"a": "1\r\nx: 2", "b": "Z\xfcr", "c": "\x00", "good": "1"}, {"good": "1"}),
        ({"a": None}, {}),
        ({1: "2"}, {}),
        (None, {}),
        ("traceparent", {}),
    ],
)
def test_headers_that_are_none_are_not_sent(seen: Seen, given: Any, sent: dict[str, str]) -> None:
    cpo = peer(http_client=serve(seen), telemetry=Carrying(given))
    seen.requests.clear()
    with cpo.emsp.partner("NL-TNM").client() as client:
        assert client.credentials().party_id == "TNM"
    (headers,) = seen.headers
    assert headers.get_list("authorization") == [f"Token {CPO_TOKEN}"]
    usual = {"accept", "accept-encoding", "authorization", "connection", "host", "user-agent"}
    ids = {"x-correlation-id", "x-request-id"}
    assert {name: value for name, value in headers.items() if name not in usual | ids} == sent


class Carrying(Told):
    """A telemetry whose spans carry what they are given."""

    def __init__(self, given: Any) -> None:
        super().__init__()
        self.given = given

    @contextmanager
    def span(self, *_: object, **__: object) -> Iterator[Any]:
        given = self.given

        class Carrier:
            def set(self, attributes: Attributes) -> None: ...

            def headers(self) -> Any:
                return given

        yield Carrier()


NONE = pytest.mark.parametrize("had", [{}, {"span": None, "count": 1}], ids=["nothing", "no functions"])


@NONE
def test_what_is_no_telemetry_is_refused_at_the_call(had: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=r"^invalid telemetry 'SimpleNamespace': expected a Telemetry$"):
        peer(telemetry=SimpleNamespace(**had))


@NONE
def test_a_telemetry_that_is_none_any_more_disturbs_nothing(
    seen: Seen, had: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    told = Told()
    telemetry = SimpleNamespace(span=told.span, count=told.count, duration=told.duration, gauge=told.gauge)
    cpo = peer(http_client=serve(seen), telemetry=telemetry)
    vars(telemetry).clear()
    vars(telemetry).update(had)
    assert cpo.push("PUT", "tariffs/*/TAR1", samples.tariff("TAR1")).both == (201, 1000)
    with cpo.emsp.partner("NL-TNM").client() as client:
        assert client.credentials().party_id == "TNM"
    assert len([record for record in caplog.records if record.getMessage().startswith("telemetry.failed")]) == 1


def test_a_gauge_gives_nothing_where_the_store_fails(caplog: pytest.LogCaptureFixture) -> None:
    told = Told()
    emsp = offline_emsp(telemetry=told)
    emsp._contexts().store.transaction = None  # type: ignore[method-assign, assignment] # a bug of ours
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
