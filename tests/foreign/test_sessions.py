"""Sessions that take something back, and periods that are said again (docs/spec-choices.md rows 6 and 15)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from foreign.script import Desk, scripts
from foreign.ways import HOW, How
from ocpi_emsp.events import Event
from sync.support import synced


@pytest.mark.stores_in_turn
@pytest.mark.parametrize("how", HOW)
@scripts("sessions")
def test_a_session_ends_as_the_partner_said_last(script: Mapping[str, Any], how: How, store: Any) -> None:
    events = list[Event]()
    with synced(store=store, listen=events) as pair:
        pair.emsp.partner("NL-TNM").set_profile(append_charging_periods=script["append_charging_periods"])
        desk, words = Desk(pair, how), script["words"]
        list(desk.say(words[:-1]))
        events.clear()
        (answer,) = desk.say(words[-1:])
        found = desk.get("sessions/*/SES1")
        assert {name: found[name] for name in script["end"]} == script["end"], script["outcome"]
        assert [type(each).__name__ for each in events] == script["events"]
        if isinstance(answer, dict):
            named = answer["status_message"]
            assert f"[{script['findings'][0]}]" in named if script["findings"] else "[session." not in named
