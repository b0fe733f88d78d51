"""Metrics as Prometheus reads them: the reader of docs/how-to/observability.md, asked over HTTP by its own client.

What is not as on the page: the port is a free one. The exporter is in an environment of its own, behind ours.
"""

from __future__ import annotations

import re
import sys
import urllib.request
from collections import defaultdict
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from ocpi_emsp import Emsp
from ocpi_emsp.contrib.otel import OtelTelemetry
from ocpi_emsp.flows.core.settings import InboundLimits, Limits
from ocpi_emsp.wire import Request
from pages.blocks import ROOT, Page
from pages.scene import Scene, connected_emsp, scene, token
from software.support import python_of
from test_alerts import ALERTS, metrics

PAGE = Page(ROOT / "docs" / "how-to" / "observability.md")
Samples: TypeAlias = dict[str, list[tuple[dict[str, str], float]]]


@pytest.fixture
def meters(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """What the block of the page makes, and the port that it serves on."""
    (packages,) = Path(python_of("prometheus")).parents[1].glob("lib/python*/site-packages")
    monkeypatch.setattr(sys, "path", [*sys.path, str(packages)])
    client = import_module("prometheus_client")
    started = list[Any]()
    begin = client.start_http_server
    monkeypatch.setattr(client, "start_http_server", lambda *given, **named: started.append(begin(*given, **named)))
    (block,) = (each for each in PAGE.blocks() if each.title == "metrics.py")
    names: dict[str, Any] = {}
    exec(compile(block.source.replace("9464", "0"), str(PAGE.path), "exec"), names)
    ((server, thread),) = started
    yield names["meters"], server.server_port
    names["meters"].shutdown()
    server.shutdown()
    server.server_close()
    thread.join()


def scraped(port: int) -> Samples:
    """What Prometheus would read: labels and values by name."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        text = answer.read().decode()
    found: Samples = defaultdict(list)
    for family in import_module("prometheus_client.parser").text_string_to_metric_families(text):
        for sample in family.samples:
            found[sample.name].append((sample.labels, sample.value))
    return found


def move(emsp: Emsp, partner: Scene) -> None:
    """Have something of each metric happen."""
    stranger = {"authorization": "Token of-nobody"}
    for _ in range(2):
        emsp.handle(Request("GET", "/2.1.1/locations", "", stranger, peer="192.0.2.1"))
    for preset in ("ocpi-2001", "quirky"):
        partner.cpo.misbehave(preset, results="never")
        emsp.partner("NL-TNM").sync(full=True)
    with emsp.partner("NL-TNM").client() as cpo:
        cpo.start_session(token=token, location_id="LOC1", force=True)


def test_each_metric_is_there_with_the_labels_of_the_alerts_and_moves(
    meters: tuple[Any, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider, port = meters
    limits = Limits(inbound=InboundLimits(unknown_tokens_per_minute=1))
    with scene(tmp_path, monkeypatch) as partner:
        emsp = connected_emsp(telemetry=OtelTelemetry(meter_provider=provider), limits=limits)
        move(emsp, partner)
        before = scraped(port)
        move(emsp, partner)
        after = scraped(port)
    for name in metrics():
        assert after[name] != before[name] != [], name
    expressions = " ".join(each["expr"] for each in ALERTS.values())
    for name, matchers in re.findall(r"(\bocpi_\w+)\{(.*?)\}", expressions):
        for label in re.findall(r"(\w+)!?=", matchers):
            assert any(label in labels for labels, _ in after[name]), f"{name} has no {label}"
    for grouped in ("ocpi_party", "ocpi_module"):
        assert all(grouped in labels for labels, _ in after["ocpi_sync_lag_seconds"])
    assert all("ocpi_party" in labels for labels, _ in after["ocpi_commands_pending"])
    assert all("ocpi_limit" in labels for labels, _ in after["ocpi_server_limited_total"])
