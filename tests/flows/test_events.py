"""Events: journalled with the change, delivered after it, at least once, in order per object (DESIGN.md)."""

from typing import Any

import pytest

from flows.support import Peer, at, peer
from ocpi_emsp._bridge import run
from ocpi_emsp.events import Event, EvseReceived, LocationReceived, PartyRegistered, SessionReceived
from ocpi_emsp.ports import EVENT, Entry
from ocpi_emsp.testing.cpo import samples
from ocpi_emsp.testing.cpo.wire import Document

LOCATION, SESSION = "locations/*/LOC1", "sessions/*/SES1"


class Flaky:
    """A listener that fails while ``broken``."""

    def __init__(self, *, broken: bool = True) -> None:
        self.broken = broken
        self.heard: list[Event] = []

    def __call__(self, event: Event) -> None:
        if self.broken:
            raise ConnectionError("the billing system is down")
        self.heard.append(event)


def session(minute: int, **changes: Any) -> Document:
    return {**samples.session(status="ACTIVE"), "kwh": minute, "last_updated": at(minute), **changes}


def pending(cpo: Peer) -> list[Entry]:
    async def read() -> list[Entry]:
        async with cpo.store.transaction() as tx:
            return list(await tx.entries(EVENT, limit=10_000))

    return run(read())


def test_a_listener_hears_its_kind_and_event_hears_all() -> None:
    cpo = peer()
    locations, sessions = Flaky(broken=False), Flaky(broken=False)
    cpo.emsp.on(LocationReceived)(locations)
    cpo.emsp.on(SessionReceived)(sessions)
    cpo.put(LOCATION, samples.location())
    cpo.put(SESSION, session(1))
    assert [type(event) for event in locations.heard] == [LocationReceived]
    assert [type(event) for event in sessions.heard] == [SessionReceived]
    assert cpo.taken() == ["LocationReceived", "SessionReceived"]


def test_an_event_says_whose_object_when_and_under_which_correlation_id() -> None:
    cpo = peer()
    cpo.push("PUT", SESSION, session(1), headers={"x-correlation-id": "c-1", "x-request-id": "r-1"})
    (event,) = cpo.events
    assert (event.country_code, event.party_id, event.at) == ("NL", "TNM", cpo.clock.time)
    assert event.correlation_id == "c-1"


def test_listeners_may_be_plain_or_async() -> None:
    cpo = peer(listen=False)
    heard: list[str] = []

    @cpo.emsp.on(SessionReceived)
    async def listen(event: SessionReceived) -> None:
        heard.append(event.session.id)

    @cpo.emsp.on(SessionReceived)
    def listen_too(event: SessionReceived) -> str:
        heard.append(event.session.id)
        return "whatever a listener returns is of no interest"

    assert cpo.put(SESSION, session(1)).both == (201, 1000)
    assert heard == ["SES1", "SES1"]


def test_a_failing_listener_keeps_the_event_and_the_object() -> None:
    cpo = peer(listen=False)
    listener = Flaky()
    cpo.emsp.on(SessionReceived)(listener)
    answer = cpo.push("PUT", SESSION, session(1), headers={"x-correlation-id": "c-1"})
    assert answer.both == (500, 3000)
    assert "c-1" in answer.message
    assert "billing" not in answer.text
    assert cpo.data(SESSION) == session(1)
    (entry,) = pending(cpo)
    assert (entry.name, entry.attempts, entry.error) == (
        "SessionReceived",
        1,
        "ConnectionError: the billing system is down",
    )
    assert cpo.emsp.redeliver() == 0
    assert [entry.attempts for entry in pending(cpo)] == [1], "it waits"
    cpo.clock.advance(seconds=1)
    assert cpo.emsp.redeliver() == 0
    assert [entry.attempts for entry in pending(cpo)] == [2]
    listener.broken = False
    cpo.clock.advance(seconds=4)
    assert cpo.emsp.redeliver() == 1
    assert [type(event) for event in listener.heard] == [SessionReceived]
    assert listener.heard[0].correlation_id == "c-1"
    assert pending(cpo) == []
    assert cpo.emsp.redeliver() == 0


def test_the_next_change_of_the_object_delivers_what_is_pending_in_order() -> None:
    cpo = peer(listen=False)
    listener = Flaky()
    cpo.emsp.on(SessionReceived)(listener)
    assert cpo.push("PUT", SESSION, session(1)).status == 500
    assert cpo.push("PUT", SESSION, session(2)).status == 200, "its event waits for the one before it"
    assert [entry.attempts for entry in pending(cpo)] == [1, 0]
    listener.broken = False
    cpo.clock.advance(seconds=1)
    assert cpo.push("PUT", SESSION, session(3)).status == 200
    assert [event.session.kwh for event in listener.heard if isinstance(event, SessionReceived)] == [1, 2, 3]
    assert pending(cpo) == []


def test_an_object_whose_event_fails_holds_back_no_other() -> None:
    cpo = peer(listen=False)
    heard: list[str] = []

    @cpo.emsp.on(SessionReceived)
    def listen(event: SessionReceived) -> None:
        if event.session.id == "SES1":
            raise ValueError
        heard.append(event.session.id)

    assert cpo.push("PUT", SESSION, session(1)).status == 500
    assert cpo.push("PUT", "sessions/*/SES2", session(1, id="SES2")).status == 201
    assert heard == ["SES2"]
    assert [entry.key.id for entry in pending(cpo) if entry.key] == ["SES1"]


def test_a_failed_event_is_delivered_again_to_every_listener() -> None:
    """At least once: the listener that took it may hear it again."""
    cpo = peer()
    flaky = Flaky()
    cpo.emsp.on(SessionReceived)(flaky)
    cpo.push("PUT", SESSION, session(1))
    flaky.broken = False
    cpo.clock.advance(seconds=1)
    assert cpo.emsp.redeliver() == 1
    assert cpo.taken() == ["SessionReceived", "SessionReceived"]


def test_redeliver_counts_what_was_delivered_before_it_failed_again() -> None:
    cpo = peer(listen=False)
    listener = Flaky()
    cpo.emsp.on(SessionReceived)(listener)
    for minute in (1, 2, 3):
        cpo.push("PUT", SESSION, session(minute))

    @cpo.emsp.on(SessionReceived)
    def refuse(event: SessionReceived) -> None:
        if event.session.kwh == 3:
            raise ValueError

    listener.broken = False
    cpo.clock.advance(seconds=1)
    assert cpo.emsp.redeliver() == 2
    assert [entry.error for entry in pending(cpo)] == ["ValueError: "]


def test_more_events_than_one_page_of_the_journal_are_all_delivered() -> None:
    cpo = peer(listen=False)
    listener = Flaky()
    cpo.emsp.on(SessionReceived)(listener)
    for minute in range(150):
        cpo.push("PUT", SESSION, session(minute))
    listener.broken = False
    cpo.clock.advance(seconds=1)
    assert cpo.emsp.redeliver() == 150
    order = [event.session.kwh for event in listener.heard if isinstance(event, SessionReceived)]
    assert order == list(range(150))


def test_nothing_is_journalled_where_nobody_listens() -> None:
    cpo = peer(listen=False)
    heard: list[Event] = []
    cpo.emsp.on(SessionReceived)(heard.append)
    cpo.put(LOCATION, samples.location())
    cpo.put("locations/*/LOC1/LOC1-E1", samples.evse() | {"status": "BLOCKED"})
    cpo.push("PATCH", "tariffs/*/TAR9", {})
    assert pending(cpo) == []
    assert heard == []
    cpo.emsp.on(Event)(heard.append)
    assert cpo.emsp.redeliver() == 0
    assert heard == []


def test_a_listener_that_comes_later_hears_what_comes_later() -> None:
    cpo = peer(listen=False)
    cpo.put(LOCATION, samples.location())
    heard: list[Event] = []
    cpo.emsp.on(EvseReceived)(heard.append)
    cpo.put("locations/*/LOC1/LOC1-E1", samples.evse() | {"status": "BLOCKED", "last_updated": at(1)})
    assert [type(event) for event in heard] == [EvseReceived]


def test_a_refused_change_is_no_event() -> None:
    cpo = peer()
    cpo.push("PUT", SESSION, session(1, id="OTHER"))
    cpo.push("PUT", SESSION, b"{")
    assert cpo.taken() == []
    assert pending(cpo) == []


def test_a_registration_is_an_event() -> None:
    cpo = peer()
    cpo.other()
    (event,) = cpo.events
    assert isinstance(event, PartyRegistered)
    assert (event.country_code, event.party_id) == ("DE", "ABC")


@pytest.mark.parametrize("change", ["location", "evse", "connector"])
def test_an_event_holds_the_object_as_it_is_stored(change: str) -> None:
    """Row 4: the view of a PATCH without a time has that of its receipt."""
    cpo = peer()
    cpo.put(LOCATION, samples.location())
    cpo.taken()
    path = {"location": LOCATION, "evse": f"{LOCATION}/LOC1-E1", "connector": f"{LOCATION}/LOC1-E1/1"}[change]
    members: dict[str, Any] = {"location": {"name": "New"}, "evse": {"floor_level": "7"}, "connector": {"voltage": 7}}
    cpo.push("PATCH", path, {"vendor": 1, **members[change]})
    (event,) = cpo.events
    if isinstance(event, LocationReceived):
        assert event.location.last_updated == cpo.clock.time
        assert event.location.evses[0].uid == "LOC1-E1"
    else:
        assert isinstance(event, EvseReceived)
        assert event.evse.last_updated == cpo.clock.time
