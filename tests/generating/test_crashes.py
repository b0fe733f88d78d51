"""What fuzzing found once does not come back: every file of tests/vectors/crashes is replayed."""

import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent.parent
CRASHES = sorted((ROOT / "tests/vectors/crashes").glob("*.json"))


@pytest.fixture
def targets(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """fuzz/targets.py, which is no package of ours. It turns our logs off, for as long as its process fuzzes."""
    monkeypatch.setattr(sys, "path", [str(ROOT / "fuzz"), *sys.path])
    module, logger = __import__("targets"), logging.getLogger("ocpi_emsp")
    level = logger.level
    module.fresh()
    yield module
    logger.setLevel(level)


@pytest.mark.parametrize("file", CRASHES, ids=lambda file: str(file.stem))
def test_a_crash_does_not_come_back(file: Path, targets: ModuleType) -> None:
    crash = json.loads(file.read_text("utf-8"))
    targets.TARGETS[crash["target"]](crash["case"])


CALM = {
    "decode": {"kind": "Location", "body": "{}"},
    "check": {"kind": "Location", "body": '{"evses":[{}],"x~/":1}'},
    "redact": {"kind": "Location", "body": '{"evses":[{}],"x~/":1}'},
    "headers": {"token": "Token x", "link": '<https://a/b>; rel="next"', "query": "limit=1&offset=x"},
    "envelope": {"body": '{"status_code":1000}'},
    "path": {"path": "/2.1.1/locations/NL/TNM/%2F"},
    "dispatch": {
        "method": "PUT",
        "path": "/2.1.1/locations/NL/TNM/1",
        "query": "",
        "authorization": "Token $TOKEN",
        "id": "",
        "body": '{"id":"1"}',
    },
    "openapi": {"operation": "tokens.list", "path": "{}", "query": '{"limit": 1}', "headers": "{}", "body": ""},
}


def test_every_target_runs(targets: ModuleType) -> None:
    assert CALM.keys() == targets.TARGETS.keys()
    for name, case in CALM.items():
        targets.TARGETS[name](case)
