"""What is said twice of one thing: named, and nothing of it is dropped (issue 11, number 4)."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from copy import deepcopy
from datetime import timedelta
from typing import Any, TypeAlias

import httpx
import pytest

from foreign.cases import cases, named as cases_by_name
from foreign.script import Desk, moment
from foreign.ways import HOW, WAYS, How, Way, at, desk
from ocpi_emsp.events import Event
from ocpi_emsp.testing.cpo import samples
from ocpi_emsp.testing.cpo.wire import encode
from ocpi_emsp.wire import Request
from scripted_cpo import page
from sync.support import OLD, Document, Synced, cdr, location, session, synced, tariff

Case: TypeAlias = dict[str, Any]


def named(answer: Any) -> str:
    """What a push's answer, or a sync's notes, say."""
    return answer["status_message"] if isinstance(answer, dict) else "\n".join(answer.notes)


def kept(pair: Synced) -> list[Any]:
    """The documents among the rejections."""
    return [json.loads(each.body) for each in pair.emsp.rejections.list("NL-TNM")]


@pytest.mark.stores_in_turn
@pytest.mark.parametrize("how", HOW)
@cases("twins", "evses-*")
def test_of_evses_of_one_uid_the_newest_is_stored(case: Case, how: How, store: Any) -> None:
    events = list[Event]()
    word = {"whole": "location", "at": 5, "evses": case["evses"]}
    with synced(store=store, listen=events) as pair:
        desk = Desk(pair, how)
        for _ in range(2):  # the same again changes nothing
            (answer,) = desk.say([word])
            assert "EVSEs have the uid 'LOC1-E1'" in named(answer)
            assert desk.get("locations/*/LOC1/LOC1-E1")["status"] == case["status"]
            assert sorted(each["status"] for each in kept(pair)) == case["kept"]
            (report,) = [each for each in pair.emsp.partner("NL-TNM").report().rules if each.rule == "evse.uid.unique"]
            assert report.count == len(case["kept"])
        assert [type(each).__name__ for each in events] == ["LocationReceived"]
        assert len(desk.get("locations/*/LOC1")["evses"]) == len({each[0] for each in case["evses"]})


# --- connectors -----------------------------------------------------------------------------------------------------


def put_location(desk: Desk, connectors: Sequence[Any]) -> Any:
    (answer,) = desk.say([{"whole": "location", "at": 5, "evses": [["LOC1-E1", 5, {}, connectors]]}])
    return answer


def put_evse(desk: Desk, connectors: Sequence[Any]) -> Any:
    (answer,) = desk.say([{"put": "locations/*/LOC1/LOC1-E1", "at": 5, "connectors": connectors}])
    return answer


@pytest.mark.parametrize(("how", "say"), [("push", put_location), ("pull", put_location), ("push", put_evse)])
@cases("twins", "connectors-*")
def test_connectors_of_one_id_are_all_stored(
    case: Case, how: How, say: Callable[[Desk, Sequence[Any]], Any], store: Any
) -> None:
    with synced(store=store) as pair:
        desk = Desk(pair, how)
        list(desk.say([{"whole": "location", "at": 0}]))
        assert "connectors have the id '1'" in named(say(desk, case["connectors"]))
        found = desk.get("locations/*/LOC1/LOC1-E1")["connectors"]
        assert [each["amperage"] for each in found] == case["amperages"]
        assert desk.get("locations/*/LOC1/LOC1-E1/1")["amperage"] == case["counts"]
        assert any(each.rule == "connector.id.unique" for each in pair.emsp.partner("NL-TNM").report().rules)
        desk.push("PUT", "locations/*/LOC1/LOC1-E1/1", samples.connector("1") | {"last_updated": moment(9)})
        assert len(desk.get("locations/*/LOC1/LOC1-E1")["connectors"]) == len(case["amperages"])


PATCHES: dict[str, Callable[[list[Document]], Document]] = {
    "locations/*/LOC1": lambda items: {"evses": [{"uid": "LOC1-E1", "connectors": items}]},
    "locations/*/LOC1/LOC1-E1": lambda items: {"connectors": items},
}


@pytest.mark.parametrize("path", PATCHES)
def test_connectors_that_a_patch_has_twice_are_merged_in_their_order(path: str, store: Any) -> None:
    with synced(store=store) as pair:
        desk = Desk(pair, "push")
        list(desk.say([{"whole": "location", "at": 0}]))
        items = [{"id": "1", "amperage": 16, "voltage": 400}, {"id": "1", "amperage": 63}]
        assert "[connector.id.unique]" in named(desk.push("PATCH", path, PATCHES[path](items)))
        (connector,) = desk.get("locations/*/LOC1/LOC1-E1")["connectors"]
        assert (connector["amperage"], connector["voltage"]) == (63, 400)
        assert [(each["id"], each["amperage"]) for each in kept(pair)] == [("1", 16)]


@pytest.mark.parametrize(
    ("items", "lost"),
    [
        ([{"status": "CHARGING"}, {"status": "BLOCKED"}], ["CHARGING"]),
        ([{"floor_level": "-1"}, {"status": "BLOCKED"}], []),
    ],
)
def test_evses_that_a_patch_has_twice_are_merged_in_their_order(
    items: list[Document], lost: list[str], store: Any
) -> None:
    with synced(store=store) as pair:
        desk = Desk(pair, "push")
        list(desk.say([{"whole": "location", "at": 0}]))
        patch = {"evses": [{"uid": "LOC1-E1", **each} for each in items]}
        assert "[evse.uid.unique]" in named(desk.push("PATCH", "locations/*/LOC1", patch))
        evse = desk.get("locations/*/LOC1/LOC1-E1")
        assert evse["status"] == "BLOCKED"
        assert evse.get("floor_level", "") == items[0].get("floor_level", evse.get("floor_level", ""))
        assert [each["status"] for each in kept(pair)] == lost


# --- pages ----------------------------------------------------------------------------------------------------------


LISTS: dict[str, Callable[..., Document]] = {"locations": location, "sessions": session, "tariffs": tariff}
OTHER: dict[str, Document] = {"locations": {"name": "Another"}, "sessions": {"kwh": 99}, "tariffs": {"currency": "USD"}}


def lists(documents: list[Document]) -> Callable[[httpx.Request], httpx.Response]:
    """A page of these, whose total counts each id once."""
    return lambda _: page(documents, total=len({each["id"] for each in documents}))


@pytest.mark.stores_in_turn
@pytest.mark.parametrize("module", LISTS)
@cases("twins", "page-*")
def test_of_objects_of_one_id_on_a_page_the_newest_is_stored(case: Case, module: str, any_store: Any) -> None:
    first, second = (LISTS[module](1, OLD + timedelta(seconds=each)) for each in case["seconds"])
    if case["unlike"]:
        first |= OTHER[module]
    counts, other = (first, second) if case["seconds"][0] else (second, first)
    events = list[Event]()
    with synced(store=any_store, listen=events) as pair:
        pair.cpo.script[f"/2.1.1/{module}"] = lists([first, LISTS[module](2), second])
        for number in range(2):
            report = pair.pull(module)
            assert (report.ended.value, report.rejected, report.objects) == ("done", 0, 3), report
            assert (report.created, report.stale) == (2 if number == 0 else 0, 1 if case["unlike"] else 0)
            assert f"'{first['id']}' is listed 2 times on one page" in "\n".join(report.notes)
            (name,) = [*OTHER[module]]
            assert Desk(pair, "pull").get(f"{module}/*/{first['id']}").get(name) == counts.get(name)
            assert [each.get(name) for each in kept(pair)] == ([other.get(name)] if case["unlike"] else [])
        assert len(events) == 2


def test_a_cdr_that_is_listed_twice_is_named(any_store: Any) -> None:
    with synced(store=any_store) as pair:
        pair.cpo.script["/2.1.1/cdrs"] = lists([cdr(1), cdr(1)])
        report = pair.pull("cdrs")
        assert (report.created, report.unchanged, report.rejected) == (1, 1, 0)
        assert "cdr 'CDR1' is listed 2 times on one page" in report.notes


def test_of_two_objects_of_one_id_the_usable_one_is_stored(any_store: Any) -> None:
    newer = location(1, OLD + timedelta(seconds=60))
    del newer["coordinates"]
    with synced(store=any_store) as pair:
        pair.cpo.script["/2.1.1/locations"] = lists([location(1), newer])
        report = pair.pull("locations")
        assert (report.created, report.rejected) == (1, 1)


# --- members --------------------------------------------------------------------------------------------------------


def repeated(document: Any, name: str, value: Any) -> bytes:
    """The document with another value of a member before its own."""
    return b"{" + encode({name: value})[1:-1] + b"," + encode(document)[1:]


def send(pair: Synced, method: str, path: str, body: bytes) -> Any:
    target = "/2.1.1/" + path.replace("*/", "NL/TNM/", 1)
    response = pair.emsp.handle(Request(method, target, headers={"authorization": f"Token {pair.token}"}, body=body))
    return json.loads(response.body)


NEW: dict[str, tuple[str, Callable[[], Document], str, Any]] = {
    "locations/*/LOC1": ("PUT", lambda: location(1), "name", "Another"),
    "locations/*/LOC1/LOC1-E3": ("PUT", lambda: samples.evse("LOC1-E3"), "status", "BLOCKED"),
    "locations/*/LOC1/LOC1-E1/1": ("PUT", lambda: samples.connector("1"), "amperage", 63),
    "sessions/*/SES1": ("PUT", lambda: session(1), "kwh", 99),
    "tariffs/*/TAR1": ("PUT", lambda: tariff(1), "currency", "USD"),
    "cdrs": ("POST", lambda: cdr(1), "total_energy", 99),
}


@pytest.mark.parametrize("path", NEW)
def test_a_repeated_member_of_a_new_object_is_named(path: str, any_store: Any) -> None:
    method, make, name, value = NEW[path]
    with synced(store=any_store) as pair:
        if path.count("/") > 2:
            Desk(pair, "push").push("PUT", "locations/*/LOC1", location(1))
        document = make()
        answer = send(pair, method, path, repeated(document, name, value))
        assert answer["status_code"] == 1000
        assert f"/{name}: a member is repeated; the last one counts [json.repeated]" in answer["status_message"]
        get = path.replace("cdrs", "cdrs/CDR1")
        assert json.loads(encode(send(pair, "GET", get, b"")["data"][name])) == json.loads(encode(document[name]))
        rules = [each.rule for each in pair.emsp.partner("NL-TNM").report().rules]
        assert "json.repeated" in rules or path.endswith("LOC1-E1/1")


def test_a_repeated_member_of_a_known_location_is_named_and_its_document_kept(store: Any) -> None:
    with synced(store=store) as pair:
        Desk(pair, "push").push("PUT", "locations/*/LOC1", location(1))
        for indent in (None, 2):
            later = location(1, OLD + timedelta(seconds=60 + (indent or 0)))
            body = repeated(json.loads(encode(later)), "name", "Another")
            spaced = body if indent is None else body.replace(b",", b" ,\n  ")
            answer = send(pair, "PUT", "locations/*/LOC1", spaced)
            assert "/name: a member is repeated; the last one counts [json.repeated]" in answer["status_message"]
            assert spaced in [each.body for each in pair.emsp.rejections.list("NL-TNM")]


@pytest.mark.parametrize("path", ["locations/*/LOC1/LOC1-E1", "sessions/*/SES1", "tariffs/*/TAR1"])
def test_a_repeated_member_of_a_known_object_is_named(path: str, any_store: Any) -> None:
    name, value = PATCHED[path]
    make = {"locations": lambda: samples.evse("LOC1-E1"), "sessions": lambda: session(1), "tariffs": lambda: tariff(1)}
    with synced(store=any_store) as pair:
        Desk(pair, "push").push("PUT", "locations/*/LOC1", location(1))
        document = {**make[path.split("/")[0]](), "last_updated": "2030-01-01T00:00:00Z"}
        send(pair, "PUT", path, encode(document))
        again = {**document, "last_updated": "2030-01-01T00:01:00Z"}
        assert send(pair, "PUT", path, encode(again))["status_message"] == "Success"
        answer = send(pair, "PUT", path, repeated({**again, "last_updated": "2030-01-01T00:02:00Z"}, name, value))
        assert f"/{name}: a member is repeated; the last one counts [json.repeated]" in answer["status_message"]


@pytest.mark.parametrize("module", ["sessions", "tariffs", "locations"])
def test_a_repeated_member_of_a_known_object_that_is_pulled_is_noted(module: str, store: Any) -> None:
    make = LISTS[module]
    with synced(store=store) as pair:
        pair.cpo.script[f"/2.1.1/{module}"] = lists([make(1, OLD)])
        pair.pull(module)
        name = "city" if module == "locations" else "currency"
        twice = repeated(make(1, OLD + timedelta(seconds=60)), name, "XXX")
        body = b'{"status_code":1000,"timestamp":"2024-06-01T12:00:00Z","data":[' + twice + b"]}"
        pair.cpo.script[f"/2.1.1/{module}"] = lambda _: httpx.Response(200, content=body)
        assert any("a member is repeated" in note for note in pair.pull(module).notes)


PATCHED = {
    "locations/*/LOC1": ("name", "Second"),
    "locations/*/LOC1/LOC1-E1": ("status", "BLOCKED"),
    "locations/*/LOC1/LOC1-E1/1": ("amperage", 63),
    "sessions/*/SES1": ("kwh", 99),
    "tariffs/*/TAR1": ("currency", "USD"),
}


@pytest.mark.parametrize("path", PATCHED)
def test_a_repeated_member_of_a_patch_is_named_and_its_document_kept(path: str, any_store: Any) -> None:
    name, value = PATCHED[path]
    with synced(store=any_store) as pair:
        for whole, (method, make, *_) in NEW.items():
            if whole.count("/") == 2:
                Desk(pair, "push").push(method, whole, make())
        body = repeated({name: value}, name, "1" if isinstance(value, str) else 1)
        answer = send(pair, "PATCH", path, body)
        assert f"/{name}: a member is repeated; the last one counts [json.repeated]" in answer["status_message"]
        assert send(pair, "GET", path, b"")["data"][name] == value
        assert [each.body for each in pair.emsp.rejections.list("NL-TNM")] == [body]


# --- in one object --------------------------------------------------------------------------------------------------


DOUBLED = [
    pytest.param(case, way, id=f"{name}-{way}")
    for name, case in cases_by_name("twins", "doubled-*").items()
    for way in WAYS[case["kind"]]
]


@pytest.mark.stores_in_turn
@pytest.mark.parametrize(("case", "way"), DOUBLED)
def test_what_an_object_has_twice_is_stored_and_named(case: Case, way: Way, any_store: Any) -> None:
    def double(document: Document) -> None:
        items = at(document, case["list"])
        items.insert(0, deepcopy(items[0]))

    with desk(way, any_store) as partner:
        said = partner.send(double)
        assert (said.code, case["says"] in said.message) == (1000, True), said
        assert (case["pointer"], case["rule"]) in [found[:2] for found in partner.findings()]
        assert len(at(partner.stored(), case["list"])) > 1
