"""A RESERVE_NOW that replaces a reservation (mod_commands.md 3.2)."""

from __future__ import annotations

from datetime import timedelta

import pytest

from flows.commands_desk import E1, E2, desk
from flows.reservations_desk import ACTIVE, ASKED, EXPIRED, HOUR, REFUSED, USED, _expire, replaced, states
from ocpi_emsp.ports import DEADLINE, Kind
from ocpi_emsp.resources import ReservationState
from our_emsp import NOW


def test_what_stands_stays_until_its_replacement_is_accepted() -> None:
    made = desk()
    first, second = replaced(made)
    stands = made.reservation()
    assert (stands.state, stands.command, stands.replacing) == (ACTIVE, first.uid, second.uid)
    assert (stands.evse_uid, stands.expiry_date) == (E1, NOW + HOUR)
    made.result(second)
    after = made.reservation()
    assert (after.state, after.command, after.replacing) == (ACTIVE, second.uid, None)
    assert (after.evse_uid, after.expiry_date) == (E2, NOW + 2 * HOUR)
    assert states(made) == [ACTIVE]
    made.pass_time(minutes=60)
    assert made.reservation().state == ACTIVE
    made.pass_time(minutes=60)
    assert (made.reservation().state, made.deadlines()) == (EXPIRED, 0)


def test_a_replacement_may_end_earlier() -> None:
    made = desk()
    _, second = replaced(made, until=NOW + timedelta(minutes=10))
    made.result(second)
    made.pass_time(minutes=9)
    assert made.reservation().state == EXPIRED


@pytest.mark.parametrize("how", ["acknowledgement", "deadline", "result"])
def test_a_replacement_that_is_refused_leaves_what_stood(how: str) -> None:
    made = desk()
    first = made.reserve(evse_uid=E1)
    made.result(first)
    before = made.reservation()
    made.answers.data = {"result": "REJECTED" if how == "acknowledgement" else "ACCEPTED"}
    states(made)
    second = made.reserve(until=NOW + 2 * HOUR, evse_uid=E2)
    if how == "result":
        made.result(second, "REJECTED")
    elif how == "deadline":
        made.pass_time(minutes=2)
    assert made.reservation() == before
    assert states(made) == []
    made.pass_time(hours=1)
    assert states(made) == [EXPIRED]


def test_a_replacement_whose_result_is_late_counts() -> None:
    made = desk()
    _, second = replaced(made)
    made.pass_time(minutes=2)
    made.result(second)
    assert (made.reservation().command, made.reservation().state) == (second.uid, ACTIVE)


def test_an_older_command_does_not_undo_a_newer_one() -> None:
    made = desk()
    _, second = replaced(made)
    made.cpo.clock.advance(seconds=1)
    third = made.reserve(until=NOW + 3 * HOUR)
    made.result(third)
    made.result(second)
    assert (made.reservation().command, made.reservation().expiry_date) == (third.uid, NOW + 3 * HOUR)
    assert made.reservation().replacing is None


def test_an_earlier_replacement_counts_where_the_later_one_is_refused() -> None:
    made = desk()
    _, second = replaced(made)
    made.cpo.clock.advance(seconds=1)
    third = made.reserve(until=NOW + 3 * HOUR)
    made.result(second)
    assert (made.reservation().command, made.reservation().replacing) == (second.uid, third.uid)
    made.result(third, "REJECTED")
    assert (made.reservation().command, made.reservation().replacing) == (second.uid, None)


def test_a_replacement_counts_where_the_first_command_is_refused_meanwhile() -> None:
    made = desk()
    first = made.reserve()
    made.cpo.clock.advance(seconds=1)
    second = made.reserve()
    made.result(first, "REJECTED")
    assert (made.reservation().state, made.reservation().replacing) == (REFUSED, second.uid)
    made.result(second)
    assert (made.reservation().state, made.reservation().command) == (ACTIVE, second.uid)


def test_a_reservation_with_a_replacement_under_way_is_not_begun_anew() -> None:
    made = desk()
    first = made.reserve()
    made.cpo.clock.advance(seconds=1)
    second = made.reserve()
    made.result(first, "REJECTED")
    made.cpo.clock.advance(seconds=1)
    third = made.reserve()
    made.result(third, "REJECTED")
    made.result(second)
    assert (made.reservation().state, made.reservation().command) == (ACTIVE, second.uid)


def test_the_expiry_of_what_was_replaced_while_a_worker_looks_ends_nothing() -> None:
    """The entry that the worker has read is of the first command: the reservation decides."""
    made = desk()
    first, second = replaced(made)
    (entry,) = [each for each in made.entries(DEADLINE) if each.name == Kind.RESERVATION]
    made.result(second)
    made.cpo.clock.advance(hours=1)
    _expire(made, entry)
    assert (made.reservation().state, made.reservation().command) == (ACTIVE, second.uid)
    (reset,) = [each for each in made.entries(DEADLINE) if each.name == Kind.RESERVATION]
    assert (reset.id, reset.due) == (entry.id, NOW + 2 * HOUR)
    assert first.uid != second.uid


@pytest.mark.parametrize("end", [EXPIRED, REFUSED, USED])
def test_the_id_of_a_reservation_that_is_over_can_be_used_again(end: ReservationState) -> None:
    made = desk()
    first = made.reserve()
    made.result(first, "REJECTED" if end == REFUSED else "ACCEPTED")
    if end == EXPIRED:
        made.pass_time(hours=1)
    elif end == USED:
        made.session()
    assert made.reservation().state == end
    made.cpo.clock.advance(hours=2)
    second = made.reserve()
    assert (made.reservation().state, made.reservation().command) == (ASKED, second.uid)
    assert made.reservation().session_id is None
    made.result(second)
    assert made.reservation().state == ACTIVE


def test_the_same_id_at_another_location_is_another_reservation() -> None:
    made = desk()
    made.result(made.reserve(7))
    made.reserve(7, location_id="LOC2", force=True)
    kept = list(made.cpo.emsp.reservations.list())
    assert [(each.location_id, each.reservation_id, each.state) for each in kept] == [
        ("LOC1", 7, ACTIVE),
        ("LOC2", 7, ASKED),
    ]
