"""What an answer to a push names is in the notes of a sync as well (issue 11, numbers 2 and 6)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from foreign.script import Desk
from sync.support import synced

SAID: dict[str, list[Mapping[str, Any]]] = {
    "location 'LOC1': the location was last updated": [
        {"whole": "location", "at": 5},
        {"whole": "location", "at": 3, "evses": [["LOC1-E1", 9, {"status": "BLOCKED"}]]},
    ],
    "session 'SES1': the session was COMPLETED, and is INVALID now": [
        {"whole": "session", "at": 5, "but": {"status": "COMPLETED"}},
        {"whole": "session", "at": 6, "but": {"status": "INVALID"}},
    ],
    "session 'SES1': the session had 9 kWh, and has 8 now": [
        {"whole": "session", "at": 5, "but": {"status": "ACTIVE", "kwh": 9}},
        {"whole": "session", "at": 6, "but": {"status": "ACTIVE", "kwh": 8}},
    ],
}


@pytest.mark.parametrize("note", SAID)
def test_a_sync_notes_what_a_push_is_answered(note: str, any_store: Any) -> None:
    with synced(store=any_store) as pair:
        desk = Desk(pair, "pull")
        first, second = desk.say(SAID[note])
        assert first.notes == ()
        (found,) = second.notes
        assert found.startswith(note)
    with synced() as pair:
        *_, answer = Desk(pair, "push").say(SAID[note])
        assert note.partition(": ")[2] in answer["status_message"]
