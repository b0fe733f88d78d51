"""What a sync takes in: by the same rules as a push, page by page, and counted."""

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from client.support import MODES, Mode, register_tnm
from ocpi_emsp import Limits, SupportMatrix
from ocpi_emsp.errors import NotRegistered
from ocpi_emsp.events import Event
from ocpi_emsp.ports import Kind
from ocpi_emsp.resources import SyncEnded
from ocpi_emsp.settings import SyncLimits
from ocpi_emsp.testing.cpo.wire import encode
from our_emsp import token
from sync.support import NOW, OLD, cdr, location, moved, on_sqlite, session, synced, tariff

LATER = OLD + timedelta(days=30)


def counts(report: Any) -> dict[str, int]:
    names = ("created", "updated", "unchanged", "stale", "rejected")
    return {name: getattr(report, name) for name in names if getattr(report, name)}


@pytest.mark.parametrize("mode", MODES)
def test_everything_is_pulled_and_counted(mode: Mode) -> None:
    with synced(mode) as pair:
        pair.cpo.lists = {
            "locations": [location(n) for n in range(23)],
            "tariffs": [tariff(n) for n in range(3)],
            "sessions": [session(n) for n in range(12)],
            "cdrs": [cdr(n) for n in range(11)],
        }
        report = pair.sync()
        assert report.ok
        assert {each.module: each.created for each in report.modules} == {
            "locations": 23,
            "tariffs": 3,
            "sessions": 12,
            "cdrs": 11,
            "tokens": 0,
        }
        assert (report.created, report.pages) == (49, 3 + 1 + 2 + 2)
        assert report.bytes > 50_000
        assert len(pair.ids(Kind.EVSE)) == 46
        assert pair.ids(Kind.LOCATION) == [f"LOC{n}" for n in range(23)]
        assert pair.ids(Kind.CDR) == [f"CDR{n}" for n in range(11)]


def test_the_same_again_writes_nothing() -> None:
    with synced() as pair:
        pair.cpo.lists["locations"] = [location(1), location(2)]
        pair.cpo.lists["sessions"] = [session(1)]
        pair.cpo.lists["cdrs"] = [cdr(1)]
        pair.sync(since=OLD)
        kinds = (Kind.LOCATION, Kind.EVSE, Kind.SESSION, Kind.CDR)
        before = [pair.records(kind) for kind in kinds]
        report = pair.sync(since=OLD)
        assert report.ok
        assert (report.created, report.updated, report.unchanged) == (0, 0, 4)
        after = [pair.records(kind) for kind in kinds]
        assert after == before
        assert [[each.revision for each in kind] for kind in after] == [[1, 1], [1] * 4, [1], [1]]


def test_what_changed_is_updated_and_what_is_older_stays() -> None:
    with synced() as pair:
        first = [location(n) for n in range(4)]
        pair.cpo.lists["locations"] = first
        pair.pull()
        assert pair.push("PUT", "locations/*/LOC3", moved(first[3], NOW, name="pushed")) == 200
        pair.cpo.lists["locations"] = [
            first[0],
            moved(first[1], LATER),
            moved(first[2], LATER, name="elsewhere"),
            first[3],
        ]
        report = pair.pull(since=OLD)
        assert counts(report) == {"unchanged": 2, "updated": 1, "stale": 1}
        assert b"elsewhere" in pair.records(Kind.LOCATION)[2].document
        assert b"pushed" in pair.records(Kind.LOCATION)[3].document


def test_a_changed_evse_changes_its_location() -> None:
    heard: list[Event] = []
    with synced(listen=heard) as pair:
        pair.cpo.lists["locations"] = [location(1)]
        pair.pull()
        changed = location(1)
        changed["evses"][0]["status"] = "OUTOFORDER"
        changed["evses"][0]["last_updated"] = "2024-02-01T00:00:00Z"
        pair.cpo.lists["locations"] = [changed]
        heard.clear()
        assert counts(pair.pull(since=OLD)) == {"updated": 1}
        assert [type(event).__name__ for event in heard] == ["LocationReceived"]
        record = pair.record(Kind.LOCATION, "LOC1")
        assert record is not None
        assert record.last_updated == datetime.fromisoformat("2024-02-01T00:00:00+00:00")


def test_final_sessions_stay_final() -> None:
    with synced() as pair:
        pair.cpo.lists["sessions"] = [session(1)]
        pair.pull("sessions")
        pair.cpo.lists["sessions"] = [moved(session(1), LATER, status="ACTIVE")]
        assert counts(pair.pull("sessions", since=OLD)) == {"stale": 1}


@pytest.mark.parametrize("mode", MODES)
def test_good_objects_of_a_page_are_stored_although_others_are_bad(mode: Mode) -> None:
    with synced(mode) as pair:
        nameless = {name: value for name, value in location(3).items() if name != "id"}
        torn = {name: value for name, value in location(4).items() if name != "coordinates"}
        pair.cpo.lists["locations"] = [location(1), nameless, b'"text"', torn, location(2), b"17"]
        report = pair.pull()
        assert report.ended is SyncEnded.DONE
        assert counts(report) == {"created": 2, "rejected": 4}
        assert [each.id for each in report.rejections] == ["", "", "LOC4", ""]
        assert [(found.pointer, found.severity.value) for found in report.rejections[2].findings][:1] == [
            ("/coordinates", "error")
        ]
        assert pair.ids(Kind.LOCATION) == ["LOC1", "LOC2"]


def test_a_rejection_is_kept_once_and_replayed_as_the_push_that_it_could_have_been() -> None:
    with synced() as pair:
        bad = location(1) | {"coordinates": None}
        pair.cpo.lists["locations"] = [bad]
        for _ in range(3):
            assert counts(pair.pull(since=OLD)) == {"rejected": 1}
        (kept,) = pair.emsp.rejections.list()
        assert (kept.method, kept.path, kept.route) == ("PUT", "/2.1.1/locations/NL/TNM/LOC1", "locations.put_location")
        assert kept.body.startswith(b"{")
        assert pair.emsp.rejections.replay(kept, body=encode(location(1))).status == 201
        assert list(pair.emsp.rejections.list()) == []
        assert pair.ids(Kind.LOCATION) == ["LOC1"]


def test_another_content_of_a_cdr_is_kept_beside_and_reported() -> None:
    with synced() as pair:
        pair.cpo.lists["cdrs"] = [cdr(1)]
        pair.pull("cdrs")
        pair.cpo.lists["cdrs"] = [cdr(1, remark="another")]
        report = pair.pull("cdrs", since=OLD)
        assert counts(report) == {"rejected": 1}
        assert report.rejections[0].findings[0].rule == "cdr.conflict"
        assert b"another" not in pair.records(Kind.CDR)[0].document
        assert b"another" in pair.records(Kind.CDR_CONFLICT)[0].document


@pytest.mark.parametrize(
    ("owner", "taken"),
    [
        ({"country_code": "NL", "party_id": "TNM"}, {"created": 1}),
        ({"country_code": "nl", "party_id": "tnm"}, {"created": 1}),
        ({"country_code": "DE", "party_id": "ABC"}, {"rejected": 1}),
        ({"country_code": 7, "party_id": None}, {"rejected": 1}),
        ({"party_id": "ABC"}, {"created": 1}),
    ],
)
def test_an_object_that_says_it_is_of_another_party_is_not_taken(owner: Any, taken: dict[str, int]) -> None:
    with synced() as pair:
        pair.cpo.lists["locations"] = [location(1) | owner]
        report = pair.pull()
        assert counts(report) == taken
        assert [found.rule for each in report.rejections for found in each.findings] == (
            ["pull.owner"] if "rejected" in taken else []
        )


def test_events_are_those_of_a_push() -> None:
    heard: list[Event] = []
    with synced(listen=heard) as pair:
        pair.cpo.lists = {
            "locations": [location(1)],
            "tariffs": [tariff(1)],
            "sessions": [session(1)],
            "cdrs": [cdr(1)],
        }
        pair.sync()
        names = ["LocationReceived", "TariffReceived", "SessionReceived", "CdrReceived"]
        assert [type(event).__name__ for event in heard if type(event).__name__ != "PartyRegistered"] == names


def test_a_listener_that_fails_ends_nothing_and_is_told() -> None:
    with synced() as pair:

        @pair.emsp.on(Event)
        def broken(_: Event) -> None:
            raise RuntimeError("no")

        pair.cpo.lists["tariffs"] = [tariff(n) for n in range(12)]
        report = pair.pull("tariffs")
        assert (report.ended, counts(report)) == (SyncEnded.DONE, {"created": 12})
        assert "the event is tried again" in report.notes[0]
        assert len([each for each in pair.emsp.events.list() if each.name == "TariffReceived"]) == 12


def test_a_page_of_very_many_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ocpi_emsp.flows.sync.page.CHUNK", 7)
    with synced() as pair:
        pair.cpo.page_size = 1000
        pair.cpo.lists["tariffs"] = [tariff(n) for n in range(100)]
        report = pair.pull("tariffs")
        assert (counts(report), report.pages) == ({"created": 100}, 1)
        assert pair.ids(Kind.TARIFF) == [f"TAR{n}" for n in range(100)]


def test_what_the_store_cannot_hold_is_rejected_alone(sqlite_with_schema: Path) -> None:
    with on_sqlite(sqlite_with_schema) as pair:
        unstorable = tariff(2) | {"vendor": "a\0b"}
        pair.cpo.lists["tariffs"] = [tariff(1), unstorable, tariff(3)]
        report = pair.pull("tariffs")
        assert report.ended is SyncEnded.DONE
        assert report.created + report.rejected == 3
        assert {"TAR1", "TAR3"} <= set(pair.ids(Kind.TARIFF))
        assert pair.checkpoint("tariffs").done_until == NOW


def test_modules_are_chosen_and_come_in_their_order() -> None:
    with synced() as pair:
        report = pair.sync(modules=["CDRS", "tariffs"])
        assert [each.module for each in report.modules] == ["tariffs", "cdrs"]


def test_a_module_that_the_party_does_not_offer_is_skipped() -> None:
    with synced(offered=("locations", "sessions")) as pair:
        report = pair.sync()
        assert report.ok
        assert {each.module: each.ended for each in report.modules} == {
            "locations": SyncEnded.DONE,
            "tariffs": SyncEnded.SKIPPED,
            "sessions": SyncEnded.DONE,
            "cdrs": SyncEnded.SKIPPED,
            "tokens": SyncEnded.SKIPPED,
        }
        assert "no cdrs endpoint" in report.module("cdrs").reason


def test_a_row_that_the_matrix_switches_off_is_skipped() -> None:
    with synced() as pair:
        rows = [line for line in SupportMatrix.full().to_csv().splitlines() if "tariffs" not in line.lower()]
        pair.emsp.partner("NL-TNM").set_matrix(SupportMatrix.from_csv("\n".join(rows)))
        report = pair.sync()
        assert report.module("tariffs").ended is SyncEnded.SKIPPED
        assert report.module("locations").ended is SyncEnded.DONE
        assert report.ok
        assert not pair.cpo.queries("tariffs")


@pytest.mark.parametrize(
    ("parameters", "error"),
    [
        ({"modules": ["commands"]}, "invalid modules 'commands': expected some of locations"),
        ({"since": datetime(2024, 1, 1)}, "expected a time with a zone"),  # that is the mistake
        ({"since": NOW, "full": True}, "since cannot be combined with full=True"),
    ],
)
def test_what_makes_no_sense_is_refused(parameters: Any, error: str) -> None:
    with synced() as pair, pytest.raises(ValueError, match=error):
        pair.sync(**parameters)


def test_an_unknown_party_is_refused() -> None:
    with synced() as pair, pytest.raises(NotRegistered):
        pair.emsp.partner("DE-XXX").sync()


def test_progress_is_told_after_every_page_and_at_the_end() -> None:
    with synced() as pair:
        pair.cpo.lists["locations"] = [location(n) for n in range(25)]
        told: list[Any] = []
        pair.pull(watch=told.append)
        assert [(each.objects, each.total, each.pages, each.ended) for each in told] == [
            (10, 25, 1, None),
            (20, 25, 2, None),
            (25, 25, 3, None),
            (25, 25, 3, SyncEnded.DONE),
        ]


def test_a_page_is_asked_for_with_a_limit() -> None:
    with synced(limits=Limits(sync=SyncLimits(page_size=7))) as pair:
        pair.cpo.lists["locations"] = [location(n) for n in range(8)]
        assert pair.pull().pages == 2
        assert [query["limit"] for query in pair.cpo.queries("locations")] == ["7", "7"]


def test_a_report_is_json() -> None:
    with synced() as pair:
        pair.cpo.lists["locations"] = [location(1), b"17"]
        plain = pair.sync(modules=["locations"]).as_json()
        (module,) = plain["modules"]
        assert (plain["ok"], module["ended"], module["created"], module["rejected"]) == (False, "done", 1, 1)
        assert module["rejections"][0]["message"]
        json.dumps(plain)


def takes_tokens(request: httpx.Request) -> httpx.Response | None:
    done = httpx.Response(200, json={"status_code": 1000, "timestamp": "x"})
    return done if "/tokens/" in request.url.path else None


def test_tokens_are_pushed_out() -> None:
    with synced() as pair:
        pair.emsp.tokens.put(token("T1"))
        pair.cpo.answer = takes_tokens
        assert counts(pair.pull("tokens")) == {"created": 1}
        assert [each.method for each in pair.cpo.asked] == ["PUT"]
        assert counts(pair.pull("tokens")) == {"unchanged": 1}


def test_a_party_that_went_and_came_back_gets_the_tokens_again() -> None:
    with synced() as pair:
        pair.emsp.tokens.put(token("T1"))
        pair.cpo.answer = takes_tokens
        pair.pull("tokens")
        assert pair.push("DELETE", "credentials", None) == 200
        register_tnm(pair.emsp)
        assert counts(pair.pull("tokens")) == {"created": 1}
