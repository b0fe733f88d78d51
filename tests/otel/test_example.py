"""The example of docs/how-to/observability.md runs as it stands, and shows what the page says."""

import re
from pathlib import Path
from typing import Any

import pytest

DOCS = Path(__file__).parent.parent.parent / "docs" / "how-to" / "observability.md"


def test_the_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (block,) = re.findall(r"^```python\n(.*?)^```", DOCS.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(block, str(DOCS), "exec"), names)
    try:
        printed = capsys.readouterr().out.splitlines()
    finally:
        names["meters"].shutdown()
        names["tracers"].shutdown()
    assert printed[:6] == [
        "CLIENT GET versions versions",
        "CLIENT GET versions versions",
        "CLIENT POST credentials credentials",
        "CLIENT GET locations locations",
        "INTERNAL sync locations locations",
        "SERVER GET _OTHER",
    ]
    metrics = {line.partition(" ")[0] for line in printed[6:]}
    assert metrics == {
        "ocpi.client.request.duration",
        "ocpi.client.requests",
        "ocpi.server.request.duration",
        "ocpi.server.requests",
        "ocpi.sync.lag",
    }
    assert "ocpi.sync.lag {'ocpi.party': 'NL-TNM', 'ocpi.module': 'locations'}" in printed
