"""Programs that are forks of a process which has everything imported: that one starts once, each fork in a moment.

Rules:
- nothing of a test is in the fork: it comes from multiprocessing's fork server, which imports what programs need, and
  warmed.py, and does nothing else;
- a program reads its input and writes its output as if it had been started by its name;
- its environment is that of the first fork, with our settings as they are now;
- it is killed with its block, or once it has lived for too long.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import socket
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import IO, TypeAlias
from unittest.mock import patch

from attrs import frozen

from processes import LIFETIME

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(
    [
        "anyio._backends._asyncio",
        "cattrs",
        "ocpi_emsp.cli.server",
        "ocpi_emsp.cli.simulate_cpo",
        "ocpi_emsp.cli.worker",
        "ocpi_emsp.contrib.procrastinate.apps",
        "ocpi_emsp.storage.sql.store",
        "ocpi_emsp.testing.cpo.application",
        "psycopg",
        "sqlalchemy.dialects.postgresql.psycopg",
        "sqlalchemy.dialects.sqlite.aiosqlite",
        "uvicorn.lifespan.on",
        "uvicorn.loops.auto",
        "uvicorn.protocols.http.auto",
        "uvloop",
        "warmed",
    ]
)

_SETTINGS = ("OCPI_EMSP_", "PYTHONPATH")

Argument: TypeAlias = str | socket.socket
"""A socket reaches the program as the number of its descriptor."""


@frozen
class Forked:
    """A program that runs; its methods are those of subprocess.Popen."""

    process: ForkServerProcess
    stdin: IO[str]
    stdout: IO[str]
    stderr: IO[str] | None

    @property
    def returncode(self) -> int | None:
        """Its exit status; the number of a signal is negative, and None says that it goes on."""
        return self.process.exitcode

    def send_signal(self, number: int) -> None:
        """Send a signal to what still runs."""
        if self.process.pid is not None and self.returncode is None:
            os.kill(self.process.pid, number)

    def kill(self) -> None:
        """Kill -9; returns when it is gone."""
        self.process.kill()
        self.process.join()

    def wait(self, timeout: float) -> int:
        """Its exit status, once it has ended."""
        self.process.join(timeout)
        assert self.returncode is not None, f"it has not ended within {timeout:g} seconds"
        return self.returncode

    def communicate(self, typed: str = "", *, timeout: float) -> tuple[str, str]:
        """The rest of its output and of its errors, once it has ended; it reads what is typed."""
        assert self.stderr is not None
        with suppress(BrokenPipeError), self.stdin:  # it may end without reading
            self.stdin.write(typed)
        with ThreadPoolExecutor(1) as threads:
            errors = threads.submit(self.stderr.read)
            output = self.stdout.read()
        self.wait(timeout)
        return output, errors.result()


@contextmanager
def forked(program: Path | str, *argv: Argument, folder: Path, errors: bool = False) -> Iterator[Forked]:
    """A program in a folder: a file, or a module as ``python -m`` runs it.

    Its errors are among those of this process, or can be read where ``errors`` says so.
    """
    _start_server()
    with ExitStack() as pipes:
        reads, tells = _context.Pipe(duplex=False)
        hears, writes = _context.Pipe(duplex=False)
        reads_errors, writes_errors = _context.Pipe(duplex=False) if errors else (None, Connection(os.dup(2), False))
        settings = {name: value for name, value in os.environ.items() if name.startswith(_SETTINGS)}
        ends = (reads, writes, writes_errors)
        process = _context.Process(target=_run, args=(program, argv, str(folder), settings, *ends), daemon=True)
        process.start()
        for end in ends:
            end.close()
        stdin, stdout = pipes.enter_context(_opened(tells, "w")), pipes.enter_context(_opened(hears, "r"))
        stderr = pipes.enter_context(_opened(reads_errors, "r")) if reads_errors is not None else None
        running = Forked(process, stdin, stdout, stderr)
        late = threading.Timer(LIFETIME, process.kill)
        late.daemon = True
        late.start()
        try:
            yield running
        finally:
            late.cancel()
            running.kill()


def _start_server() -> None:
    """Have the fork server run. Python tells it our sys.path, and it ignores that (3.11 to 3.13): warmed.py is here."""
    paths = (str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")]))
    with patch.dict(os.environ, PYTHONPATH=os.pathsep.join(paths)):
        forkserver.ensure_running()


def _opened(end: Connection, mode: str) -> IO[str]:
    with end:
        return os.fdopen(os.dup(end.fileno()), mode, encoding="utf-8")


def _run(
    program: Path | str,
    argv: Sequence[Argument],
    folder: str,
    settings: Mapping[str, str],
    reads: Connection,
    writes: Connection,
    errors: Connection,
) -> None:
    for descriptor, end in enumerate((reads, writes, errors)):
        os.dup2(end.fileno(), descriptor)
    sys.stdin, sys.stdout, sys.stderr = os.fdopen(0), os.fdopen(1, "w", 1), os.fdopen(2, "w", 1)  # as in a terminal
    for name in [name for name in os.environ if name.startswith(_SETTINGS)]:
        del os.environ[name]
    os.environ.update(settings)
    os.chdir(folder)
    sys.argv = [str(program), *(each if isinstance(each, str) else str(each.fileno()) for each in argv)]
    if isinstance(program, Path):
        runpy.run_path(str(program), run_name="__main__")
    else:
        runpy.run_module(program, run_name="__main__", alter_sys=True)
