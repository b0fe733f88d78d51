"""Fuzz the library for a given time: ``python fuzz/run.py [--seconds 60] [--target NAME] [--engine ENGINE]``.

Rules of this module:
- the engine is Hypothesis, which knows OCPI's documents; with ``--engine atheris`` it is libFuzzer, which is guided by
  coverage, where atheris is installed (``pip install atheris``; there are wheels for Python 3.11 on Linux);
- what breaks an invariant is written to tests/vectors/crashes/, as small as Hypothesis could make it; the exit status
  is 1 where something was found.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

NAMES = ("decode", "check", "redact", "headers", "envelope", "path", "dispatch", "openapi")
CRASHES = Path(__file__).parent.parent / "tests/vectors/crashes"


def main() -> int:
    """Run; 0 where nothing was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--target", action="append", choices=NAMES)
    parser.add_argument("--engine", choices=("hypothesis", "atheris"), default="hypothesis")
    arguments = parser.parse_args()
    if arguments.engine == "atheris":
        from with_atheris import fuzz
    else:
        from with_hypothesis import fuzz
    return fuzz(arguments.seconds, arguments.target)


class Found:
    """What was found, and how much was tried."""

    def __init__(self) -> None:
        self.tried: Counter[str] = Counter()
        self.crashes: list[Path] = []

    def crash(self, target: str, case: Any, error: BaseException) -> None:
        """Write a vector."""
        content = json.dumps({"target": target, "case": dict(case)}, indent=1, sort_keys=True) + "\n"
        CRASHES.mkdir(parents=True, exist_ok=True)
        file = CRASHES / f"{target}-{hashlib.blake2b(content.encode(), digest_size=6).hexdigest()}.json"
        file.write_text(content, "utf-8")
        self.crashes.append(file)
        print(f"\n{file}\n{''.join(traceback.format_exception(error)[-6:])}", flush=True)

    def summary(self, started: float) -> int:
        """Print what was done; the exit status."""
        tried = ", ".join(f"{target} {count}" for target, count in sorted(self.tried.items()))
        print(f"{time.monotonic() - started:.0f} s: {tried}; {len(self.crashes)} crashes")
        return 1 if self.crashes else 0


if __name__ == "__main__":
    sys.exit(main())
