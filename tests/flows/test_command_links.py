"""The session that a START_SESSION brought about is found and linked (mod_commands.md 1; issue 6.2)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import create_engine, event

from flows.commands_desk import E1, E2, PARTY, Desk, desk
from ocpi_emsp import Limits, PartyId
from ocpi_emsp._bridge import run
from ocpi_emsp.errors import PartnerRefused, TransportFailed
from ocpi_emsp.events import CommandLedToSession
from ocpi_emsp.ports import START, STARTS
from ocpi_emsp.resources import CommandState
from ocpi_emsp.settings import CommandLimits
from ocpi_emsp.storage import SqlStore
from our_emsp import NOW
from scripted_cpo import Handler

MINUTE = timedelta(minutes=1)


# --- the session that follows ---------------------------------------------------------------------------------------


def test_the_session_that_follows_is_linked_and_said() -> None:
    made = desk()
    sent = made.start(E1)
    assert (sent.session_id, made.looked_for()) == (None, 1)
    made.result(sent)
    made.cpo.clock.advance(seconds=20)
    made.taken()
    made.session()
    assert made.linked(sent) == "SES1"
    assert made.looked_for() == 0
    received, led = made.cpo.events
    assert type(received).__name__ == "SessionReceived"
    assert isinstance(led, CommandLedToSession)
    assert (led.uid, led.command, led.session_id) == (sent.uid, "START_SESSION", "SES1")
    assert (led.country_code, led.party_id, led.correlation_id) == (*PARTY, received.correlation_id)


def test_the_session_may_come_before_the_result() -> None:
    made = desk()
    sent = made.start(E1)
    made.session()
    assert made.linked(sent) == "SES1"
    made.result(sent)
    stored = made.stored(sent)
    assert (stored.session_id, stored.state, stored.result) == ("SES1", CommandState.ANSWERED, "ACCEPTED")


def test_the_session_may_come_before_the_acknowledgement() -> None:
    """The CPO is as fast as its charge point: the session is pushed while the command's request still runs."""
    made = desk()
    made.answers.answer = lambda _: made.session()
    sent = made.start(E1)
    assert (sent.session_id, sent.acknowledgement) == ("SES1", "ACCEPTED")
    assert made.linked(sent) == "SES1"


def test_a_session_is_linked_after_the_deadline_and_after_a_late_result() -> None:
    made = desk()
    first, second = made.start(E1), made.start(E2, auth_id="IT-BEC-2")
    made.pass_time(minutes=5)
    assert made.stored(first).state == made.stored(second).state == CommandState.TIMED_OUT
    made.result(second)
    made.session("SES1", evse_uid=E1)
    made.session("SES2", evse_uid=E2, auth_id="IT-BEC-2")
    assert (made.linked(first), made.linked(second)) == ("SES1", "SES2")
    assert [made.stored(each).state for each in (first, second)] == [CommandState.TIMED_OUT, CommandState.LATE]


@pytest.mark.parametrize("result", ["ACCEPTED", "TIMEOUT", "VENDOR"])
def test_a_result_that_is_no_refusal_leaves_the_command_waiting(result: str) -> None:
    made = desk()
    sent = made.start(E1)
    made.result(sent, result)
    made.session()
    assert made.linked(sent) == "SES1"


@pytest.mark.parametrize("result", ["NOT_SUPPORTED", "REJECTED", "UNKNOWN_SESSION"])
def test_what_the_charge_point_refused_leads_to_no_session(result: str) -> None:
    made = desk()
    sent = made.start(E1)
    made.result(sent, result)
    made.session()
    assert made.linked(sent) is None


@pytest.mark.parametrize("acknowledgement", ["NOT_SUPPORTED", "REJECTED", "TIMEOUT", "VENDOR"])
def test_what_the_cpo_refused_leads_to_no_session_but_to_one_once_the_charge_point_accepts(
    acknowledgement: str,
) -> None:
    made = desk()
    made.answers.data = {"result": acknowledgement}
    sent = made.start(E1)
    assert sent.state == CommandState.REFUSED
    made.session()
    assert made.linked(sent) is None
    made.result(sent)
    made.session("SES2")
    assert made.linked(sent) == "SES2"


def test_the_next_best_command_is_linked_where_the_best_was_refused() -> None:
    made = desk()
    by_location = made.start()
    made.cpo.clock.advance(seconds=10)
    refused = made.start(E1)
    made.result(refused, "REJECTED")
    made.session()
    assert (made.linked(by_location), made.linked(refused)) == ("SES1", None)


def no_connection(_: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("gone")


@pytest.mark.parametrize(
    ("answer", "error"),
    [(lambda _: httpx.Response(500), PartnerRefused), (no_connection, TransportFailed)],
    ids=["500", "nothing"],
)
def test_a_command_whose_answer_did_not_come_may_have_led_to_a_session(answer: Handler, error: type[Exception]) -> None:
    made = desk()
    made.answers.answer = answer
    with pytest.raises(error):
        made.start(E1)
    (sent,) = made.cpo.emsp.commands.list()
    made.session()
    assert (made.linked(sent), made.stored(sent).state) == ("SES1", CommandState.UNANSWERED)


# --- which session, and which command -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("evse_uid", "session", "is_linked"),
    [
        (E1, {"evse_uid": E1}, True),
        (E1, {"evse_uid": None}, True),
        (None, {"evse_uid": E2}, True),
        (None, {"evse_uid": None}, True),
        (E1, {"evse_uid": E2}, False),
        (None, {"auth_id": "IT-BEC-2"}, False),
        (None, {"location_id": "LOC2", "evse_uid": "LOC2-E1"}, False),
        (None, {"start": NOW - 5 * MINUTE}, True),
        (None, {"start": NOW - 5 * MINUTE - timedelta(seconds=1)}, False),
        (None, {"start": NOW + 62 * MINUTE}, True),
        (None, {"start": NOW + 62 * MINUTE + timedelta(seconds=1)}, False),
    ],
)
def test_token_location_evse_and_time_have_to_fit(
    evse_uid: str | None, session: dict[str, Any], is_linked: bool
) -> None:
    """Two minutes to the deadline, an hour after it; five minutes for clocks."""
    made = desk()
    sent = made.start(evse_uid)
    made.session(**session)
    assert made.linked(sent) == ("SES1" if is_linked else None)
    assert made.looked_for() == (0 if is_linked else 1)


def test_the_limits_say_how_far_a_session_may_be() -> None:
    limits = Limits(
        commands=CommandLimits(session_window=MINUTE, clock_skew=timedelta(0), result_timeout=timedelta(seconds=30))
    )
    made = desk(limits=limits)
    sent = made.start()
    made.session("SES1", start=NOW - timedelta(seconds=1))
    made.session("SES2", start=NOW + timedelta(seconds=91))
    assert made.linked(sent) is None
    made.session("SES3", start=NOW + timedelta(seconds=90))
    assert made.linked(sent) == "SES3"


def test_two_commands_for_one_token_at_two_evses_get_their_own_sessions() -> None:
    made = desk()
    first, second = made.start(E1), made.start(E2)
    made.session("SES2", evse_uid=E2)
    made.session("SES1", evse_uid=E1)
    assert (made.linked(first), made.linked(second)) == ("SES1", "SES2")


def test_a_command_for_this_evse_comes_before_one_for_any_and_then_the_nearest_in_time() -> None:
    made = desk()
    named = made.start(E1)
    made.cpo.clock.advance(minutes=3)
    early = made.start()
    made.cpo.clock.advance(minutes=3)
    late = made.start()
    made.session("SES1")
    made.session("SES2", start=NOW + 4 * MINUTE)
    made.session("SES3")
    assert [made.linked(each) for each in (named, early, late)] == ["SES1", "SES2", "SES3"]


def test_one_session_is_linked_to_one_command_and_one_command_to_one_session() -> None:
    made = desk()
    first, second = made.start(E1), made.start(E1)
    made.session("SES1")
    assert [made.linked(each) for each in (first, second)] == ["SES1", None]
    made.session("SES1", start=NOW + timedelta(seconds=1))  # not new any more
    assert made.linked(second) is None
    made.session("SES2")
    made.session("SES3")
    assert [made.linked(each) for each in (first, second)] == ["SES1", "SES2"]
    assert made.taken().count("CommandLedToSession") == 2


def test_a_session_that_was_there_before_the_command_is_not_taken_for_its_own() -> None:
    made = desk()
    made.session("SES1")
    sent = made.start(E1)
    made.session("SES1", start=NOW + MINUTE)
    assert made.cpo.push("PATCH", "sessions/*/SES1", {"kwh": 1}).code == 1000
    assert made.linked(sent) is None


def test_a_session_of_another_party_is_not_linked() -> None:
    made = desk()
    sent = made.start(E1)
    made.cpo.other().put("sessions/*/SES1", made.began())
    assert made.linked(sent) is None


def test_a_session_of_a_party_behind_the_hub_is_linked() -> None:
    made = desk()
    made.cpo.set_profile(allowed_parties=("DE-ABC",))
    sent = made.start(location_id="LOC2", force=True)
    began = made.began(location_id="LOC2", evse_uid="LOC2-E1")
    assert made.cpo.push("PUT", "sessions/DE/ABC/SES1", began).both == (201, 1000)
    assert made.linked(sent) == "SES1"


def test_a_hundred_refused_commands_at_a_location_hide_none() -> None:
    made = desk(listen=False)
    refused = [made.start(E1) for _ in range(101)]
    for each in refused:
        made.result(each, "REJECTED")
    sent = made.start()
    made.session()
    assert made.linked(sent) == "SES1"
    assert {made.linked(each) for each in refused} == {None}


def test_a_journal_that_was_brought_back_links_no_command_twice() -> None:
    made = desk()
    sent, gone = made.start(E1), made.start(E1)
    entries = made.entries(START)
    made.session("SES1")
    made.session("SES2")

    async def restore() -> None:
        async with made.cpo.store.transaction() as tx:
            await tx.delete(gone.key)
            for entry in entries:
                await tx.append(entry)

    run(restore())
    made.session("SES3")
    assert (made.linked(sent), made.looked_for()) == ("SES1", 0)


@pytest.mark.parametrize("send", ["stop", "unlock", "reserve"])
def test_no_session_is_looked_for_after_another_command(send: str) -> None:
    made = desk()
    made.session("SES0")
    with made.cpo.emsp.partner(PartyId(*PARTY)).client() as client:
        match send:
            case "stop":
                client.stop_session(session_id="SES0")
            case "unlock":
                client.unlock_connector(location_id="LOC1", evse_uid=E1, connector_id="1")
            case "reserve":
                made.reserve()
    assert made.looked_for() == 0


# --- sessions that are pulled ---------------------------------------------------------------------------------------


def test_sessions_that_are_pulled_are_linked() -> None:
    made = desk()
    first, second, third = made.start(E1), made.start(E2), made.start(auth_id="IT-BEC-2")
    made.pass_time(minutes=10)
    made.answers.lists["sessions"] += [made.began(f"OLD{day}", start=NOW - timedelta(days=day)) for day in (1, 2, 3)]
    made.answers.lists["sessions"] += [made.began("SES2", evse_uid=E2, start=NOW + MINUTE)]
    made.answers.lists["sessions"] += [made.began("SES1", evse_uid=E1, start=NOW + MINUTE)]
    made.pass_time(hours=4)
    made.taken()
    assert made.cpo.emsp.partner(PartyId(*PARTY)).sync(modules=["sessions"]).module("sessions").created == 5
    assert [made.linked(each) for each in (first, second, third)] == ["SES1", "SES2", None]
    assert made.taken() == ["CommandLedToSession", "CommandLedToSession"]
    assert made.looked_for() == 1
    made.cpo.emsp.partner(PartyId(*PARTY)).sync(modules=["sessions"], full=True)
    assert made.taken() == []


# --- what is not looked for any more --------------------------------------------------------------------------------


def test_a_session_is_heard_of_for_a_day_after_it_has_to_have_begun() -> None:
    made = desk()
    sent = made.start(E1)
    made.pass_time(hours=25, minutes=2)  # the deadline, the window, a day
    assert made.looked_for() == 1
    made.pass_time(seconds=1)
    assert made.looked_for() == 0
    made.session(start=NOW)
    assert made.linked(sent) is None


def test_forgetting_is_counted_once_and_stops_at_the_first_command_that_is_not_over() -> None:
    made = desk()
    made.start(E1)
    made.cpo.clock.advance(hours=1)
    made.start(E2)
    made.cpo.clock.advance(hours=24, minutes=3)
    made.cpo.emsp.commands.expire()
    assert made.looked_for() == 1
    assert made.cpo.emsp.commands.expire() == 0


def test_reservations_that_run_hold_nothing_back() -> None:
    made = desk()
    made.result(made.reserve(1, until=NOW + timedelta(days=30)))
    made.start(E1)
    made.pass_time(hours=26)
    assert made.looked_for() == 1


# --- what it costs --------------------------------------------------------------------------------------------------


@pytest.fixture
def looks() -> list[str]:
    """Each statement that looked for commands."""
    return []


@pytest.fixture
def on_sqlite(tmp_path: Path, looks: list[str]) -> Iterator[Desk]:
    """A desk on a database file."""
    engine = create_engine(f"sqlite:///{tmp_path / 'emsp.db'}")

    def note(statement: str) -> None:
        if statement.startswith("SELECT") and any(f"'{topic}'" in statement for topic in STARTS):
            looks.append(statement)

    event.listen(engine, "connect", lambda connection, _: connection.set_trace_callback(note))
    yield desk(store=SqlStore(engine, auto_upgrade=True))
    engine.dispose()


def test_a_new_session_costs_two_looks_and_a_known_one_none(on_sqlite: Desk, looks: list[str]) -> None:
    on_sqlite.session("SES1")
    assert len(looks) == 2
    on_sqlite.session("SES1", start=NOW + MINUTE)
    assert len(looks) == 2


@pytest.mark.parametrize(("commands", "expected"), [(0, 2), (1, 2), (101, 2 + 2 * 40)])
def test_a_page_of_new_sessions_costs_two_looks_and_more_only_where_many_commands_wait(
    on_sqlite: Desk, looks: list[str], commands: int, expected: int
) -> None:
    sent = [on_sqlite.start(E1) for _ in range(commands)]
    old = [on_sqlite.began(f"SES{n}", start=NOW - timedelta(days=n)) for n in range(39, 0, -1)]
    on_sqlite.answers.lists["sessions"] += [*old, on_sqlite.began("SES0")]
    on_sqlite.cpo.emsp.partner(PartyId(*PARTY)).sync(modules=["sessions"])
    assert len(looks) == expected
    assert [on_sqlite.linked(each) for each in sent[:1]] == ["SES0"][:commands]
    before = len(looks)
    on_sqlite.cpo.emsp.partner(PartyId(*PARTY)).sync(modules=["sessions"], full=True)
    assert len(looks) == before


def test_a_worker_looks_no_further_than_to_a_command_that_is_not_over(on_sqlite: Desk, looks: list[str]) -> None:
    on_sqlite.start(E1)
    before = len(looks)
    on_sqlite.expire()
    assert len(looks) == before + len(STARTS)


# --- at the same time -----------------------------------------------------------------------------------------------


def test_sessions_results_and_a_sync_at_once_link_each_command_to_one_session(postgres_with_schema: str) -> None:
    """What is pushed, pulled and answered meets the same rows: in one order, so that nobody waits in a circle."""
    store = SqlStore(postgres_with_schema)
    made = desk(store=store, listen=False)
    try:
        for round_ in range(3):
            sent = [made.start() for _ in range(6)]
            sessions = [made.began(f"SES{round_}-{number}") for number in range(6)]
            made.answers.lists["sessions"][:] = sessions
            acts: list[Callable[[], object]] = [
                *(partial(made.cpo.put, f"sessions/*/{each['id']}", each) for each in reversed(sessions)),
                *(partial(made.result, each) for each in sent),
                partial(made.cpo.emsp.partner("-".join(PARTY)).sync, modules=["sessions"]),
            ]
            with ThreadPoolExecutor(len(acts)) as pool:
                for done in [pool.submit(act) for act in acts]:
                    done.result(timeout=60)
            assert sorted(str(made.linked(each)) for each in sent) == [each["id"] for each in sessions]
            assert {made.stored(each).state for each in sent} == {CommandState.ANSWERED}
            assert made.looked_for() == 0
    finally:
        store.close()
