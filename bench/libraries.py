"""Reading a location in other OCPI libraries, as a ratio to ``json.loads`` of the same bytes in the same process.

Each library runs in its own environment, which ``make test-foreign`` makes; this file is then started there with the
name of the library, and needs nothing of ours. What is timed is the way from the bytes of an answer to the typed
object, as the library itself goes it: a server of extrawest-ocpi by ``json.loads`` and ``Location(**...)``, as FastAPI
does, the client of ocpplab-ocpi-211-sdk by ``json.loads`` and ``parse_obj_as``. The location has a time zone and no
``status_schedule``: extrawest-ocpi refuses one without the former, and an empty list of the latter.
"""

from __future__ import annotations

import gc
import json
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).parents[1]
LIBRARIES = {"extrawest_ocpi": "extrawest-ocpi", "ocpplab_ocpi_211_sdk": "ocpplab-ocpi-211-sdk"}
EVSES = (2, 10, 100)
ROUNDS, CALLS = 41, 2000


def rows() -> Iterator[tuple[str, list[float]]]:
    """Each library and version, with its ratio for each number of EVSEs; ours first."""
    from ocpi_emsp import Location, Policy
    from ocpi_emsp.check import accept
    from samples import location

    documents = [_readable(location(evses)) for evses in EVSES]
    tolerant = Policy.tolerant()
    yield (
        f"ocpi-emsp {version('ocpi-emsp')}",
        [_ratio(lambda data: accept(data, Location, tolerant), data) for data in documents],
    )
    for package, name in LIBRARIES.items():
        python = ROOT / f".venv-{package}" / "bin" / "python"
        command = [str(python), __file__, package]
        done = subprocess.run(command, input=json.dumps([each.decode() for each in documents]), **_TEXT)
        installed, ratios = json.loads(done.stdout)
        yield f"{name} {installed}", ratios


def table() -> list[str]:
    """The section of bench/results.md; it needs the environments of ``make test-foreign``."""
    lines = [
        "## Other libraries",
        "",
        "Reading and checking a location, from bytes to the typed object, as a ratio to `json.loads` of the same bytes",
        f"in the same process; processor time, medians of {ROUNDS} rounds in which both sides took turns. Each library",
        f"runs in its own environment. Python {platform.python_version()}, {datetime.now(UTC):%Y-%m-%d}.",
        "",
        f"| library | {' | '.join(f'{evses} EVSEs' for evses in EVSES)} |",
        f"|---|{'---|' * len(EVSES)}",
    ]
    for library, ratios in rows():
        lines.append(f"| {library} | {' | '.join(f'{ratio:.2f}' for ratio in ratios)} |")
        print(lines[-1], flush=True)
    return [*lines, ""]


def _readable(data: bytes) -> bytes:
    """A location that each library reads."""
    document = json.loads(data) | {"time_zone": "Europe/Brussels"}
    for evse in document["evses"]:
        del evse["status_schedule"]
    return json.dumps(document, separators=(",", ":")).encode()


_TEXT: dict[str, Any] = {"text": True, "stdout": subprocess.PIPE, "check": True, "timeout": 1800}


def _ratio(read: Callable[[bytes], object], data: bytes) -> float:
    """The median of rounds in which both sides took turns."""
    calls = max(1, CALLS * 1000 // len(data) // 4)
    assert read(data) is not None
    return median(_time(read, data, calls) / _time(json.loads, data, calls) for _ in range(ROUNDS))


def _time(read: Callable[[bytes], object], data: bytes, calls: int) -> float:
    gc.collect()
    gc.disable()
    start = time.thread_time()
    for _ in range(calls):
        read(data)
    took = time.thread_time() - start
    gc.enable()
    return took


def _extrawest() -> Callable[[bytes], object]:
    model = import_module("py_ocpi.modules.locations.v_2_1_1.schemas").Location
    return lambda data: model(**json.loads(data))


def _ocpplab() -> Callable[[bytes], object]:
    model = import_module("ocpplab_ocpi_211").Location
    parse = import_module("ocpplab_ocpi_211.core.pydantic_utilities").parse_obj_as
    return lambda data: parse(model, json.loads(data))


def _measure(package: str) -> None:
    """In the environment of a library: its version and its ratios, on stdout."""
    read = {"extrawest_ocpi": _extrawest, "ocpplab_ocpi_211_sdk": _ocpplab}[package]()
    ratios = [_ratio(read, text.encode()) for text in json.load(sys.stdin)]
    sys.stdout.write(json.dumps([version(LIBRARIES[package]), ratios]))


if __name__ == "__main__":
    _measure(sys.argv[1])
