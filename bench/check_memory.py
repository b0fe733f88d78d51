"""Memory and speed of ``ocpi-emsp check --report`` over a large JSON-lines file, in a process of its own.

    python bench/check_memory.py [--mb 200] [--deviating SHARE]

Every line is another payload: locations and sessions as partners send them, a share of them deviating.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import count, cycle
from pathlib import Path
from typing import NamedTuple

import samples

MB = 1_000_000
_CHILD = """
import resource, sys
from pathlib import Path
from ocpi_emsp.cli import main
status = main(["check", sys.argv[1], "--report", "--format", "json", "--output", sys.argv[2]])
try:  # kB; what getrusage says on Linux includes what the process held before exec: the memory of whoever started it
    peak = int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) * 1024
except OSError:  # macOS, in bytes
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(status, peak)
"""


class Measured(NamedTuple):
    """What one run took."""

    status: int
    peak: int
    """Bytes of resident memory, the interpreter included."""
    seconds: float
    documents: int


def generate(path: Path, size: int, deviating: float) -> int:
    """Write a JSON-lines file of about ``size`` bytes; the bytes that it has."""
    with path.open("wb") as file:
        for line in _lines(deviating):
            file.write(line)
            if file.tell() >= size:
                return file.tell()
    raise AssertionError("the lines never end")


def measure(path: Path, output: Path) -> Measured:
    """Check a file in a process of its own."""
    start = time.perf_counter()
    line = [sys.executable, "-c", _CHILD, str(path), str(output)]
    ended = subprocess.run(line, capture_output=True, text=True, check=True)
    seconds = time.perf_counter() - start
    status, peak = map(int, ended.stdout.split())
    return Measured(status, peak, seconds, json.loads(output.read_text())["documents"]["total"])


def _lines(deviating: float) -> Iterator[bytes]:
    """Locations of 1 to 10 EVSEs, and now and then a CDR; every line has an id of its own."""
    every = round(1 / deviating) if deviating else 0
    for number, evses in zip(count(1), cycle((1, 2, 4, 10)), strict=False):
        document = json.loads(samples.cdr(8) if number % 8 == 0 else samples.location(evses))
        document["id"] = f"ID{number}"
        if every and number % every == 0:
            document |= {"vendor_field": "x", "last_updated": "2015-06-29T20:39:09"}
            document.pop("city", None)
        yield json.dumps(document).encode() + b"\n"


def main() -> None:
    """Generate, run, print."""
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    arguments.add_argument("--mb", type=int, default=200)
    arguments.add_argument("--deviating", type=float, default=0.1)
    chosen = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path, output = Path(folder, "capture.jsonl"), Path(folder, "report.json")
        size = generate(path, chosen.mb * MB, chosen.deviating)
        run = measure(path, output)
    print(f"{size / MB:.0f} MB, {run.documents} documents, {chosen.deviating:.0%} deviating, exit status {run.status}")
    print(f"peak memory {run.peak / MB:.0f} MB; {run.seconds:.1f} s, {size / MB / run.seconds:.1f} MB/s")


if __name__ == "__main__":
    main()
