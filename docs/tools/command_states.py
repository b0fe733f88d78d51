"""docs/how-to/commands.md, between its marks, drawn from the table itself: ``python docs/tools/command_states.py``.

Rules of this module: it says what :data:`TRANSITIONS` says, in its order, and nothing of its own.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Final

from ocpi_emsp.flows.commands.states import OPEN, TRANSITIONS, CommandChange, CommandState, after

BEGIN: Final = "<!-- drawn from TRANSITIONS: python docs/tools/command_states.py -->"
END: Final = "<!-- end of what is drawn -->"
_SAME: Final = "-"


def drawing() -> str:
    """The table and the diagram, between their marks."""
    return "\n".join((BEGIN, "", *_table(), "", *_diagram(), "", END))


def _table() -> Iterator[str]:
    """A row for each state, a column for each change: the state after it; a dash where it stays."""
    yield f"| state | awaited | {' | '.join(change.value for change in CommandChange)} |"
    yield f"|---|---|{'---|' * len(CommandChange)}"
    for state in TRANSITIONS:
        cells = (_after(state, change) for change in CommandChange)
        yield f"| {state} | {'yes' if state in OPEN else 'no'} | {' | '.join(cells)} |"


def _after(state: CommandState, change: CommandChange) -> str:
    reached = after(state, change)
    return _SAME if reached == state else str(reached)


def _diagram() -> Iterator[str]:
    yield "```mermaid"
    yield "stateDiagram-v2"
    yield f"    [*] --> {next(iter(TRANSITIONS))}: it is stored"
    for state, changes in TRANSITIONS.items():
        for change, reached in changes.items():
            yield f"    {state} --> {reached}: {change.value}"
        if not changes:
            yield f"    {state} --> [*]"
    yield "```"


if __name__ == "__main__":
    sys.stdout.write(drawing() + "\n")
