"""Awaiting the session that a START_SESSION leads to (docs/how-to/commands.md)."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import anyio
import pytest

from flows.commands_desk import E1, PARTY, Desk, desk
from ocpi_emsp import PartyId
from ocpi_emsp.resources import SentCommand
from our_emsp import NOW

SECONDS = 20.0
"""What a wait may take before it counts as hanging."""
Mode = Literal["sync", "async"]
both_modes = pytest.mark.parametrize("mode", ["async", "sync"])


def session(made: Desk, mode: Mode, uid: str, timeout: float | None = SECONDS) -> str | None:
    """The session of a command, awaited in a mode."""
    if mode == "sync":
        return made.cpo.emsp.commands.pending(PartyId(*PARTY), uid).session(timeout)

    async def awaited() -> str | None:
        with anyio.fail_after(2 * SECONDS):
            return await (await made.cpo.emsp.aio.commands.pending(PartyId(*PARTY), uid)).session(timeout)

    return anyio.run(awaited)


@both_modes
def test_the_session_that_a_command_led_to_is_awaited(mode: Mode) -> None:
    made = desk()
    sent = made.start(E1)
    with ThreadPoolExecutor(1) as other:
        waiting = other.submit(session, made, mode, sent.uid)
        made.result(sent)
        made.session()
        assert waiting.result(2 * SECONDS) == "SES1"


@both_modes
def test_a_session_that_is_known_already_is_given_at_once(mode: Mode) -> None:
    made = desk()
    sent = made.start(E1)
    made.session()
    assert session(made, mode, sent.uid, 0) == "SES1"


def refused(made: Desk) -> SentCommand:
    made.answers.data = {"result": "REJECTED"}
    return made.start(E1)


def rejected(made: Desk) -> SentCommand:
    sent = made.start(E1)
    made.result(sent, "REJECTED")
    return sent


def over(made: Desk) -> SentCommand:
    sent = made.start(E1)
    made.pass_time(hours=1, minutes=2)
    return sent


@both_modes
@pytest.mark.parametrize("case", [over, refused, rejected], ids=lambda case: case.__name__)
def test_where_no_session_can_follow_there_is_none(case: Callable[[Desk], SentCommand], mode: Mode) -> None:
    made = desk()
    assert session(made, mode, case(made).uid) is None


@both_modes
def test_a_reservation_leads_to_none_and_nobody_waits_for_it(mode: Mode) -> None:
    made = desk()
    assert session(made, mode, made.reserve().uid, 0) is None


@both_modes
@pytest.mark.parametrize("minutes", [0, 3])
def test_a_wait_ends_with_its_timeout_also_after_the_deadline(minutes: int, mode: Mode) -> None:
    made = desk()
    sent = made.start(E1)
    made.pass_time(minutes=minutes)
    with pytest.raises(TimeoutError, match=r"START_SESSION \S+ within 0 s"):
        session(made, mode, sent.uid, 0)


def test_a_new_reservation_gets_an_id_of_its_own() -> None:
    made = desk()
    first, second = (made.reserve(None, until=NOW.replace(year=2099)) for _ in range(2))
    assert first.reservation_id is not None
    assert first.reservation_id != second.reservation_id
    assert [body["reservation_id"] for body in made.answers.bodies] == [first.reservation_id, second.reservation_id]
