"""A PATCH of a location, an EVSE or a connector is read as a PUT is (issue 11, number 24)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from foreign.script import Desk
from sync.support import location, synced

CASES = json.loads((Path(__file__).parent / "patched-otherwise.json").read_text("utf-8"))["patches"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: json.dumps(case["patch"])[:60])
def test_a_patch_is_read_as_a_put_is(case: dict[str, Any], any_store: Any) -> None:
    with synced(store=any_store) as pair:
        desk = Desk(pair, "push")
        desk.push("PUT", "locations/*/LOC1", location(1))
        answer = desk.push("PATCH", case["path"], case["patch"])
        assert f"[{case['rule']}]" in answer["status_message"]
        found = pair.emsp.locations.get("NL-TNM", "LOC1")
        assert found is not None
        assert str(found.type) == case.get("type", str(found.type))
        connector = found.evses[0].connectors[0]
        assert connector.amperage == case.get("amperage", connector.amperage)
