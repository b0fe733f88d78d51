"""The arguments of ``ocpi-emsp party``, which looks after one partner."""

from __future__ import annotations

import argparse

from ocpi_emsp.cli.options import Actions, add_action, add_identity, add_json, add_store, party, token


def command(command: argparse.ArgumentParser) -> None:
    """``party doctor|rotate|update|unregister|profile``."""
    actions = command.add_subparsers(title="actions", metavar="ACTION", dest="action", required=True)
    _doctor(actions)
    rotate = add_action(actions, "rotate", "Exchange fresh tokens with a party, both ways, while our server runs.")
    _of_party(rotate)
    update = add_action(
        actions, "update", "Read a party's endpoints again and renew the credentials there, while our server runs."
    )
    _of_party(update)
    update.add_argument("--versions-url", metavar="URL", help="the party's new versions URL (default: the one it has)")
    unregister = add_action(actions, "unregister", "End a registration; what the party sent us stays.")
    _of_party(unregister)
    unregister.add_argument(
        "--no-tell",
        action="store_true",
        help="forget the party here only, without a DELETE to it; takes back an invitation, too",
    )
    _profile(actions)


def _doctor(actions: Actions) -> None:
    doctor = add_action(
        actions, "doctor", "Look at a partner, only reading: what works, and what would not, row by row of the matrix."
    )
    doctor.add_argument(
        "partner", metavar="URL|PARTY", help="a versions URL, with --token; or a registered party such as NL-TNM"
    )
    doctor.add_argument("--token", metavar="TOKEN", type=token, help="a token that the partner gave us")
    doctor.add_argument(
        "--base64", action="store_true", help="present the token in base64 first (default: raw first, then base64)"
    )
    doctor.add_argument(
        "--timeout", metavar="SECONDS", type=_seconds, default=10.0, help="for one read of an answer (default: 10)"
    )
    add_store(doctor)
    add_json(doctor)
    add_identity(doctor)
    doctor.epilog = (
        f"{doctor.epilog} With a URL, neither a database nor an identity is needed. Exit status: 0 nothing is known to "
        "fail, 1 something would not work, 2 usage, 3 the partner does not answer."
    )


def _profile(actions: Actions) -> None:
    profile = add_action(actions, "profile", "Show or change how a party wants to be talked to.")
    profile.set_defaults(module="ocpi_emsp.cli.party_profile")
    profile.add_argument("party", metavar="PARTY", type=party, help="such as NL-TNM")
    profile.add_argument(
        "--set",
        dest="changes",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a field and what it shall be: true or false, a number, a text; a list with commas (allowed_parties, "
        "required_modules), RULE:ACTION with commas (actions), or the name of a CSV file (matrix); may be repeated",
    )
    profile.add_argument(
        "--unset", action="append", default=[], metavar="NAME", help="a field that goes back to its default; repeatable"
    )
    profile.add_argument(
        "--suggest", action="store_true", help="say what the profile could be, by what the party was seen to do"
    )
    add_store(profile)
    add_json(profile)
    profile.epilog = "docs/profiles.md says what each field does. Nothing that is suggested is set."


def _of_party(action: argparse.ArgumentParser) -> None:
    action.add_argument("party", metavar="PARTY", type=party, help="such as NL-TNM")
    add_store(action)
    add_json(action)
    add_identity(action)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.05 <= seconds <= 600:
        raise argparse.ArgumentTypeError(f"{text!r} is no time from 0.05 to 600 seconds")
    return seconds
