"""docs/examples/deploy/alerts.yaml: its metrics exist, Prometheus reads it, and each alert fires on its case alone."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
import yaml  # type: ignore[import-untyped] # without types
from attrs import frozen

from ocpi_emsp.ports import COUNTERS, GAUGES, HISTOGRAMS

FILE = Path(__file__).parents[1] / "docs" / "examples" / "deploy" / "alerts.yaml"
ALERTS: Final[dict[str, dict[str, Any]]] = {
    each["alert"]: each for each in yaml.safe_load(FILE.read_text("utf-8"))["groups"][0]["rules"]
}
SERVED = 'ocpi_server_requests_total{ocpi_module="cdrs", http_response_status_code="%s"}'
CALLED = 'ocpi_client_requests_total{ocpi_module="cdrs", error_type="%s"}'
LAG = 'ocpi_sync_lag_seconds{ocpi_party="NL-TNM", ocpi_module="cdrs", instance="%s"}'
FINDINGS = 'ocpi_findings_total{ocpi_rule="field.required", ocpi_severity="%s"}'
AUTHORIZED = (
    "ocpi_server_request_duration_seconds_bucket"
    '{ocpi_module="tokens", http_request_method="POST", ocpi_status_code="1000", le="%s"}'
)
PENDING = 'ocpi_commands_pending{ocpi_party="NL-TNM"}'
LIMITED = 'ocpi_server_limited_total{ocpi_limit="requests_per_second"}'
DAY = 24 * 60


def metrics() -> set[str]:
    """The names that Prometheus has, of all that we measure."""
    seconds = {name: "_seconds" if unit == "s" else "" for name, (unit, _) in (*GAUGES.items(), *HISTOGRAMS.items())}
    names = {f"{name}{unit}{'_bucket' if name in HISTOGRAMS else ''}" for name, unit in seconds.items()}
    return {name.replace(".", "_") for name in names | {f"{name}_total" for name in COUNTERS}}


def test_the_metrics_exist() -> None:
    named = set(re.findall(r"\bocpi_\w+(?=\{|\)|\[| offset)", " ".join(each["expr"] for each in ALERTS.values())))
    assert named - {"ocpi_party", "ocpi_module", "ocpi_limit"} <= metrics()
    assert len(named) > 6


@frozen
class Case:
    """What is measured each minute, and whether an alert fires at that minute."""

    alert: str
    series: dict[str, str]
    minute: int
    fires: bool


CASES = [
    Case("OcpiServerDown", {'up{job="ocpi-emsp", instance="a"}': "1 0 0"}, 2, True),
    Case("OcpiServerDown", {'up{job="ocpi-emsp", instance="a"}': "0 1 1"}, 2, False),
    Case("OcpiOurFault", {SERVED % 500: "_x8 1 1 1"}, 9, True),  # the first one of its series
    Case("OcpiOurFault", {SERVED % 500: "1x8 2 2 2"}, 10, True),
    Case("OcpiOurFault", {SERVED % 500: "1x20", SERVED % 200: "1+5x20"}, 15, False),
    Case("OcpiPartnerOutOfSync", {LAG % "a": "43201x2", LAG % "b": "43201x2"}, 1, True),
    Case("OcpiPartnerOutOfSync", {LAG % "a": "43199x2"}, 1, False),
    Case("OcpiPartnersDoNotAnswer", {CALLED % "": "0+1x20", CALLED % "TransportFailed": "0+2x20"}, 20, True),
    Case("OcpiPartnersDoNotAnswer", {CALLED % "": "0+2x20", CALLED % "TransportFailed": "0+1x20"}, 20, False),
    Case("OcpiPartnersDoNotAnswer", {CALLED % "": "5x20"}, 20, False),  # no calls
    Case("OcpiFindings", {FINDINGS % "error": f"0+1x{DAY} {DAY}+20x60"}, DAY + 60, True),
    Case("OcpiFindings", {FINDINGS % "error": f"0+1x{DAY} {DAY}+5x60"}, DAY + 60, False),
    Case("OcpiFindings", {FINDINGS % "error": "0+1x60"}, 60, True),  # nothing is known of yesterday
    Case("OcpiFindings", {FINDINGS % "warning": "0+100x60"}, 60, False),
    Case("OcpiDriversWait", {AUTHORIZED % 1.0: "0+90x10", AUTHORIZED % "+Inf": "0+100x10"}, 10, False),
    Case(
        "OcpiDriversWait",
        {AUTHORIZED % 1.0: "0+90x10", AUTHORIZED % 5.0: "0+100x10", AUTHORIZED % "+Inf": "0+100x10"},
        10,
        True,
    ),
    Case("OcpiCommandsHang", {PENDING: "0+1x20"}, 20, True),
    Case("OcpiCommandsHang", {PENDING: "3x20"}, 20, False),
    Case("OcpiRequestsLimited", {LIMITED: "0+1x20"}, 20, True),
    Case("OcpiRequestsLimited", {LIMITED: "5x20"}, 20, False),
]


def test_each_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    assert {(case.alert, case.fires) for case in CASES} == {(name, fires) for name in ALERTS for fires in (True, False)}


@pytest.mark.skipif(shutil.which("promtool") is None, reason="there is no promtool")
def test_prometheus_takes_the_rules_and_they_fire(tmp_path: Path) -> None:
    checked = subprocess.run(
        ["promtool", "check", "rules", FILE], capture_output=True, text=True, timeout=60, check=False
    )
    assert checked.returncode == 0, checked.stderr
    tests = [
        {
            "interval": "1m",
            "input_series": [{"series": name, "values": values} for name, values in case.series.items()],
            "promql_expr_test": [
                {
                    "expr": f"vector({number}) and on() ({ALERTS[case.alert]['expr']})",
                    "eval_time": f"{case.minute}m",
                    "exp_samples": [{"labels": "{}", "value": number}] if case.fires else [],
                }
            ],
        }
        for number, case in enumerate(CASES)
    ]
    written = tmp_path / "tests.yaml"
    written.write_text(yaml.safe_dump({"rule_files": [], "evaluation_interval": "1m", "tests": tests}), "utf-8")
    tested = subprocess.run(
        ["promtool", "test", "rules", str(written)], capture_output=True, text=True, timeout=60, check=False
    )
    assert tested.returncode == 0, tested.stdout + tested.stderr
