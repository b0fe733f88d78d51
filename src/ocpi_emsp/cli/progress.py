"""A progress bar for long inputs, by the bytes that were read.

Rules of this module:
- it is only drawn on stderr, if that is a terminal and rich is installed;
- it counts reads, so only reading must go through it.
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
"""Bytes from which an input is long: below, checking takes about a second."""
_STEP = 256 * 1024


def wanted() -> bool:
    """Return True if a bar could be drawn."""
    return sys.stderr is not None and sys.stderr.isatty() and importlib.util.find_spec("rich") is not None


@contextlib.contextmanager
def bar(total: int, what: str) -> Iterator[Advance]:
    """Show a bar of ``total`` bytes within the block; yield a function that takes the number of bytes read."""
    if total < LONG or not wanted():
        yield _ignore
        return
    with _drawn() as progress:
        task = progress.add_task(what, total=total)
        yield lambda count: progress.advance(task, count)


def _ignore(_: int) -> None:
    """Draw nothing."""


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
    """A binary stream that counts the bytes that are read."""

    _stream: BinaryIO
    _advance: Advance
    _read: int = field(default=0, init=False)

    def readline(self, size: int = -1, /) -> bytes:
        """Return one line, or ``size`` bytes of it."""
        return self._count(self._stream.readline(size))

    def read(self) -> bytes:
        """Return the rest."""
        return self._count(self._stream.read())

    def _count(self, data: bytes) -> bytes:
        self._read += len(data)
        if self._read >= _STEP or not data:
            self._advance(self._read)
            self._read = 0
        return data
