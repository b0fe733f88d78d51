"""The arguments of the commands that work on a store."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from ocpi_emsp.cli.options import (
    Actions,
    add_action,
    add_format,
    add_identity,
    add_json,
    add_store,
    at_least_one,
    count,
    country_code,
    party,
    party_id,
    token,
)

_PERSON_LIMIT = 100
"""Rows of a table where nobody says how many: what a person reads."""

MODULES = ("cdrs", "commands", "locations", "sessions", "tariffs", "tokens")
"""What a partner may have to offer beside credentials; a test compares it with the modules of the specification."""


def invite(command: argparse.ArgumentParser) -> None:
    """``invite CC PARTY``."""
    command.add_argument("invited", metavar="CC", type=country_code, help="the CPO's country code, such as NL")
    command.add_argument("invited_party", metavar="PARTY", type=party_id, help="the CPO's party id, such as TNM")
    _base64(command)
    _require(command)
    add_store(command)
    add_json(command)
    add_identity(command)


def register(command: argparse.ArgumentParser) -> None:
    """``register VERSIONS_URL``."""
    command.add_argument("versions_url", metavar="VERSIONS_URL", help="the CPO's versions URL, as it gave it to us")
    command.add_argument("--token-a", metavar="TOKEN", type=token, required=True, help="the token that it gave us")
    _base64(command)
    _require(command)
    add_store(command)
    add_json(command)
    add_identity(command)


def push_tokens(command: argparse.ArgumentParser) -> None:
    """``push-tokens [PARTY...]``."""
    command.add_argument(
        "parties", metavar="PARTY", nargs="*", type=party, help="such as NL-TNM (default: every registered one)"
    )
    command.add_argument("--verify", action="store_true", help="ask for each token that was sent, and compare")
    command.add_argument("--full", action="store_true", help="look at every token, not only at those that changed")
    add_store(command)
    add_json(command)
    add_identity(command)


def objects(plural: str) -> Callable[[argparse.ArgumentParser], None]:
    """``list`` and ``show`` of one kind of object."""

    def add(command: argparse.ArgumentParser) -> None:
        actions = _actions(command)
        command.set_defaults(module="ocpi_emsp.cli.objects", kind=plural)
        listing(add_action(actions, "list", f"List the {plural} in the store, oldest first."))
        show = add_action(actions, "show", f"Show one of the {plural} in the store.")
        if plural == "parties":
            show.add_argument("party", metavar="PARTY", type=party, help="such as NL-TNM")
        else:
            show.add_argument("id", metavar=_IDS.get(plural, "ID"))
            _of_party(show, "whose it is (default: whoever has one with this id)")
        if plural in ("evses", "reservations"):
            show.add_argument("--location", metavar="ID", help="its location, where that is not in front of its id")
        if plural == "tokens":
            show.add_argument("--type", metavar="TYPE", help="RFID or OTHER (default: whichever there is)")
            _changing_tokens(actions)
        add_store(show)
        show.add_argument("--json", action="store_true", help="print the document as it is stored")

    return add


def _changing_tokens(actions: Actions) -> None:
    """``put`` and ``invalidate`` of our own tokens."""
    put = add_action(actions, "put", "Keep tokens of ours, new or changed, and push them to the CPOs.")
    put.add_argument("file", metavar="FILE", help="a token, a list, or JSON lines with one each; - is standard input")
    invalidate = add_action(actions, "invalidate", "Make a token of ours not valid, and push that to the CPOs.")
    invalidate.add_argument("uid", metavar="UID", help="one that begins with - stands behind --")
    invalidate.add_argument("--type", choices=("RFID", "OTHER"), default="RFID", help="default: RFID")
    for action in (put, invalidate):
        action.set_defaults(module="ocpi_emsp.cli.tokens")
        action.add_argument(
            "--no-push", action="store_true", help="leave the pushing to serve, to a worker, or to push-tokens"
        )
        add_store(action)
        add_json(action)
        add_identity(action)
    put.epilog = (
        "A token that breaks the specification is named and left out, the others are kept. JSON lines are read line by "
        "line, so a file of any size takes little memory. Exit status: 0 done; 1 a token was left out, or a CPO did "
        f"not take one; 2 usage; 3 the database or a CPO could not be reached. {put.epilog}"
    )


_IDS = {"evses": "LOCATION/UID", "reservations": "LOCATION/ID", "tokens": "UID"}


def authorizations(command: argparse.ArgumentParser) -> None:
    """What was decided."""
    listing(add_action(_actions(command), "list", "List what was decided on real-time authorizations, oldest first."))


def rejections(command: argparse.ArgumentParser) -> None:
    """What was refused."""
    actions = _actions(command)
    listing(add_action(actions, "list", "List what was refused, oldest first."))
    show = add_action(actions, "show", "Show what was refused, with its findings and its body.")
    _id(show)
    add_store(show)
    add_json(show)
    replay = add_action(actions, "replay", "Serve again what was refused, with the policy of now.")
    which = replay.add_mutually_exclusive_group(required=True)
    _id(which, nargs="?")
    which.add_argument("--all", action="store_true", help="every one, oldest first; with --party those of one party")
    _of_party(replay, "whose rejections --all means")
    replay.add_argument("--body", metavar="FILE", help="a corrected body instead of the one that was refused")
    add_store(replay)
    _lines(replay)
    add_identity(replay)


def report(command: argparse.ArgumentParser) -> None:
    """``report CC-PARTY``."""
    command.add_argument("party", metavar="PARTY", type=party, help="such as NL-TNM")
    command.add_argument("--output", metavar="FILE", help="write to this file instead of standard output")
    add_format(command, "text", "json", "markdown", "html")
    add_store(command)


def reconcile(command: argparse.ArgumentParser) -> None:
    """``reconcile CC-PARTY``."""
    command.add_argument("party", metavar="PARTY", type=party, help="such as NL-TNM")
    command.add_argument(
        "--from",
        dest="date_from",
        metavar="TIME",
        type=moment,
        help="what was last updated since then, such as 2024-05-01 or 2024-05-01T12:00:00Z (default: the last 35 days)",
    )
    command.add_argument(
        "--to", dest="date_to", metavar="TIME", type=moment, help="what was last updated before then (default: no end)"
    )
    command.add_argument(
        "--hours",
        type=count,
        default=24,
        metavar="N",
        help="a session misses its CDR once it is COMPLETED for so long (default: 24)",
    )
    for name, unit, default in (("kwh", "kWh", "0.1"), ("cost", "units of the currency", "0.01")):
        command.add_argument(
            f"--{name}-tolerance",
            type=_amount,
            metavar="N",
            help=f"a difference of so many {unit} is none (default: {default})",
        )
    command.add_argument(
        "--limit",
        type=at_least_one,
        metavar="N",
        help=f"at most so many of each list (default: {_PERSON_LIMIT}; all with json and csv)",
    )
    add_format(command, "table", "json", "csv")
    command.add_argument("--json", action="store_const", const="json", dest="format", help="short for --format json")
    add_store(command)
    command.set_defaults(default_limit=_PERSON_LIMIT)
    command.epilog = (
        "Nothing is written. Exit status: 0 every CDR has its session, and nothing is missing or differs; 1 something "
        "does; 2 usage; 3 the database failed."
    )


def events(command: argparse.ArgumentParser) -> None:
    """Events that wait, and those that were given up."""
    actions = _actions(command)
    waiting = add_action(actions, "list", "List events that were not delivered yet, oldest first.")
    listing(waiting)
    _topic(waiting)
    waiting.add_argument("--dead", action="store_true", help="those that failed too often, and are not tried any more")
    show = add_action(actions, "show", "Show an event that was not delivered yet.")
    _id(show)
    add_store(show)
    add_json(show)
    retry = add_action(actions, "retry", "Have a dead event tried again.")
    which = retry.add_mutually_exclusive_group(required=True)
    _id(which, nargs="?")
    which.add_argument("--all", action="store_true", help="every dead one")
    _topic(retry)
    add_store(retry)


def export(command: argparse.ArgumentParser) -> None:
    """``export``."""
    command.add_argument("--output", metavar="FILE", help="write to this file, which only you can read")
    add_store(command)
    command.epilog = (
        "Everything in the store, as JSON lines; documents are written byte for byte. The tokens that open partners "
        "are among it, in plain text."
    )


def import_(command: argparse.ArgumentParser) -> None:
    """``import``."""
    command.add_argument("file", metavar="FILE", nargs="?", default="-", help="an export; - is standard input")
    command.add_argument("--strict", action="store_true", help="stop at the first line that cannot be imported")
    add_store(command)
    command.epilog = (
        "An object that is there already is replaced, so that importing twice gives the same. Exit status: 1 where a "
        "line cannot be imported, or the file was cut off."
    )


def moment(text: str) -> datetime:
    """A date or a time; without a zone it is UTC."""
    try:
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(f"{text!r} is no time such as 2024-05-01 or 2024-05-01T12:00:00Z") from None


def _amount(text: str) -> Decimal:
    """A number from 0 upwards, exact."""
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or amount.is_signed():
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 0 upwards")
    return amount


def _id(command: argparse.ArgumentParser | argparse._MutuallyExclusiveGroup, **options: Any) -> None:
    command.add_argument("id", metavar="ID", help="one that begins with - stands behind --", **options)


def _actions(command: argparse.ArgumentParser) -> Actions:
    return command.add_subparsers(title="actions", metavar="ACTION", dest="action", required=True)


def listing(action: argparse.ArgumentParser) -> None:
    """The arguments of a list."""
    _of_party(action, "of this party alone")
    action.add_argument(
        "--limit",
        type=at_least_one,
        metavar="N",
        help=f"at most so many (default: {_PERSON_LIMIT}; all with --json)",
    )
    add_store(action)
    _lines(action)
    action.set_defaults(default_limit=_PERSON_LIMIT)


def _of_party(action: argparse.ArgumentParser, what: str) -> None:
    action.add_argument("--party", metavar="PARTY", type=party, help=f"{what}, such as NL-TNM")


def _lines(action: argparse.ArgumentParser) -> None:
    action.add_argument("--json", action="store_true", help="print JSON lines on stdout and nothing else")


def _topic(action: argparse.ArgumentParser) -> None:
    action.add_argument(
        "--topic",
        choices=("event", "relay"),
        default="event",
        help="those for listeners in our processes, or those for a relay to a broker (default: event)",
    )


def _require(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--require",
        dest="required_modules",
        action="append",
        type=str.lower,
        choices=MODULES,
        metavar="MODULE",
        help=f"a module that it has to offer beside credentials: {', '.join(MODULES)}; may be repeated",
    )


def _base64(command: argparse.ArgumentParser) -> None:
    command.add_argument("--base64-token", action="store_true", help="it expects tokens in base64, as OCPI 2.2 does")
