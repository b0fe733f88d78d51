"""Relays: batches for a broker, at least once, in order per object (docs/reference/events.md)."""

import json
import random
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from attrs import evolve

from flows.delivery_desk import LEASE, journalled
from flows.relay_desk import RELAYED, Broker, change, journal, push, waiting
from flows.support import Peer, offline_emsp, peer
from flows.test_events import LOCATION, SESSION, Flaky, pending, session
from ocpi_emsp import Limits, OcpiError
from ocpi_emsp.events import CommandResultReceived, Event, PartyRegistered, RelayedEvent, SessionReceived
from ocpi_emsp.flows.events.relay import RelayFailed
from ocpi_emsp.ports import RELAY
from ocpi_emsp.resources import PendingEvent
from ocpi_emsp.settings import DeliveryLimits
from ocpi_emsp.testing.cpo import samples
from ocpi_emsp.testing.cpo.wire import encode
from processes import Killed


def dead(cpo: Peer) -> list[PendingEvent]:
    return list(cpo.emsp.events.list(topic="relay", dead=True))


def drained(once: Callable[[], int]) -> int:
    """Relay until nothing is due, over what fails."""
    total = 0
    while True:
        try:
            done = once()
        except RelayFailed:
            continue
        if not done:
            return total
        total += done


# --- what is journalled ---------------------------------------------------------------------------------------------


def test_what_is_relayed_is_journalled_where_nobody_listens() -> None:
    cpo = peer(listen=False, outbox_events=RELAYED)
    push(cpo, ("S1", 1))
    cpo.put(LOCATION, samples.location())
    assert [event.name for event in waiting(cpo)] == ["SessionReceived"]
    assert pending(cpo) == []
    cpo.put("sessions/*/S1", session(1, id="S1") | {"last_updated": "2024-05-30T00:00:00Z"})
    assert len(waiting(cpo)) == 1, "nothing changed"


def test_nothing_is_journalled_for_a_relay_where_nothing_is_relayed() -> None:
    cpo = peer()
    push(cpo, ("S1", 1))
    assert waiting(cpo) == []
    assert cpo.emsp.relay(Broker()).once() == 0


def test_listeners_and_a_relay_try_on_their_own() -> None:
    cpo = peer(listen=False, outbox_events=(Event,))
    cpo.emsp.on(SessionReceived)(Flaky())
    assert cpo.push("PUT", SESSION, session(1)).status == 500
    assert [event.attempts for event in cpo.emsp.events.list()] == [1]
    broker = Broker()
    names = [event.name for event in waiting(cpo)]
    assert names == ["PartyRegistered", "SessionReceived"]
    assert cpo.emsp.relay(broker).once() == 2
    assert [event.name for event in broker.batches[0]] == names
    assert [event.attempts for event in cpo.emsp.events.list()] == [1]


def test_another_process_may_relay() -> None:
    cpo = peer(listen=False, outbox_events=RELAYED)
    push(cpo, ("S1", 1))
    broker = Broker()
    assert offline_emsp(store=cpo.store, clock=cpo.clock).relay(broker).once() == 1
    assert broker.taken == [("S1", 1)]


# --- what is handed over --------------------------------------------------------------------------------------------


def test_a_relayed_event_says_everything_and_its_bytes_never_change() -> None:
    cpo = peer(listen=False, outbox_events=(SessionReceived,))
    document = session(1) | {"x-vendor": {"kept": [1.50, None]}}
    cpo.push("PUT", SESSION, document, headers={"x-correlation-id": "c-1"})
    broker = Broker(down=True)
    seen: list[bytes] = []

    def publish(events: list[RelayedEvent]) -> None:
        seen.append(events[0].to_json())
        broker(events)

    relay = cpo.emsp.relay(publish)
    with pytest.raises(RelayFailed, match="publishing 1 event failed: ConnectionError: no broker"):
        relay.once()
    broker.down = False
    cpo.clock.advance(seconds=1)
    assert relay.once() == 1
    assert seen[0] == seen[1]
    ((event,),) = broker.batches
    assert isinstance(event.event, SessionReceived)
    assert (event.name, event.country_code, event.party_id) == ("SessionReceived", "NL", "TNM")
    assert (event.correlation_id, event.event.session.id, event.event.created) == ("c-1", "SES1", True)
    assert encode(document) in seen[0]
    assert json.loads(seen[0]) == {
        "id": event.id,
        "name": "SessionReceived",
        "country_code": "NL",
        "party_id": "TNM",
        "at": "2024-06-01T12:00:00Z",
        "correlation_id": "c-1",
        "key": {"kind": "session", "id": "SES1", "parent": ""},
        "details": {"created": True},
        "document": document,
    }


def test_an_event_without_a_document_has_none() -> None:
    cpo = peer(listen=False, outbox_events=(PartyRegistered, CommandResultReceived))
    broker = Broker()
    assert cpo.emsp.relay(broker).once() == 1
    ((event,),) = broker.batches
    document = json.loads(event.to_json())
    assert (document["details"], document["document"]) == ({}, None)
    assert document["key"] == {"kind": "party", "id": event.key.id, "parent": event.key.parent}


def test_an_evse_says_where_it_belongs() -> None:
    cpo = peer(listen=False, outbox_events=(Event,))
    cpo.put(LOCATION, samples.location())
    cpo.put("locations/*/LOC1/LOC1-E1", samples.evse() | {"status": "BLOCKED", "last_updated": "2024-05-30T00:00:00Z"})
    broker = Broker()
    cpo.emsp.relay(broker).once()
    document = json.loads(broker.batches[0][-1].to_json())
    assert document["key"] == {"kind": "evse", "id": "LOC1-E1", "parent": "LOC1"}
    assert document["details"] == {"created": False, "location_id": "LOC1"}


# --- batches --------------------------------------------------------------------------------------------------------


def test_batches_are_in_order_and_no_larger_than_asked_for() -> None:
    cpo = peer(listen=False, outbox_events=RELAYED)
    changes = [(f"S{number % 3}", number) for number in range(250)]
    push(cpo, *changes)
    broker = Broker()
    relay = cpo.emsp.relay(broker, batch=100)
    assert [relay.once() for _ in range(4)] == [100, 100, 50, 0]
    assert broker.taken == changes
    assert waiting(cpo) == []
    assert broker.calls == 3


@pytest.mark.parametrize("batch", [0, -1])
def test_a_batch_has_an_event(batch: int) -> None:
    emsp = offline_emsp()
    for relay in (emsp.relay, emsp.aio.relay):
        with pytest.raises(ValueError, match="expected 1 or more events"):
            relay(print, batch=batch)


def test_an_event_that_the_broker_refuses_costs_its_neighbours_one_try() -> None:
    cpo = peer(listen=False, outbox_events=RELAYED, limits=Limits(delivery=DeliveryLimits(attempts=3)))
    push(cpo, ("S1", 1), ("BAD", 1), ("S2", 1), ("BAD", 2), ("S1", 2))
    broker = Broker("BAD")
    relay = cpo.emsp.relay(broker)
    with pytest.raises(RelayFailed):
        relay.once()
    assert {event.attempts for event in waiting(cpo)} == {1}
    assert relay.once() == 0, "they wait"
    cpo.clock.advance(seconds=1)
    assert drained(relay.once) == 3
    assert broker.taken == [("S1", 1), ("S2", 1), ("S1", 2)]
    assert [(event.key and event.key.id, event.attempts) for event in waiting(cpo)] == [("BAD", 2), ("BAD", 1)]
    push(cpo, ("S3", 1), ("BAD", 3))
    assert drained(relay.once) == 1, "one that is new is not held back"
    for _ in range(8):
        cpo.clock.advance(hours=1)
        drained(relay.once)
    assert [event.attempts for event in dead(cpo)] == [3, 3, 3]
    assert waiting(cpo) == []
    broker.refused.clear()
    assert cpo.emsp.events.retry_all(topic="relay") == 3
    assert relay.once() == 3
    assert broker.taken[-3:] == [("BAD", 1), ("BAD", 2), ("BAD", 3)]


def test_what_failed_in_a_batch_only_is_no_dead_letter() -> None:
    cpo = peer(listen=False, outbox_events=RELAYED, limits=Limits(delivery=DeliveryLimits(attempts=1)))
    push(cpo, ("S1", 1), ("S2", 1))
    broker = Broker(down=True)
    relay = cpo.emsp.relay(broker)
    with pytest.raises(OcpiError):
        relay.once()
    assert dead(cpo) == []
    cpo.clock.advance(seconds=1)
    with pytest.raises(OcpiError):
        relay.once()
    assert [event.key.id for event in dead(cpo) if event.key] == ["S1"]


def test_an_event_that_failed_is_published_alone_whatever_stands_beside_it() -> None:
    cpo = peer(listen=False, outbox_events=RELAYED, limits=Limits(delivery=DeliveryLimits(attempts=2)))
    push(cpo, ("BAD", 1), ("S1", 1))
    broker = Broker("BAD")
    one = cpo.emsp.relay(broker, batch=1)
    for _ in range(2):
        with pytest.raises(RelayFailed):
            one.once()
        cpo.clock.advance(seconds=4)
    (event,) = dead(cpo)
    broker.refused = {"S1"}
    with pytest.raises(RelayFailed):
        one.once()
    cpo.clock.advance(seconds=1)
    cpo.emsp.events.retry(event.id)
    push(cpo, ("S2", 1))
    seen: list[list[str]] = []
    relay = cpo.emsp.relay(lambda events: seen.append([event.key.id for event in events]))
    # BAD and S2 are as good as new, S1 between them failed before.
    assert [relay.once(), relay.once(), relay.once()] == [2, 1, 0]
    assert seen == [["BAD", "S2"], ["S1"]]


def test_an_event_that_failed_does_not_take_a_new_one_with_it() -> None:
    cpo = peer(listen=False, outbox_events=RELAYED)
    push(cpo, ("BAD", 1))
    broker = Broker("BAD")
    relay = cpo.emsp.relay(broker)
    with pytest.raises(RelayFailed):
        relay.once()
    push(cpo, ("S1", 1))
    cpo.clock.advance(seconds=1)
    with pytest.raises(RelayFailed):
        relay.once()
    assert [event.attempts for event in waiting(cpo)] == [2, 0]


@pytest.mark.parametrize("change", [{"name": "CarFlewAway"}, {"body": b"{}"}])
def test_an_event_that_cannot_be_read_stops_nobody(change: dict[str, Any]) -> None:
    cpo = peer(listen=False, outbox_events=RELAYED)
    push(cpo, ("S1", 1), ("S1", 2), ("S2", 1))
    journalled(cpo, evolve(journal(cpo, RELAY)[0], **change))
    broker = Broker()
    assert cpo.emsp.relay(broker, batch=1).once() == 1
    assert cpo.emsp.relay(broker).once() == 1
    assert broker.taken == [("S1", 2), ("S2", 1)]
    (event,) = dead(cpo)
    assert event.error.startswith("UnreadableEvent: ")
    assert event.attempts == 1


# --- several relays, crashes ----------------------------------------------------------------------------------------


def test_two_relays_share_the_objects_and_keep_the_order() -> None:
    cpo = peer(listen=False, outbox_events=RELAYED)
    push(cpo, ("S1", 1), ("S2", 1), ("S1", 2), ("S3", 1))
    second = Broker()
    first = Broker()

    def publish(events: list[RelayedEvent]) -> None:
        relayed = cpo.emsp.relay(second).once()
        assert relayed == 1, "S1 and S2 are in the first one's hand"
        first(events)

    assert cpo.emsp.relay(publish, batch=2).once() == 2
    assert first.taken == [("S1", 1), ("S2", 1)]
    assert second.taken == [("S3", 1)]
    assert cpo.emsp.relay(second).once() == 1
    assert second.taken[-1] == ("S1", 2)


def test_a_relay_that_dies_while_it_publishes_loses_nothing() -> None:
    cpo = peer(listen=False, outbox_events=RELAYED)
    push(cpo, ("S1", 1), ("S1", 2))
    seen: list[str] = []

    def publish(events: Iterable[RelayedEvent]) -> None:
        seen.extend(event.id for event in events)
        raise Killed

    with pytest.raises(Killed):
        cpo.emsp.relay(publish).once()
    broker = Broker()
    relay = cpo.emsp.relay(broker)
    push(cpo, ("S1", 3))
    assert relay.once() == 0
    cpo.clock.advance(seconds=LEASE.total_seconds())
    assert relay.once() == 3
    assert broker.taken == [("S1", 1), ("S1", 2), ("S1", 3)]
    assert [event.id for event in broker.batches[0][:2]] == seen


@pytest.mark.parametrize("fails", [False, True])
def test_a_relay_that_is_slower_than_its_lease_brings_nothing_back(fails: bool) -> None:
    cpo = peer(listen=False, outbox_events=RELAYED)
    push(cpo, ("S1", 1))

    def publish(_: list[RelayedEvent]) -> None:
        cpo.clock.advance(seconds=LEASE.total_seconds())
        assert cpo.emsp.relay(Broker()).once() == 1
        if fails:
            raise ConnectionError

    if fails:
        with pytest.raises(RelayFailed):
            cpo.emsp.relay(publish).once()
    else:
        assert cpo.emsp.relay(publish).once() == 1
    assert waiting(cpo) == dead(cpo) == []


@pytest.mark.parametrize("seed", range(20))
def test_whatever_fails_the_changes_of_an_object_arrive_in_order(seed: int) -> None:
    """Two relays, one inside the other's publishing, a broker that fails now and then, and changes all the time."""
    chance = random.Random(seed)
    cpo = peer(listen=False, outbox_events=RELAYED)
    arrived: dict[str, list[int]] = defaultdict(list)
    number = 0

    def publish(events: list[RelayedEvent], depth: int = 0) -> None:
        if depth == 0 and chance.random() < 0.5:
            step(depth + 1)
        if chance.random() < 0.3:
            raise ConnectionError
        for event in events:
            name, minute = change(event)
            arrived[name].append(minute)

    def step(depth: int = 0) -> None:
        relay = cpo.emsp.relay(lambda events: publish(events, depth), batch=chance.randint(1, 5))
        try:
            relay.once()
        except RelayFailed:
            cpo.clock.advance(seconds=chance.choice([0, 0, 1, 5]))

    pushed: dict[str, list[int]] = defaultdict(list)
    for _ in range(60):
        for _ in range(chance.randint(0, 2)):
            number, name = number + 1, f"S{chance.randint(1, 3)}"
            push(cpo, (name, number))
            pushed[name].append(number)
        step()
    while waiting(cpo):
        cpo.clock.advance(hours=1)
        step()
    assert dead(cpo) == []
    assert arrived == pushed
