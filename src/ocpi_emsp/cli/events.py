"""``ocpi-emsp events``: events that were not delivered yet, and those that were given up.

Rules of this module: nothing is delivered here, since this process has no listener; the processes with listeners
deliver a dead event that is retried.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import msgspec

from ocpi_emsp.cli import output
from ocpi_emsp.cli.errors import CommandFailed
from ocpi_emsp.cli.listing import members, of_party, print_list
from ocpi_emsp.cli.options import Arguments, require_one
from ocpi_emsp.cli.stores import emsp_of_nobody, opened
from ocpi_emsp.codec import wire_time
from ocpi_emsp.findings import counted
from ocpi_emsp.resources import Events, PendingEvent

_COLUMNS = ("id", "at", "party", "event", "object", "failures", "next try", "last error")


def run(arguments: Arguments) -> int:
    """List, show or retry; return 1 if there is no such event."""
    if arguments.action == "retry":
        require_one(arguments, "id", "all")
    with opened(arguments) as store:
        events = emsp_of_nobody(store).events
        match arguments.action:
            case "retry":
                _retry(events, arguments)
            case "show":
                _show(events, arguments)
            case _:
                _list(events, arguments)
    return 0


def _list(events: Events, arguments: Arguments) -> None:
    listed = partial(events.list, arguments.party, topic=arguments.topic, dead=arguments.dead)
    nothing = f"no event{of_party(arguments)} is {'dead' if arguments.dead else 'pending'}"
    print_list(arguments, listed, _COLUMNS, _row, _as_json, nothing)


def _row(event: PendingEvent) -> tuple[str, ...]:
    key = event.key
    return (
        event.id,
        wire_time(event.at),
        f"{event.country_code}-{event.party_id}",
        event.name,
        "/".join(part for part in (key.kind, key.parent, key.id) if part) if key else "",
        str(event.attempts),
        "never" if event.dead else wire_time(event.due) if event.due else "now",
        event.error,
    )


def _show(events: Events, arguments: Arguments) -> None:
    event = events.get(arguments.id)
    if event is None:
        raise CommandFailed(f"no event '{arguments.id}' waits or is dead")
    document = msgspec.Raw(event.document or b"null")
    if arguments.json:
        output.write_bytes(msgspec.json.encode({**_as_json(event), "document": document}) + b"\n")
        output.flush()
        return
    lines = [f"{name}: {value}" for name, value in zip(_COLUMNS, _row(event), strict=True)]
    lines.append(f"correlation id: {event.correlation_id}")
    if event.document:
        lines += ["", msgspec.json.format(event.document, indent=2).decode()]
    output.write_text("\n".join(lines))


def _as_json(event: PendingEvent) -> dict[str, Any]:
    key = event.key
    named = {"kind": key.kind, "id": key.id, "parent": key.parent} if key else None
    return {**members(event, "document", "sequence"), "key": named}


def _retry(events: Events, arguments: Arguments) -> None:
    if arguments.all:
        count = events.retry_all(topic=arguments.topic)
        output.write(f"retrying {counted(count, 'event')}\n")
    elif events.retry(arguments.id):
        output.write_line(f"retrying {arguments.id}")
    else:
        raise CommandFailed(f"there is no dead event '{arguments.id}'")
