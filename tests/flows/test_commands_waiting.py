"""Waiting for what becomes of a command: in a thread or task, in this process or another (docs/how-to/commands.md)."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, TypeVar

import anyio
import pytest
from attrs import frozen

from flows.commands_desk import ACCEPTED, REJECTED, SECONDS, TIMEOUT, CommandServer, callback, known, start, token
from flows.support import Peer, offline_emsp
from ocpi_emsp import Emsp, PartyId, _wake_ups
from ocpi_emsp.emsp import SystemClock
from ocpi_emsp.errors import UnknownCommand
from ocpi_emsp.events import CommandTimedOut, Event
from ocpi_emsp.models import CommandResponseType
from ocpi_emsp.ports import Transaction
from ocpi_emsp.resources import AsyncPendingCommand, PendingCommand
from ocpi_emsp.storage import MemoryStore, SqlStore
from our_emsp import NOW
from scripted_cpo import clients

T = TypeVar("T")
Mode = Literal["sync", "async"]
both_modes = pytest.mark.parametrize("mode", ["async", "sync"])


class WatchedStore(MemoryStore):
    """Counts who listens to it, says nothing to them, as SQLite, and tells when somebody looks."""

    def __init__(self) -> None:
        super().__init__()
        self.listening = self.opened = 0
        self.looked = threading.Event()
        self.at_look: Callable[[], None] = lambda: None

    def announce(self, _listener: Callable[[str], None]) -> Callable[[], None]:
        self.listening += 1
        self.opened += 1

        def end() -> None:
            self.listening -= 1

        return end

    @asynccontextmanager
    async def transaction(self, *, read_only: bool = False) -> AsyncIterator[Transaction]:
        looks = read_only and self.listening > 0
        if looks:
            self.at_look()
        async with super().transaction(read_only=read_only) as tx:
            yield tx
        if looks:
            self.looked.set()


@pytest.fixture
def never_looking(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits looks again only where a bell rings."""
    for name in ("_ANNOUNCED_LOOK", "_FIRST_LOOK", "_LONGEST_LOOK"):
        monkeypatch.setattr(_wake_ups, name, 100 * SECONDS)


def bounded(flow: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """What an async test comes to, within the bound."""

    async def run() -> T:
        with anyio.fail_after(3 * SECONDS):
            return await flow()

    return anyio.run(run)


def outcome(
    emsp: Emsp, mode: Mode, uid: str, timeout: float | None = SECONDS, store: SqlStore | None = None
) -> CommandResponseType:
    """What became of a command, awaited in a mode; ``store``: whose connections close with the event loop."""
    if mode == "sync":
        return emsp.commands.pending("NL-TNM", uid).result(timeout)

    async def awaited() -> CommandResponseType:
        pending = await emsp.aio.commands.pending("NL-TNM", uid)
        try:
            return await pending.result(timeout)
        finally:
            if store is not None:
                await store.aclose()

    return bounded(awaited)


def while_waiting(
    emsp: Emsp,
    mode: Mode,
    uid: str,
    looked: threading.Event,
    act: Callable[[], object],
    store: SqlStore | None = None,
) -> CommandResponseType:
    """The outcome of a command about which something happens while it is awaited: at once, not at its timeout."""
    found: list[CommandResponseType] = []
    done = threading.Event()

    def wait() -> None:
        found.append(outcome(emsp, mode, uid, 3 * SECONDS, store))
        done.set()

    threading.Thread(target=wait, daemon=True).start()
    assert looked.wait(SECONDS)
    act()
    assert done.wait(SECONDS)
    return found[0]


# --- in this process ------------------------------------------------------------------------------------------------


@both_modes
@pytest.mark.usefixtures("never_looking")
def test_a_result_wakes_who_waits_for_it(mode: Mode) -> None:
    store = WatchedStore()
    cpo = known(CommandServer(), store=store)
    mine, other = start(cpo.emsp), start(cpo.emsp)

    def answer() -> None:
        cpo.push("POST", callback(other), "REJECTED")
        cpo.push("POST", callback(mine), "ACCEPTED")

    assert while_waiting(cpo.emsp, mode, mine.uid, store.looked, answer) == ACCEPTED
    assert other.result(0) == REJECTED
    assert (store.listening, store.opened >= 1) == (0, True)


@both_modes
@pytest.mark.usefixtures("never_looking")
def test_a_deadline_that_a_worker_finds_wakes_who_waits(mode: Mode) -> None:
    store = WatchedStore()
    cpo = known(CommandServer(), store=store)
    pending = start(cpo.emsp)

    def expire() -> None:
        cpo.clock.advance(minutes=2)
        cpo.emsp.commands.expire()

    assert while_waiting(cpo.emsp, mode, pending.uid, store.looked, expire) == TIMEOUT
    assert cpo.taken() == ["CommandTimedOut"]


@both_modes
@pytest.mark.usefixtures("never_looking")
def test_who_waits_finds_the_deadline_where_no_worker_runs(mode: Mode) -> None:
    store = MemoryStore()
    cpo = known(CommandServer(), store=store)
    by_the_clock = offline_emsp(store=store, clock=SystemClock(), **clients(CommandServer()))
    events: list[Event] = []
    by_the_clock.on(CommandTimedOut)(events.append)
    uid = start(by_the_clock, timeout=0.01).uid
    at_once = threading.Event()
    at_once.set()
    assert while_waiting(by_the_clock, mode, uid, at_once, lambda: None) == TIMEOUT
    assert [type(event) for event in events] == [CommandTimedOut]
    assert cpo.emsp.commands.expire() == 0


@both_modes
def test_who_waits_long_enough_is_told_that_it_is_open(mode: Mode) -> None:
    store = WatchedStore()
    cpo = known(CommandServer(), store=store)
    pending = start(cpo.emsp)
    for timeout in (0, 0.05):
        with pytest.raises(TimeoutError, match=pending.uid):
            outcome(cpo.emsp, mode, pending.uid, timeout)
    assert store.listening == 0
    cpo.push("POST", callback(pending), "ACCEPTED")
    assert outcome(cpo.emsp, mode, pending.uid, 0) == ACCEPTED


def test_an_async_client_gives_what_can_be_awaited() -> None:
    cpo = known(CommandServer())

    async def session() -> None:
        async with cpo.emsp.aio.partner("NL-TNM").client() as client:
            pending = await client.start_session(token=token(), location_id="LOC1")
        assert isinstance(pending, AsyncPendingCommand)
        assert (pending.acknowledgement, pending.findings) == (ACCEPTED, ())
        assert await pending.refresh() == pending.command == await cpo.emsp.aio.commands.get("NL-TNM", pending.uid)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_push, cpo, callback(pending.command))
            assert await pending == ACCEPTED
        assert await pending == ACCEPTED
        assert (await pending.refresh()).result == ACCEPTED
        assert [each async for each in cpo.emsp.aio.commands.list()] == list(cpo.emsp.commands.list())
        assert await cpo.emsp.aio.commands.expire() == 0

    bounded(session)


async def _push(cpo: Peer, path: str) -> None:
    await anyio.to_thread.run_sync(cpo.push, "POST", path, "ACCEPTED")


def test_a_pending_command_outlives_its_client() -> None:
    cpo = known(CommandServer())
    with cpo.emsp.partner("NL-TNM").client() as client:
        pending = client.start_session(token=token(), location_id="LOC1")
    assert isinstance(pending, PendingCommand)
    cpo.push("POST", callback(pending), "ACCEPTED")
    assert pending.result(SECONDS) == ACCEPTED
    assert "waiting" not in repr(pending)


def test_many_tasks_wait_with_one_subscription() -> None:
    store = WatchedStore()
    cpo = known(CommandServer(), store=store)
    sent = [start(cpo.emsp) for _ in range(300)]
    results: list[CommandResponseType] = []

    async def wait(pending: PendingCommand) -> None:
        twin = await cpo.emsp.aio.commands.pending("NL-TNM", pending.uid)
        results.append(await twin)

    async def session() -> int:
        before = set(threading.enumerate())  # threads of hooks outlive the tests before this one for seconds
        async with anyio.create_task_group() as tasks:
            for pending in sent:
                tasks.start_soon(wait, pending)
            assert await anyio.to_thread.run_sync(store.looked.wait, SECONDS)
            await anyio.wait_all_tasks_blocked()
            threads = set(threading.enumerate()) - before
            for pending in sent:
                await anyio.to_thread.run_sync(cpo.push, "POST", callback(pending), "ACCEPTED")
        return len(threads)

    assert bounded(session) < 50
    assert results == [ACCEPTED] * 300
    assert (store.opened, store.listening) == (1, 0)


def test_a_task_that_is_cancelled_leaves_nothing_behind() -> None:
    store = WatchedStore()
    cpo = known(CommandServer(), store=store)
    uid = start(cpo.emsp).uid

    async def session() -> None:
        task = asyncio.ensure_future(_awaited(cpo.emsp, uid))
        assert await anyio.to_thread.run_sync(store.looked.wait, SECONDS)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    bounded(session)
    assert store.listening == 0
    cpo.push("POST", f"commands/START_SESSION/{uid}", "ACCEPTED")
    assert outcome(cpo.emsp, "async", uid) == ACCEPTED


async def _awaited(emsp: Emsp, uid: str) -> CommandResponseType:
    return await (await emsp.aio.commands.pending("NL-TNM", uid))


def test_ctrl_c_leaves_nothing_behind() -> None:
    store = WatchedStore()
    cpo = known(CommandServer(), store=store)
    pending = start(cpo.emsp)

    def interrupt() -> None:
        raise KeyboardInterrupt

    store.at_look = interrupt
    with pytest.raises(KeyboardInterrupt):
        pending.result(SECONDS)
    assert store.listening == 0


@frozen
class PlainStore:
    """A store that announces nothing, and needs no thread."""

    _store: MemoryStore

    def transaction(self, *, read_only: bool = False) -> AbstractAsyncContextManager[Transaction]:
        return self._store.transaction(read_only=read_only)


def test_a_result_for_a_loop_that_is_closed_disturbs_nobody() -> None:
    cpo = known(CommandServer(), store=PlainStore(MemoryStore()))
    pending = start(cpo.emsp)
    loop = asyncio.new_event_loop()
    task = loop.create_task(_awaited(cpo.emsp, pending.uid))
    loop.run_until_complete(_turns())
    assert not task.done()
    task._log_destroy_pending = False  # type: ignore[attr-defined] # the host lost it: nobody awaits it any more
    loop.close()
    assert cpo.push("POST", callback(pending), "ACCEPTED").both == (200, 1000)
    assert pending.result(SECONDS) == ACCEPTED


async def _turns() -> None:
    """Until the tasks of this loop wait: nothing of theirs needs a thread."""
    for _ in range(100):
        await asyncio.sleep(0)


@both_modes
def test_a_command_that_nobody_sent_is_an_error(mode: Mode) -> None:
    cpo = known(CommandServer())
    uid = start(cpo.emsp).uid

    def ask(country_code: str, party_id: str, wanted: str) -> object:
        if mode == "sync":
            return cpo.emsp.commands.pending(PartyId(country_code, party_id), wanted)
        return bounded(lambda: cpo.emsp.aio.commands.pending(PartyId(country_code, party_id), wanted))

    with pytest.raises(UnknownCommand, match="'nobody' of NL-TNM"):
        ask("NL", "TNM", "nobody")
    with pytest.raises(UnknownCommand, match=f"'{uid}' of DE-ABC"):
        ask("DE", "ABC", uid)


# --- in two processes -----------------------------------------------------------------------------------------------


@pytest.fixture(params=["postgres", "sqlite"])
def url(request: pytest.FixtureRequest) -> str:
    if request.param == "sqlite":
        path: Path = request.getfixturevalue("sqlite_with_schema")
        return f"sqlite:///{path}"
    request.getfixturevalue("never_looking")  # the database says so
    found: str = request.getfixturevalue("postgres_with_schema")
    return found


class TellingClock:
    """Who waits asks for the time: that tells."""

    def __init__(self) -> None:
        self.asked = threading.Event()

    def now(self) -> datetime:
        self.asked.set()
        return NOW


@both_modes
def test_the_result_may_arrive_at_the_one_that_did_not_send(url: str, mode: Mode) -> None:
    mine, others = SqlStore(url), SqlStore(url)
    clock = TellingClock()
    cpo = known(CommandServer(), store=others)
    sender = offline_emsp(store=mine, clock=clock, **clients(CommandServer()))
    uid = start(sender).uid
    clock.asked.clear()

    def answer() -> None:
        cpo.push("POST", f"commands/START_SESSION/{uid}", "ACCEPTED")

    assert while_waiting(sender, mode, uid, clock.asked, answer, mine) == ACCEPTED
    # And after a restart, at either.
    assert outcome(cpo.emsp, mode, uid, 0, others) == ACCEPTED
    for store in (mine, others):
        store.close()
