"""The same is the same, in whatever spelling, and another bill is another one (docs/spec-choices.md rows 9 and 18)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from foreign.script import Desk, scripts
from foreign.spellings import SAMPLES, respelled
from foreign.ways import HOW, How
from ocpi_emsp.events import Event
from ocpi_emsp.ports import Kind
from ocpi_emsp.testing.cpo.wire import encode
from ocpi_emsp.wire import Request
from sync.support import Synced, synced

PATHS = {"location": "locations/*/LOC1", "session": "sessions/*/SES1", "tariff": "tariffs/*/TAR1", "cdr": "cdrs"}
pytestmark = pytest.mark.parametrize("how", HOW)


def push(pair: Synced, kind: str, document: Any) -> Any:
    """What a push of the object is answered."""
    path = "/2.1.1/" + PATHS[kind].replace("*/", "NL/TNM/")
    headers = {"authorization": f"Token {pair.token}"}
    method = "POST" if kind == "cdr" else "PUT"
    return pair.emsp.handle(Request(method, path, headers=headers, body=encode(document)))


@pytest.mark.stores_in_turn
@scripts("spelling")
def test_two_spellings_of_one_meaning_are_the_same(script: Mapping[str, Any], how: How, store: Any) -> None:
    kind, events = script["kind"], list[Event]()
    first = respelled(SAMPLES[kind](), script.get("sample", {}))
    other = respelled(first, script["changes"])
    with synced(store=store, listen=events) as pair:
        desk = Desk(pair, how)
        assert push(pair, kind, first).status == 201
        before = [record.content_hash for record in (*pair.records(kind), *pair.records(Kind.EVSE))]
        events.clear()
        if how == "push":
            answer = push(pair, kind, other)
            assert (b"cdr.conflict" in answer.body) == (kind == "cdr" and not script["same"]), answer.body
        elif kind == "cdr" and not script["same"]:
            pair.cpo.lists["cdrs"], pair.cpo.ignores_dates = [other], True
            assert pair.pull("cdrs").rejected == 1
        else:
            report = desk.pull(f"{kind}s", other)
            assert (report.unchanged, report.updated) == ((1, 0) if script["same"] else (0, 1))
        assert (events == []) == script["same"], script["outcome"]
        after = [record.content_hash for record in (*pair.records(kind), *pair.records(Kind.EVSE))]
        assert (before == after) == (script["same"] or kind == "cdr")
        assert len(pair.records(Kind.CDR_CONFLICT)) == (kind == "cdr" and not script["same"])
