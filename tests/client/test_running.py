"""``emsp.running()``: events, deadlines, pushes and syncs beside a host, in threads and in tasks."""

import asyncio
import logging
import threading
from datetime import timedelta
from typing import Any

import anyio
import pytest

from client.support import simulated
from flows.support import offline_emsp
from ocpi_emsp import Emsp
from ocpi_emsp._bridge import in_place, lift_store, run
from ocpi_emsp.events import Event, PartyRegistered, ResyncRequested, kind_of
from ocpi_emsp.flows.sync.schedule import take_turn
from ocpi_emsp.ports import EVENT, AnyStore, Entry, Key, Kind
from ocpi_emsp.resources import SyncReport, running as background
from ocpi_emsp.storage import MemoryStore, SqlStore
from our_emsp import FakeClock, register, token

SECONDS = 20.0
MODES = pytest.mark.parametrize("mode", ["threads", "tasks"])


def until(emsp: Emsp, mode: str, seen: threading.Event, store: AnyStore, **settings: Any) -> None:
    """Run the background work until something is seen."""

    async def tasks() -> None:
        try:
            async with emsp.aio.running(every=0.01, **settings):
                await anyio.to_thread.run_sync(seen.wait, SECONDS)
        finally:
            if isinstance(store, SqlStore):
                await store.aclose()

    if mode == "threads":
        with emsp.running(every=0.01, **settings):
            seen.wait(SECONDS)
    else:
        anyio.run(tasks)
    assert seen.is_set()
    left = [each.name for each in threading.enumerate()]
    ends_later = ("ocpi-emsp hook", "ocpi-emsp checkpoint")  # the one with its hook, the other with its work
    assert not [name for name in left if name.startswith("ocpi-emsp ") and name not in ends_later], "all are joined"


@MODES
def test_events_that_wait_are_delivered(mode: str, any_store: AnyStore) -> None:
    heard = list[Event]()
    emsp, seen = offline_emsp(store=any_store), threading.Event()
    journal(any_store, "PartyRegistered")

    @emsp.on(PartyRegistered)
    def hear(event: PartyRegistered) -> None:
        heard.append(event)
        seen.set()

    until(emsp, mode, seen, any_store)
    assert [str(event.party) for event in heard] == ["NL-TNM"]


def journal(store: AnyStore, name: str, **details: str) -> None:
    """Leave an event behind, as a process that died would."""
    owner = {"country_code": "NL", "party_id": "TNM", "correlation_id": "c"}
    key = Key(Kind.SESSION, "NL", "TNM", "S1")

    async def write() -> None:
        async with lift_store(store, in_place).transaction() as tx:
            entry = Entry(id="E1", topic=EVENT, name=name, key=key, at=FakeClock().now(), details=owner | details)
            await tx.append(entry)

    run(write())


def test_an_event_that_was_journalled_under_its_old_name_is_delivered() -> None:
    store, heard = MemoryStore(), list[ResyncRequested]()
    emsp = offline_emsp(store=store)
    emsp.on(ResyncRequested)(heard.append)
    journal(store, "ResyncWanted", module="sessions", id="S1")
    assert emsp.redeliver() == 1
    assert [(event.module, event.id, str(event.party)) for event in heard] == [("sessions", "S1", "NL-TNM")]
    assert list(emsp.events.list()) == []
    assert kind_of("Nothing") is None


@MODES
def test_each_partner_is_synced_when_its_turn_comes(
    mode: str, any_store: AnyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, synced, seen = FakeClock(), list[str](), threading.Event()
    emsp = offline_emsp(store=any_store, clock=clock)
    for party in (("NL", "TNM"), ("DE", "ABC")):
        register(emsp, *party)
    emsp.parties.invite("FR-XYZ")

    async def sync(_: Any, country_code: str, party_id: str, **_options: object) -> None:
        synced.append(f"{country_code}-{party_id}")
        if len(synced) == 2:
            seen.set()

    monkeypatch.setattr(background, "sync", sync)
    until(emsp, mode, seen, any_store, sync_every=timedelta(hours=4))
    assert sorted(synced) == ["DE-ABC", "NL-TNM"], "each once, whoever is registered"
    seen.clear()
    synced.clear()
    clock.advance(hours=4)
    until(emsp, mode, seen, any_store, sync_every=timedelta(hours=4))
    assert sorted(synced) == ["DE-ABC", "NL-TNM"]


def test_a_turn_is_taken_once_in_all_processes_and_anew_after_a_registration(any_store: AnyStore) -> None:
    clock = FakeClock()
    one, two = (offline_emsp(store=any_store, clock=clock) for _ in range(2))
    register(one)
    every = timedelta(hours=1)

    def take(emsp: Emsp) -> bool:
        return run(take_turn(emsp._contexts(), "nl", "tnm", every))

    assert [take(one), take(two), take(one)] == [True, False, False]
    clock.advance(minutes=59)
    assert not take(two)
    clock.advance(minutes=1)
    assert [take(two), take(one)] == [True, False]
    clock.advance(days=-2)
    assert take(one), "its clock was set back"
    one.partner("NL-TNM").unregister(tell=False)
    assert not take(one)
    register(one)
    assert take(two)


def test_a_running_host_pushes_and_syncs_a_real_partner(any_store: AnyStore) -> None:
    with simulated("sync", {"locations": 2}, store=any_store) as pair:
        pair.emsp.tokens.put(token("A"))
        pulled = threading.Event()

        def looking() -> None:
            while not (list(pair.emsp.locations.list("NL-TNM")) and pair.cpo.tokens):
                threading.Event().wait(0.01)
            pulled.set()

        threading.Thread(target=looking, daemon=True).start()
        with pair.emsp.running(sync_every=timedelta(hours=1), every=0.01):
            assert pulled.wait(SECONDS)
        assert [each["uid"] for each in pair.cpo.tokens] == ["A"]
        assert isinstance(pair.emsp.partner("NL-TNM").sync(), SyncReport)


class Broken(MemoryStore):
    """A store that is away for a time."""

    failures = 3

    def transaction(self, *, read_only: bool = False) -> Any:
        if self.failures:
            self.failures -= 1
            raise ConnectionError("away")
        return super().transaction(read_only=read_only)


@MODES
def test_failures_are_logged_once_and_outlived(mode: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "ocpi_emsp")
    seen = threading.Event()
    broken = Broken()
    emsp = offline_emsp(store=broken)

    class Recovered(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "loop.recovered" in record.getMessage():
                seen.set()

    handler = Recovered()
    logging.getLogger("ocpi_emsp").addHandler(handler)
    try:
        until(emsp, mode, seen, broken, push=False)
    finally:
        logging.getLogger("ocpi_emsp").removeHandler(handler)
    assert [each.getMessage() for each in caplog.records if "loop.failed" in each.getMessage()] == [
        'loop.failed what="delivering events" error=away'
    ]


def test_the_lifespan_of_an_asgi_app_runs_it_unless_it_is_told_not_to() -> None:
    emsp, begun = offline_emsp(), list[str]()

    def names() -> list[str]:
        return [each.get_name() for each in asyncio.all_tasks() if "keep_awaiting" in each.get_name()]

    async def live(app: Any) -> list[str]:
        come, sent, seen = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}], list[str](), list[str]()

        async def receive() -> Any:
            await anyio.sleep(0.01)
            seen.extend(names())
            return come.pop(0)

        async def send(message: Any) -> None:
            sent.append(message["type"])

        await app({"type": "lifespan"}, receive, send)
        assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
        assert names() == []
        return seen

    begun += anyio.run(live, emsp.asgi())
    assert begun
    assert anyio.run(live, emsp.asgi(background=False)) == []
