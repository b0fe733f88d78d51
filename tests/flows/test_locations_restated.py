"""What a PUT does with EVSEs that are compared by their bytes is what it does with those that are taken apart."""

import json
from random import Random
from typing import Any
from unittest.mock import patch

from hypothesis import given, settings, strategies as st

from flows.support import Peer, at, peer
from ocpi_emsp.flows.inbound.request import Incoming
from ocpi_emsp.flows.locations import pushed
from ocpi_emsp.testing.cpo import samples

LOCATION = "locations/*/LOC1"
_ID = {"x-correlation-id": "one"}
STATUSES = ["AVAILABLE", "CHARGING", "BLOCKED", "REMOVED"]


def location(chance: Random) -> dict[str, Any]:
    """A location as a CPO pushes it: EVSEs of any time. Now and then one is left out, or comes twice, or has another
    connector, or a status that has to be read."""
    evses = []
    for uid in ("E1", "E2", "E3"):
        document = samples.evse(uid, status=chance.choice(STATUSES)) | {"last_updated": at(chance.randint(0, 6))}
        connector = document["connectors"][0] | {"last_updated": at(4 if chance.random() < 0.05 else 0)}
        document["connectors"] = [connector] * (2 if chance.random() < 0.05 else 1)
        evses += [document] * (0 if chance.random() < 0.1 else 1)
    if chance.random() < 0.05:
        evses.append({**chance.choice(evses), "last_updated": at(7)} if evses else samples.evse("E1"))
    if chance.random() < 0.15 and evses:
        evses[0]["status"] = "Available"
    return {**samples.location(), "evses": evses, "last_updated": at(chance.choice([5, 6, 7, 8]))}


def said(cpo: Peer, chance: Random) -> tuple[Any, ...]:
    """What a CPO is answered to what it says by chance, what is stored then, and what a listener hears."""
    if chance.random() < 0.1:
        answer = cpo.push("PATCH", f"{LOCATION}/E1", {"status": chance.choice(STATUSES)}, headers=_ID)
    else:
        answer = cpo.push("PUT", LOCATION, location(chance), headers=_ID)
    events = list(cpo.events)
    cpo.events.clear()
    return answer.both, answer.message, cpo.push("GET", LOCATION).data, events


@settings(max_examples=20)
@given(seed=st.integers(0, 2**32))
def test_both_ways_do_the_same(seed: int) -> None:
    one, other = (peer(), Random(seed)), (peer(), Random(seed))
    for _ in range(10):
        with (
            patch.object(pushed, "restated", lambda *_: None),
            patch.object(Incoming, "counts_only", lambda *_: False),
        ):
            expected = said(*other)
        assert said(*one) == expected


def evse(uid: str, minute: int, status: str) -> dict[str, Any]:
    """An EVSE that was updated so many minutes after midnight."""
    return samples.evse(uid, status=status) | {"last_updated": at(minute)}


def whole(minute: int, *evses: dict[str, Any]) -> dict[str, Any]:
    """A location with these EVSEs."""
    return {**samples.location(), "evses": list(evses), "last_updated": at(minute)}


def test_connectors_of_one_id_are_named_in_an_evse_that_is_older_than_stored() -> None:
    cpo = peer()
    one = evse("E1", 5, "AVAILABLE")
    two = one | {"connectors": one["connectors"] * 2}
    cpo.put(LOCATION, whole(5, two))
    answer = cpo.put(LOCATION, whole(6, two | {"status": "BLOCKED", "last_updated": at(4)}))
    assert "2 connectors have the id" in answer.message
    assert "(1 more)" in answer.message


def test_an_older_evse_that_comes_twice_is_stored_beside_as_it_was_received() -> None:
    cpo = peer()
    cpo.put(LOCATION, whole(5, evse("E1", 5, "AVAILABLE")))
    older, newer = evse("E1", 4, "BLOCKED"), evse("E1", 6, "CHARGING")
    cpo.put(LOCATION, whole(6, older, newer))
    assert cpo.data(LOCATION)["evses"] == [newer]
    (rejection,) = cpo.emsp.rejections.list()
    assert json.loads(rejection.body or b"") == older
