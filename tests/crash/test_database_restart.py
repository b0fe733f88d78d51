"""PostgreSQL that stops and starts under load: what was answered stays, and the server's process goes on by itself."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import pytest
from attrs import define, field

from crash.forks import SECONDS
from crash.outcome import Outcome
from crash.support import WORKERS, Load, Trouble, prepared, serving, until
from postgres import PrivatePostgres, StopMode

STOPS: tuple[StopMode, ...] = ("fast", "immediate", "immediate", "fast")
ANSWERS = 20
"""Answers of each kind that are awaited before the next thing happens."""


@define
class Outages(Trouble):
    """Stops the database and starts it again, several times."""

    postgres: PrivatePostgres
    good: int = 0
    bad: int = 0
    late: list[int] = field(factory=list)
    """Failures after each start."""
    _left: list[StopMode] = field(factory=lambda: list(STOPS))
    _is_given_up: bool = False
    _changed: threading.Condition = field(factory=threading.Condition)

    def answered(self, ok: bool) -> None:
        with self._changed:
            self.good += ok
            self.bad += not ok
            self._changed.notify_all()

    def given_up(self) -> None:
        with self._changed:
            self._is_given_up = True
            self._changed.notify_all()

    @property
    def is_over(self) -> bool:
        return not self._left

    def run(self, load: Load) -> None:
        """Everything that happens to the database."""
        try:
            self._await_more("good")
            while self._left:
                self._stop_and_start(self._left[0])
                del self._left[0]
        except BaseException:
            load.give_up()
            raise

    def _stop_and_start(self, mode: StopMode) -> None:
        self.postgres.stop(mode)
        try:
            self._await_more("bad")
        finally:
            self.postgres.start()
        bad = self.bad
        self._await_more("good")
        self.late.append(self.bad - bad)

    def _await_more(self, what: Literal["good", "bad"]) -> None:
        with self._changed:
            enough = getattr(self, what) + ANSWERS
            in_time = self._changed.wait_for(lambda: self._is_given_up or getattr(self, what) >= enough, SECONDS)
        assert in_time, f"no {what} answers within {SECONDS:g} seconds"
        assert not self._is_given_up, "a worker failed"


@pytest.mark.parametrize("host", ["uvicorn", "waitress"])
def test_a_server_outlives_its_database(private_postgres: PrivatePostgres, host: str, tmp_path: Path) -> None:
    with (
        private_postgres.database() as url,
        Outcome(prepared(url)) as outcome,
        serving(url, host, tmp_path) as server,
        ThreadPoolExecutor(1) as thread,
    ):
        trouble = Outages(private_postgres)
        load = Load(server.port, trouble, seed=1, patience=10, may_fail=True)
        happening = thread.submit(trouble.run, load)
        workers = load.push()
        happening.result()
        until(lambda: not list(outcome.emsp.events.list(limit=1)), "delivering what waits")
        until(lambda: outcome.pulled() > 0, "pulling a page")
        print(f"{trouble.good} pushes were answered, {trouble.bad} failed, of these after a start: {trouble.late}")
        # Connections of before the stop are told by the first of them that is used, or each by its own use.
        assert max(trouble.late) <= 2 * WORKERS
        server.kill()
        outcome.check(workers, server.heard())
        outcome.check_checkpoint()
