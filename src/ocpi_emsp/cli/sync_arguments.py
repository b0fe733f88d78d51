"""The arguments of ``ocpi-emsp sync``. Nothing heavy is imported here: values are judged where they are used."""

from __future__ import annotations

import argparse
import re

from ocpi_emsp.cli.options import MOST_CONNECTIONS, add_identity, add_store, connections, duration, party
from ocpi_emsp.cli.store_arguments import moment

MODULES = ("locations", "tariffs", "sessions", "cdrs", "tokens")
"""Those of a sync, in its order."""
SHORTEST = 60.0
"""Seconds of a period at least: OCPI advises hours (transport_and_format.md, pull), each run lists the last 15 minutes
again, and below a minute a partner would see a run in every other second of a party with few objects."""
_PERCENT = re.compile(r"([0-9]{1,3})%")


def sync(command: argparse.ArgumentParser) -> None:
    """``sync [PARTY...]``."""
    command.add_argument(
        "parties", metavar="PARTY", nargs="*", type=party, help="such as NL-TNM (default: every registered one)"
    )
    command.add_argument(
        "--module",
        dest="modules",
        metavar="MODULE",
        action="append",
        type=str.lower,
        choices=MODULES,
        help=f"this module alone: {', '.join(MODULES)} (which are pushed out); may be repeated (default: all)",
    )
    window = command.add_mutually_exclusive_group()
    window.add_argument(
        "--full", action="store_true", help="list everything, and mark what a CPO does not list any more"
    )
    window.add_argument(
        "--since",
        metavar="TIME",
        type=moment,
        help="what was last updated since then, such as 2024-05-01 or 2024-05-01T12:00:00Z (default: since the last "
        "sync)",
    )
    command.add_argument(
        "--every", metavar="PERIOD", type=period, help="go on for ever, such as every 90m, 4h or 1d; at least 1m"
    )
    command.add_argument(
        "--splay",
        metavar="PERCENT",
        type=percent,
        help="the part of the period over which the parties' runs are spread (default: 10%%)",
    )
    command.add_argument(
        "--parallel",
        metavar="N",
        type=connections,
        default=8,
        help=f"so many parties at once, up to {MOST_CONNECTIONS} (default: 8)",
    )
    add_store(command)
    command.add_argument(
        "--json",
        action="store_true",
        help="print one JSON document on stdout and nothing else; with --every a line for each party and run",
    )
    add_identity(command)
    command.epilog = (
        "Ctrl-C and SIGTERM stop it after the page in hand, and what was done is reported; the next sync goes on "
        "there. A second one ends it at once. With --every the first run begins at once; each further one of a party "
        "begins within the splay: half of that is fixed for the party, half is chance. Exit status: 0 all is done, or "
        "a sync with --every was ended by SIGTERM; 1 done, but an object was rejected, a module did not come to its "
        "end, or a party is not registered; 2 usage; 3 nothing could be had of a partner, or the database failed; 130 "
        f"stopped by Ctrl-C. {command.epilog}"
    )


def period(text: str) -> float:
    """Seconds of a time such as ``4h``."""
    seconds = duration(text).total_seconds()
    if seconds < SHORTEST:
        raise argparse.ArgumentTypeError(f"{text} is too often: at least 1m, and OCPI advises hours")
    return seconds


def percent(text: str) -> float:
    """The part of a whole, from 0 to 1, of a text such as ``10%``."""
    match = _PERCENT.fullmatch(text)
    if match is None or int(match[1]) > 100:
        raise argparse.ArgumentTypeError(f"{text!r} is no part such as 10%: a number up to 100 with %")
    return int(match[1]) / 100
