"""Deadlines of commands: found by whoever looks, once, also after a restart (docs/how-to/commands.md)."""

import logging
import threading
from datetime import timedelta
from pathlib import Path

import anyio
import pytest
from attrs import evolve

from flows.commands_desk import ACCEPTED, SECONDS, TIMEOUT, CommandServer, callback, known, start, stored, token
from flows.support import offline_emsp
from ocpi_emsp._bridge import run
from ocpi_emsp.events import CommandResultReceived, CommandTimedOut, Event
from ocpi_emsp.models import CommandType
from ocpi_emsp.ports import DEADLINE, Entry
from ocpi_emsp.resources import CommandState, ReservationState
from ocpi_emsp.storage import MemoryStore, SqlStore
from our_emsp import NOW, FakeClock
from scripted_cpo import clients


def entries(store: MemoryStore) -> list[Entry]:
    async def read() -> list[Entry]:
        async with store.transaction() as tx:
            return list(await tx.entries(DEADLINE))

    return run(read())


def test_a_command_without_a_result_is_timed_out() -> None:
    cpo = known(CommandServer())
    pending = start(cpo.emsp)
    cpo.clock.advance(seconds=119)
    assert cpo.emsp.commands.expire() == 0
    assert stored(cpo, pending.uid) == pending.command
    cpo.clock.advance(seconds=1)
    assert cpo.emsp.commands.expire() == 1
    assert cpo.emsp.commands.expire() == 0
    timed_out = stored(cpo, pending.uid)
    assert (timed_out.state, timed_out.result, timed_out.outcome) == (CommandState.TIMED_OUT, None, TIMEOUT)
    assert pending.result() == TIMEOUT
    (event,) = cpo.events
    assert isinstance(event, CommandTimedOut)
    assert (event.uid, event.command, event.country_code) == (pending.uid, CommandType.START_SESSION, "NL")
    assert event.correlation_id == pending.command.correlation_id


def test_a_deadline_is_kept_until_the_command_has_ended() -> None:
    cpo = known(CommandServer())
    open_, answered = start(cpo.emsp, timeout=30), start(cpo.emsp)
    (first, _) = entries(cpo.store)
    assert (first.key, first.due) == (open_.command.key, NOW + timedelta(seconds=30))
    assert (first.details["country_code"], first.details["party_id"]) == ("NL", "TNM")
    cpo.push("POST", callback(answered), "ACCEPTED")
    assert entries(cpo.store) == [first]
    refused = start(offline_emsp(store=cpo.store, **clients(CommandServer(data="REJECTED"))))
    assert refused.acknowledgement == "REJECTED"
    assert entries(cpo.store) == [first]
    cpo.clock.advance(seconds=30)
    assert cpo.emsp.commands.expire() == 1
    assert entries(cpo.store) == []


def test_a_result_after_the_deadline_is_recorded_and_told() -> None:
    cpo = known(CommandServer())
    pending = start(cpo.emsp)
    cpo.clock.advance(minutes=3)
    assert pending.result() == TIMEOUT
    assert cpo.push("POST", callback(pending), "ACCEPTED").both == (200, 1000)
    late = stored(cpo, pending.uid)
    assert (late.state, late.result, late.result_at) == (CommandState.LATE, ACCEPTED, NOW + timedelta(minutes=3))
    assert pending.result() == ACCEPTED
    assert cpo.push("POST", callback(pending), "ACCEPTED").message == "Success"
    assert "Not stored" in cpo.push("POST", callback(pending), "REJECTED").message
    timed_out, came = cpo.events
    assert isinstance(timed_out, CommandTimedOut)
    assert isinstance(came, CommandResultReceived)
    assert (came.result, came.late) == (ACCEPTED, True)


def test_the_result_that_comes_before_anybody_looked_is_not_late() -> None:
    cpo = known(CommandServer())
    pending = start(cpo.emsp)
    cpo.clock.advance(minutes=3)
    cpo.push("POST", callback(pending), "ACCEPTED")
    assert (pending.result(), cpo.emsp.commands.expire()) == (ACCEPTED, 0)
    assert cpo.taken() == ["CommandResultReceived"]


def test_an_acknowledgement_after_the_deadline_only_says_what_it_was() -> None:
    def wait(_: object) -> None:
        cpo.clock.advance(minutes=3)
        assert cpo.emsp.commands.expire() == 1

    cpo = known(CommandServer(answer=wait))
    pending = start(cpo.emsp)
    assert (pending.command.state, pending.acknowledgement) == (CommandState.TIMED_OUT, ACCEPTED)
    assert pending.result() == TIMEOUT


@pytest.mark.parametrize("ahead", [timedelta(minutes=3), timedelta(days=365)])
def test_a_clock_that_was_set_back_holds_no_command_open(ahead: timedelta) -> None:
    cpo = known(CommandServer())
    cpo.clock.time = NOW + ahead
    pending = start(cpo.emsp)
    cpo.clock.time = NOW
    assert cpo.emsp.commands.expire() == 1
    assert pending.result() == TIMEOUT


def test_the_clocks_of_two_workers_may_differ_by_a_minute() -> None:
    cpo = known(CommandServer())
    cpo.clock.time = NOW + timedelta(minutes=1)
    start(cpo.emsp, timeout=10)
    cpo.clock.time = NOW
    assert cpo.emsp.commands.expire() == 0


@pytest.mark.parametrize("work", ["expire", "running", "aio.running"])
def test_any_worker_finds_the_deadlines(work: str) -> None:
    cpo = known(CommandServer())
    pending = start(cpo.emsp)
    heard, told = list[Event](), threading.Event()
    worker = offline_emsp(store=cpo.store, clock=FakeClock(NOW + timedelta(minutes=2)))

    @worker.on(CommandTimedOut)
    def hear(event: CommandTimedOut) -> None:
        heard.append(event)
        told.set()

    async def deliver() -> None:
        async with worker.aio.running():
            await anyio.to_thread.run_sync(told.wait, SECONDS)

    match work:
        case "expire":
            assert worker.commands.expire() == 1
        case "aio.running":
            anyio.run(deliver)
        case _:
            with worker.running():
                assert told.wait(SECONDS)
            assert not [each for each in threading.enumerate() if each.name.startswith("ocpi-emsp deliver")]
    assert [type(event) for event in heard] == [CommandTimedOut]
    assert stored(cpo, pending.uid).state == CommandState.TIMED_OUT


def test_deadlines_are_found_however_many_commands_are_open() -> None:
    cpo = known(CommandServer())
    for _ in range(120):
        start(cpo.emsp)
    soon = start(cpo.emsp, timeout=1)
    cpo.clock.advance(seconds=2)
    assert cpo.emsp.commands.expire() == 1
    assert stored(cpo, soon.uid).state == CommandState.TIMED_OUT
    cpo.clock.advance(minutes=2)
    assert cpo.emsp.commands.expire() == 120


def test_a_deadline_that_cannot_be_dealt_with_holds_no_other_back(caplog: pytest.LogCaptureFixture) -> None:
    cpo = known(CommandServer())
    broken, whole = start(cpo.emsp), start(cpo.emsp)

    async def spoil() -> None:
        async with cpo.store.transaction() as tx:
            record = await tx.get(broken.command.key)
            assert record is not None
            await tx.put(evolve(record, document=b'{"uid": 5}'))

    run(spoil())
    cpo.clock.advance(minutes=2)
    with caplog.at_level(logging.WARNING, "ocpi_emsp"):
        assert cpo.emsp.commands.expire() == 1
    assert stored(cpo, whole.uid).state == CommandState.TIMED_OUT
    assert "deadline.failed" in caplog.text
    (left,) = entries(cpo.store)
    assert (left.key, left.attempts) == (broken.command.key, 1)
    assert "InvalidObject" in left.error


@pytest.mark.parametrize("gone", [True, False])
def test_the_deadline_of_a_command_that_is_gone_or_answered_is_dropped(gone: bool) -> None:
    cpo = known(CommandServer())
    pending = start(cpo.emsp)
    (entry,) = entries(cpo.store)

    async def spoil() -> None:
        async with cpo.store.transaction() as tx:
            await (tx.delete(pending.command.key) if gone else tx.append(entry))

    if not gone:
        cpo.push("POST", callback(pending), "ACCEPTED")
    run(spoil())
    cpo.clock.advance(minutes=2)
    assert cpo.emsp.commands.expire() == 0
    assert entries(cpo.store) == []


def test_a_listener_that_fails_loses_neither_the_deadline_nor_the_event(caplog: pytest.LogCaptureFixture) -> None:
    cpo = known(CommandServer(), listen=False)
    pending = start(cpo.emsp)
    failures = [RuntimeError("the listener's database is down")]
    heard: list[Event] = []

    @cpo.emsp.on(CommandTimedOut)
    def hear(event: CommandTimedOut) -> None:
        if failures:
            raise failures.pop()
        heard.append(event)

    cpo.clock.advance(minutes=2)
    assert pending.result() == TIMEOUT
    assert "event.undelivered" in caplog.text
    cpo.clock.advance(hours=1)
    assert cpo.emsp.redeliver() == 1
    assert len(heard) == 1


def test_a_reservation_ends_by_the_same_loop() -> None:
    cpo = known(CommandServer())
    with cpo.emsp.partner("NL-TNM").client() as client:
        pending = client.reserve_now(
            token=token(), location_id="LOC1", expiry_date=NOW + timedelta(hours=1), reservation_id=7
        )
    cpo.push("POST", callback(pending), "ACCEPTED")
    cpo.clock.advance(minutes=59)
    cpo.emsp.commands.expire()
    reservation = cpo.emsp.reservations.get("NL-TNM", "LOC1", 7)
    assert reservation is not None
    assert reservation.state == ReservationState.ACTIVE
    cpo.clock.advance(minutes=1)
    assert cpo.emsp.commands.expire() == 1
    reservation = cpo.emsp.reservations.get("NL-TNM", "LOC1", 7)
    assert reservation is not None
    assert reservation.state == ReservationState.EXPIRED


# --- on databases ---------------------------------------------------------------------------------------------------


@pytest.fixture(params=["postgres", "sqlite"])
def url(request: pytest.FixtureRequest) -> str:
    if request.param == "sqlite":
        path: Path = request.getfixturevalue("sqlite_with_schema")
        return f"sqlite:///{path}"
    found: str = request.getfixturevalue("postgres_with_schema")
    return found


def test_two_workers_that_find_the_same_deadline_expire_it_once(url: str) -> None:
    stores = [SqlStore(url), SqlStore(url)]
    cpo = known(CommandServer(), store=stores[0], listen=False)
    sent = [start(cpo.emsp).uid for _ in range(10)]
    cpo.clock.advance(minutes=2)
    heard: list[str] = []
    together, done = threading.Barrier(2, timeout=SECONDS), list[int]()

    def work(store: SqlStore) -> None:
        worker = offline_emsp(store=store, clock=cpo.clock)
        worker.on(CommandTimedOut)(lambda event: heard.append(event.uid))
        together.wait()
        done.append(worker.commands.expire())

    threads = [threading.Thread(target=work, args=(store,), daemon=True) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(3 * SECONDS)
        assert not thread.is_alive()
    assert sum(done) == 10
    assert sorted(heard) == sorted(sent)
    assert {each.state for each in cpo.emsp.commands.list()} == {CommandState.TIMED_OUT}
    for store in stores:
        store.close()


def test_a_deadline_survives_a_restart(url: str) -> None:
    store = SqlStore(url)
    uid = start(known(CommandServer(), store=store).emsp).uid
    store.close()
    store = SqlStore(url)
    after = offline_emsp(store=store, clock=FakeClock(NOW + timedelta(minutes=2)))
    events: list[Event] = []
    after.on(Event)(events.append)
    assert after.commands.pending("NL-TNM", uid).result() == TIMEOUT
    assert [type(event) for event in events] == [CommandTimedOut]
    assert after.commands.expire() == 0
    store.close()
