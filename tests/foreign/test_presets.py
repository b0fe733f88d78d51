"""The presets of the simulated CPO that are about what it pushes and how it is called: each ends in what a good client
does (docs/how-to/simulated-cpo.md); those that are about its lists are tried by `ocpi-emsp sync`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeAlias

import pytest
from attrs import define, field

from client.support import Pair, simulated
from ocpi_emsp import Policy
from ocpi_emsp.events import Event
from ocpi_emsp.testing.cpo import PRESETS, Exchange, SimulatedCpo
from ocpi_emsp.testing.cpo.wire import timestamp, utc_now


@define
class Desk:
    """A simulated CPO that pushes to our eMSP, and what became of it."""

    pair: Pair
    events: list[str] = field(factory=list)

    @property
    def cpo(self) -> SimulatedCpo:
        return self.pair.cpo

    def calls(self, name: str, *arguments: Any) -> Exchange:
        """One call of the CPO."""
        exchange: Exchange = self.pair.portal.call(getattr(self.cpo, name), *arguments)
        return exchange

    def stored(self, module: str, object_id: str) -> dict[str, Any]:
        """The document that is stored, with all that it has by now."""
        found = getattr(self.pair.emsp, module).document("NL-TNM", object_id)
        assert found is not None
        document: dict[str, Any] = json.loads(found.document)
        return document


@contextmanager
def desk(preset: str, store: Any = None) -> Iterator[Desk]:
    with simulated("sync", {"sessions_follow_commands": False, **PRESETS[preset]}, store=store) as pair:
        made = Desk(pair)
        pair.emsp.on(Event)(lambda event: made.events.append(type(event).__name__))
        yield made


Try: TypeAlias = Callable[[Desk], None]


def undated_patches(desk: Desk) -> None:
    assert desk.calls("push_location", "LOC1").ok
    for status in ("CHARGING", "AVAILABLE", "BLOCKED", "OUTOFORDER"):
        exchange = desk.calls("patch_evse", "LOC1", "LOC1-E1", {"status": status})
        assert (exchange.status_code, exchange.body["status_message"]) == (1000, "Success")
        assert desk.stored("locations", "LOC1")["evses"][0]["status"] == status


def unmoved_parents(desk: Desk) -> None:
    assert desk.calls("push_location", "LOC1").ok
    changes = {"status": "CHARGING", "last_updated": timestamp(utc_now())}
    assert desk.calls("patch_evse", "LOC1", "LOC1-E1", changes).ok
    before = desk.cpo.catalogue.find("locations", "LOC1")
    assert before is not None
    assert before["last_updated"] < changes["last_updated"]
    exchange = desk.calls("push_location", {**before, "name": "Elsewhere"})
    assert (exchange.status_code, exchange.body["status_message"]) == (1000, "Success")
    stored = desk.stored("locations", "LOC1")
    assert (stored["name"], stored["evses"][0]["status"]) == ("Elsewhere", "CHARGING")


def missing_evses(desk: Desk) -> None:
    desk.cpo.behave()
    uids = ["LOC1-E1", "LOC1-E2"]
    seen = []
    for preset in (None, "missing-evses", None):
        desk.cpo.misbehave(preset) if preset else desk.cpo.behave()
        assert desk.calls("push_location", "LOC1").ok
        evses = desk.stored("locations", "LOC1")["evses"]
        assert [each["uid"] for each in evses] == uids
        seen.append(evses[1]["status"])
    assert seen[1] == "REMOVED"
    assert seen[0] == seen[2] != "REMOVED"
    assert desk.events.count("EvseRemoved") == 1


def repeated_patches(desk: Desk) -> None:
    desk.pair.emsp.partner("NL-TNM").set_profile(append_charging_periods=True)
    assert desk.calls("push_session", "SES4").ok
    before = desk.stored("sessions", "SES4")
    period = {"start_date_time": "2030-01-01T00:00:00Z", "dimensions": [{"type": "ENERGY", "volume": 1}]}
    desk.events.clear()
    exchange = desk.calls("patch_session", "SES4", {"charging_periods": [period]})
    assert exchange.ok
    assert len([each for each in desk.cpo.sent if each.method == "PATCH"]) == 2
    assert desk.stored("sessions", "SES4")["charging_periods"] == [*before.get("charging_periods", []), period]
    assert desk.events == ["SessionReceived"]


def wrapped_patches(desk: Desk) -> None:
    assert desk.calls("push_location", "LOC1").ok
    before = desk.stored("locations", "LOC1")
    exchange = desk.calls("patch_location", "LOC1", {"name": "Elsewhere"})
    assert (exchange.status, exchange.status_code) == (200, 2001)
    assert desk.stored("locations", "LOC1") == before


def sessions_taken_back(desk: Desk) -> None:
    assert desk.calls("push_session", "SES4").ok
    desk.events.clear()
    assert desk.calls("patch_session", "SES4", {"status": "COMPLETED", "last_updated": timestamp(utc_now())}).ok
    stored = desk.stored("sessions", "SES4")
    assert stored["status"] == "INVALID"
    assert desk.events.count("SessionInvalidated") == desk.events.count("SessionEnergyDecreased") == 1


def null_members(desk: Desk) -> None:
    desk.cpo.behave()
    assert desk.calls("post_cdr", "CDR1").status == 201
    desk.cpo.misbehave("null-members")
    document = desk.cpo.catalogue.find("cdrs", "CDR1")
    assert document is not None
    assert document["remark"] is None
    desk.events.clear()
    exchange = desk.calls("post_cdr", document)
    assert (exchange.status, exchange.body["status_message"]) == (201, "Success")
    assert desk.events == []


def untimed_periods(desk: Desk) -> None:
    exchange = desk.calls("post_cdr", "CDR1")
    assert {each["type"] for period in exchange.request_body["charging_periods"] for each in period["dimensions"]}
    assert (exchange.status, exchange.body["status_message"]) == (201, "Success")


def upper_case_languages(desk: Desk) -> None:
    exchange = desk.calls("push_tariff", "TAR1")
    assert exchange.request_body["tariff_alt_text"][0]["language"] == "EN"
    assert (exchange.status, exchange.body["status_message"]) == (201, "Success")


def null_lists(desk: Desk) -> None:
    desk.pair.emsp.partner("NL-TNM").set_policy(Policy.strict())
    for call, object_id in (
        ("push_location", "LOC1"),
        ("push_session", "SES4"),
        ("post_cdr", "CDR1"),
        ("push_tariff", "TAR1"),
    ):
        exchange = desk.calls(call, object_id)
        assert None in exchange.request_body.values()
        assert (exchange.status, exchange.body["status_message"]) == (201, "Success")


def called_as_ours(desk: Desk) -> None:
    assert desk.calls("push_location", "LOC1").status == 201
    assert desk.calls("patch_evse", "LOC1", "LOC1-E1", {"status": "BLOCKED"}).ok
    assert desk.calls("get_location", "LOC1", "LOC1-E1").data["status"] == "BLOCKED"
    assert desk.calls("authorize", "UNKNOWN").status == 404
    url = desk.calls("post_cdr", "CDR1").headers["location"]
    assert desk.calls("get_cdr", url).data["id"] == "CDR1"


def called_as_theirs(desk: Desk) -> None:
    report = desk.pair.emsp.partner("NL-TNM").sync()
    assert [each.ended.value for each in report.modules] == ["done"] * 5
    with desk.pair.client() as client:
        assert client.unlock_connector(location_id="LOC1", evse_uid="LOC1-E1", connector_id="1").result(timeout=60)


def compressed_requests(desk: Desk) -> None:
    exchange = desk.calls("push_location", "LOC1")
    assert exchange.status == 415
    assert "gzip" in exchange.body["status_message"]
    assert desk.calls("get_location", "LOC1").status == 404


TRIES: Mapping[str, Try] = {
    "concatenated-urls": called_as_ours,
    "joined-urls": called_as_ours,
    "unusable-endpoint": called_as_theirs,
    "endpoint-roles": called_as_theirs,
    "token-line-break": called_as_ours,
    "byte-order-mark": called_as_ours,
    "compressed-requests": compressed_requests,
    "undated-patches": undated_patches,
    "unmoved-parents": unmoved_parents,
    "repeated-patches": repeated_patches,
    "wrapped-patches": wrapped_patches,
    "sessions-taken-back": sessions_taken_back,
    "null-lists": null_lists,
    "null-members": null_members,
    "missing-evses": missing_evses,
    "upper-case-languages": upper_case_languages,
    "untimed-periods": untimed_periods,
}


@pytest.mark.parametrize("preset", TRIES)
def test_what_is_pushed_ends_in_what_a_good_client_does(preset: str) -> None:
    with desk(preset) as at:
        TRIES[preset](at)
