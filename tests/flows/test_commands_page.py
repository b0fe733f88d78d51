"""docs/how-to/commands.md is what the code is, and every change of a command goes the way that it draws."""

import re
from pathlib import Path

import pytest

from command_states import BEGIN, END, drawing
from ocpi_emsp.events import EVENTS
from ocpi_emsp.flows.commands.states import OPEN, TRANSITIONS, CommandChange, after
from ocpi_emsp.resources import CommandState, PendingCommand
from ocpi_emsp.resources.commands import AsyncCommands, Commands

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "how-to" / "commands.md").read_text("utf-8")


def test_the_page_shows_the_table_as_it_is() -> None:
    drawn = PAGE[PAGE.index(BEGIN) : PAGE.index(END) + len(END)]
    assert drawn == drawing(), "python docs/tools/command_states.py"


def test_every_state_and_change_is_drawn() -> None:
    for state, changes in TRANSITIONS.items():
        (row,) = re.findall(rf"^\| {state} \|.*$", PAGE, re.MULTILINE)
        for change, reached in changes.items():
            assert f" {reached} |" in row
            assert f"    {state} --> {reached}: {change.value}\n" in PAGE


def test_every_state_has_a_row_and_is_reached() -> None:
    assert list(TRANSITIONS) == list(CommandState)
    reached = {state for changes in TRANSITIONS.values() for state in changes.values()}
    assert reached == set(CommandState) - {CommandState.SENDING}


@pytest.mark.parametrize("state", list(CommandState))
def test_a_state_in_which_a_result_is_awaited_ends(state: CommandState) -> None:
    is_open = state in OPEN
    assert (after(state, CommandChange.DEADLINE) == CommandState.TIMED_OUT) == (is_open or state == "TIMED_OUT")
    assert (after(state, CommandChange.RESULT) == CommandState.ANSWERED) == (
        is_open or state in (CommandState.REFUSED, CommandState.ANSWERED)
    )


def test_the_page_names_what_there_is() -> None:
    for name in re.findall(r"`(Command\w+|Reservation\w+)` \|", PAGE):
        assert name in EVENTS, name
    for name in re.findall(r"`pending\.(\w+)", PAGE):
        assert hasattr(PendingCommand, name) or name in PendingCommand.__annotations__, name
    for name in re.findall(r"emsp\.commands\.(\w+)", PAGE):
        assert hasattr(Commands, name), name
        assert hasattr(AsyncCommands, name), name
    for target in re.findall(r"\]\(([^)#]+)\)", PAGE):
        assert (ROOT / "docs" / "how-to" / target).exists(), target
