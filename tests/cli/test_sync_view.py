"""The live view of a sync: what stands in it, that it fits, and where it is drawn."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st
from rich.console import Console

from cli.sync_cpo import WHO, Cpos, know, locations, served
from cli.test_progress import Terminal
from ocpi_emsp.cli import main
from ocpi_emsp.cli.sync_board import Board, Row
from ocpi_emsp.cli.sync_schedule import PartyId
from ocpi_emsp.cli.sync_view import Drawing
from ocpi_emsp.flows.sync.report import SyncEnded, SyncProgress

MODULES = ("locations", "tariffs", "tokens")
NL, DE = ("NL", "TNM"), ("DE", "ABC")


class Clock:
    """A clock that a test sets."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def told(party: PartyId, module: str = "locations", objects: int = 0, **more: Any) -> SyncProgress:
    values: dict[str, Any] = {"total": None, "offset": 0, "rejected": 0, "pages": 1, "bytes": 0}
    return SyncProgress(country_code=party[0], party_id=party[1], module=module, objects=objects, **(values | more))


def texts(board: Board, height: int = 24) -> list[tuple[str, str, str]]:
    return [(row.party, row.module, row.text) for row in board.rows(height)]


# --- the board ------------------------------------------------------------------------------------------------------


def test_a_party_goes_from_module_to_module() -> None:
    clock = Clock()
    board = Board(MODULES, clock)
    board.expect(2)
    assert board.sum() == "parties: 0 of 2, 0 running; objects: 0, 0 rejected"
    board.begin(NL)
    assert texts(board) == [("NL-TNM", "locations", "no page yet")]
    clock.now += 2
    board.tell(told(NL, objects=1000, total=5000, offset=500, rejected=3))
    (row,) = board.rows(24)
    assert row == Row(
        party="NL-TNM",
        module="locations",
        text="1,500 of 5,000, 500/s, 3 rejected",
        is_over=False,
        listed=1500,
        total=5000,
    )
    assert board.sum() == "parties: 0 of 2, 1 running; objects: 1,000, 500/s, 3 rejected"
    board.tell(told(NL, objects=4500, total=5000, offset=500, rejected=3, ended=SyncEnded.DONE))
    assert texts(board) == [
        ("NL-TNM", "locations", "done 5,000, 3 rejected"),
        ("NL-TNM", "tariffs", "no page yet"),
    ]
    clock.now += 2
    board.tell(told(NL, "tariffs", 10))
    assert texts(board)[1] == ("NL-TNM", "tariffs", "10, 5/s")
    board.tell(told(NL, "tariffs", 10, ended=SyncEnded.FAILED))
    board.tell(told(NL, "tokens", 0, ended=SyncEnded.SKIPPED))
    assert texts(board)[1:] == [("NL-TNM", "tariffs", "failed 10"), ("NL-TNM", "tokens", "skipped 0")]
    board.begin(DE)
    board.end(NL, failed=True)
    assert texts(board) == [("DE-ABC", "locations", "no page yet")]
    assert board.sum() == "parties: 1 of 2, 1 failed, 1 running; objects: 4,510, 1,128/s, 3 rejected"
    board.end(DE, failed=False)
    board.expect(1)
    assert board.sum() == "parties: 0 of 1, 0 running; objects: 0, 0 rejected"


@given(running=st.integers(0, 40), over=st.integers(0, 2), height=st.integers(-2, 60))
def test_the_rows_fit_into_the_height(running: int, over: int, height: int) -> None:
    board = Board(MODULES, Clock())
    board.expect(200)
    for number in range(running):
        party = "NL", f"A{number:02}"
        board.begin(party)
        for module in MODULES[:over]:
            board.tell(told(party, module, ended=SyncEnded.DONE))
    rows = board.rows(height)
    assert len(rows) <= max(0, height)
    if height >= running * (over + 1):
        assert len(rows) == running * (over + 1)
    elif height >= running:
        assert [row.module for row in rows] == [MODULES[over]] * running
    elif height > 0:
        assert (rows[-1].party, rows[-1].text) == ("...", f"and {running - len(rows) + 1} more")


@pytest.mark.parametrize(("total", "full"), [(0, 24), (3, 24), (10, 12)])
def test_it_is_drawn_with_a_bar_for_what_runs(total: int, full: int) -> None:
    board = Board(MODULES, Clock())
    board.expect(1)
    board.begin(NL)
    board.tell(told(NL, objects=5, total=total))
    first, last = drawn(board)
    assert first.startswith("NL-TNM  locations  \u2501")
    assert first.count("\u2501") == full
    assert first.endswith(f"  5 of {total}")
    assert last == "parties: 0 of 1, 1 running; objects: 5, 0 rejected"


def test_without_a_total_the_bar_has_no_end() -> None:
    board = Board(MODULES, Clock())
    board.begin(NL)
    board.tell(told(NL, objects=5))
    first, _ = drawn(board)
    assert first.endswith("  5")


def drawn(board: Board) -> list[str]:
    console = Console(file=io.StringIO(), record=True, width=100, height=10, color_system=None, _environ={})
    console.print(Drawing(board))
    return [line.rstrip() for line in console.export_text().splitlines()]


# --- the command ----------------------------------------------------------------------------------------------------


@pytest.fixture
def cpos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cpos]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OCPI_EMSP_STORE", "sqlite:///emsp.db")
    monkeypatch.setenv("TERM", "xterm")
    with served() as running:
        know("sqlite:///emsp.db", running.url, "NL-TNM")
        running.lists["NL-TNM/locations"] = [*locations(5), {"id": "BAD\x1b[2J"}]
        yield running


def test_on_a_terminal_it_is_drawn_and_the_lines_stand_above(cpos: Cpos, monkeypatch: pytest.MonkeyPatch) -> None:
    err, out = Terminal(), Terminal()
    monkeypatch.setattr(sys, "stderr", err)
    monkeypatch.setattr(sys, "stdout", out)
    assert main(["sync", *WHO]) == 1
    shown = err.getvalue()
    assert "parties: 1 of 1" in shown
    assert "NL-TNM  locations  done     5 created" in shown
    assert "rejected 'BAD\\x1b[2J'" in shown
    assert "\x1b[2J" not in shown
    assert shown.count("\x1b[?25l") == shown.count("\x1b[?25h") == 1, "the cursor is there again"
    assert out.getvalue() == ""
    assert cpos.asked


def test_stdout_that_is_no_terminal_stays_clean(cpos: Cpos, monkeypatch: pytest.MonkeyPatch) -> None:
    err, out = Terminal(), io.StringIO()
    monkeypatch.setattr(sys, "stderr", err)
    monkeypatch.setattr(sys, "stdout", out)
    assert main(["sync", "--json", *WHO]) == 1
    assert "parties: 1 of 1" in err.getvalue()
    (party,) = json.loads(out.getvalue())["parties"]
    assert party["modules"][0]["created"] == 5
    assert cpos.asked


@pytest.mark.parametrize("missing", ["terminal", "rich", "cursor", "room"])
def test_it_is_not_drawn_without(missing: str, cpos: Cpos, monkeypatch: pytest.MonkeyPatch) -> None:
    err = io.StringIO() if missing == "terminal" else Terminal()
    out = Terminal() if missing == "room" else io.StringIO()
    if missing == "rich":
        monkeypatch.setitem(sys.modules, "rich", None)
    if missing == "cursor":
        monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setattr(sys, "stderr", err)
    monkeypatch.setattr(sys, "stdout", out)
    assert main(["sync", *WHO, *(["--json"] if missing == "room" else [])]) == 1
    assert err.getvalue() == ""
    printed = out.getvalue()
    assert json.loads(printed)["parties"] if missing == "room" else "NL-TNM  locations  done" in printed
    assert cpos.asked
