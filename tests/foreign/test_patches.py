"""Patches that say nothing of their object, and EVSEs at a location that is not known (issue 11, number 25)."""

import json
from typing import Any

import pytest

from flows.support import Peer, peer
from foreign.cases import FOLDER, cases
from foreign.ways import PATCHED, PLACE, PUSHED
from ocpi_emsp.testing.cpo import samples
from ocpi_emsp.testing.cpo.wire import encode
from our_emsp import credentials

Case = dict[str, Any]
PATHS = [path for path, _ in PATCHED]


def stocked(store: Any) -> Peer:
    """A CPO with one object of each kind."""
    cpo = peer(store=store)
    for method, path, body in PUSHED:
        assert cpo.push(method, path, body).code == 1000
    cpo.events.clear()
    return cpo


@cases("driver", "patch-*")
@pytest.mark.parametrize("path", [*PATHS, "credentials"])
def test_a_patch_without_a_member_of_its_object_is_refused(case: Case, any_store: Any, path: str) -> None:
    cpo = stocked(any_store)
    before = cpo.data(path)
    answer = cpo.push("PATCH", path, case["input"])
    assert answer.both == (200, case["outcome"]["status_code"])
    assert answer.findings == [("", "patch.members")]
    assert cpo.data(path) == before
    assert cpo.taken() == []
    [rejection] = cpo.emsp.rejections.list()
    assert rejection.body == (b"" if path == "credentials" else encode(case["input"]))


@pytest.mark.parametrize(("path", "changes"), PATCHED)
def test_one_member_of_the_object_is_enough(any_store: Any, path: str, changes: dict[str, Any]) -> None:
    cpo = stocked(any_store)
    assert cpo.push("PATCH", path, {**changes, "vendor_note": "x", "status_code": 1}).code == 1000
    # Once the object has a member of its own, that is one.
    assert cpo.push("PATCH", path, {"vendor_note": "y"}).code == 1000
    assert cpo.data(path)["vendor_note"] == "y"
    assert cpo.push("PATCH", path, {"last_updated": "2024-05-02T00:00:00Z"}).code == 1000


@pytest.mark.parametrize("path", PATHS)
def test_a_patch_of_an_unknown_object_is_still_404_and_pulled(any_store: Any, path: str) -> None:
    cpo = peer(store=any_store)
    assert cpo.push("PATCH", path, {"data": {}}).status == 404
    assert cpo.taken() == ["ResyncRequested"]


def test_credentials_are_patched(any_store: Any) -> None:
    cpo = peer(store=any_store)
    assert cpo.push("PATCH", "credentials", {"business_details": credentials()["business_details"]}).code == 1000


@pytest.mark.parametrize("more", [{}, {"city": "Assen"}, {"last_updated": "2024-05-02T00:00:00Z"}])
def test_evses_that_are_null_remove_nothing(any_store: Any, more: dict[str, Any]) -> None:
    cpo = stocked(any_store)
    answer = cpo.push("PATCH", "locations/*/LOC1", {"evses": None, **more})
    assert answer.both == (200, 1000)
    assert "/evses: null removes no EVSE" in answer.message
    assert [each["status"] for each in cpo.data("locations/*/LOC1")["evses"]] == ["AVAILABLE", "CHARGING"]
    assert "EvseRemoved" not in cpo.taken()
    if "city" in more:
        assert cpo.data("locations/*/LOC1")["city"] == "Assen"


EVSE = PLACE["evses"][0]


@pytest.mark.parametrize(
    ("path", "body", "known", "both"),
    [
        ("locations/*/LOC9/LOC1-E1", EVSE, False, (404, 2003)),
        ("locations/*/LOC9/LOC1-E1/1", EVSE["connectors"][0], False, (404, 2003)),
        ("locations/*/LOC1/NEW/1", EVSE["connectors"][0], True, (404, 2000)),
    ],
)
def test_what_is_put_below_an_unknown_object_is_pulled(
    any_store: Any, path: str, body: Any, known: bool, both: tuple[int, int]
) -> None:
    cpo = stocked(any_store) if known else peer(store=any_store)
    for _ in range(2):
        assert cpo.push("PUT", path, body).both == both
    assert set(cpo.taken()) == {"ResyncRequested"}
    wanted = cpo.push("PATCH", path, {"last_updated": "2024-05-02T00:00:00Z"})
    assert wanted.both == both


@pytest.mark.parametrize("case", json.loads((FOLDER / "patched-items.json").read_text("utf-8"))["input"])
def test_an_item_that_cannot_be_merged_is_named_by_its_place(any_store: Any, case: Case) -> None:
    cpo = stocked(any_store)
    answer = cpo.push("PATCH", case["path"], case["patch"])
    assert (answer.code, answer.findings) == (2001, [(case["pointer"], "value.type")])


def test_what_a_patch_holds_is_named_before_what_was_stored() -> None:
    cpo = peer()
    assert cpo.push("PUT", "tariffs/*/TAR1", {**samples.tariff("TAR1"), "currency": "EURO"}).code == 1000
    answer = cpo.push("PATCH", "tariffs/*/TAR1", {"tariff_alt_url": "x" * 256})
    assert answer.envelope["status_message"].startswith("Success, although /tariff_alt_url: ")


def test_a_refusal_of_the_whole_document_has_one_blank() -> None:
    answer = peer().push("PUT", "tariffs/*/TAR1", [1, 2])
    assert answer.envelope["status_message"].startswith("Tariff rejected: Tariff must")
