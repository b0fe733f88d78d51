"""Load: ours under uvicorn against an app that is written by hand, on the same kinds of database, in turns.

    make bench-load ARGS="--store sqlite --case patch_evse --rounds 1"
    python bench/run.py load [...]                the same, and the table goes into results.md

Rules of this module:
- a round is a server of each side, one after the other, and in each of them every operation: a second to warm up, then
  so many seconds of 8 connections, each one request after the other; everything ends then;
- a ratio is that of two neighbouring runs, and the median over the rounds; both sides get the same requests;
- the processor time of the server for a request is what a busy machine does not change;
- every answer is looked at: what is no success is an error, and the exit status is 1;
- server, database and sender share the machine: the ratios are for comparisons, the rates for this machine alone.
"""

from __future__ import annotations

import argparse
import os
import platform
import sqlite3
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median

import psycopg
from attrs import define, field, frozen

import load_senders
from load_requests import CASES, LOCATIONS, TOKENS, Operation, operation
from load_senders import Sent
from load_sides import SIDES, STORES, databases, durable_postgres, served

NAMES = {"memory": "memory", "sqlite": "SQLite", "postgresql": "PostgreSQL"}
_PACKAGES = ("ocpi-emsp", "uvicorn", "uvloop", "httptools", "h11", "starlette", "SQLAlchemy", "psycopg")


@frozen
class Measured:
    """A run of an operation against a server, the server's memory after it, in MiB, and its processor time for a
    request, in microseconds."""

    sent: Sent
    memory: float
    processor: float


@frozen
class Row:
    """An operation on a store: ours and by hand, one of each round."""

    store: str
    case: str
    side: str
    ours: Sequence[Measured]
    hand: Sequence[Measured]

    @property
    def ratio(self) -> float:
        """Of our requests per second to those by hand."""
        pairs = zip(self.ours, self.hand, strict=True)
        return median(one.sent.per_second / other.sent.per_second for one, other in pairs)

    @property
    def errors(self) -> int:
        """Of both."""
        return sum(each.sent.errors for each in (*self.ours, *self.hand))

    def __str__(self) -> str:
        def both(name: str, form: str) -> str:
            return " / ".join(f"{_of(side, name):{form}}" for side in (self.ours, self.hand))

        what = NAMES[self.store] + (f", {self.side}" if self.side != "ours" else "")
        numbers = f"{both('per_second', ',.0f')} | {self.ratio:.2f} | {both('p50', '.2f')} | {both('p99', '.1f')}"
        memory = " / ".join(f"{max(each.memory for each in side):.0f}" for side in (self.ours, self.hand))
        processor = " / ".join(f"{median(each.processor for each in side):,.0f}" for side in (self.ours, self.hand))
        return f"| {what} | {operation(self.case).title} | {numbers} | {processor} | {self.errors} | {memory} |"


def _of(side: Sequence[Measured], name: str) -> float:
    found: float = median(getattr(each.sent, name) for each in side)
    return found


@define
class Run:
    """What is measured, and the serial numbers that were used."""

    connections: int
    seconds: int
    folder: Path
    operations: Mapping[str, Operation]
    next: int = 0
    seen: dict[tuple[str, str, str], list[Measured]] = field(factory=dict)

    def measure(self, store: str, side: str, url: str, workers: int) -> None:
        """Every operation against one server."""
        with served(side, url, workers, self.folder) as server:
            for case, each in self.operations.items():
                templates = each.write(self.folder / f"{case}.requests")
                self._send(server.port, templates, 1)
                before = server.processor
                sent = self._send(server.port, templates, self.seconds)
                taken = (server.processor - before) / max(sent.requests, 1) * 1e6
                self.seen.setdefault((store, case, side), []).append(Measured(sent, server.memory, taken))
                said = f"  {store} {case} {side}: {sent.per_second:,.0f}/s, {taken:,.0f} µs of the processor"
                print(said, file=sys.stderr, flush=True)
                if sent.errors:
                    print(f"  {sent.errors} errors, for example {sent.sample}", file=sys.stderr, flush=True)

    def _send(self, port: int, templates: Path, seconds: int) -> Sent:
        sent = load_senders.send(port, templates, self.next, self.connections, seconds)
        self.next += sent.requests + 10 * self.connections  # what was under way at the end was not counted
        return sent

    def rows(self) -> Iterator[Row]:
        """What was measured so far."""
        for (store, case, side), measured in self.seen.items():
            if side != "hand":
                yield Row(store, case, side, measured, self.seen[store, case, "hand"])


def _rows(asked: argparse.Namespace) -> list[Row]:
    """All rounds on all stores."""
    os.environ.setdefault("OCPI_EMSP_SECRET_KEY", "a" * 43 + "=")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ocpi-emsp-load-")))
        stores = asked.store or STORES
        postgres = stack.enter_context(durable_postgres()) if "postgresql" in stores else None
        run = Run(asked.connections, asked.seconds, folder, {each: operation(each) for each in asked.case or CASES})
        for store in stores:
            with databases(store, folder, postgres, asked.latency) as urls:
                for _ in range(asked.rounds):
                    for side in _sides(asked.side, store):
                        run.measure(store, side, urls["hand" if side == "hand" else "ours"], asked.workers)
        return list(run.rows())


def _sides(asked: Sequence[str] | None, store: str) -> list[str]:
    """By hand always; the command has a store in memory empty."""
    sides = [each for each in asked or ("ours",) if each != "hand" and (each, store) != ("serve", "memory")]
    return [*sides, "hand"]


def _further(milliseconds: float) -> str:
    """What is said of a PostgreSQL that is further away."""
    return f" A round trip to PostgreSQL takes {milliseconds} ms more than here." if milliseconds else ""


def _version(package: str) -> str:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return f"no {package}"


def table(arguments: Sequence[str] = ()) -> list[str]:
    """The section of results.md."""
    asked = _parser().parse_args(arguments)
    rows = _rows(asked)
    sizes = ", ".join(f"{each.title} {each.body_bytes:,}" for each in map(operation, CASES) if each.body_bytes)
    packages = ", ".join(map(_version, _PACKAGES))
    server = psycopg.pq.version()
    workers = f"{asked.workers} worker{'s' if asked.workers > 1 else ''}"
    lines = [
        "## Load: uvicorn, against an app written by hand",
        "",
        f"Medians of {asked.rounds} rounds of {asked.seconds} s in which both sides took turns; {workers}, "
        f"{asked.connections} connections, each one request after the other, sent by {load_senders.NAME}. Sender, "
        f"server and database share {os.cpu_count()} cores. {LOCATIONS:,} locations of 2 EVSEs and {TOKENS:,} tokens "
        f"are stored; PostgreSQL with fsync and synchronous_commit, SQLite with synchronous = FULL. Bodies in bytes: "
        f"{sizes}. By hand is bench/hand_app.py. Each pair is ours / by hand; processor time is "
        "the server's own for a request, without the database's. Targets: 0.5 of the requests per second "
        "(authorize 0.4), and at most three times the p99.",
        "",
        f"Python {platform.python_version()}, {platform.machine()}, {datetime.now(UTC):%Y-%m-%d}; {packages}, libpq "
        f"{server // 10000}, SQLite {sqlite3.sqlite_version}.{_further(asked.latency)}",
        "",
        "| store | operation | requests per second | ratio | p50, ms | p99, ms | CPU, µs | errors | memory, MiB |",
        "|---|---|---|---|---|---|---|---|---|",
        *map(str, rows),
    ]
    print("\n".join(lines), flush=True)
    if any(row.errors for row in rows):
        raise SystemExit(1)
    return [*lines, ""]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bench-load", description="Measure ours against an app written by hand.")
    parser.add_argument("--store", action="append", choices=STORES, help="again for another one; default: all")
    parser.add_argument("--case", action="append", choices=CASES, help="an operation; default: all")
    parser.add_argument("--side", action="append", choices=SIDES, help="against by hand: ours (default), serve")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=3, help="of each operation in each round")
    parser.add_argument("--workers", type=int, default=1, help="processes of each server; not of serve")
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--latency", type=float, default=0, metavar="MS", help="added to round trips to PostgreSQL")
    return parser


if __name__ == "__main__":
    table(sys.argv[1:])
