"""What a partner said last is what is stored (docs/spec-choices.md rows 4 and 15)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from foreign.script import Desk, scripts
from foreign.ways import HOW, How
from sync.support import synced


@pytest.mark.parametrize("how", HOW)
@scripts("order")
def test_what_the_partner_said_last_is_stored(script: Mapping[str, Any], how: How, store: Any) -> None:
    with synced(store=store) as pair:
        desk = Desk(pair, how)
        list(desk.say(script["words"]))
        for path, expected in script["end"].items():
            found = desk.get(path)
            assert {name: found[name] for name in expected} == expected, (path, script["outcome"])
        if "connectors" in script:
            connectors = desk.get("locations/*/LOC1/LOC1-E1")["connectors"]
            assert [[each["id"], each["amperage"]] for each in connectors] == script["connectors"]
