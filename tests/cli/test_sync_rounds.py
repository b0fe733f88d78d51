"""When syncs begin: the schedule, and the rounds of the runner."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Collection

import anyio.lowlevel
import pytest
from anyio import from_thread
from attrs import define, evolve, field
from hypothesis import given, strategies as st

from ocpi_emsp.cli.errors import CommandFailed
from ocpi_emsp.cli.sync_run import Plan, Runner, Work
from ocpi_emsp.cli.sync_schedule import PartyId, delay, next_round, place

SECONDS = 60.0
NL, DE = ("NL", "TNM"), ("DE", "ABC")
SOON = 0.01
"""Seconds of a period: rounds follow each other as fast as they can."""
parties = st.tuples(st.text("ABCXYZ", min_size=2, max_size=2), st.text("ABC019", min_size=3, max_size=3))
chances = st.floats(0, 1, exclude_max=True)


# --- the schedule ---------------------------------------------------------------------------------------------------


@given(begun=st.floats(0, 1e9), every=st.floats(60, 86_400 * 400), passed=st.floats(0, 1e9))
def test_the_next_round_is_the_first_after_now(begun: float, every: float, passed: float) -> None:
    now = begun + passed
    following = next_round(begun, every, now)
    assert now < following <= now + every * (1 + 1e-6)
    rounds = (following - begun) / every
    assert rounds == pytest.approx(round(rounds), abs=1e-6 * max(1.0, rounds))


def test_a_round_that_begins_now_is_not_the_next_one() -> None:
    assert next_round(100.0, 60.0, 100.0) == 160.0
    assert next_round(100.0, 60.0, 159.9) == 160.0
    assert next_round(100.0, 60.0, 160.0) == 220.0
    assert next_round(100.0, 60.0, 1000.0) == 1060.0, "what was missed is left out"


@given(party=parties, splay=st.floats(0, 86_400), one=chances, other=chances)
def test_a_party_keeps_its_place_within_half_of_the_splay(
    party: PartyId, splay: float, one: float, other: float
) -> None:
    delays = delay(party, splay, lambda: one), delay(party, splay, lambda: other)
    assert all(0 <= each <= splay for each in delays)
    assert abs(delays[0] - delays[1]) <= splay / 2 * (1 + 1e-9)
    assert delay(party, splay, lambda: one) == delays[0]
    assert delay(party, splay, lambda: 0.0) == splay / 2 * place(party)


def test_200_parties_are_spread_evenly() -> None:
    places = sorted(place((f"{chr(65 + number // 26)}{chr(65 + number % 26)}", "ABC")) for number in range(200))
    tenths = [sum(tenth / 10 <= each < (tenth + 1) / 10 for each in places) for tenth in range(10)]
    assert sum(tenths) == 200
    assert min(tenths) >= 8
    assert place(NL) == 0.782486832807276, "the same in each process and version"


# --- rounds ---------------------------------------------------------------------------------------------------------


def end() -> None:
    """What ends a runner from a thread of its work."""
    os.kill(os.getpid(), signal.SIGTERM)


@define
class Desk:
    """What a runner did."""

    synced: list[PartyId] = field(factory=list)
    left_out: list[PartyId] = field(factory=list)

    def work(self) -> Work:
        return Work(
            parties=lambda: [NL, DE],
            sync=self.synced.append,
            overrun=self.left_out.append,
            stopping=lambda: None,
            at_once=lambda: None,
        )


def test_one_round_is_all_without_a_period() -> None:
    desk = Desk()
    runner = Runner(Plan(parallel=2), desk.work())
    runner.run()
    assert sorted(desk.synced) == [DE, NL]
    assert (runner.stopped_by, runner.not_begun, desk.left_out) == (None, set(), [])


def test_rounds_follow_each_other_until_a_signal_and_ask_who_there_is() -> None:
    desk, rounds = Desk(), list[int]()

    def who() -> Collection[PartyId]:
        rounds.append(len(rounds))
        return [NL] if len(rounds) < 3 else [DE]

    def sync(party: PartyId) -> None:
        desk.synced.append(party)
        if party == DE:
            end()

    runner = Runner(Plan(parallel=2, every=SOON, splay=SOON), evolve(desk.work(), parties=who, sync=sync))
    runner.run()
    assert runner.stopped_by is signal.SIGTERM
    assert set(desk.synced) == {NL, DE}, "on a busy machine a run of the second round ends after one of the third"


def test_a_run_never_overlaps_the_next_of_its_party() -> None:
    desk, left_out, running = Desk(), threading.Event(), list[PartyId]()

    def sync(party: PartyId) -> None:
        assert party not in running
        running.append(party)
        desk.synced.append(party)
        if party == NL:
            assert left_out.wait(SECONDS)
        running.remove(party)
        if party == NL and desk.synced.count(NL) == 2:
            end()

    def overrun(party: PartyId) -> None:
        desk.left_out.append(party)
        if party == NL:
            left_out.set()

    Runner(Plan(parallel=2, every=SOON), evolve(desk.work(), sync=sync, overrun=overrun)).run()
    assert NL in desk.left_out
    assert desk.synced.count(NL) >= 2


def test_so_many_run_at_once_and_no_more() -> None:
    everybody = [("NL", f"A{number:02}") for number in range(12)]
    lock, running, most = threading.Lock(), set[PartyId](), list[int]()
    three = threading.Barrier(3)

    def sync(party: PartyId) -> None:
        with lock:
            running.add(party)
        for _ in range(5):  # whoever else may run is begun by then
            from_thread.run(anyio.lowlevel.checkpoint)
        three.wait(SECONDS)
        with lock:
            most.append(len(running))
        three.wait(SECONDS)
        with lock:
            running.discard(party)

    work = evolve(Desk().work(), parties=lambda: everybody, sync=sync)
    Runner(Plan(parallel=3), work).run()
    assert (len(most), max(most)) == (12, 3)


def test_a_command_that_cannot_go_on_stops_the_others_after_their_page() -> None:
    began = threading.Event()

    def sync(party: PartyId) -> None:
        if party == DE:
            assert began.wait(SECONDS)
            raise CommandFailed("nobody reads this")
        began.set()
        assert runner.asked.wait(SECONDS)

    runner = Runner(Plan(parallel=2, every=3600.0), evolve(Desk().work(), sync=sync))
    with pytest.raises(CommandFailed, match="nobody reads this"):
        runner.run()


def test_what_nobody_foresaw_is_raised_and_leaves_nothing_running() -> None:
    def sync(party: PartyId) -> None:
        if party == DE:
            raise RuntimeError("a bug")
        assert runner.asked.wait(SECONDS)

    runner = Runner(Plan(parallel=2, every=3600.0), evolve(Desk().work(), sync=sync))
    with pytest.raises(ExceptionGroup) as raised:
        runner.run()
    assert raised.group_contains(RuntimeError, match="a bug")


def test_who_waits_for_a_turn_is_not_begun_after_the_stop() -> None:
    desk = Desk()

    def sync(party: PartyId) -> None:
        desk.synced.append(party)
        end()
        assert runner.asked.wait(SECONDS)

    runner = Runner(Plan(parallel=1), evolve(desk.work(), sync=sync))
    runner.run()
    assert len(desk.synced) == 1
    assert {*desk.synced, *runner.not_begun} == {DE, NL}
