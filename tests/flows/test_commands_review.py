"""What a review of commands found: far dates, words without sense, forks, clocks set back, a store that fails."""

import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from attrs import define

from flows.commands_desk import E1, PARTY, Desk, desk
from ocpi_emsp import PartyId, SupportMatrix
from ocpi_emsp.errors import AnswerUnusable, NotSupported, StoreFailed
from ocpi_emsp.flows.commands.upkeep import Done, do_what_is_due
from ocpi_emsp.resources import CommandState, ReservationState, running
from ocpi_emsp.storage import MemoryStore
from our_emsp import NOW

LAST = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
HERE = Path(__file__).parents[1]
UNREADABLE = ["", "A\0B", "ACCEPTED\n", "X" * 256]

# --- far dates ------------------------------------------------------------------------------------------------------


def test_a_reservation_until_the_end_of_time_is_used_as_any_other() -> None:
    made = desk()
    made.result(made.reserve(until=LAST, evse_uid=E1))
    assert made.expire() == 0
    made.session("SES0", auth_id="IT-BEC-2")
    assert made.reservation().state == ReservationState.ACTIVE
    made.session("SES1")
    assert made.reservation().state == ReservationState.USED


def test_a_command_that_may_take_until_the_end_of_time_is_linked_and_awaited() -> None:
    made = desk()
    sent = made.start(timeout=(LAST - NOW).total_seconds())
    assert sent.deadline == LAST
    pending = made.cpo.emsp.commands.pending(PartyId(*PARTY), sent.uid)
    with pytest.raises(TimeoutError):
        pending.session(timeout=0)
    made.session()
    assert pending.session(timeout=0) == "SES1"


def test_a_command_that_may_take_long_keeps_no_other_from_being_forgotten() -> None:
    made = desk()
    made.start(timeout=timedelta(days=30).total_seconds())
    made.start()
    made.pass_time(days=2)
    assert made.looked_for() == 1
    made.pass_time(days=30)
    assert made.looked_for() == 0


# --- words and numbers without sense --------------------------------------------------------------------------------


def test_an_expiry_date_without_a_zone_is_refused_before_anything_is_sent() -> None:
    made = desk()
    with pytest.raises(ValueError, match=r"invalid expiry_date .*: expected a time with a zone"):
        made.reserve(until=datetime(2030, 1, 1))
    assert not made.answers.bodies
    assert list(made.cpo.emsp.commands.list()) == []


@pytest.mark.parametrize("said", UNREADABLE)
def test_a_result_without_sense_is_refused_and_the_command_stays_open(said: str) -> None:
    made = desk()
    sent = made.start()
    answer = made.cpo.push("POST", f"commands/{sent.command}/{sent.uid}", {"result": said})
    assert answer.both == (200, 2001)
    assert len(answer.text) < 500
    assert len(list(made.cpo.emsp.rejections.list(PartyId(*PARTY)))) == 1
    assert made.stored(sent).is_open
    made.result(sent)
    assert made.stored(sent).state == CommandState.ANSWERED


@pytest.mark.parametrize("said", UNREADABLE)
def test_an_acknowledgement_without_sense_may_have_been_one(said: str) -> None:
    made = desk()
    made.answers.data = {"result": said}
    with pytest.raises(AnswerUnusable) as raised:
        made.start()
    assert raised.value.command_uid is not None
    (sent,) = made.cpo.emsp.commands.list()
    assert (sent.state, sent.acknowledgement) == (CommandState.UNANSWERED, None)


def test_nobody_waits_for_a_time_that_is_no_number() -> None:
    made = desk()
    pending = made.cpo.emsp.commands.pending(PartyId(*PARTY), made.start().uid)
    with pytest.raises(ValueError, match="nan"):
        pending.result(timeout=float("nan"))


def test_unlock_connector_says_what_it_is_for() -> None:
    made = desk(matrix=SupportMatrix.default())
    with (
        made.cpo.emsp.partner(PartyId(*PARTY)).client() as client,
        pytest.raises(NotSupported, match=r"help-desk operators only \(mod_commands\.md 4\.2\)"),
    ):
        client.unlock_connector(location_id="LOC1", evse_uid=E1, connector_id="1")


# --- in the same second ---------------------------------------------------------------------------------------------


def test_of_two_reservations_in_one_second_the_one_that_replaces_stands() -> None:
    made = desk()
    first = made.reserve(until=NOW + timedelta(hours=1))
    second = made.reserve(until=NOW + timedelta(hours=2))
    made.result(second)
    made.result(first)
    assert (made.reservation().command, made.reservation().state) == (second.uid, ReservationState.ACTIVE)
    assert made.reservation().expiry_date == NOW + timedelta(hours=2)


def test_of_two_reservations_in_one_second_the_first_does_not_hide_the_second() -> None:
    made = desk()
    first, second = made.reserve(), made.reserve()
    made.result(first)
    made.result(second)
    assert (made.reservation().command, made.reservation().replacing) == (second.uid, None)


# --- clocks and loops -----------------------------------------------------------------------------------------------


def test_a_clock_that_was_set_back_holds_nobody_who_waits_for_a_session() -> None:
    made = desk()
    pending = made.cpo.emsp.commands.pending(PartyId(*PARTY), made.start().uid)
    made.cpo.clock.advance(days=-365)
    assert pending.session(timeout=5) is None


@pytest.mark.parametrize(("commands", "looks"), [(0, [True, True, True]), (1, [True, False, False])])
def test_with_many_open_deadlines_a_loop_looks_less_often(
    monkeypatch: pytest.MonkeyPatch, commands: int, looks: list[bool]
) -> None:
    made = desk()
    for _ in range(commands):
        made.start()
    seen, stop = list[bool](), threading.Event()

    async def watched(context: Any, *, look: bool, tidy: bool) -> Done:
        seen.append(look)
        if len(seen) == 3:
            stop.set()
        return await do_what_is_due(context, look=look, tidy=tidy)

    monkeypatch.setattr(running, "do_what_is_due", watched)
    monkeypatch.setattr(running, "_DEADLINES", 0.001)
    with made.cpo.emsp.running(every=0.001):
        assert stop.wait(10)
    assert seen[:3] == looks


# --- a store that fails ---------------------------------------------------------------------------------------------


@define
class Failing:
    """A store in memory that fails at one commit."""

    store: MemoryStore
    fails_after: int = -1

    @asynccontextmanager
    async def transaction(self, *, read_only: bool = False) -> AsyncIterator[Any]:
        async with self.store.transaction(read_only=read_only) as tx:
            yield tx
            if not read_only:
                self.fails_after -= 1
                if self.fails_after == 0:
                    raise StoreFailed("the disk is full")


def test_an_answer_that_cannot_be_stored_names_the_command() -> None:
    store = Failing(MemoryStore())
    made: Desk = desk(store=store)
    store.fails_after = 2
    with pytest.raises(StoreFailed) as raised:
        made.start()
    (sent,) = made.cpo.emsp.commands.list()
    assert raised.value.command_uid == sent.uid
    assert sent.state == CommandState.SENDING
    made.result(sent)
    assert made.stored(sent).state == CommandState.ANSWERED


def test_a_command_that_was_not_stored_is_not_named() -> None:
    store = Failing(MemoryStore())
    made = desk(store=store)
    store.fails_after = 1
    with pytest.raises(StoreFailed) as raised:
        made.start()
    assert raised.value.command_uid is None
    assert not made.answers.bodies


# --- waits that are none ---------------------------------------------------------------------------------------------


class Subscribed(MemoryStore):
    """A store that counts who wants to hear of commands."""

    def __init__(self) -> None:
        super().__init__()
        self.times = 0

    def announce(self, listener: Callable[[str], None]) -> Callable[[], None]:
        self.times += 1
        return super().announce(listener)


def test_who_need_not_wait_subscribes_to_nothing() -> None:
    """On PostgreSQL, a subscription is a thread and a connection."""
    store = Subscribed()
    made = desk(store=store)
    sent = made.start()
    pending = made.cpo.emsp.commands.pending(PartyId(*PARTY), sent.uid)
    with pytest.raises(TimeoutError):
        pending.result(timeout=0)
    made.result(sent)
    assert pending.result() == "ACCEPTED"
    assert store.times == 0


# --- processes ------------------------------------------------------------------------------------------------------

FORKED = """
import os, sys, threading
from flows.commands_desk import PARTY, desk
from ocpi_emsp.storage import MemoryStore

class Noting(MemoryStore):
    def announce(self, listener):
        subscribed.append(os.getpid())
        waits.set()
        return super().announce(listener)

subscribed, waits = [], threading.Event()
made = desk(store=Noting())
sent = made.start()
pending = made.cpo.emsp.commands.pending("-".join(PARTY), sent.uid)
threading.Thread(target=pending.result, daemon=True).start()
assert waits.wait(10)
child = os.fork()
if not child:
    try:
        pending.result(timeout=0.01)
    except TimeoutError:
        pass
    os._exit(0 if os.getpid() in subscribed else 3)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_forked_child_subscribes_for_itself() -> None:
    """Its parent's subscription is heard by the parent alone."""
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORKED], cwd=HERE, capture_output=True, text=True, timeout=60
    )
    assert ran.returncode == 0, ran.stderr
