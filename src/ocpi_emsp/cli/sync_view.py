"""A live view of running syncs.

Rules of this module:
- it is only drawn on stderr, if that is a terminal and rich is installed; with ``--json`` not on the terminal that the
  JSON is printed on;
- other output on the same terminal appears above it;
- it is never higher than the terminal; sync_board.py has its content.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from attrs import define

from ocpi_emsp.cli import progress
from ocpi_emsp.cli.sync_board import Board, Row

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.table import Table

_BAR = 24
"""Characters of a bar."""
_SHOW_CURSOR = b"\x1b[?25h\n"


@contextlib.contextmanager
def view(modules: Sequence[str], *, as_json: bool) -> Iterator[Board]:
    """Show a view of syncs of these modules within the block."""
    stdout_is_terminal = sys.stdout is not None and sys.stdout.isatty()
    if not progress.wanted() or (as_json and stdout_is_terminal):
        yield Board(modules, time.monotonic)
        return
    from rich.console import Console
    from rich.live import Live

    console = Console(stderr=True)
    if console.is_dumb_terminal:  # it cannot move its cursor, and older versions of rich would write an empty line
        yield Board(modules, time.monotonic)
        return
    live = _Live(modules, time.monotonic)
    with Live(Drawing(live), console=console, transient=True, redirect_stdout=stdout_is_terminal):
        yield live


class _Live(Board):
    """A board that is drawn until the process ends."""

    def abandon(self) -> None:
        """Show the cursor again, which is hidden while the board is drawn."""
        with contextlib.suppress(OSError):
            os.write(2, _SHOW_CURSOR)


@define
class Drawing:
    """A board as rich draws it, each time anew."""

    _board: Board

    def __rich_console__(self, console: Console, _: ConsoleOptions) -> RenderResult:
        from rich.text import Text

        yield _table(self._board.rows(console.size.height - 2))  # the sum, and the line of the cursor
        yield Text(self._board.sum(), no_wrap=True, overflow="ellipsis")


def _table(rows: Sequence[Row]) -> Table:
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2, 0, 0))
    for width in (None, None, _BAR, None):
        table.add_column(no_wrap=True, overflow="ellipsis", width=width)
    for row in rows:
        total = None if row.total is None else max(row.total, row.listed)
        bar = Text("") if row.is_over else ProgressBar(total=total, completed=row.listed, width=_BAR)
        table.add_row(Text(row.party), Text(row.module), bar, Text(row.text))
    return table
