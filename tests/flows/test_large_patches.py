"""A PATCH of much, or of a large object: it is merged and read outside of its transaction, and means the same."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest

from flows.support import Peer, peer
from flows.test_hostile_bodies import LOCATION, ROUTES, evses, in_place, on_a_loop, periods, plain, request
from ocpi_emsp import Limits
from ocpi_emsp.flows.inbound import merging
from ocpi_emsp.models import Connector, Evse, Location, Session, Tariff
from ocpi_emsp.settings import BodyLimits

SESSION, TARIFF = ROUTES["put-session"][1], ROUTES["put-tariff"][1]
STORED: dict[str, tuple[str, Any]] = {
    "location": (LOCATION, plain(Location) | {"evses": evses(200)}),
    "evse": (f"{LOCATION}/3256", plain(Evse) | {"vendor": "x" * 70_000, "status": "ODD"}),
    "session": (SESSION, plain(Session) | {"charging_periods": periods(700)}),
    "tariff": (TARIFF, plain(Tariff) | {"vendor": ["x"] * 18_000, "tariff_alt_url": "x" * 300}),
}
"""Large objects, which deviate."""
CHANGES: dict[str, Any] = {
    "location": {"name": "New", "evses": [{"uid": "7", "floor_level": "3"}]},
    "evse": {"floor_level": "3", "connectors": [{**plain(Connector), "id": "9"}]},
    "session": {"kwh": 9, "status": "ACTIVE"},
    "tariff": {"currency": "SEK", "elements": plain(Tariff)["elements"]},
}


def stored(aside: int = BodyLimits().aside) -> Peer:
    """A CPO, all of whose objects are large."""
    cpo = peer(listen=False, limits=Limits(bodies=BodyLimits(aside=aside)))
    assert in_place(cpo.emsp, request(cpo, "PUT", LOCATION, plain(Location)))["status_code"] == 1000
    for path, document in STORED.values():
        assert in_place(cpo.emsp, request(cpo, "PUT", path, document))["status_code"] == 1000
    return cpo


def read(cpo: Peer, path: str) -> Any:
    """An object as it is stored."""
    return in_place(cpo.emsp, request(cpo, "GET", path, b""))["data"]


@pytest.fixture
def places(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The threads in which something is merged aside."""
    found: list[int] = []
    merge_ahead = merging._merge_ahead

    def merge(*given: Any) -> None:
        found.append(threading.get_ident())
        merge_ahead(*given)

    monkeypatch.setattr(merging, "_merge_ahead", merge)
    return found


@pytest.mark.parametrize("name", STORED)
def test_a_small_patch_of_a_large_object_is_merged_aside(name: str, places: list[int]) -> None:
    """Without ``leave_if_large``: it is read inside its transaction, on the event loop. Both are equal."""
    aside, inside, (path, _), changes = stored(), stored(aside=10_000_000), STORED[name], CHANGES[name]
    answers = [on_a_loop(each.emsp, request(each, "PATCH", path, changes)) for each in (aside, inside)]
    assert len(places) == 1
    assert threading.get_ident() not in places
    assert answers[0]["status_code"] == 1000
    assert answers[0]["status_message"] == answers[1]["status_message"] != "Success"
    assert read(aside, path) == read(inside, path)


def test_a_large_patch_of_a_small_object_is_merged_aside(places: list[int]) -> None:
    """Without ``leave_if_large``: 9000 connectors are merged inside the transaction, 340 ms on the event loop."""
    cpo = peer(listen=False)
    path, evse = f"{LOCATION}/3256", plain(Evse)
    assert in_place(cpo.emsp, request(cpo, "PUT", LOCATION, plain(Location)))["status_code"] == 1000
    assert in_place(cpo.emsp, request(cpo, "PATCH", path, {"vendor": "x" * 70_000}))["status_code"] == 2001
    changes = {"physical_reference": "2", "vendor": "x" * 70_000}
    assert on_a_loop(cpo.emsp, request(cpo, "PATCH", path, changes))["status_code"] == 1000
    assert len(places) == 1
    assert read(cpo, path)["connectors"] == evse["connectors"]
    on_a_loop(cpo.emsp, request(cpo, "PATCH", LOCATION, {"name": "small"}))
    assert len(places) == 2  # the location is large by now
    on_a_loop(cpo.emsp, request(cpo, "PATCH", f"{path}/1", {"voltage": 220}))
    assert len(places) == 2


def test_what_changed_meanwhile_is_merged_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the look at the stored bytes: the other change is lost."""
    cpo, merge_ahead = stored(), merging._merge_ahead
    others = iter([{"floor_level": "7"}])

    def merge(*given: Any) -> None:
        merge_ahead(*given)
        for changes in others:
            assert in_place(cpo.emsp, request(cpo, "PATCH", f"{LOCATION}/7", changes))["status_code"] == 1000

    monkeypatch.setattr(merging, "_merge_ahead", merge)
    answer = in_place(cpo.emsp, request(cpo, "PATCH", LOCATION, {"name": "New"}))
    assert answer["status_code"] == 1000
    assert answer["status_message"].count("more") == 1
    found = read(cpo, LOCATION)
    assert found["name"] == "New"
    assert [each["floor_level"] for each in found["evses"] if each["uid"] == "7"] == ["7"]


def test_what_cannot_be_merged_is_refused_as_a_small_one_is(places: list[int]) -> None:
    cpo = stored()
    answer = on_a_loop(cpo.emsp, request(cpo, "PATCH", LOCATION, {"city": None}))
    assert [(each["pointer"], each["rule"]) for each in answer["data"]][:1] == [("/city", "field.required")]
    assert len(places) == 1
    *_, rejection = cpo.emsp.rejections.list()
    assert json.loads(rejection.body) == {"city": None}
