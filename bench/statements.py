"""How many round trips to its database each operation takes; what is counted, and how, says tests/store/round_trips.py.

    make bench-statements ARGS="--show --database postgresql --mode async"

tests/store/test_round_trips.py holds the numbers.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import anyio

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from ocpi_emsp.storage import SqlStore
from postgres import PrivatePostgres
from store.round_trips import OPERATIONS, Trips, count, recorded

DATABASES = ("sqlite", "postgresql")
MODES = ("sync", "async")


@contextmanager
def _url(database: str, folder: Path) -> Iterator[str]:
    if database == "sqlite":
        yield f"sqlite:///{folder}/emsp.db"
        return
    with PrivatePostgres() as server, server.database() as url:
        yield url


def measured(database: str, mode: str) -> dict[str, Trips]:
    """Count on a database of its own."""
    os.environ.setdefault("OCPI_EMSP_SECRET_KEY", "a" * 43 + "=")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ocpi-emsp-statements-")))
        url = stack.enter_context(_url(database, folder))
        recorder = stack.enter_context(recorded(folder))
        store = SqlStore(url)
        store.upgrade()

        async def counted() -> dict[str, Trips]:
            try:
                return await count(store, "sync" if mode == "sync" else "async", recorder)
            finally:
                await store.aclose()

        return anyio.run(counted)


def main(arguments: Sequence[str]) -> None:
    """Print the numbers, and what they consist of if that is asked for."""
    parser = argparse.ArgumentParser(prog="bench-statements", description="Count round trips to the database.")
    parser.add_argument("--database", action="append", choices=DATABASES)
    parser.add_argument("--mode", action="append", choices=MODES, help="of the host")
    parser.add_argument("--show", action="store_true", help="print the statements")
    parser.add_argument("--operation", action="append", choices=OPERATIONS)
    asked = parser.parse_args(arguments)
    for database in asked.database or DATABASES:
        for mode in asked.mode or MODES:
            for name, trips in measured(database, mode).items():
                if name in (asked.operation or OPERATIONS):
                    print(f"{database}, {mode}: {name}: {len(trips)}")
                    _show(trips[: 40 if asked.show else 0])


def _show(trips: Trips) -> None:
    for each in trips:
        print("   ", " ".join(each.split())[:150])


if __name__ == "__main__":
    main(sys.argv[1:])
