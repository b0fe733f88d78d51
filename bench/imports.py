"""What an import costs, as processor time of a fresh process, beside Python alone and ``import httpx``.

    python bench/imports.py

Rules of this module: the commands take turns, so that a loaded machine slows all of them alike; the files have to be
compiled (``python -m compileall src``), as pip does it for an installed wheel.
"""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path
from statistics import median

ROUNDS = 9
EMSP = (
    "from ocpi_emsp import Emsp; "
    "Emsp(country_code='IT', party_id='BEC', name='x', url='https://ocpi.example.com', store='memory')"
)
COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "import httpx": ["-c", "import httpx"],
    "import ocpi_emsp": ["-c", "import ocpi_emsp"],
    "from ocpi_emsp import check": ["-c", "from ocpi_emsp import check"],
    "from ocpi_emsp import Emsp": ["-c", "from ocpi_emsp import Emsp"],
    "Emsp(...)": ["-c", EMSP],
    "Emsp(...).wsgi()": ["-c", f"{EMSP}.wsgi()"],
    "Emsp(...).asgi()": ["-c", f"{EMSP}.asgi()"],
    "ocpi-emsp --help": [str(Path(sys.executable).with_name("ocpi-emsp")), "--help"],
}


def processor_ms(arguments: list[str]) -> float:
    """The processor time of a process, in milliseconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1000


def main() -> None:
    """Measure each command in turn and print the medians."""
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(ROUNDS):
        for name, arguments in COMMANDS.items():
            times[name].append(processor_ms(arguments))
    httpx = median(times["import httpx"])
    for name, each in times.items():
        print(f"{name:30} {median(each):6.0f} ms  {median(each) / httpx:5.2f} x import httpx")


if __name__ == "__main__":
    main()
