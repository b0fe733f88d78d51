"""Run the benchmarks, all or those that are named, print the medians and write them to bench/results.md.

    python bench/run.py [audit] [decode] [put] [check] [drivers] [flood] [hostile] [libraries] [storage]
    python bench/run.py sync [--locations 100000] [--rounds 3] [--store sqlite]
    python bench/run.py load [--store sqlite] [--case patch_evse] [--rounds 3] [--seconds 3] [--workers 1]

What is not measured keeps its section of the last run.
"""

from __future__ import annotations

import platform
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import audit
import check_growth
import decode
import drivers
import flood
import hostile
import libraries
import load
import put_location
import storage
import sync_locations
from measure import ROUNDS, Result

RESULTS = Path(__file__).with_name("results.md")


def _table(title: str, reference: str, target: str, results: Iterable[Result]) -> list[str]:
    lines = [f"## {title}", "", f"Medians of {ROUNDS} rounds in which both sides took turns. {_ran()}"]
    lines += [f"Ratio to {reference}; target: {target}.", ""]
    lines += ["| what | ours, µs | reference, µs | ratio |", "|---|---|---|---|"]
    for result in results:
        lines.append(f"| {result.name} | {result.ours:.1f} | {result.reference:.1f} | {result.ratio:.2f} |")
        print(lines[-1], flush=True)
    return [*lines, ""]


def _ran() -> str:
    return f"Python {platform.python_version()}, {platform.machine()}, {datetime.now(UTC):%Y-%m-%d}."


def _decode() -> list[str]:
    return _table("Decode and schema checks", "`json.loads` of the same bytes", "at most 1.15", decode.results())


def _put() -> list[str]:
    reference = "the requests per second of a bare Starlette endpoint that only does `json.loads`"
    title = "PUT location through the ASGI app, in process"
    return _table(title, reference, "at least 1.0", put_location.results())


def _drivers() -> list[str]:
    reference = "the cost of a bare Starlette endpoint that only does `json.loads`"
    title = "What a driver waits for, in process, on the store in memory"
    return _table(title, reference, "at most 10 for an authorization", drivers.results())


def _flood() -> list[str]:
    lines = [
        "## One party sends 3 MiB objects over 8 connections",
        "",
        f"A small PUT of another party, as its sender sees it, through uvicorn in a process of its own. {_ran()}",
        "Target: a median of at most twice its own.",
        "",
        "| store | alone, ms | under the flood, ms | ratio | longest, ms | what the flood was answered |",
        "|---|---|---|---|---|---|",
    ]
    for each in flood.results():
        answered = ", ".join(f"{number} x {status}" for status, number in each.statuses.items())
        times = f"{each.alone:.1f} | {each.flooded:.1f} | {each.ratio:.2f} | {each.worst:.0f}"
        lines.append(f"| {each.store} | {times} | {answered} |")
        print(lines[-1], flush=True)
    return [*lines, ""]


def _check() -> list[str]:
    reference = "the cost per EVSE of the smallest location"
    return _table(
        "Check, per EVSE of a location", reference, "about 1.0, which is linear growth", check_growth.results()
    )


SECTIONS: Mapping[str, Callable[[], list[str]]] = {
    "decode": _decode,
    "put": _put,
    "check": _check,
    "audit": audit.table,
    "libraries": libraries.table,
    "drivers": _drivers,
    "flood": _flood,
    "hostile": hostile.table,
    "storage": storage.table,
    "load": load.table,
    "sync": sync_locations.table,
}


def _asked(arguments: Sequence[str]) -> Iterable[Callable[[], list[str]]]:
    if arguments[:1] in (["sync"], ["load"]):  # the rest are its options
        return [partial({"sync": sync_locations.table, "load": load.table}[arguments[0]], arguments[1:])]
    return [SECTIONS[name] for name in arguments or SECTIONS]


def main(arguments: Sequence[str]) -> None:
    """Measure, print, write."""
    kept = re.split(r"^(?=## )", RESULTS.read_text("utf-8"), flags=re.MULTILINE)[1:] if RESULTS.exists() else []
    sections = {section.partition("\n")[0]: section for section in kept}
    for measured in _asked(arguments):
        lines = measured()
        sections[lines[0]] = "\n".join(lines) + "\n"
    parts = ("# Benchmark results", "Made by `make bench`.", *sections.values())
    RESULTS.write_text("\n\n".join(part.strip() for part in parts) + "\n", "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
