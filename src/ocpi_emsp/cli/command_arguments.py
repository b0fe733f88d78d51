"""The arguments of ``ocpi-emsp command``. Nothing heavy is imported here: values are judged where they are used."""

from __future__ import annotations

import argparse

from ocpi_emsp.cli.options import add_action, add_identity, add_json, add_store, at_least_one, count, party
from ocpi_emsp.cli.store_arguments import listing, moment

_LONGEST_WAIT = 86_400


def command(parser: argparse.ArgumentParser) -> None:
    """``command start-session|stop-session|reserve-now|show|list``."""
    actions = parser.add_subparsers(title="actions", metavar="ACTION", dest="action", required=True)
    start = add_action(actions, "start-session", "Have a CPO start a session for one of our tokens.")
    _party(start)
    _token(start)
    _place(start)
    reserve = add_action(actions, "reserve-now", "Have a CPO keep an EVSE for one of our tokens.")
    _party(reserve)
    _token(reserve)
    _place(reserve)
    reserve.add_argument("--until", metavar="TIME", type=moment, required=True, help="when the reservation ends")
    reserve.add_argument(
        "--reservation-id", metavar="N", type=count, help="of a reservation to replace (default: a new reservation)"
    )
    stop = add_action(actions, "stop-session", "Have a CPO stop one of its sessions.")
    _party(stop)
    stop.add_argument("session_id", metavar="SESSION_ID", help="one that begins with - stands behind --")
    for action in (start, reserve, stop):
        _sending(action)
    show = add_action(actions, "show", "Show what became of a command, or wait for it.")
    _party(show)
    show.add_argument("uid", metavar="UID", help="what the command was called when it was sent")
    for action in (start, reserve, stop, show):
        _wait(action)
        add_store(action)
        add_json(action)
        add_identity(action)
    listed = add_action(actions, "list", "List the commands that we sent, oldest first.")
    listed.set_defaults(module="ocpi_emsp.cli.objects", kind="commands")
    listing(listed)


def _party(action: argparse.ArgumentParser) -> None:
    action.add_argument("party", metavar="PARTY", type=party, help="the CPO, such as NL-TNM")


def _token(action: argparse.ArgumentParser) -> None:
    action.add_argument("--token", metavar="UID", required=True, help="the token, as it is in our store")
    action.add_argument("--type", choices=("RFID", "OTHER"), default="RFID", help="its type (default: RFID)")


def _place(action: argparse.ArgumentParser) -> None:
    action.add_argument("--location", metavar="ID", required=True, help="the location, as the CPO sent it")
    action.add_argument("--evse", metavar="UID", help="its EVSE (default: the charge point chooses)")


def _sending(action: argparse.ArgumentParser) -> None:
    action.add_argument(
        "--force", action="store_true", help="send it although the location, EVSE, token or session speaks against it"
    )
    action.add_argument(
        "--timeout", metavar="SECONDS", type=_seconds, help="how long the charge point may take (default: 120)"
    )


def _wait(action: argparse.ArgumentParser) -> None:
    action.add_argument(
        "--wait",
        metavar="SECONDS",
        type=_seconds,
        help="wait for what the charge point says, so long at most (default: print what the CPO said, and end)",
    )


def _seconds(text: str) -> int:
    seconds = at_least_one(text)
    if seconds > _LONGEST_WAIT:
        raise argparse.ArgumentTypeError(f"it can be {_LONGEST_WAIT} seconds at most")
    return seconds
