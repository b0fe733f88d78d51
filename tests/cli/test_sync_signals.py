"""``ocpi-emsp sync`` that is stopped: by Ctrl-C, by SIGTERM, by a reader that goes away; and what the next one does."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.conftest import SECONDS, Command, Start
from cli.sync_cpo import WHO, Cpos, Hold, know, locations, served
from forked import Forked
from processes import limited

SAID = "ocpi-emsp: stopping after the current page; interrupt again to end at once\n"


@pytest.fixture
def cpos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cpos]:
    """A party that lists five locations on three pages; commands find the database that knows it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OCPI_EMSP_STORE", "sqlite:///emsp.db")
    with served() as running:
        know("sqlite:///emsp.db", running.url, "NL-TNM")
        running.lists["NL-TNM/locations"] = locations(5)
        yield running


def at_second_page(cpos: Cpos, start: Start, *argv: str) -> tuple[Forked, Hold]:
    """A sync that waits for its second page."""
    hold = cpos.hold("NL-TNM", "locations", 2)
    running = start("sync", *argv, *WHO)
    assert hold.reached.wait(SECONDS)
    return running, hold


def said_first(running: Forked) -> str:
    assert running.stderr is not None
    return running.stderr.readline()


def stored(command: Command) -> int:
    return len(command("locations", "list", "--json").out.splitlines())


def until_stored(command: Command, wanted: int) -> None:
    """The page before the one that is waited for is stored meanwhile."""
    for _ in range(500):
        if stored(command) == wanted:
            return
        time.sleep(0.02)
    pytest.fail(f"{wanted} were not stored")


@pytest.mark.parametrize(("stop", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 1)])
def test_a_signal_stops_it_after_the_page_in_hand_and_the_next_run_goes_on(
    stop: signal.Signals, status: int, cpos: Cpos, start: Start, command: Command
) -> None:
    running, hold = at_second_page(cpos, start)
    until_stored(command, 2)
    running.send_signal(stop)
    assert said_first(running) == SAID
    hold.go.set()
    out, err = running.communicate(timeout=SECONDS)
    assert (running.returncode, err) == (status, "")
    first = out.splitlines()[0]
    assert first.startswith(
        "NL-TNM  locations  stopped  4 created, 0 updated, 0 unchanged, 0 stale, 0 rejected; 2 pages"
    )
    assert first.endswith(": stopped on request")
    assert out.splitlines()[1] == "NL-TNM  tariffs    stopped  stopped on request"
    assert out.splitlines()[-1].startswith("NL-TNM  in all     not done  4 created")
    assert stored(command) == 4
    asked = len(cpos.asked)
    assert command("sync", *WHO).status == 0
    assert cpos.places[asked] == ("NL-TNM", "locations", 4), "it goes on where it was"
    assert stored(command) == 5


def test_a_stopped_sync_prints_its_json(cpos: Cpos, start: Start) -> None:
    others = [f"DE-A{number:02}" for number in range(7)]
    know("sqlite:///emsp.db", cpos.url, *others)
    running, hold = at_second_page(cpos, start, "NL-TNM", *others, "--parallel", "1", "--json")
    running.send_signal(signal.SIGINT)
    assert said_first(running) == SAID
    hold.go.set()
    out, err = running.communicate(timeout=SECONDS)
    left = "DE-A00, DE-A01, DE-A02, DE-A03, DE-A04 and 2 more"
    assert (running.returncode, err) == (130, f"ocpi-emsp: stopped before the sync of {left}\n")
    (party,) = json.loads(out)["parties"]
    assert [module["ended"] for module in party["modules"]] == ["stopped"] * 5


@pytest.mark.parametrize(("stop", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_second_signal_ends_it_at_once(
    stop: signal.Signals, status: int, cpos: Cpos, start: Start, command: Command
) -> None:
    running, hold = at_second_page(cpos, start)
    until_stored(command, 2)
    running.send_signal(stop)
    assert said_first(running) == SAID
    running.send_signal(stop)
    out, err = running.communicate(timeout=SECONDS)
    assert (running.returncode, out, err) == (status, "", "")
    assert stored(command) == 2
    hold.go.set()
    assert command("sync", *WHO).status == 0
    assert stored(command) == 5


def test_a_terminal_has_its_cursor_again_after_the_second_signal(cpos: Cpos, tmp_path: Path) -> None:
    hold = cpos.hold("NL-TNM", "locations", 2)
    ours, theirs = os.openpty()
    shown = list[bytes]()
    told = threading.Event()

    def read() -> None:
        with contextlib.suppress(OSError):  # that is how it ends
            while data := os.read(ours, 65_536):
                shown.append(data)
                if b"stopping after the current page" in b"".join(shown):
                    told.set()

    reader = threading.Thread(target=read)
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120"}
    line = [sys.executable, "-m", "ocpi_emsp", "sync", *WHO]
    with (
        subprocess.Popen(line, cwd=tmp_path, env=environment, stdout=theirs, stderr=theirs) as running,
        limited(running),
    ):
        os.close(theirs)
        reader.start()
        assert hold.reached.wait(SECONDS)
        running.send_signal(signal.SIGINT)
        assert told.wait(SECONDS)
        running.send_signal(signal.SIGINT)
        assert running.wait(SECONDS) == 130
    reader.join(SECONDS)
    os.close(ours)
    assert b"".join(shown).rindex(b"\x1b[?25l") < b"".join(shown).rindex(b"\x1b[?25h")


@pytest.mark.parametrize(("stop", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_a_signal_ends_the_wait_for_the_next_round(
    stop: signal.Signals, status: int, cpos: Cpos, start: Start, command: Command
) -> None:
    know("sqlite:///emsp.db", cpos.url, "DE-ABC")
    cpos.lists["DE-ABC/locations"] = [{"id": "BAD"}]
    running = start("sync", "--every", "4h", "--json", *WHO)
    reports: list[dict[str, Any]] = [json.loads(running.stdout.readline()) for _ in range(2)]
    assert {each["country_code"]: each["ok"] for each in reports} == {"DE": False, "NL": True}
    running.send_signal(stop)
    out, err = running.communicate(timeout=SECONDS)
    assert (running.returncode, out, err) == (status, "", SAID)
    assert stored(command) == 5


def test_a_reader_that_goes_away_ends_it(cpos: Cpos, start: Start) -> None:
    running, hold = at_second_page(cpos, start, "--every", "4h")
    running.stdout.close()
    hold.go.set()
    assert running.wait(SECONDS) == 3
    assert running.stderr is not None
    assert running.stderr.read() == ("ocpi-emsp: the reader of the output went away before everything was written\n")
