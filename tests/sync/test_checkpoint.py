"""Up to where a module is pulled: closed windows that overlap, saved with every page, never past what was not kept."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from attrs import evolve

from client.support import MODES, Mode
from ocpi_emsp import Limits
from ocpi_emsp.errors import StoreFailed
from ocpi_emsp.models import Endpoint
from ocpi_emsp.ports import Kind
from ocpi_emsp.resources import Party, SyncEnded
from ocpi_emsp.settings import SyncLimits
from processes import Killed
from scripted_cpo import Reply, page
from sync.support import NOW, OLD, Synced, change_party, location, moved, on_sqlite, session, synced, tariff


def killed_at(number: int) -> Reply:
    """Every request is answered but the one with this number."""
    seen = 0

    def lie(_: httpx.Request) -> httpx.Response | None:
        nonlocal seen
        seen += 1
        if seen == number:
            raise Killed
        return None

    return lie


def failing(status: int, *, after: int = 0, code: int | None = None) -> Reply:
    """Requests beyond the first ``after`` are answered with this status."""
    seen = 0

    def lie(_: httpx.Request) -> httpx.Response | None:
        nonlocal seen
        seen += 1
        if seen <= after:
            return None
        body = {"status_code": code, "timestamp": "2024-01-01T00:00:00Z"} if code else {"detail": "broken"}
        return httpx.Response(status, json=body)

    return lie


def honest(_: httpx.Request) -> httpx.Response | None:
    return None


def test_the_first_window_has_no_beginning_and_ends_now() -> None:
    with synced() as pair:
        pair.sync()
        assert pair.cpo.queries("locations") == [{"date_to": "2024-06-01T12:00:00Z", "limit": "100"}]
        assert pair.cpo.queries("sessions")[0]["date_from"] == "2000-01-01T00:00:00Z", "it is required there"
        assert pair.checkpoint("locations").done_until == NOW


def test_the_next_window_overlaps_the_last_one() -> None:
    with synced() as pair:
        pair.sync()
        pair.clock.advance(hours=4)
        pair.sync()
        assert pair.cpo.queries("locations")[1] == {
            "date_from": "2024-06-01T11:45:00Z",
            "date_to": "2024-06-01T16:00:00Z",
            "limit": "100",
        }


def test_the_overlap_is_a_setting() -> None:
    with synced(limits=Limits(sync=SyncLimits(overlap=timedelta(hours=1)))) as pair:
        pair.sync()
        pair.sync()
        assert pair.cpo.queries("cdrs")[1]["date_from"] == "2024-06-01T11:00:00Z"


@pytest.mark.parametrize(
    ("date", "behind"),
    [
        ("Sat, 01 Jun 2024 10:00:00 GMT", timedelta(hours=2)),
        ("Sat, 01 Jun 2024 11:59:30 GMT", timedelta(0)),
        ("Sat, 01 Jun 2024 14:00:00 GMT", timedelta(0)),
        ("Mon, 01 Jan 2024 12:00:00 GMT", timedelta(0)),
        ("yesterday", timedelta(0)),
    ],
)
def test_a_partner_whose_clock_is_behind_loses_nothing(date: str, behind: timedelta) -> None:
    with synced() as pair:

        def dated(request: httpx.Request) -> httpx.Response:
            response = pair.cpo.honest(request)
            response.headers["date"] = date
            return response

        pair.cpo.answer = dated
        pair.pull()
        assert pair.checkpoint("locations").done_until == NOW - behind
        pair.clock.advance(hours=4)
        pair.cpo.lists["locations"] = [location(1, NOW + timedelta(minutes=1) - behind)]
        assert pair.pull().created == 1


def test_a_window_ends_at_the_second_that_the_partner_is_told() -> None:
    with synced() as pair:
        pair.clock.time = NOW + timedelta(milliseconds=900)
        pair.pull()
        assert pair.checkpoint("locations").done_until == NOW


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_sync_that_was_killed_goes_on_where_it_was(mode: Mode, number: int) -> None:
    with synced(mode) as pair:
        pair.cpo.lists["locations"] = [location(n) for n in range(25)]
        pair.cpo.answer = killed_at(number)
        with pytest.raises(BaseException) as raised:  # noqa: PT011 # anyio wraps what is no Exception in a group
            pair.pull()
        assert raised.group_contains(Killed) if isinstance(raised.value, BaseExceptionGroup) else raised.type is Killed
        assert len(pair.ids(Kind.LOCATION)) == 10 * (number - 1)
        pair.cpo.asked.clear()
        pair.cpo.answer = honest
        report = pair.pull()
        assert report.ended is SyncEnded.DONE
        assert report.created == 25 - 10 * (number - 1)
        assert len(pair.ids(Kind.LOCATION)) == 25
        assert [query.get("offset") for query in pair.cpo.queries("locations")[: 4 - number]] == [
            str(offset) if offset else None for offset in range(10 * (number - 1), 25, 10)
        ]


def test_a_continued_window_is_followed_by_what_changed_since() -> None:
    with synced() as pair:
        pair.cpo.lists["locations"] = [location(n) for n in range(15)]
        pair.cpo.answer = killed_at(2)
        with pytest.raises(Killed):
            pair.pull()
        pair.cpo.answer = honest
        pair.clock.advance(days=1)
        pair.cpo.lists["locations"].append(location(15, NOW + timedelta(hours=1)))
        report = pair.pull()
        assert (report.created, pair.checkpoint("locations").done_until) == (6, NOW + timedelta(days=1))
        assert pair.cpo.queries("locations")[-1]["date_from"] == "2024-06-01T11:45:00Z"


def test_a_sync_that_was_asked_to_stop_ends_after_the_page_in_hand() -> None:
    with synced() as pair:
        pair.cpo.lists["locations"] = [location(n) for n in range(25)]
        pages = list[object]()
        report = pair.sync(watch=pages.append, stop=lambda: len(pages) >= 2)
        assert report.module("locations").ended is SyncEnded.STOPPED
        assert report.module("locations").created == 20
        assert report.module("cdrs").ended is SyncEnded.STOPPED
        assert len(pair.cpo.asked) == 3, "the one that was fetched meanwhile"
        report = pair.sync()
        assert (report.ok, report.module("locations").created) == (True, 5)


@pytest.mark.parametrize(
    ("status", "code"), [(500, None), (200, 3000), (200, 2001), (401, 2000), (404, 2000), (302, None)]
)
def test_a_failure_in_the_middle_keeps_what_was_stored_and_the_place(status: int, code: int | None) -> None:
    with synced() as pair:
        pair.cpo.lists["locations"] = [location(n) for n in range(25)]
        pair.cpo.answer = failing(status, after=1, code=code)
        report = pair.sync(modules=["locations", "tariffs"])
        locations, tariffs = report.modules
        assert (locations.ended, locations.created) == (SyncEnded.FAILED, 10)
        assert f"HTTP {status}" in locations.reason
        assert tariffs.ended is SyncEnded.FAILED
        assert report.failed
        assert pair.checkpoint("locations").done_until is None
        pair.cpo.answer = honest
        report = pair.sync(modules=["locations", "tariffs"])
        assert (report.ok, report.module("locations").created) == (True, 15)


def test_a_place_that_the_partner_forgot_is_given_up() -> None:
    with synced() as pair:
        pair.cpo.lists["locations"] = [location(n) for n in range(25)]
        pair.cpo.answer = failing(500, after=1)
        pair.pull()

        def forgetful(_: httpx.Request) -> httpx.Response | None:
            is_first = len(pair.cpo.asked) == 1
            return httpx.Response(410, json={"status_code": 2000, "timestamp": "x"}) if is_first else None

        pair.cpo.asked.clear()
        pair.cpo.answer = forgetful
        report = pair.pull()
        assert (report.ended, report.created, report.unchanged) == (SyncEnded.DONE, 15, 10)
        assert "cannot be continued" in report.notes[0]


def test_a_place_at_another_server_is_given_up() -> None:
    with synced() as pair:
        pair.cpo.lists["locations"] = [location(n) for n in range(25)]
        pair.cpo.answer = failing(500, after=1)
        pair.pull()
        pair.cpo.answer = honest
        change_party(pair, lambda party: evolve(party, endpoints=_elsewhere(party)))
        pair.cpo.asked.clear()
        report = pair.pull()
        assert report.ended is SyncEnded.DONE
        assert {each.url.host for each in pair.cpo.asked[:1]} == {"new.test"}
        assert len(pair.ids(Kind.LOCATION)) == 25


def _elsewhere(party: Party) -> tuple[Endpoint, ...]:
    return tuple(evolve(each, url=each.url.replace("cpo.test", "new.test")) for each in party.endpoints)


def test_a_token_that_is_replaced_meanwhile_is_used() -> None:
    with synced() as pair:
        pair.cpo.lists["locations"] = [location(n) for n in range(25)]

        def rotating(request: httpx.Request) -> httpx.Response | None:
            if len(pair.cpo.asked) == 2:
                change_party(pair, lambda party: evolve(party, token="fresh"))
            known = "Token fresh" if len(pair.cpo.asked) >= 2 else None
            if known and request.headers["authorization"] != known:
                return httpx.Response(401, json={"status_code": 2000, "timestamp": "x"})
            return None

        pair.cpo.answer = rotating
        report = pair.pull()
        assert (report.ended, report.created) == (SyncEnded.DONE, 25)
        assert "token was replaced" in report.notes[0]


def test_a_page_and_its_place_are_one_transaction(sqlite_with_schema: Path) -> None:
    with on_sqlite(sqlite_with_schema) as pair:
        pair.cpo.lists["tariffs"] = [tariff(n) for n in range(25)]
        pair.cpo.answer = failing(500, after=1)
        pair.pull("tariffs")
        before = pair.checkpoint("tariffs"), pair.ids(Kind.TARIFF)
        pair.cpo.answer = honest
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("ocpi_emsp.flows.sync.page._take", _fails_at("TAR15"))
            with pytest.raises(StoreFailed):
                pair.pull("tariffs")
        after = pair.checkpoint("tariffs"), pair.ids(Kind.TARIFF)
        assert after[1] == before[1]
        assert after[0].window is not None
        assert before[0].window is not None
        assert after[0].window.next == before[0].window.next
        assert pair.pull("tariffs").created == 15


def _fails_at(object_id: str) -> Callable[..., Any]:
    from ocpi_emsp.flows.sync import page as module

    take = module._take

    async def failing_take(listed: Any, tx: Any, page: Any) -> Any:
        if f'"{object_id}"'.encode() in listed.received:
            raise StoreFailed("the database is gone")
        return await take(listed, tx, page)

    return failing_take


def test_since_begins_elsewhere_and_leaves_the_checkpoint_where_there_would_be_a_gap() -> None:
    with synced() as pair:
        pair.pull()
        pair.clock.advance(days=10)
        pair.pull(since=NOW + timedelta(days=5))
        assert pair.checkpoint("locations").done_until == NOW
        pair.pull(since=NOW - timedelta(days=5))
        assert pair.checkpoint("locations").done_until == NOW + timedelta(days=10)
        assert [query.get("date_from") for query in pair.cpo.queries("locations")] == [
            None,
            "2024-06-06T12:00:00Z",
            "2024-05-27T12:00:00Z",
        ]


def test_since_does_not_pass_what_a_killed_first_sync_owes() -> None:
    with synced() as pair:
        pair.cpo.lists["locations"] = [location(n) for n in range(25)]
        pair.cpo.answer = failing(500, after=1)
        pair.pull()
        pair.cpo.answer = honest
        pair.pull(since=NOW - timedelta(days=1))
        assert pair.checkpoint("locations").done_until is None
        assert pair.pull().created == 15


def test_an_older_sync_of_the_same_module_sees_that_it_was_taken_over() -> None:
    with synced() as pair:
        pair.cpo.lists["locations"] = [location(n) for n in range(25)]
        reports: list[Any] = []

        def second(_: httpx.Request) -> httpx.Response | None:
            if len(pair.cpo.asked) == 2:
                reports.append(pair.emsp.partner("NL-TNM").sync(modules=["locations"]))
            return None

        pair.cpo.answer = second
        report = pair.pull()
        assert report.ended is SyncEnded.FAILED
        assert "another sync" in report.reason
        assert reports[0].ok
        assert len(pair.ids(Kind.LOCATION)) == 25
        assert pair.checkpoint("locations").window is None


def test_a_list_that_turns_in_circles_is_not_done() -> None:
    with synced() as pair:
        pair.cpo.answer = lambda request: page([location(1)], str(request.url))
        report = pair.pull()
        assert (report.ended, report.created) == (SyncEnded.FAILED, 1)
        assert "followed before" in report.reason
        checkpoint = pair.checkpoint("locations")
        assert (checkpoint.done_until, checkpoint.window) == (None, None)


def test_a_killed_sync_and_an_undisturbed_one_end_alike(sqlite_with_schema: Path) -> None:
    def content(pair: Synced) -> list[Any]:
        kinds = (Kind.LOCATION, Kind.EVSE, Kind.SESSION)
        return [[(each.key, each.document, each.last_updated) for each in pair.records(kind)] for kind in kinds]

    def fill(pair: Synced) -> None:
        pair.cpo.lists["locations"] = [location(n) for n in range(35)]
        pair.cpo.lists["sessions"] = [session(n) for n in range(22)]

    with on_sqlite(sqlite_with_schema) as disturbed, synced() as undisturbed:
        fill(disturbed)
        fill(undisturbed)
        undisturbed.sync()
        for number in (2, 3, 1, 2):
            disturbed.cpo.answer = killed_at(number)
            with pytest.raises(Killed):
                disturbed.sync()
        disturbed.cpo.answer = honest
        assert disturbed.sync().ok
        assert content(disturbed) == content(undisturbed)


def test_what_changes_while_it_is_listed_is_in_this_window_or_the_next() -> None:
    with synced() as pair:
        pair.cpo.lists["locations"] = [location(n) for n in range(30)]

        def changing(_: httpx.Request) -> httpx.Response | None:
            if len(pair.cpo.asked) == 2:  # one of the first page leaves the window: the others move up
                changed = moved(location(3), NOW + timedelta(seconds=1), name="changed")
                pair.cpo.lists["locations"][3] = changed
            return None

        pair.cpo.answer = changing
        report = pair.pull()
        assert len(pair.ids(Kind.LOCATION)) == 30
        assert "X-Total-Count fell" in report.notes[0]
        pair.cpo.answer = honest
        pair.clock.advance(minutes=1)
        assert pair.pull().updated == 1
        assert pair.records(Kind.LOCATION)[3].last_updated > OLD
