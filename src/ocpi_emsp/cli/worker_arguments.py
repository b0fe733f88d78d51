"""The arguments of ``ocpi-emsp worker``. Nothing heavy is imported here: values are judged where they are used."""

from __future__ import annotations

import argparse
from datetime import timedelta

from ocpi_emsp.cli.options import MOST_CONNECTIONS, add_identity, add_store, connections, duration

NEVER = timedelta.max


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
        type=connections,
        metavar="N",
        default=4,
        help=f"so many syncs at once, up to {MOST_CONNECTIONS} (default: 4)",
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


def _duration_or_never(text: str) -> timedelta:
    return NEVER if text == "never" else duration(text)
