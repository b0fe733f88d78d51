"""What a partner said last is what is stored (docs/spec-choices.md rows 4 and 15)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from foreign.script import Desk, moment, scripts
from foreign.ways import HOW, How
from ocpi_emsp.testing.cpo import samples
from sync.support import synced


@pytest.mark.stores_in_turn
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


@pytest.mark.parametrize("how", HOW)
def test_a_connector_without_a_time_has_that_of_its_evse(how: How, store: Any) -> None:
    with synced(store=store) as pair:
        desk = Desk(pair, how)
        list(desk.say([{"whole": "location", "at": 0}]))
        list(desk.say([{"put": "locations/*/LOC1/LOC1-E1/1", "at": 5, "but": {"amperage": 63}}]))
        undated = samples.connector("1") | {"amperage": 16}
        del undated["last_updated"]
        for at, amperage in ((4, 63), (6, 16)):
            evse = {"connectors": [undated], "last_updated": moment(at)}
            list(desk.say([{"whole": "location", "at": at, "evses": [["LOC1-E1", at, {}], ["LOC1-E2", 0, {}]]}]))
            desk.push("PUT", "locations/*/LOC1/LOC1-E1", samples.evse("LOC1-E1") | evse)
            (connector,) = desk.get("locations/*/LOC1/LOC1-E1")["connectors"]
            assert connector["amperage"] == amperage, at
