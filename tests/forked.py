"""Programs that are forks of a process which has everything imported: that one starts once, each fork in a moment.

Rules:
- nothing of a test is in the fork: it comes from multiprocessing's fork server, which imports and does nothing else;
- a program reads its input and writes its output as if it had been started by its name;
- it finds no settings of ours in its environment, and is killed with its block, or once it has lived for too long.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import socket
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import IO, TypeAlias

from attrs import frozen

from processes import LIFETIME

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(
    [
        "ocpi_emsp.cli.server",
        "ocpi_emsp.cli.simulate_cpo",
        "ocpi_emsp.storage.sql.store",
        "ocpi_emsp.testing.cpo.application",
        "psycopg",
        "sqlalchemy.dialects.postgresql.psycopg",
        "sqlalchemy.dialects.sqlite.aiosqlite",
        "uvicorn.protocols.http.auto",
    ]
)

Argument: TypeAlias = str | socket.socket
"""A socket reaches the program as the number of its descriptor."""


@frozen
class Forked:
    """A program that runs."""

    process: ForkServerProcess
    stdin: IO[str]
    stdout: IO[str]

    def kill(self) -> None:
        """Kill -9; returns when it is gone."""
        self.process.kill()
        self.process.join()


@contextmanager
def forked(program: Path | str, *argv: Argument, folder: Path) -> Iterator[Forked]:
    """A program in a folder: a file, or a module as ``python -m`` runs it."""
    reads, tells = _context.Pipe(duplex=False)
    hears, writes = _context.Pipe(duplex=False)
    errors = Connection(os.dup(2), readable=False)
    process = _context.Process(target=_run, args=(program, argv, str(folder), reads, writes, errors), daemon=True)
    process.start()
    for end in (reads, writes, errors):
        end.close()
    late = threading.Timer(LIFETIME, process.kill)
    late.daemon = True
    late.start()
    with _opened(tells, "w") as stdin, _opened(hears, "r") as stdout:
        running = Forked(process, stdin, stdout)
        try:
            yield running
        finally:
            late.cancel()
            running.kill()


def _opened(end: Connection, mode: str) -> IO[str]:
    with end:
        return os.fdopen(os.dup(end.fileno()), mode, encoding="utf-8")


def _run(
    program: Path | str,
    argv: Sequence[Argument],
    folder: str,
    reads: Connection,
    writes: Connection,
    errors: Connection,
) -> None:
    for descriptor, end in enumerate((reads, writes, errors)):
        os.dup2(end.fileno(), descriptor)
    sys.stdin, sys.stdout, sys.stderr = os.fdopen(0), os.fdopen(1, "w"), os.fdopen(2, "w")
    for name in [name for name in os.environ if name.startswith("OCPI_EMSP_")]:
        del os.environ[name]
    os.chdir(folder)
    sys.argv = [str(program), *(each if isinstance(each, str) else str(each.fileno()) for each in argv)]
    if isinstance(program, Path):
        runpy.run_path(str(program), run_name="__main__")
    else:
        runpy.run_module(program, run_name="__main__", alter_sys=True)
