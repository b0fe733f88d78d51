"""Delivery by several at once, over crashes and outages: in hand, leases, waits, dead letters (docs/events.md)."""

import logging
import threading
from collections.abc import AsyncIterator, Callable, Generator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, TypeVar

import anyio
import pytest
from attrs import define, evolve, field

from flows.support import Peer, at, make_emsp, peer
from flows.test_events import LOCATION, SESSION, Flaky, pending, session
from ocpi_emsp import (
    Event,
    EvseRemoved,
    InvalidObject,
    Limits,
    LocationReceived,
    Request,
    SessionReceived,
    StoreFailed,
    TariffDeleted,
    TariffReceived,
)
from ocpi_emsp._bridge import run
from ocpi_emsp.ports import EVENT, Entry, Store, Transaction
from ocpi_emsp.settings import DeliveryLimits
from ocpi_emsp.storage import MemoryStore
from ocpi_emsp.testing.cpo import samples
from ocpi_emsp.testing.cpo.wire import encode
from processes import Killed

T = TypeVar("T")
LEASE = Limits().delivery.lease


def minutes(heard: list[Event]) -> list[int]:
    """Which of the session's changes were heard."""
    return [int(event.session.kwh) for event in heard if isinstance(event, SessionReceived)]


def journalled(cpo: Peer, *entries: Entry) -> None:
    """Write to the journal what no eMSP of this version would."""

    async def write() -> None:
        async with cpo.store.transaction() as tx:
            for entry in entries:
                await tx.append(entry)

    run(write())


def another(cpo: Peer, **settings: Any) -> Peer:
    """Another process on the same store, with listeners of its own."""
    return evolve(cpo, emsp=make_emsp(clock=cpo.clock, store=cpo.store, **settings), events=[])


@define
class Watched:
    """A store that counts its transactions, and fails where ``breaks`` says so."""

    inner: Store
    breaks: Callable[[str, Any], None] = lambda _method, _argument: None
    begun: list[bool] = field(factory=list)

    @asynccontextmanager
    async def transaction(self, *, read_only: bool = False) -> AsyncIterator[Transaction]:
        self.begun.append(read_only)
        self.breaks("transaction", read_only)
        async with self.inner.transaction(read_only=read_only) as tx:
            yield _Watched(tx, self.breaks)


class _Watched:
    def __init__(self, tx: Transaction, breaks: Callable[[str, Any], None]) -> None:
        self._tx = tx
        self._breaks = breaks

    def __getattr__(self, name: str) -> Any:
        def call(*args: Any, **named: Any) -> Any:
            self._breaks(name, args[0])
            return getattr(self._tx, name)(*args, **named)

        return call


# --- in hand --------------------------------------------------------------------------------------------------------


def test_an_event_that_is_delivered_at_once_costs_one_transaction_more() -> None:
    silent: Any = Watched(MemoryStore())
    heard: Any = Watched(MemoryStore())
    for store, listen in ((silent, False), (heard, True)):
        cpo = peer(store=store, listen=listen)
        for minute in (1, 2):
            store.begun.clear()
            cpo.put(SESSION, session(minute))
    assert heard.begun == [*silent.begun, False]


def test_an_object_in_hand_is_left_to_whoever_has_it() -> None:
    """Two requests for one object and a retry at the same time: one after the other, in order."""
    cpo = peer(listen=False)
    begun, go_on = threading.Event(), threading.Event()
    heard: list[Event] = []
    threads: list[int] = []

    @cpo.emsp.on(SessionReceived)
    def listen(event: SessionReceived) -> None:
        threads.append(threading.get_ident())
        if event.session.kwh == 1:
            begun.set()
            assert go_on.wait(10)
        heard.append(event)

    first = threading.Thread(target=cpo.put, args=(SESSION, session(1)))
    first.start()
    assert begun.wait(10)
    for minute in (2, 3):
        assert cpo.push("PUT", SESSION, session(minute)).both == (200, 1000)
    assert cpo.emsp.redeliver() == 0
    other = another(cpo)
    other.emsp.on(Event)(heard.append)
    assert other.emsp.redeliver() == 0
    assert heard == []
    go_on.set()
    first.join(10)
    assert minutes(heard) == [1, 2, 3]
    assert len(set(threads)) == 1
    assert pending(cpo) == []


def test_a_process_that_dies_in_a_listener_holds_its_event_no_longer_than_the_lease() -> None:
    cpo = peer(listen=False)
    heard: list[Event] = []
    alive = [False]

    @cpo.emsp.on(SessionReceived)
    def listen(event: SessionReceived) -> None:
        if not alive[0]:
            raise Killed
        heard.append(event)

    with pytest.raises(Killed):
        cpo.push("PUT", SESSION, session(1))
    alive[0] = True
    assert cpo.push("PUT", SESSION, session(2)).both == (200, 1000)
    cpo.clock.advance(seconds=LEASE.total_seconds() - 1)
    assert cpo.emsp.redeliver() == 0
    assert heard == []
    cpo.clock.advance(seconds=1)
    assert cpo.emsp.redeliver() == 2
    assert minutes(heard) == [1, 2]
    assert pending(cpo) == []


def test_a_request_that_is_dropped_in_an_async_listener_loses_nothing() -> None:
    cpo = peer(listen=False)
    heard: list[Event] = []
    hangs = [True]

    class Forever:
        def __await__(self) -> Generator[None, None, None]:
            yield

    @cpo.emsp.on(SessionReceived)
    async def listen(event: SessionReceived) -> None:
        if hangs[0]:
            await Forever()
        heard.append(event)

    sent = {"authorization": f"Token {cpo.token}"}
    coroutine = cpo.emsp.handle_async(Request("PUT", "/2.1.1/sessions/NL/TNM/SES1", "", sent, encode(session(1))))
    coroutine.send(None)
    coroutine.close()
    hangs[0] = False
    assert anyio.run(cpo.emsp.async_redeliver) == 0
    cpo.clock.advance(seconds=LEASE.total_seconds())
    assert anyio.run(cpo.emsp.async_redeliver) == 1
    assert minutes(heard) == [1]


@pytest.mark.parametrize("fails", [False, True])
def test_a_listener_that_is_slower_than_the_lease_brings_nothing_back(fails: bool) -> None:
    """Somebody else delivered the event meanwhile: at least once, but settled stays settled."""
    cpo = peer(listen=False)
    other = another(cpo)
    other.emsp.on(Event)(other.events.append)

    @cpo.emsp.on(SessionReceived)
    def listen(_: SessionReceived) -> None:
        cpo.clock.advance(seconds=LEASE.total_seconds())
        assert other.emsp.redeliver() == 1
        if fails:
            raise ConnectionError

    assert cpo.push("PUT", SESSION, session(1)).status == (500 if fails else 201)
    assert minutes(other.events) == [1]
    assert pending(cpo) == []


def test_a_failure_after_the_lease_is_not_noted_while_somebody_else_has_the_event_in_hand() -> None:
    cpo = peer(listen=False)
    other = another(cpo)

    @other.emsp.on(SessionReceived)
    def die(_: SessionReceived) -> None:
        raise Killed

    @cpo.emsp.on(SessionReceived)
    def listen(_: SessionReceived) -> None:
        cpo.clock.advance(seconds=LEASE.total_seconds())
        with pytest.raises(Killed):
            other.emsp.redeliver()
        raise ConnectionError

    assert cpo.push("PUT", SESSION, session(1)).status == 500
    (event,) = cpo.emsp.events.list()
    assert (event.attempts, event.due) == (0, cpo.clock.now() + LEASE)


def test_a_request_gives_up_what_somebody_else_took_before_its_turn() -> None:
    cpo = peer(listen=False)
    cpo.put(LOCATION, samples.location())
    other = another(cpo)
    other.emsp.on(Event)(other.events.append)
    heard: list[str] = []

    @cpo.emsp.on(EvseRemoved)
    def listen(event: EvseRemoved) -> None:
        heard.append(event.evse.uid)
        cpo.clock.advance(seconds=LEASE.total_seconds())
        assert other.emsp.redeliver() == 2

    cpo.put(LOCATION, samples.location() | {"evses": [], "last_updated": at(1)})
    assert heard == ["LOC1-E1"]
    assert [event.evse.uid for event in other.events if isinstance(event, EvseRemoved)] == ["LOC1-E1", "LOC1-E2"]


def test_an_event_of_a_change_that_was_rolled_back_is_not_delivered() -> None:
    broken = [False]

    def breaks(method: str, argument: Any) -> None:
        if broken[0] and method == "put" and argument.key.kind == "location":
            raise OSError

    store: Any = Watched(MemoryStore(), breaks)
    cpo = peer(store=store)
    cpo.put(LOCATION, samples.location())
    cpo.taken()
    broken[0] = True
    without_evses = samples.location() | {"evses": [], "last_updated": at(1)}
    assert cpo.push("PUT", LOCATION, without_evses).status == 500
    assert cpo.taken() == []
    assert pending(cpo) == []
    broken[0] = False
    cpo.put(LOCATION, without_evses)
    assert cpo.taken() == ["EvseRemoved", "EvseRemoved", "LocationReceived"]


def test_what_nobody_here_listens_to_is_left_to_another_process() -> None:
    cpo = peer(listen=False)
    cpo.emsp.on(TariffReceived)(Flaky())
    cpo.push("PUT", "tariffs/*/TAR1", samples.tariff())
    cpo.clock.advance(hours=2)
    other = another(cpo)
    assert other.emsp.redeliver() == 0
    for kind in (LocationReceived, TariffDeleted):
        other.emsp.on(kind)(other.events.append)
        assert other.emsp.redeliver() == 0
    assert other.push("DELETE", "tariffs/*/TAR1").both == (200, 1000)
    assert other.events == [], "it comes after the one that is left"
    assert [entry.name for entry in pending(cpo)] == ["TariffReceived", "TariffDeleted"]
    other.emsp.on(TariffReceived)(other.events.append)
    assert other.emsp.redeliver() == 2
    assert other.taken() == ["TariffReceived", "TariffDeleted"]


# --- the clock ------------------------------------------------------------------------------------------------------


def test_a_clock_that_goes_back_blocks_nothing_forever() -> None:
    cpo = peer(listen=False)
    listener = Flaky()
    cpo.emsp.on(SessionReceived)(listener)
    cpo.clock.advance(days=365)
    cpo.push("PUT", SESSION, session(1))
    cpo.push("PUT", SESSION, session(2))
    cpo.clock.advance(days=-365)
    listener.broken = False
    assert cpo.emsp.redeliver() == 2
    assert minutes(listener.heard) == [1, 2]


def test_a_clock_that_goes_back_a_little_delays_by_no_more_than_that() -> None:
    cpo = peer(listen=False)
    listener = Flaky()
    cpo.emsp.on(SessionReceived)(listener)
    cpo.push("PUT", SESSION, session(1))
    cpo.clock.advance(minutes=-10)
    listener.broken = False
    cpo.clock.advance(minutes=10, seconds=1)
    assert cpo.emsp.redeliver() == 1


def test_waits_grow_to_the_longest_and_are_spread() -> None:
    limits = Limits(
        delivery=DeliveryLimits(first_wait=timedelta(seconds=1), longest_wait=timedelta(seconds=20), attempts=100)
    )
    cpo = peer(listen=False, limits=limits)
    cpo.emsp.on(SessionReceived)(Flaky())
    cpo.push("PUT", SESSION, session(1))
    waits: list[float] = []
    for longest in (1, 4, 16, *[20] * 40):
        (event,) = cpo.emsp.events.list()
        assert event.due is not None
        waits.append((event.due - cpo.clock.now()).total_seconds())
        assert 0 <= waits[-1] <= longest
        cpo.clock.advance(seconds=longest)
        assert cpo.emsp.redeliver() == 0
    assert len(set(waits)) > 30
    assert max(waits[3:]) > 10


# --- dead letters ---------------------------------------------------------------------------------------------------


def poisoned(cpo: Peer) -> list[Event]:
    """A listener that takes every session but the one of the first minute."""
    heard: list[Event] = []

    @cpo.emsp.on(SessionReceived)
    def listen(event: SessionReceived) -> None:
        if event.session.kwh == 1:
            raise ValueError("no such customer")
        heard.append(event)

    return heard


def exhausted(cpo: Peer, attempts: int) -> int:
    """Try until everything was tried often enough; how many were delivered."""
    delivered = 0
    for _ in range(attempts):
        cpo.clock.advance(hours=1)
        delivered += cpo.emsp.redeliver()
    return delivered


def test_an_event_that_fails_too_often_is_a_dead_letter_and_the_next_ones_go_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    cpo = peer(listen=False, limits=Limits(delivery=DeliveryLimits(attempts=3)))
    heard = poisoned(cpo)
    for minute in (1, 2, 3):
        cpo.push("PUT", SESSION, session(minute))
    assert exhausted(cpo, 1) == 0
    assert cpo.emsp.events.list(dead=True) == []
    assert exhausted(cpo, 1) == 2
    assert minutes(heard) == [2, 3]
    (dead,) = cpo.emsp.events.list(dead=True)
    assert (dead.name, dead.dead, dead.topic, dead.attempts) == ("SessionReceived", True, "event", 3)
    assert (dead.error, dead.due) == ("ValueError: no such customer", None)
    assert (dead.country_code, dead.party_id) == ("NL", "TNM")
    assert dead.document == encode(session(1))
    assert f"event.dead topic=event name=SessionReceived id={dead.id}" in caplog.text
    assert cpo.emsp.events.list() == []
    assert exhausted(cpo, 3) == 0, "it stays where it is"
    assert cpo.emsp.events.show(dead.id) == dead


def test_a_dead_letter_in_a_request_lets_the_requests_own_event_go_on() -> None:
    cpo = peer(listen=False, limits=Limits(delivery=DeliveryLimits(attempts=2)))
    heard = poisoned(cpo)
    cpo.push("PUT", SESSION, session(1))
    cpo.clock.advance(hours=1)
    assert cpo.push("PUT", SESSION, session(2)).status == 500, "a listener raised"
    assert minutes(heard) == [2]
    assert len(cpo.emsp.events.list(dead=True)) == 1


def test_a_dead_letter_is_tried_again_from_the_start() -> None:
    cpo = peer(listen=False, limits=Limits(delivery=DeliveryLimits(attempts=1)))
    heard = poisoned(cpo)
    cpo.push("PUT", SESSION, session(1))
    (dead,) = cpo.emsp.events.list(dead=True)
    cpo.emsp.on(SessionReceived)(heard.append)
    assert cpo.emsp.events.retry(dead.id)
    assert not cpo.emsp.events.retry(dead.id), "it is alive"
    assert not cpo.emsp.events.retry("nothing")
    (waiting,) = cpo.emsp.events.list()
    assert (waiting.id, waiting.attempts, waiting.dead) == (dead.id, 0, False)
    assert cpo.emsp.redeliver() == 0
    assert cpo.emsp.events.retry_all() == 1
    assert cpo.emsp.events.retry_all(topic="relay") == 0
    other = another(cpo)
    other.emsp.on(Event)(other.events.append)
    assert other.emsp.redeliver() == 1
    assert other.emsp.events.list() == other.emsp.events.list(dead=True) == []
    assert other.emsp.events.show(dead.id) is None


def test_a_dead_letter_waits_while_its_object_is_in_hand() -> None:
    cpo = peer(listen=False, limits=Limits(delivery=DeliveryLimits(attempts=1)))
    heard = poisoned(cpo)
    cpo.push("PUT", SESSION, session(1))
    (dead,) = cpo.emsp.events.list(dead=True)
    other = another(cpo)
    other.emsp.on(Event)(other.events.append)

    @cpo.emsp.on(SessionReceived)
    def listen(_: SessionReceived) -> None:
        assert cpo.emsp.events.retry(dead.id)
        assert other.emsp.redeliver() == 0

    cpo.put(SESSION, session(2))
    assert minutes(heard) == [2]
    assert other.events == []
    cpo.clock.advance(seconds=LEASE.total_seconds())
    assert other.emsp.redeliver() == 1
    assert minutes(other.events) == [1]


def test_many_dead_letters_are_listed_in_pages_and_all_tried_again() -> None:
    cpo = peer(listen=False, limits=Limits(delivery=DeliveryLimits(attempts=1)))
    cpo.emsp.on(Event)(Flaky())
    for number in range(120):
        cpo.push("PUT", f"sessions/*/S{number}", session(1, id=f"S{number}"))
    events, after = list[str](), 0
    while page := cpo.emsp.events.list(dead=True, limit=50, after=after):
        events += [event.key.id for event in page if event.key]
        after = page[-1].sequence
    assert events == [f"S{number}" for number in range(120)]
    assert cpo.emsp.events.retry_all() == 120
    assert len(cpo.emsp.events.list(limit=1000)) == 120


def test_events_are_listed_by_party() -> None:
    cpo = peer(listen=False)
    other = cpo.other()
    cpo.emsp.on(SessionReceived)(Flaky())
    for each in (cpo, other, cpo):
        each.push("PUT", SESSION, session(len(cpo.emsp.events.list())))
    owners = {
        wanted: [event.party_id for event in cpo.emsp.events.list(*wanted)]
        for wanted in ((), ("nl", "tnm"), ("DE", "ABC"), ("DE",), ("DE", "TNM"))
    }
    assert owners == {
        (): ["TNM", "ABC", "TNM"],
        ("nl", "tnm"): ["TNM", "TNM"],
        ("DE", "ABC"): ["ABC"],
        ("DE",): ["ABC"],
        ("DE", "TNM"): [],
    }
    assert anyio.run(cpo.emsp.async_events.list, "NL", "TNM") == cpo.emsp.events.list("NL", "TNM")


def test_the_async_accessor_does_the_same() -> None:
    cpo = peer(listen=False, limits=Limits(delivery=DeliveryLimits(attempts=1)))
    cpo.emsp.on(SessionReceived)(Flaky())
    for number in (1, 2):
        cpo.push("PUT", f"sessions/*/S{number}", session(1, id=f"S{number}"))

    async def look() -> None:
        events = cpo.emsp.async_events
        first, _ = await events.list(dead=True)
        assert await events.show(first.id) == first
        assert await events.retry(first.id)
        assert await events.retry_all() == 1
        assert await events.list(dead=True) == []

    anyio.run(look)


def test_a_rejection_is_no_event() -> None:
    cpo = peer()
    cpo.push("PUT", SESSION, b"{")
    (rejection,) = cpo.emsp.rejections.list()
    assert cpo.emsp.events.show(rejection.id) is None
    assert not cpo.emsp.events.retry(rejection.id)
    assert cpo.emsp.rejections.list(after=rejection.sequence) == []
    assert cpo.emsp.rejections.show(rejection.id) == rejection


def test_an_event_is_no_rejection() -> None:
    cpo = peer(listen=False)
    cpo.emsp.on(SessionReceived)(Flaky())
    cpo.push("PUT", SESSION, session(1))
    (event,) = cpo.emsp.events.list()
    assert cpo.emsp.rejections.show(event.id) is None


@pytest.mark.parametrize("change", [{"name": "CarFlewAway"}, {"body": b"{}"}, {"body": b""}, {"details": {"x": 1}}])
def test_an_event_that_cannot_be_read_is_a_dead_letter_at_once_and_stops_nobody(change: dict[str, Any]) -> None:
    cpo = peer(listen=False)
    listener = Flaky()
    cpo.emsp.on(SessionReceived)(listener)
    cpo.push("PUT", SESSION, session(1))
    (entry,) = pending(cpo)
    owner = {name: entry.details[name] for name in ("country_code", "party_id", "correlation_id")}
    journalled(cpo, evolve(entry, **{**change, "details": owner} if "details" in change else change))
    listener.broken = False
    cpo.clock.advance(seconds=1)
    assert cpo.push("PUT", SESSION, session(2)).both == (200, 1000)
    assert minutes(listener.heard) == [2]
    (dead,) = cpo.emsp.events.list(dead=True)
    assert dead.error.startswith("UnreadableEvent: ")
    assert pending(cpo) == []


def test_what_went_wrong_is_kept_in_characters_that_a_database_can_hold(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "ocpi_emsp")  # the traceback has the text as it is, which no report can carry
    cpo = peer(listen=False)

    @cpo.emsp.on(SessionReceived)
    def listen(_: SessionReceived) -> None:
        raise ValueError("\x00\ud800" + "x" * 10_000)

    cpo.push("PUT", SESSION, session(1))
    (event,) = cpo.emsp.events.list()
    assert event.error.startswith("ValueError: \N{REPLACEMENT CHARACTER}?xxx")
    assert len(event.error) == 500


@pytest.mark.parametrize("error", [InvalidObject("mine"), StoreFailed("mine"), RecursionError()])
def test_whatever_a_listener_raises_is_its_own_failure(error: Exception) -> None:
    cpo = peer(listen=False)

    @cpo.emsp.on(SessionReceived)
    def listen(_: SessionReceived) -> None:
        raise error

    assert cpo.push("PUT", SESSION, session(1)).both == (500, 3000)
    assert [event.attempts for event in cpo.emsp.events.list()] == [1]
    assert cpo.emsp.rejections.list() == []


# --- in the background ----------------------------------------------------------------------------------------------


AWAY = StoreFailed("the database is away")


def failing(times: int, error: Exception) -> tuple[Callable[[str, Any], None], list[int]]:
    """What makes a store fail so many times, once it is told to by setting the counter to 0."""
    done = [times]

    def breaks(method: str, _: Any) -> None:
        if method == "transaction" and done[0] < times:
            done[0] += 1
            raise error

    return breaks, done


def waiting_event(times: int, error: Exception = AWAY) -> tuple[Peer, Flaky]:
    """A party with an event that is due, and a store that fails so many times before it gives it."""
    breaks, done = failing(times, error)
    store: Any = Watched(MemoryStore(), breaks)
    cpo = peer(listen=False, store=store)
    listener = Flaky()
    cpo.emsp.on(SessionReceived)(listener)
    cpo.push("PUT", SESSION, session(1))
    listener.broken = False
    cpo.clock.advance(seconds=1)
    done[0] = 0
    return cpo, listener


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.levelno == logging.WARNING]


@pytest.mark.parametrize("error", [AWAY, RuntimeError("a bug")], ids=["an outage", "a bug"])
def test_a_loop_delivers_and_outlives_what_fails(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    cpo, listener = waiting_event(3, error)
    stop = threading.Event()
    cpo.emsp.on(SessionReceived)(lambda _: stop.set())
    cpo.emsp.keep_delivering(stop, every=0)
    assert minutes(listener.heard) == [1]
    assert pending(cpo) == []
    assert warnings(caplog) == [f'loop.failed what="delivering events" error="{error}"']


def test_an_async_loop_does_so_too(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "ocpi_emsp")
    cpo, listener = waiting_event(3)

    async def serve() -> None:
        heard = anyio.Event()

        @cpo.emsp.on(SessionReceived)
        async def listen(_: SessionReceived) -> None:
            heard.set()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: cpo.emsp.async_keep_delivering(every=0))
            with anyio.fail_after(10):
                await heard.wait()
                while pending(cpo):
                    await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()

    anyio.run(serve)
    assert minutes(listener.heard) == [1]
    assert len(warnings(caplog)) == 1
    assert 'loop.recovered what="delivering events" failures=3' in caplog.text


def test_a_loop_that_was_stopped_before_does_nothing() -> None:
    cpo, listener = waiting_event(0)
    stop = threading.Event()
    stop.set()
    cpo.emsp.keep_delivering(stop)
    assert listener.heard == []
    assert [entry.topic for entry in pending(cpo)] == [EVENT]
