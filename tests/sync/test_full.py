"""A full sync finds what vanished: marked, never deleted; not at all where too much would vanish at once."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from msgspec import json

from ocpi_emsp import Limits
from ocpi_emsp._bridge import in_place, lift_store, run
from ocpi_emsp.events import Event
from ocpi_emsp.flows.sync import vanished
from ocpi_emsp.ports import Key, Kind, Record
from ocpi_emsp.resources import SyncEnded
from ocpi_emsp.settings import SyncLimits
from processes import Killed
from sync.support import NOW, OLD, Synced, location, moved, on_sqlite, session, synced, tariff
from sync.test_checkpoint import failing, honest, killed_at


@pytest.fixture(params=["memory", "sqlite"])
def pair(request: pytest.FixtureRequest, sqlite_with_schema: Path) -> Iterator[Synced]:
    """25 locations are here, each listed a while ago."""
    made: AbstractContextManager[Synced] = synced() if request.param == "memory" else on_sqlite(sqlite_with_schema)
    with made as pair:
        _fill(pair)
        yield pair


@contextmanager
def filled(**settings: Any) -> Iterator[Synced]:
    with synced(**settings) as pair:
        _fill(pair)
        yield pair


def _fill(pair: Synced) -> None:
    pair.cpo.lists["locations"] = [location(n) for n in range(25)]
    pair.pull()
    pair.clock.advance(days=7)


def statuses(pair: Synced, location_id: str) -> list[str]:
    evses = [record for record in pair.records(Kind.EVSE) if record.key.parent == location_id]
    return [json.decode(record.document)["status"] for record in evses]


def next_week(pair: Synced) -> Any:
    pair.clock.advance(days=7)
    return pair.pull(full=True)


def test_a_full_sync_asks_for_everything_and_then_for_what_changed_meanwhile(pair: Synced) -> None:
    pair.cpo.asked.clear()
    assert pair.pull(full=True).ended is SyncEnded.DONE
    queries = pair.cpo.queries("locations")
    assert [query.get("date_from") for query in queries] == [None, None, None, "2024-06-08T11:45:00Z"]
    assert queries[0]["date_to"] == "2024-06-08T12:00:00Z"
    assert "date_to" not in queries[3], "what changes while it is listed stays in the list"
    assert pair.checkpoint("locations").full_at == NOW + timedelta(days=7)


def test_what_is_listed_is_not_missing(pair: Synced) -> None:
    report = pair.pull(full=True)
    assert (report.unchanged, report.missing, pair.missing()) == (25, 0, [])


def test_what_is_not_listed_is_missing_since_then_and_not_deleted(pair: Synced) -> None:
    del pair.cpo.lists["locations"][3:6]
    report = pair.pull(full=True)
    assert (report.ended, report.missing) == (SyncEnded.DONE, 3)
    assert pair.missing() == ["LOC3", "LOC4", "LOC5"]
    record = pair.record(Kind.LOCATION, "LOC3")
    assert record is not None
    assert (record.missing_since, record.missed) == (NOW + timedelta(days=7), 1)
    assert len(pair.ids(Kind.LOCATION)) == 25


def test_a_plain_sync_takes_nothing_for_missing(pair: Synced) -> None:
    pair.cpo.lists["locations"].clear()
    pair.pull(since=OLD)
    assert pair.missing() == []


def test_evses_become_removed_after_so_many_full_syncs(pair: Synced) -> None:
    heard: list[Event] = []
    pair.emsp.on(Event)(heard.append)
    before = statuses(pair, "LOC3")
    del pair.cpo.lists["locations"][3]
    pair.pull(full=True)
    report = next_week(pair)
    assert (report.missing, report.removed, statuses(pair, "LOC3")) == (1, 0, before)
    report = next_week(pair)
    assert (report.missing, report.removed) == (1, 2)
    assert statuses(pair, "LOC3") == ["REMOVED", "REMOVED"]
    assert [type(event).__name__ for event in heard] == ["EvseRemoved", "EvseRemoved"]
    record = pair.record(Kind.LOCATION, "LOC3")
    assert record is not None
    assert (record.missing_since, record.missed) == (NOW + timedelta(days=7), 3)
    assert next_week(pair).removed == 0, "they are removed already"


def test_a_full_sync_that_is_run_again_at_once_counts_once(pair: Synced) -> None:
    """One that was killed after a module was done is begun again with all modules."""
    del pair.cpo.lists["locations"][3]
    for _ in range(4):
        pair.clock.advance(minutes=10)
        assert pair.pull(full=True).missing == 1
    record = pair.record(Kind.LOCATION, "LOC3")
    assert record is not None
    assert record.missed == 1
    next_week(pair)
    record = pair.record(Kind.LOCATION, "LOC3")
    assert record is not None
    assert record.missed == 2


def test_how_many_full_syncs_is_a_setting() -> None:
    with filled(limits=Limits(sync=SyncLimits(missed_syncs=1))) as pair:
        del pair.cpo.lists["locations"][3]
        assert pair.pull(full=True).removed == 2


@pytest.mark.parametrize("full", [False, True])
def test_what_comes_back_is_as_the_cpo_says(pair: Synced, full: bool) -> None:
    before = statuses(pair, "LOC3")
    gone = pair.cpo.lists["locations"].pop(3)
    for _ in range(3):
        next_week(pair)
    assert statuses(pair, "LOC3") == ["REMOVED", "REMOVED"]
    pair.cpo.lists["locations"].append(gone)
    pair.clock.advance(hours=4)
    report = pair.pull(full=True) if full else pair.pull(since=OLD)
    assert report.updated == 1
    assert (pair.missing(), statuses(pair, "LOC3")) == ([], before)


def test_a_push_brings_it_back_too(pair: Synced) -> None:
    gone = pair.cpo.lists["locations"].pop(3)
    pair.pull(full=True)
    assert pair.missing() == ["LOC3"]
    assert pair.push("PUT", "locations/*/LOC3", gone) == 200
    assert pair.missing() == []


def test_what_was_pushed_while_everything_was_listed_is_not_missing(pair: Synced) -> None:
    gone = pair.cpo.lists["locations"].pop(3)

    def pushing(_: httpx.Request) -> httpx.Response | None:
        if len(pair.cpo.asked) == 2:
            pair.push("PUT", "locations/*/LOC3", moved(gone, pair.clock.time))
        return None

    pair.cpo.asked.clear()
    pair.cpo.answer = pushing
    assert pair.pull(full=True).missing == 0
    assert pair.missing() == []


def test_what_changed_while_everything_was_listed_is_not_missing(pair: Synced) -> None:
    def changing(_: httpx.Request) -> httpx.Response | None:
        if len(pair.cpo.asked) == 1:  # before the list is read: it is in no page of the closed window
            pair.cpo.lists["locations"][3] = moved(location(3), pair.clock.time + timedelta(seconds=5))
        return None

    pair.cpo.asked.clear()
    pair.cpo.answer = changing
    assert pair.pull(full=True).missing == 0
    assert pair.missing() == []


def test_an_older_or_bad_object_is_listed_all_the_same(pair: Synced) -> None:
    assert pair.push("PUT", "locations/*/LOC3", moved(location(3), NOW, name="newer")) == 200
    pair.clock.advance(hours=1)
    pair.cpo.lists["locations"][4] = location(4) | {"coordinates": None}
    report = pair.pull(full=True)
    assert (report.stale, report.rejected, report.missing, pair.missing()) == (1, 1, 0, [])


def test_an_object_without_an_id_makes_what_vanished_unknown(pair: Synced) -> None:
    pair.cpo.lists["locations"][4] = location(4) | {"id": None}
    report = pair.pull(full=True)
    assert (report.ended, report.missing, pair.missing()) == (SyncEnded.FAILED, 0, [])
    assert "without an id" in report.reason
    assert pair.checkpoint("locations").window is None, "what was listed is done with"


def test_too_much_at_once_is_refused_and_said(pair: Synced) -> None:
    del pair.cpo.lists["locations"][10:]
    report = pair.pull(full=True)
    assert (report.ended, report.missing, pair.missing()) == (SyncEnded.FAILED, 0, [])
    assert report.reason == "15 of 25 locations are no longer listed (60%, allowed 20%): none is marked missing"
    assert pair.checkpoint("locations").done_until == NOW + timedelta(days=7)


def test_an_empty_list_is_too_much(pair: Synced) -> None:
    pair.cpo.lists["locations"].clear()
    assert "25 of 25" in pair.pull(full=True).reason


def test_just_the_share_that_is_allowed(pair: Synced) -> None:
    del pair.cpo.lists["locations"][:5]
    assert pair.pull(full=True).missing == 5
    del pair.cpo.lists["locations"][:4]
    report = next_week(pair)
    assert (report.ended, report.missing) == (SyncEnded.DONE, 9), "4 of 20 more: those known to be missing do not count"
    del pair.cpo.lists["locations"][:4]
    assert "4 of 16" in next_week(pair).reason


def test_the_share_is_a_setting() -> None:
    with filled(limits=Limits(sync=SyncLimits(vanishing_share=1.0))) as pair:
        pair.cpo.lists["locations"].clear()
        assert pair.pull(full=True).missing == 25


def test_a_list_that_was_not_read_to_its_end_marks_nothing(pair: Synced) -> None:
    del pair.cpo.lists["locations"][24]
    pair.cpo.asked.clear()
    pair.cpo.answer = failing(500, after=2)
    assert pair.pull(full=True).ended is SyncEnded.FAILED
    assert pair.missing() == []


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_a_full_sync_that_was_killed_is_continued_as_one(pair: Synced, number: int) -> None:
    del pair.cpo.lists["locations"][24]
    pair.cpo.answer = killed_at(number)
    with pytest.raises(Killed):
        pair.pull(full=True)
    pair.cpo.answer = honest
    pair.clock.advance(minutes=10)
    report = pair.pull(full=True)
    assert (report.ended, report.missing, pair.missing()) == (SyncEnded.DONE, 1, ["LOC24"])
    record = pair.record(Kind.LOCATION, "LOC24")
    assert record is not None
    assert record.missing_since == NOW + timedelta(days=7), "when the full sync began"


def test_a_plain_sync_finishes_the_full_one_that_was_killed(pair: Synced) -> None:
    del pair.cpo.lists["locations"][24]
    pair.cpo.answer = killed_at(2)
    with pytest.raises(Killed):
        pair.pull(full=True)
    pair.cpo.answer = honest
    assert pair.pull().ended is SyncEnded.DONE
    assert pair.missing() == ["LOC24"]


def test_marking_that_was_killed_counts_each_object_once(pair: Synced, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ocpi_emsp.flows.sync.vanished._PAGE", 2)
    del pair.cpo.lists["locations"][:5]
    mark, calls = vanished._mark, 0

    async def killed(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 4:
            raise Killed
        return await mark(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(vanished, "_mark", killed)
        with pytest.raises(Killed):
            pair.pull(full=True)
    pair.pull(full=True)
    missed = [record.missed for record in pair.records(Kind.LOCATION) if record.missing_since]
    assert missed == [1] * 5


def test_tariffs_go_missing_and_sessions_do_not(pair: Synced) -> None:
    pair.cpo.lists["tariffs"] = [tariff(n) for n in range(6)]
    pair.cpo.lists["sessions"] = [session(n) for n in range(6)]
    pair.sync()
    pair.clock.advance(days=1)
    del pair.cpo.lists["tariffs"][0]
    del pair.cpo.lists["sessions"][0]
    report = pair.sync(full=True, modules=["tariffs", "sessions"])
    assert (report.module("tariffs").missing, report.module("sessions").missing) == (1, 0)
    assert (pair.missing(Kind.TARIFF), pair.missing(Kind.SESSION)) == (["TAR0"], [])


def test_another_party_is_left_alone(pair: Synced) -> None:
    key = Key(Kind.LOCATION, "DE", "ABC", "LOC99")

    async def write() -> None:
        async with lift_store(pair.store, in_place).transaction() as tx:
            await tx.put(Record(key, b"{}", OLD, OLD))

    async def read() -> Record | None:
        async with lift_store(pair.store, in_place).transaction(read_only=True) as tx:
            return await tx.get(key)

    run(write())
    assert pair.pull(full=True).missing == 0
    record = run(read())
    assert record is not None
    assert record.missing_since is None
