"""The arguments of the commands that list, show and change stored data."""

from __future__ import annotations

import click

from ocpi_emsp.cli import options as o
from ocpi_emsp.cli.declared.lists import listed
from ocpi_emsp.cli.options import Argument, command, group, option


def _at(what: str) -> click.Parameter:
    help_text = f"{what} at this time, such as 2024-05-01T12:00:00Z (default: what is stored now)"
    return option("--at", help_text, type=o.time, metavar="TIME")


def _objects(plural: str, *changing: click.Command) -> click.Group:
    """Return the group ``locations``, ``sessions`` or another: ``list``, ``show``, and the actions that change
    objects.
    """
    show: list[click.Parameter] = [o.store, o.flag("--json", "print the document as it is stored")]
    if plural == "parties":
        show.append(o.the_party)
    else:
        whose = option("--party", "the owner, such as NL-TNM (default: any party)", type=o.party)
        show += [Argument("id", metavar=_IDS.get(plural, "ID")), whose]
    if plural in ("evses", "reservations"):
        show.append(option("--location", "the location, unless the id has it", metavar="ID"))
    if plural == "tokens":
        show.append(option("--type", "RFID or OTHER (default: either)", metavar="TYPE"))
    listing: tuple[click.Parameter, ...] = ()
    shown = {"evses": "EVSEs", "cdrs": "CDRs"}.get(plural, plural)
    if plural == "tariffs":
        show.append(_at("the tariff as it was"))
        listing = (_at("tariffs that were valid"),)
    if plural in STATUSES:
        listing = (option("--status", f"only of this status, such as {STATUSES[plural]}", metavar="STATUS"),)
    return group(
        plural,
        f"List or show the {shown} in the store.",
        listed("objects", f"List the {shown} in the store, oldest first.", *listing, kind=plural),
        command("objects", "show", f"Show one of the {shown} in the store.", *show, kind=plural),
        *changing,
    )


STATUSES = {"evses": "AVAILABLE", "sessions": "ACTIVE"}
"""Kinds that are listed by status, with an example."""
_IDS = {"evses": "LOCATION/UID", "reservations": "LOCATION/ID", "tokens": "UID"}
_OURS = (
    o.flag("--no-push", "do not push: serve, a worker or push-tokens does"),
    o.store,
    o.json,
    *o.identity,
)
_TOPIC = o.choice("--topic", "events for listeners in our processes, or for a relay to a broker", "event", "relay")

objects = (
    *map(_objects, ("parties", "locations", "evses", "sessions", "cdrs", "tariffs")),
    _objects(
        "tokens",
        command(
            "tokens",
            "put",
            "Store tokens of ours, new or changed, and push them to the CPOs.",
            Argument("file", "a token, a list, or JSON lines with one each; - is standard input"),
            *_OURS,
            epilog="A token that breaks the specification is reported and left out; the others are stored. JSON lines "
            "are read line by line, so a file of any size takes little memory. Exit status: 0 done; 1 a token was left "
            "out, or a CPO refused one; 2 usage; 3 the database or a CPO could not be reached.",
        ),
        command(
            "tokens",
            "invalidate",
            "Make a token of ours invalid, and push the change to the CPOs.",
            Argument("uid", "uid of the token; put -- before a uid that begins with -"),
            o.token_type,
            *_OURS,
        ),
    ),
    _objects("reservations"),
)
authorizations = group(
    "authorizations",
    "List the decisions on real-time authorizations.",
    listed("authorizations", "List the decisions on real-time authorizations, oldest first."),
)
rejections = group(
    "rejections",
    "List, show or replay rejected requests.",
    listed("rejections", "List rejected requests, oldest first."),
    command("rejections", "show", "Show a rejected request, with its findings and its body.", o.an_id, o.store, o.json),
    command(
        "rejections",
        "replay",
        "Replay rejected requests under the current policy.",
        Argument("id", "id of a rejection; or --all", required=False),
        o.flag("--all", "replay every rejection, oldest first; with --party only those of one party"),
        option("--party", "the party whose rejections --all replays, such as NL-TNM", type=o.party),
        option("--body", "a corrected body instead of the rejected one", metavar="FILE"),
        o.store,
        o.lines,
        *o.identity,
    ),
)
events = group(
    "events",
    "List, show or retry events that are not delivered.",
    listed(
        "events",
        "List events that are not delivered yet, oldest first.",
        _TOPIC,
        o.flag("--dead", "only events that failed too often and are not retried"),
    ),
    command("events", "show", "Show an event that is not delivered yet.", o.an_id, o.store, o.json),
    command(
        "events",
        "retry",
        "Retry a dead event.",
        Argument("id", "id of an event; or --all", required=False),
        o.flag("--all", "retry every dead event"),
        _TOPIC,
        o.store,
    ),
)
