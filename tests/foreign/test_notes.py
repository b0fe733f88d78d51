"""What an answer to a push names is in the notes of a sync as well (issue 11, numbers 2, 4 and 6)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from foreign.script import Desk
from foreign.ways import HOW, How
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


PARTS = json.loads((Path(__file__).parent / "older-parts.json").read_text("utf-8"))["parts"]


@pytest.mark.stores_in_turn
@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("part", PARTS, ids=lambda part: str(part["name"]))
def test_an_older_part_is_named_where_it_says_something_else(part: dict[str, Any], how: How, any_store: Any) -> None:
    with synced(store=any_store) as pair:
        *_, answer = Desk(pair, how).say(part["words"])
        if isinstance(answer, dict):
            found = [f"[{rule}]" for rule in ("evse.older", "connector.older") if rule in answer["status_message"]]
            assert found == [f"[{rule}]" for rule in part["rules"]], answer
        else:
            assert len(answer.notes) == len(part["rules"]), answer
            assert all("the received one is older" in note for note in answer.notes)


def test_a_sync_notes_older_parts_once_with_their_number(any_store: Any) -> None:
    uids = ("LOC1-E1", "LOC1-E2", "LOC1-E3")
    with synced(store=any_store) as pair:
        desk = Desk(pair, "pull")
        list(desk.say([{"whole": "location", "at": 0, "evses": [[uid, 50, {}] for uid in uids]}]))
        older = [[uid, 40, {"status": "BLOCKED"}] for uid in uids]
        (report,) = desk.say([{"whole": "location", "at": 60, "evses": older}])
        (note,) = report.notes
        assert note.startswith(
            "location 'LOC1': EVSE 'LOC1-E1' was last updated 2024-05-01T00:50:00Z, the received one"
        )
        assert note.endswith("only what is newer in it is stored (2 more)")
