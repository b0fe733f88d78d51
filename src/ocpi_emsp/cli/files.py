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
    """A source of lines."""

    def readline(self, size: int = -1, /) -> bytes:
        """Return one line, or ``size`` bytes of it."""


@contextlib.contextmanager
def opened(path: str) -> Iterator[BinaryIO]:
    """Open the file, or standard input for ``-``. Raises Usage if it cannot be opened, or read within the block."""
    with entered(path) as file, reading(path):
        yield file


@contextlib.contextmanager
def entered(path: str) -> Iterator[BinaryIO]:
    """Open the file, or standard input for ``-``; read it within :func:`reading`. Raises Usage."""
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
    """Raise Usage if reading a file fails within the block."""
    try:
        yield
    except OSError as error:
        raise Usage(f"{path}: cannot be read: {reason(error)}") from None


def numbered(stream: Lines, start: int, longest: int) -> Iterator[tuple[int, bytes | None]]:
    """Yield the lines with their numbers, on demand; None for one of more than ``longest`` bytes, which is never
    held.
    """
    number = start
    while line := stream.readline(longest):
        if len(line) < longest or line.endswith(b"\n"):
            yield number, line
        else:
            while (chunk := stream.readline(1024 * 1024)) and not chunk.endswith(b"\n"):
                pass
            yield number, None
        number += 1
