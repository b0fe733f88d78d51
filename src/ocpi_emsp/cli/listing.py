"""How every list is printed: page by page, so that it takes little memory.

Rules of this module: people get a table of at most so many rows, and are told where there are more; ``--json`` gets
all; a reader that has seen enough ends the list.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

from ocpi_emsp.cli import output
from ocpi_emsp.cli.errors import ReaderGone
from ocpi_emsp.cli.options import PERSON_LIMIT, Arguments
from ocpi_emsp.cli.stores import PAGE


class Numbered(Protocol):
    """Something with a place in its list."""

    @property
    def sequence(self) -> int:
        """The place."""


T = TypeVar("T", bound=Numbered)


def print_list(
    arguments: Arguments,
    page: Callable[[int, int], Sequence[T]],
    write: Callable[[Sequence[T]], None],
    nothing: str,
) -> None:
    """Write every page; ``page`` gives so many ``after`` a sequence (in this order).

    ``nothing`` is printed for an empty list.
    """
    with contextlib.suppress(ReaderGone):
        limit = arguments.limit or (None if arguments.json else PERSON_LIMIT)
        written, after = 0, 0
        while (size := PAGE if limit is None else min(PAGE, limit - written)) and (items := page(after, size)):
            write(items)
            output.flush()
            written, after = written + len(items), items[-1].sequence
        if written == limit and arguments.limit is None and page(after, 1):
            output.say("there are more: --limit says how many to list, --json lists all")
        if not (written or arguments.json):
            output.say(nothing)


def write_lines(documents: Sequence[Any]) -> None:
    """JSON lines of plain values."""
    for document in documents:
        output.write_json(document, indent=None)
