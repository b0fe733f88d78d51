"""Files that the command reads: opened, and read line by line."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Protocol

from ocpi_emsp.cli.errors import Usage, reason

STDIN = "-"
_BUFFER = 256 * 1024


class Lines(Protocol):
    """What lines are read from."""

    def readline(self, size: int = -1, /) -> bytes:
        """One line, or ``size`` bytes of it."""


@contextlib.contextmanager
def opened(path: str) -> Iterator[BinaryIO]:
    """The file, or standard input for ``-``. Raises Usage if it cannot be opened, or read within the block."""
    with entered(path) as file, reading(path):
        yield file


@contextlib.contextmanager
def entered(path: str) -> Iterator[BinaryIO]:
    """The file, or standard input for ``-``; what reads it is within :func:`reading`. Raises Usage."""
    if path == STDIN:
        if sys.stdin is None or sys.stdin.closed:
            raise Usage("standard input is closed")
        yield sys.stdin.buffer
        return
    try:
        file = Path(path).open("rb", buffering=_BUFFER)  # noqa: SIM115 - entered below, outside the try
    except (OSError, ValueError) as error:
        raise Usage(f"{path}: cannot be read: {reason(error)}") from None
    with file:
        yield file


@contextlib.contextmanager
def reading(path: str) -> Iterator[None]:
    """A block that reads a file. Raises Usage where that fails."""
    try:
        yield
    except OSError as error:
        raise Usage(f"{path}: cannot be read: {reason(error)}") from None


def numbered(stream: Lines, start: int, longest: int) -> Iterator[tuple[int, bytes | None]]:
    """The lines with their numbers, as they are needed; None for one of more than ``longest`` bytes, never held."""
    number = start
    while line := stream.readline(longest):
        if len(line) < longest or line.endswith(b"\n"):
            yield number, line
        else:
            while (chunk := stream.readline(1024 * 1024)) and not chunk.endswith(b"\n"):
                pass
            yield number, None
        number += 1
