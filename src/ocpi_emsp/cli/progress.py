"""A progress bar for long inputs, by the bytes that were read.

Rules of this module:
- it is drawn on stderr, and only where stderr is a terminal and rich is installed; nothing otherwise;
- it counts what is read, so reading is all that has to go through it.
"""

from __future__ import annotations

import contextlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, BinaryIO

from attrs import define, field

if TYPE_CHECKING:
    from rich.progress import Progress

Advance = Callable[[int], None]
LONG = 4 * 1024 * 1024
"""Bytes from which on an input is long: below, checking takes about a second."""
_STEP = 256 * 1024


def wanted() -> bool:
    """Whether a bar could be drawn."""
    return sys.stderr is not None and sys.stderr.isatty() and importlib.util.find_spec("rich") is not None


@contextlib.contextmanager
def bar(total: int, what: str) -> Iterator[Advance]:
    """A bar of ``total`` bytes while the context lasts; what it gives takes the bytes that were read."""
    if total < LONG or not wanted():
        yield _ignore
        return
    with _drawn() as progress:
        task = progress.add_task(what, total=total)
        yield lambda count: progress.advance(task, count)


def _ignore(_: int) -> None:
    """Nothing is drawn."""


def _drawn() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        redirect_stdout=False,
    )


@define
class Metered:
    """The part of a binary stream that is read here, with its bytes counted."""

    _stream: BinaryIO
    _advance: Advance
    _read: int = field(default=0, init=False)

    def readline(self, size: int = -1, /) -> bytes:
        """One line, or ``size`` bytes of it."""
        return self._count(self._stream.readline(size))

    def read(self) -> bytes:
        """All the rest."""
        return self._count(self._stream.read())

    def _count(self, data: bytes) -> bytes:
        self._read += len(data)
        if self._read >= _STEP or not data:
            self._advance(self._read)
            self._read = 0
        return data
