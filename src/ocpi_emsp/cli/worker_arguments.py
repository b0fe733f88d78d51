"""The arguments of ``ocpi-emsp worker``. Nothing heavy is imported here: values are judged where they are used."""

from __future__ import annotations

import argparse
import re
from datetime import timedelta

from ocpi_emsp.cli.options import add_identity, add_store, at_least_one

MOST = 32
"""Syncs at once: each has a connection to the database, and the store has no more than these."""
NEVER = timedelta.max
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_DURATION = re.compile(r"([0-9]{1,6})([smhd])")


def worker(command: argparse.ArgumentParser) -> None:
    """``worker``."""
    command.add_argument(
        "--period",
        type=duration,
        metavar="TIME",
        default=timedelta(hours=4),
        help="each party and module is synced once in this time, such as 90m, 4h or 1d (default: 4h)",
    )
    command.add_argument(
        "--full-every",
        type=_duration_or_never,
        metavar="TIME",
        default=timedelta(days=7),
        help="how often a sync lists everything, and marks what a CPO does not list any more; or never (default: 7d)",
    )
    command.add_argument(
        "--concurrency",
        type=_concurrency,
        metavar="N",
        default=4,
        help=f"so many syncs at once, up to {MOST} (default: 4)",
    )
    command.add_argument(
        "--take-over-after",
        type=duration,
        metavar="TIME",
        default=timedelta(seconds=30),
        help="run the jobs of a worker that was silent for so long (default: 30s)",
    )
    command.add_argument(
        "--upgrade",
        action="store_true",
        help="make what is missing in the database first: our schema, and the tables of Procrastinate",
    )
    add_store(command)
    command.add_argument(
        "--json", action="store_true", help="print JSON lines on stdout: one at the start, one for each sync that ends"
    )
    add_identity(command)
    command.epilog = (
        "The store is on PostgreSQL; any number of workers run on one, all with the same times. SIGTERM and Ctrl-C end "
        "one in order: a sync stops after the page in hand, and another worker goes on with it. docs/worker.md says "
        "what is guaranteed and how to look at the jobs. Exit status: 0 ended by a signal; 2 usage; 3 the database "
        f"cannot be used, or nobody reads what is printed. {command.epilog}"
    )


def duration(text: str) -> timedelta:
    """The time of a text such as ``4h``."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no time such as 90m, 4h or 1d: a number with s, m, h or d")
    return timedelta(seconds=int(match[1]) * _UNITS[match[2]])


def _duration_or_never(text: str) -> timedelta:
    return NEVER if text == "never" else duration(text)


def _concurrency(text: str) -> int:
    number = at_least_one(text)
    if number > MOST:
        raise argparse.ArgumentTypeError(
            f"{number} is too many: at most {MOST}, each needs a connection to the database"
        )
    return number
