"""How every list is printed: page by page, in little memory.

Rules of this module: people get a table with a limited number of rows, and a message if there are more; ``--json``
prints all; the list ends when the reader closes stdout.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, TypeVar

from attrs import AttrsInstance, asdict

from ocpi_emsp.cli import output
from ocpi_emsp.cli.errors import ReaderGone
from ocpi_emsp.cli.options import PERSON_LIMIT, Arguments
from ocpi_emsp.cli.stores import PAGE
from ocpi_emsp.codec import wire_time
from ocpi_emsp.listing import Numbered

T = TypeVar("T", bound=Numbered)


def of_party(arguments: Arguments) -> str:
    """The end of a message, such as `` of NL-TNM``; empty unless a party was asked for."""
    return f" of {'-'.join(arguments.party)}" if arguments.party else ""


def print_list(
    arguments: Arguments,
    listed: Callable[..., Iterable[T]],
    columns: Sequence[str],
    row: Callable[[T], Sequence[str]],
    as_json: Callable[[T], dict[str, Any] | bytes],
    nothing: str,
) -> None:
    """Write every page of ``listed``: ``limit`` items ``after`` a sequence, in this order.

    ``as_json`` returns the JSON line of an item, or its members. ``nothing`` is printed for an empty list.
    """
    with contextlib.suppress(ReaderGone):
        limit = arguments.limit or (None if arguments.json else PERSON_LIMIT)
        written, after = 0, 0
        while (size := PAGE if limit is None else min(PAGE, limit - written)) and (
            items := list(listed(limit=size, after=after))
        ):
            if arguments.json:
                output.write_bytes(b"".join(_line(as_json(item)) for item in items))
            else:
                output.write(output.table(columns, [row(item) for item in items]))
            output.flush()
            written, after = written + len(items), items[-1].sequence
        if written == limit and arguments.limit is None and list(listed(limit=1, after=after)):
            output.say("there are more: --limit says how many to list, --json lists all")
        if not (written or arguments.json):
            output.say(nothing)


def _line(document: dict[str, Any] | bytes) -> bytes:
    return (document if isinstance(document, bytes) else json.dumps(document).encode()) + b"\n"


def members(item: AttrsInstance, *left_out: str) -> dict[str, Any]:
    """Return the fields of an item as members of a JSON object; times as on the wire."""
    return asdict(
        item,
        filter=lambda field, _: field.name not in left_out,
        value_serializer=lambda _, __, value: wire_time(value) if isinstance(value, datetime) else value,
    )
