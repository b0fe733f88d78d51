"""What waits is not read again and again: a round reads what is due, by an index, and keeps the order per object."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from attrs import define, evolve, field

from flows.delivery_desk import another, journalled, minutes
from flows.relay_desk import RELAYED, Broker, push
from flows.support import Peer, peer
from flows.test_events import SESSION, Flaky, pending, session
from ocpi_emsp._bridge import in_place, lift_store, run
from ocpi_emsp.events import Event, PartyUnregistered, SessionReceived
from ocpi_emsp.flows.commands.upkeep import Done, do_what_is_due
from ocpi_emsp.flows.events.relay import RelayFailed
from ocpi_emsp.flows.sync.schedule import take_turn
from ocpi_emsp.flows.tokens.push.fan_out import fan_out_once
from ocpi_emsp.ports import (
    DEADLINE,
    EVENT,
    FAN_OUT,
    PARKED,
    PENDING_AUDIT,
    RELAY,
    TOPICS,
    Entry,
    Key,
    Kind,
    Store,
    Transaction,
)
from ocpi_emsp.resources.running import background as background_work
from ocpi_emsp.storage import SqlStore
from our_emsp import FakeClock


@define
class Counted:
    """A store that counts the entries that it gives, and its transactions."""

    inner: Store
    given: int = 0
    begun: list[bool] = field(factory=list)

    @asynccontextmanager
    async def transaction(self, *, read_only: bool = False) -> AsyncIterator[Transaction]:
        self.begun.append(read_only)
        async with self.inner.transaction(read_only=read_only) as tx:
            yield _Counted(tx, self)

    def reset(self) -> None:
        self.given, self.begun = 0, []


class _Counted:
    def __init__(self, tx: Transaction, counts: Counted) -> None:
        self._tx = tx
        self._counts = counts

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._tx, name)
        if name not in ("entries", "due"):
            return method

        async def call(*args: Any, **named: Any) -> Any:
            found = await method(*args, **named)
            self._counts.given += len(found)
            return found

        return call


@pytest.fixture
def store(sqlite_with_schema: Path) -> Iterator[Counted]:
    """A store that finds by an index what is due."""
    opened = SqlStore(f"sqlite:///{sqlite_with_schema}")
    yield Counted(lift_store(opened, in_place))
    opened.close()


def opened(store: Any, **settings: Any) -> Peer:
    return peer(listen=False, store=store, **settings)


def background(cpo: Peer, *, tidy: bool = False) -> Done:
    """A round of the background work."""
    return run(do_what_is_due(cpo.emsp._contexts(), look=True, tidy=tidy))


def behind_one_that_failed(store: Counted, *later: int, listener: Flaky) -> Peer:
    """An object with an event that waits for another try, and others behind it."""
    cpo = opened(store)
    cpo.emsp.on(SessionReceived)(listener)
    for minute in (1, *later):
        cpo.push("PUT", SESSION, session(minute))
    assert [entry.attempts for entry in pending(cpo)] == [1, *[0 for _ in later]]
    return cpo


def marks(cpo: Peer) -> list[bool]:
    """Which of the pending events are parked."""
    return [entry.due == PARKED for entry in pending(cpo)]


def as_if(topic: str, number: int, clock: FakeClock, **said: Any) -> Entry:
    """An entry that waits for an hour."""
    key = Key(Kind.SESSION, "NL", "TNM", f"S{number}")
    owner = {"country_code": "NL", "party_id": "TNM", "correlation_id": ""}
    due = clock.now() + timedelta(hours=1)
    entry = Entry(id=f"{topic}{number}", topic=topic, name="SessionReceived", key=key, at=clock.now(), details=owner)
    return evolve(entry, **{"attempts": 1, "due": due, **said})


def test_a_round_reads_nothing_of_what_waits(store: Counted) -> None:
    cpo = opened(store, audit=True)
    cpo.emsp.on(Event)(Flaky())
    for topic in (EVENT, RELAY, DEADLINE, FAN_OUT, PENDING_AUDIT):
        journalled(cpo, *(as_if(topic, number, cpo.clock) for number in range(7)))
    store.reset()
    assert background(cpo) == Done(0, 0)
    assert cpo.emsp.redeliver() == 0
    relay = cpo.emsp.relay(Broker())
    assert relay.once() == 0
    assert store.given == 7, "the first look of a relay reads all of its topic"
    assert relay.once() == 0
    assert run(fan_out_once(cpo.emsp._contexts(), lambda *_: pytest.fail("it is not due"))) == []
    assert store.given == 7
    assert all(store.begun), "a transaction that writes"
    assert background(cpo, tidy=True).looked == 7
    assert store.given == 7 + 14, "now and then what waits is looked at"


def test_what_waits_behind_an_event_that_failed_is_read_once(store: Counted) -> None:
    listener = Flaky()
    cpo = behind_one_that_failed(store, 2, 3, 4, listener=listener)
    assert background(cpo).number == 0
    assert marks(cpo) == [False, True, True, True]
    assert [event.due is None for event in cpo.emsp.events.list()] == [False, True, True, True]
    store.reset()
    assert background(cpo).number == 0
    assert (store.given, store.begun) == (0, [True, True])
    listener.broken = False
    cpo.clock.advance(hours=1)
    assert background(cpo).number == 4
    assert minutes(listener.heard) == [1, 2, 3, 4]
    assert pending(cpo) == []


def test_what_is_parked_stays_so_while_the_event_before_it_fails_again(store: Counted) -> None:
    listener = Flaky()
    cpo = behind_one_that_failed(store, 2, listener=listener)
    for attempts in range(1, 10):
        assert [entry.attempts for entry in pending(cpo)] == [attempts, 0]
        cpo.clock.advance(milliseconds=1)
        background(cpo)
        cpo.clock.advance(hours=1)
        background(cpo)
    assert [entry.attempts for entry in pending(cpo)] == [1], "the first one is a dead letter, the next one was tried"
    listener.broken = False
    cpo.clock.advance(hours=1)
    assert cpo.push("PUT", SESSION, session(3)).both == (200, 1000)
    assert minutes(listener.heard) == [2, 3]


def test_a_push_delivers_what_was_parked_in_order(store: Counted) -> None:
    listener = Flaky()
    cpo = behind_one_that_failed(store, 2, 3, listener=listener)
    background(cpo)
    listener.broken = False
    cpo.clock.advance(hours=1)
    cpo.push("PUT", SESSION, session(4))
    assert minutes(listener.heard) == [1, 2, 3, 4]
    assert pending(cpo) == []


def test_the_mark_is_taken_away_for_a_process_that_listens(store: Counted) -> None:
    listener = Flaky()
    cpo = behind_one_that_failed(store, listener=listener)
    event = pending(cpo)[0]
    journalled(cpo, evolve(event, id="later", name="PartyUnregistered", attempts=0, due=PARKED))
    listener.broken = False
    cpo.clock.advance(hours=1)
    assert background(cpo).number == 1
    (entry,) = pending(cpo)
    assert (entry.name, entry.due) == ("PartyUnregistered", None)
    store.reset()
    assert background(cpo).number == 0
    assert store.given == 0, "this process does not listen to it"
    other = another(cpo)
    other.emsp.on(PartyUnregistered)(other.events.append)
    assert background(other).number == 1


def test_what_was_parked_and_lost_the_event_before_it_is_found(store: Counted) -> None:
    listener = Flaky()
    cpo = behind_one_that_failed(store, 2, listener=listener)
    background(cpo)

    async def settle(entry_id: str) -> None:
        async with cpo.store.transaction() as tx:
            await tx.settle(entry_id)

    run(settle(pending(cpo)[0].id))
    listener.broken = False
    cpo.clock.advance(hours=1)
    assert background(cpo).number == 0
    assert background(cpo, tidy=True).number == 1
    assert minutes(listener.heard) == [2]


@pytest.mark.parametrize("gives_up", [False, True], ids=["it is taken", "it is given up"])
def test_a_relay_parks_what_waits_and_goes_on_with_it(store: Counted, gives_up: bool) -> None:
    broker = Broker("S1")
    cpo = opened(store, outbox_events=RELAYED)
    relay = cpo.emsp.relay(broker, batch=2)
    assert relay.once() == 0
    push(cpo, ("S1", 1))
    with pytest.raises(RelayFailed):
        relay.once()
    push(cpo, ("S1", 2), ("S1", 3), ("S1", 4), ("S2", 5))
    assert relay.once() == 1, "four that wait hold up no other"
    assert broker.taken == [("S2", 5)]
    store.reset()
    assert relay.once() == 0
    assert store.given == 0
    if gives_up:
        failed = sum([_fails(cpo, relay.once) for _ in range(9)])
        assert failed == 9
    broker.refused.clear()
    cpo.clock.advance(hours=1)
    while relay.once():
        pass
    expected = [("S1", 2), ("S1", 3), ("S1", 4)]
    assert broker.taken[1:] == (expected if gives_up else [("S1", 1), *expected])


def _fails(cpo: Peer, once: Callable[[], int]) -> bool:
    cpo.clock.advance(hours=1)
    with suppress(RelayFailed):
        once()
        return False
    return True


def test_every_topic_of_the_journal_can_be_asked_for_what_is_due(store: Counted) -> None:
    """Those that have a table of their own as well, although nothing of them is due."""
    from ocpi_emsp.ports import DueQuery, due_reader

    cpo = opened(store)

    async def read(topic: str) -> int:
        async with store.transaction(read_only=True) as tx:
            due = due_reader(tx)
            assert due is not None
            return len(await due(DueQuery(topic=topic, at=cpo.clock.now())))

    assert [run(read(topic)) for topic in TOPICS] == [0 for _ in TOPICS]


def test_a_look_whose_turn_it_is_locks_nothing_of_a_party_that_waits(store: Counted) -> None:
    every, contexts = timedelta(hours=4), opened(store).emsp._contexts
    loop = background_work(contexts, lambda: False, every, push=False, every=1.0)[-1]
    assert loop.what == "syncing partners"
    assert run(take_turn(contexts(), "NL", "TNM", every))
    store.reset()
    assert run(loop.once()) == 0
    assert store.begun
    assert all(store.begun), "a transaction that writes"
