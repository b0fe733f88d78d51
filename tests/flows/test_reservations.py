"""Reservations: what RESERVE_NOW commands make of them, and how they end (mod_commands.md 3.2; issue 6.2)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeAlias

import anyio
import pytest
from hypothesis import example, given, strategies as st

from flows.commands_desk import E1, E2, PARTY, Desk, desk
from flows.reservations_desk import ACTIVE, ASKED, EXPIRED, HOUR, REFUSED, USED, _expire, replaced, states
from flows.support import drained, offline_emsp
from ocpi_emsp import PartyId
from ocpi_emsp._bridge import run
from ocpi_emsp.events import ReservationChanged
from ocpi_emsp.flows.commands.reservations import OVER, new_reservation_id
from ocpi_emsp.flows.commands.states import CommandState
from ocpi_emsp.models import TokenType
from ocpi_emsp.ports import DEADLINE, Key, Kind, Record
from ocpi_emsp.resources import Reservation, ReservationState, SentCommand
from ocpi_emsp.storage import SqlStore
from our_emsp import NOW, FakeClock

DOCS = Path(__file__).parents[2] / "docs" / "how-to" / "reservations-and-sessions.md"


# --- one command ----------------------------------------------------------------------------------------------------


def test_a_reservation_is_asked_for_runs_and_expires() -> None:
    made = desk()
    sent = made.reserve(7, evse_uid=E1)
    assert made.reservation() == Reservation(
        country_code="NL",
        party_id="TNM",
        reservation_id=7,
        location_id="LOC1",
        evse_uid=E1,
        token_uid="UID-IT-BEC-1",
        token_type=TokenType.RFID,
        auth_id="IT-BEC-1",
        expiry_date=NOW + HOUR,
        state=ASKED,
        command=sent.uid,
        asked_at=NOW,
    )
    made.result(sent)
    assert (made.reservation().state, made.deadlines()) == (ACTIVE, 1)
    made.pass_time(minutes=59, seconds=59)
    assert made.reservation().state == ACTIVE
    made.pass_time(seconds=1)
    assert (made.reservation().state, made.deadlines()) == (EXPIRED, 0)
    assert states(made) == [ACTIVE, EXPIRED]
    made.pass_time(hours=1)
    assert states(made) == []


def test_an_event_says_which_reservation_and_by_which_command() -> None:
    made = desk()
    sent = made.reserve(7, evse_uid=E1)
    made.result(sent)
    (event,) = [each for each in made.cpo.events if isinstance(each, ReservationChanged)]
    assert (event.country_code, event.party_id) == PARTY
    assert (event.reservation_id, event.location_id, event.evse_uid) == (7, "LOC1", E1)
    assert (event.state, event.uid, event.session_id) == ("ACTIVE", sent.uid, None)


@pytest.mark.parametrize("result", ["NOT_SUPPORTED", "REJECTED", "TIMEOUT", "VENDOR"])
def test_a_result_other_than_accepted_reserves_nothing(result: str) -> None:
    made = desk()
    made.result(made.reserve(), result)
    assert (made.reservation().state, states(made), made.deadlines()) == (REFUSED, [REFUSED], 0)


def test_a_refused_acknowledgement_reserves_nothing() -> None:
    made = desk()
    made.answers.data = {"result": "REJECTED"}
    made.reserve()
    assert (made.reservation().state, states(made)) == (REFUSED, [REFUSED])


def test_a_deadline_without_a_result_reserves_nothing_and_a_late_one_does() -> None:
    made = desk()
    sent = made.reserve()
    made.pass_time(minutes=2)
    assert (made.reservation().state, made.stored(sent).state) == (REFUSED, CommandState.TIMED_OUT)
    made.result(sent)
    assert (made.reservation().state, made.stored(sent).state) == (ACTIVE, CommandState.LATE)
    assert states(made) == [REFUSED, ACTIVE]


def test_a_late_result_of_a_reservation_that_would_be_over_ends_it_at_once() -> None:
    made = desk()
    sent = made.reserve(until=NOW + timedelta(minutes=5))
    made.pass_time(minutes=10)
    made.result(sent)
    made.expire()
    assert (states(made), made.deadlines()) == ([REFUSED, ACTIVE, EXPIRED], 0)


def test_a_result_after_a_refused_acknowledgement_counts() -> None:
    made = desk()
    made.answers.data = {"result": "REJECTED"}
    sent = made.reserve()
    made.result(sent)
    assert states(made) == [REFUSED, ACTIVE]


def test_the_same_result_again_changes_nothing() -> None:
    made = desk()
    sent = made.reserve()
    made.result(sent)
    made.pass_time(hours=1)
    made.result(sent)
    assert (made.reservation().state, states(made)) == (EXPIRED, [ACTIVE, EXPIRED])


# --- use ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reserved", "session", "is_used"),
    [
        (None, {"evse_uid": E2}, True),
        (E1, {"evse_uid": E1}, True),
        (E1, {"evse_uid": None}, True),
        (E1, {"evse_uid": E2}, False),
        (E1, {"auth_id": "IT-BEC-2"}, False),
        (None, {"location_id": "LOC2", "evse_uid": "LOC2-E1"}, False),
        (None, {"start": NOW - timedelta(minutes=5)}, True),
        (None, {"start": NOW - timedelta(minutes=5, seconds=1)}, False),
        (None, {"start": NOW + HOUR + timedelta(minutes=5)}, True),
        (None, {"start": NOW + HOUR + timedelta(minutes=5, seconds=1)}, False),
    ],
)
def test_the_drivers_session_there_and_then_uses_it(
    reserved: str | None, session: dict[str, Any], is_used: bool
) -> None:
    made = desk()
    made.result(made.reserve(evse_uid=reserved))
    states(made)
    made.session(**session)
    found = made.reservation()
    assert (found.state, found.session_id) == ((USED, "SES1") if is_used else (ACTIVE, None))
    assert (made.deadlines(), made.looked_for()) == ((0, 0) if is_used else (1, 1))
    assert states(made) == ([USED] if is_used else [])


def test_a_start_session_during_a_reservation_is_linked_and_uses_it() -> None:
    made = desk()
    made.result(made.reserve(evse_uid=E1))
    started = made.start(E1)
    made.cpo.events.clear()
    made.session()
    assert (made.linked(started), made.reservation().session_id) == ("SES1", "SES1")
    assert made.taken() == ["CommandLedToSession", "ReservationChanged"]


@pytest.mark.parametrize("result", [None, "REJECTED"])
def test_a_reservation_that_is_not_running_is_not_used(result: str | None) -> None:
    made = desk()
    sent = made.reserve()
    if result:
        made.result(sent, result)
    made.session()
    assert made.reservation().state == (REFUSED if result else ASKED)


def test_a_session_that_began_in_time_and_is_heard_of_later_uses_it() -> None:
    made = desk()
    made.result(made.reserve())
    made.pass_time(hours=5)
    assert made.reservation().state == EXPIRED
    made.answers.lists["sessions"].append(made.began("SES1", start=NOW + timedelta(minutes=30)))
    made.cpo.emsp.partner(PartyId(*PARTY)).sync(modules=["sessions"])
    assert states(made) == [ACTIVE, EXPIRED, USED]


def test_one_session_uses_one_reservation() -> None:
    made = desk()
    for number, evse_uid in ((1, None), (2, E1)):
        made.result(made.reserve(number, evse_uid=evse_uid))
    made.session("SES1", evse_uid=E1)
    assert (made.reservation(1).state, made.reservation(2).session_id) == (ACTIVE, "SES1")
    made.session("SES2", evse_uid=E2)
    assert made.reservation(1).session_id == "SES2"


def test_what_was_replaced_is_used_as_it_stands_now() -> None:
    made = desk()
    _, second = replaced(made, evse_uid=E2)
    made.result(second)
    made.session("SES1", evse_uid=E1)
    assert made.reservation().state == ACTIVE
    made.session("SES2", evse_uid=E2)
    assert (made.reservation().state, made.reservation().session_id) == (USED, "SES2")


def test_a_used_reservation_is_not_brought_back_by_a_late_replacement() -> None:
    made = desk()
    _, second = replaced(made)
    made.session("SES1", evse_uid=E1)
    made.result(second)
    assert (made.reservation().state, made.reservation().session_id) == (USED, "SES1")
    made.pass_time(hours=3)
    assert made.reservation().state == USED


def test_what_looks_for_its_session_is_dropped_a_day_after_its_end() -> None:
    made = desk()
    made.result(made.reserve())
    made.pass_time(hours=25, minutes=5)
    assert made.looked_for() == 1
    made.pass_time(seconds=1)
    assert made.looked_for() == 0


# --- by any worker --------------------------------------------------------------------------------------------------


def test_two_workers_expire_a_reservation_once(postgres_with_schema: str) -> None:
    store = SqlStore(postgres_with_schema)
    made = desk(store=store)
    try:
        for number in range(5):
            made.result(made.reserve(number))
        made.cpo.events.clear()
        made.cpo.clock.advance(hours=1)
        with ThreadPoolExecutor(2) as pool:
            for done in [pool.submit(made.expire) for _ in range(2)]:
                done.result(timeout=60)
        assert states(made) == [EXPIRED] * 5
        assert {each.state for each in made.cpo.emsp.reservations.list()} == {EXPIRED}
        assert made.deadlines() == 0
    finally:
        store.close()


def test_a_worker_that_comes_second_finds_nothing_to_do() -> None:
    made = desk()
    made.result(made.reserve())
    (entry,) = made.entries(DEADLINE)
    made.pass_time(hours=1)
    states(made)
    assert _expire(made, entry) == []
    assert (made.reservation().state, states(made), made.deadlines()) == (EXPIRED, [], 0)


def test_a_restart_loses_no_reservation(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'emsp.db'}"
    before = SqlStore(url, auto_upgrade=True)
    made = desk(store=before)
    made.result(made.reserve())
    before.close()
    after = SqlStore(url)
    emsp = offline_emsp(store=after, clock=FakeClock(NOW + HOUR))
    assert emsp.commands.expire() == 1
    assert [each.state for each in emsp.reservations.list()] == [EXPIRED]
    after.close()


# --- what is kept ---------------------------------------------------------------------------------------------------


def test_reservations_are_listed_by_party_and_page_by_page() -> None:
    made = desk()
    for number in range(1, 6):
        made.reserve(number)
    listed = list(made.cpo.emsp.reservations.list(PartyId(*PARTY), limit=3))
    assert [each.reservation_id for each in listed] == [1, 2, 3]
    rest = list(made.cpo.emsp.reservations.list("nl-tnm", after=listed[-1].sequence))
    assert [each.reservation_id for each in rest] == [4, 5]
    assert list(made.cpo.emsp.reservations.list("DE-ABC")) == []
    assert made.cpo.emsp.reservations.get("nl-tnm", "LOC1", 3) == listed[2]
    assert made.cpo.emsp.reservations.get(PartyId(*PARTY), "LOC1", 99) is None
    assert made.cpo.emsp.reservations.get(PartyId(*PARTY), "LOC2", 3) is None


def test_both_modes_say_the_same() -> None:
    made = desk()
    made.reserve(1)
    things = made.cpo.emsp.aio.reservations

    async def ask() -> tuple[Reservation | None, list[Reservation]]:
        return await things.get("-".join(PARTY), "LOC1", 1), await drained(things.list("-".join(PARTY)))

    one, all_ = anyio.run(ask)
    assert [one] == all_ == list(made.cpo.emsp.reservations.list())


def test_a_new_id_is_a_positive_integer_of_31_bits() -> None:
    made = {new_reservation_id() for _ in range(1000)}
    assert len(made) > 990
    assert min(made) > 0
    assert max(made) < 2**31


def test_a_command_of_an_older_version_says_too_little_and_harms_nothing() -> None:
    made = desk()
    key = Key(Kind.COMMAND, *PARTY, "OLD")
    document = (
        b'{"uid":"OLD","command":"RESERVE_NOW","country_code":"NL","party_id":"TNM","acknowledgement":"ACCEPTED"}'
    )

    async def write() -> None:
        async with made.cpo.store.transaction() as tx:
            await tx.put(Record(key, document, NOW, NOW))

    run(write())
    assert made.cpo.push("POST", "commands/RESERVE_NOW/OLD", {"result": "ACCEPTED"}).both == (200, 1000)
    assert list(made.cpo.emsp.reservations.list()) == []


# --- any order ------------------------------------------------------------------------------------------------------
Step: TypeAlias = tuple[str, int]
steps = st.lists(
    st.one_of(
        st.tuples(st.just("reserve"), st.integers(5, 90)),
        st.tuples(st.just("accept"), st.integers(0, 3)),
        st.tuples(st.just("reject"), st.integers(0, 3)),
        st.tuples(st.just("time"), st.integers(1, 45)),
        st.tuples(st.just("session"), st.just(0)),
    ),
    max_size=12,
)


@given(steps)
@example([("reserve", 60), ("accept", 0), ("reserve", 90), ("time", 45), ("accept", 1)])
@example([("reserve", 30), ("accept", 0), ("time", 10), ("reserve", 60), ("reject", 1), ("time", 45)])
@example([("reserve", 30), ("time", 3), ("accept", 0), ("session", 0), ("reserve", 5), ("accept", 1)])
def test_whatever_comes_a_reservation_runs_by_an_accepted_command_and_until_its_end(story: list[Step]) -> None:
    made = desk(listen=False)
    sent: list[SentCommand] = []
    accepted: set[str] = set()
    for what, value in story:
        _take(made, sent, accepted, what, value)
        if not sent:
            continue
        now, found = made.cpo.clock.now(), made.reservation()
        running = [each for each in made.entries(DEADLINE) if each.name == Kind.RESERVATION]
        stands = next(each for each in sent if each.uid == found.command)
        assert (found.expiry_date, found.asked_at) == (stands.expiry_date, stands.sent_at)
        if found.state in (ACTIVE, EXPIRED, USED):
            assert found.command in accepted
        if found.state == ACTIVE:
            assert [each.due for each in running] == [found.expiry_date]
            assert found.expiry_date > now
        if found.state == EXPIRED:
            assert found.expiry_date <= now
        if found.state in OVER and found.state != REFUSED:
            assert running == []
        if found.replacing is not None:
            assert made.stored(next(each for each in sent if each.uid == found.replacing)).is_open


def _take(made: Desk, sent: list[SentCommand], accepted: set[str], what: str, value: int) -> None:
    if what == "reserve":
        made.cpo.clock.advance(seconds=1)
        sent.append(made.reserve(until=made.cpo.clock.now() + timedelta(minutes=value)))
    elif what == "time":
        made.pass_time(minutes=value)
    elif what == "session":
        made.session(f"SES{made.cpo.clock.now():%H%M%S}")
    elif value < len(sent) and made.stored(sent[value]).result is None:
        made.result(sent[value], "ACCEPTED" if what == "accept" else "REJECTED")
        if what == "accept":
            accepted.add(sent[value].uid)
        made.expire()


def test_the_states_stand_in_the_docs() -> None:
    page = DOCS.read_text("utf-8")
    assert [state for state in ReservationState if f"| {state} |" not in page] == []
