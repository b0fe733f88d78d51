"""Run every benchmark, print the medians and write them to bench/results.md."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import check_growth
import decode
import put_location
from measure import ROUNDS, Result


def _table(title: str, reference: str, target: str, results: Iterable[Result]) -> list[str]:
    lines = [f"## {title}", "", f"Ratio to {reference}; target: {target}.", ""]
    lines += ["| what | ours, µs | reference, µs | ratio |", "|---|---|---|---|"]
    for result in results:
        lines.append(f"| {result.name} | {result.ours:.1f} | {result.reference:.1f} | {result.ratio:.2f} |")
        print(lines[-1], flush=True)
    return [*lines, ""]


def main() -> None:
    """Measure, print, write."""
    lines = [
        "# Benchmark results",
        "",
        f"Medians of {ROUNDS} rounds in which both sides took turns. Python {platform.python_version()}, "
        f"{platform.machine()}, {datetime.now(UTC):%Y-%m-%d}. Made by `make bench`.",
        "",
        *_table("Decode and schema checks", "`json.loads` of the same bytes", "at most 1.0", decode.results()),
        *_table(
            "PUT location through the ASGI app, in process",
            "the requests per second of a bare Starlette endpoint that only does `json.loads`",
            "at least 1.0",
            put_location.results(),
        ),
        *_table(
            "Check, per EVSE of a location",
            "the cost per EVSE of the smallest location",
            "about 1.0, which is linear growth",
            check_growth.results(),
        ),
    ]
    Path(__file__).with_name("results.md").write_text("\n".join(lines), "utf-8")


if __name__ == "__main__":
    main()
