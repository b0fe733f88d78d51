"""A server that is killed at random moments, again and again: what was answered stays, whole, and is told."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from crash.outcome import Outcome
from crash.support import Kills, Load, prepared, serving, until

KILLS = 20


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'emsp.db'}"
    return str(request.getfixturevalue("postgres_url"))


@pytest.mark.parametrize(("host", "kills"), [("uvicorn", KILLS), ("waitress", KILLS // 4)])
def test_what_was_answered_survives_every_kill(url: str, host: str, kills: int, tmp_path: Path) -> None:
    with Outcome(prepared(url)) as outcome, serving(url, host, tmp_path) as server:
        trouble = Kills(server, Random(f"{kills}-{host}"), kills)
        workers = Load(server.port, trouble, seed=kills).push()
        until(lambda: not list(outcome.emsp.events.list(limit=1)), "delivering what waits")
        until(lambda: outcome.pulled() > 0, "pulling a page")
        server.kill()
        answered = sum(len(worker.accepted) for worker in workers)
        unknown = sum(len(worker.unknown) for worker in workers)
        print(f"{answered} pushes were answered, {unknown} were not")
        outcome.check(workers, server.heard())
        outcome.check_checkpoint()
