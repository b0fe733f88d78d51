"""Programs whose work is done by forks, which are killed: both ends of the pipes between such a program and its test.

Rules:
- what is killed is a fork of a process that has everything imported and nothing open, so that a restart is
  quick;
- for each message on the input a fork starts: its process id is announced, and its end; with the input all ends;
- a process that is gone is not reaped before the next one starts: nobody else can have its id while it may be killed.
"""

from __future__ import annotations

import os
import signal
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from attrs import define

from forked import Argument, Forked, forked

SECONDS = 60.0
"""What anything here may take before it counts as hanging."""
_LONGEST = 4096
"""Bytes of a message: so many are written at once, or not at all."""
_KILLED = "killed by 9"


def fork_for_each_message(work: Callable[[bytes], None]) -> None:
    """The program: does its work in a fork, whenever it is told to."""
    child = 0
    while message := os.read(0, _LONGEST):
        if child:
            os.waitpid(child, 0)
        child = os.fork()
        if child == 0:
            try:
                work(message)
            except BaseException:  # noqa: BLE001 # the fork ends here, whatever it was
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        print(child, flush=True)
        ended = os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
        assert ended is not None
        print("killed by" if ended.si_code == os.CLD_KILLED else "exited with", ended.si_status, flush=True)


@define
class Forks:
    """A program that runs, and its fork."""

    _process: Forked
    pid: int = 0

    def start(self, message: bytes = b"x") -> None:
        """Returns when the fork runs."""
        self._process.stdin.write(message.decode())
        self._process.stdin.flush()
        said = self._said()
        assert said.isdigit(), f"nothing started: {said}"
        self.pid = int(said)

    def kill(self) -> None:
        """Returns when the fork is gone."""
        os.kill(self.pid, signal.SIGKILL)
        assert self._said() == _KILLED

    def is_killed(self) -> bool:
        """Whether the fork was killed, once it is gone; it fails in no other way."""
        said = self._said()
        assert said in (_KILLED, "exited with 0"), said
        return said == _KILLED

    def _said(self) -> str:
        return self._process.stdout.readline().strip()


@contextmanager
def forking(program: Path, *argv: Argument, folder: Path) -> Iterator[Forks]:
    """A program that waits for messages; what it says of failures is shown where a test fails."""
    with forked(program, *argv, folder=folder) as process:
        yield Forks(process)
        process.stdin.close()
        process.wait(SECONDS)
