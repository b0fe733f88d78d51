"""The arguments of the commands that list, show and change what is stored."""

from __future__ import annotations

import click

from ocpi_emsp.cli import options as o
from ocpi_emsp.cli.options import Argument, command, group, option


def objects(plural: str, summary: str) -> click.Command:
    """``locations``, ``sessions`` and the others."""
    show: list[click.Parameter] = [o.store, o.flag("--json", "print the document as it is stored")]
    if plural == "parties":
        show.append(o.the_party)
    else:
        whose = option("--party", "whose it is, such as NL-TNM (default: of any party)", type=o.party)
        show += [Argument("id", metavar=_IDS.get(plural, "ID")), whose]
    if plural in ("evses", "reservations"):
        show.append(option("--location", "its location, unless that is in front of its id", metavar="ID"))
    if plural == "tokens":
        show.append(option("--type", "RFID or OTHER (default: either)", metavar="TYPE"))
    actions = [
        o.listed("objects", f"List the {plural} in the store, oldest first.", kind=plural),
        command("objects", f"Show one of the {plural} in the store.", *show, name="show", kind=plural),
    ]
    return group(summary, *actions, *(_changing_tokens() if plural == "tokens" else ()))


_IDS = {"evses": "LOCATION/UID", "reservations": "LOCATION/ID", "tokens": "UID"}


def _changing_tokens() -> list[click.Command]:
    """``put`` and ``invalidate`` of our own tokens."""
    later = o.flag("--no-push", "leave the pushing to serve, to a worker, or to push-tokens")
    common = (later, o.store, o.json, *o.identity)
    return [
        command(
            "tokens",
            "Store tokens of ours, new or changed, and push them to the CPOs.",
            Argument("file", "a token, a list, or JSON lines with one each; - is standard input"),
            *common,
            name="put",
            epilog="A token that breaks the specification is named and left out, the others are stored. JSON lines are "
            "read line by line, so a file of any size takes little memory. Exit status: 0 done; 1 a token was left "
            "out, or a CPO refused one; 2 usage; 3 the database or a CPO could not be reached.",
        ),
        command(
            "tokens",
            "Make a token of ours invalid, and push that to the CPOs.",
            Argument("uid", "one that begins with - stands behind --"),
            o.token_type,
            *common,
            name="invalidate",
        ),
    ]


def authorizations(summary: str) -> click.Command:
    """``authorizations``."""
    return group(summary, o.listed("authorizations", "List the decisions on real-time authorizations, oldest first."))


_TOPIC = o.choice("--topic", "those for listeners in our processes, or those for a relay to a broker", "event", "relay")


def rejections(summary: str) -> click.Command:
    """``rejections``."""
    show = command(
        "rejections", "Show a rejected request, with its findings and its body.", o.an_id, o.store, o.json, name="show"
    )
    replay = command(
        "rejections",
        "Replay rejected requests under the current policy.",
        Argument("id", "of a rejection; or --all", required=False),
        o.flag("--all", "every one, oldest first; with --party those of one party"),
        option("--party", "whose rejections --all means, such as NL-TNM", type=o.party),
        option("--body", "a corrected body instead of the rejected one", metavar="FILE"),
        o.store,
        o.lines,
        *o.identity,
        name="replay",
    )
    return group(summary, o.listed("rejections", "List rejected requests, oldest first."), show, replay)


def events(summary: str) -> click.Command:
    """``events``."""
    show = command("events", "Show an event that is not delivered yet.", o.an_id, o.store, o.json, name="show")
    retry = command(
        "events",
        "Try a dead event again.",
        Argument("id", "of an event; or --all", required=False),
        o.flag("--all", "every dead one"),
        _TOPIC,
        o.store,
        name="retry",
    )
    dead = o.flag("--dead", "those that failed too often, and are not tried any more")
    return group(
        summary, o.listed("events", "List events that are not delivered yet, oldest first.", _TOPIC, dead), show, retry
    )
