"""Processes that a test starts: none outlives its test, and none is waited for without end.

Rules:
- who reads from a process or waits for it does so without a limit of his own: once the time of the process is over it
  is killed, so that its pipes end and every wait returns;
- a process that leads a group of its own is killed with its children: they may hold its pipes.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

LIFETIME = 150.0
"""Seconds that a process of a test may live; less than the timeout of a test in pyproject.toml."""


class Killed(BaseException):
    """This process ends here, as if it were killed: no handler of failures catches it."""


@contextmanager
def limited(process: subprocess.Popen[Any], seconds: float = LIFETIME) -> Iterator[None]:
    """`process` is killed after so many seconds, or with the block; what was killed too late is said in the output."""
    timer = threading.Timer(seconds, _kill_late, (process, seconds))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        _kill(process)


def _kill_late(process: subprocess.Popen[Any], seconds: float) -> None:
    print(f"killed after {seconds:g} seconds: {process.args!r}")
    _kill(process)


def _kill(process: subprocess.Popen[Any]) -> None:
    if process.poll() is not None:
        return
    if os.getpgid(process.pid) == process.pid:
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
