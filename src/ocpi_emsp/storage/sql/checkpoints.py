"""SQLite's write-ahead log, moved into the file beside the commits.

Rules of this module:
- a commit that finds 16 MB in the log moves them into the file first (``wal_autocheckpoint``), and all that share it
  wait: measured under load, 52 to 135 ms among commits of 15. So a thread moves what is there several times before, on
  a connection of its own; the commit that comes to that bound then has little left to move;
- nothing depends on it for what is durable: a commit has its own fsync of the log (but for pages of a sync:
  repeatable.py), and SQLite itself moves nothing into the file that is not durable there. Where the thread fails or is
  late, commits do it as before;
- once there is much in the log, the writers of this process pause for what came meanwhile: the log begins anew only
  when all of it was moved and no one has added to it;
- one thread of a store at a time, which ends with its work; another process that does the same is passed by;
- it is for files of our own engines: how a host's connections move their log is the host's.
"""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing, suppress
from time import monotonic
from typing import Final, Protocol

from sqlalchemy import Engine

from ocpi_emsp.storage.sql.engine import apart, is_in_memory

COMMITS: Final = 16
"""As many at least for another checkpoint: one costs two to four writes to the disk."""
SECONDS: Final = 0.25
"""Between two of them: with a log that fills in a second, a quarter of it is left for a commit at most."""
PAUSED_PAGES: Final = 2000
"""In the log, half of the bound of a commit: from here on writers pause for the rest."""
_PAUSE_SECONDS: Final = 0.5
"""Waits for the writers no longer than this; the next checkpoint tries again."""


class Checkpoints(Protocol):
    """What is called of every commit."""

    def committed(self) -> None:
        """A transaction was committed; by one thread at a time."""

    def close(self) -> None:
        """Wait for the thread."""


def checkpoints(engine: Engine, writing: threading.Lock, *, is_ours: bool) -> Checkpoints:
    """Those of an engine's file; none for another database. ``writing`` is held while this process writes."""
    if not is_ours or engine.dialect.name != "sqlite" or is_in_memory(engine.url):
        return _None()
    return _Beside(engine, writing)


class _None:
    def committed(self) -> None:
        """There is no log, or it is a host's."""

    def close(self) -> None:
        """There is no thread."""


class _Beside:
    def __init__(self, engine: Engine, writing: threading.Lock) -> None:
        self._engine = engine
        self._writing = writing
        self._commits = 0
        self._earliest = 0.0
        self._thread: threading.Thread | None = None

    def committed(self) -> None:
        self._commits += 1
        if self._commits < COMMITS or monotonic() < self._earliest:
            return
        if self._thread is not None and self._thread.is_alive():
            return
        self._commits = 0
        # No daemon: it is done soon, and a process waits for it at its end.
        thread = threading.Thread(target=self._run, name="ocpi-emsp checkpoint")
        with suppress(RuntimeError):  # none can be started, as while the interpreter ends: what is committed stays so
            thread.start()
            self._thread = thread

    def close(self) -> None:
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        try:
            # It may have been moved, or be locked: the next commit says so.
            with suppress(sqlite3.Error), closing(apart(self._engine)) as connection:
                if _moved(connection) >= PAUSED_PAGES and self._writing.acquire(timeout=_PAUSE_SECONDS):
                    try:
                        _moved(connection)
                    finally:
                        self._writing.release()
        finally:
            self._earliest = monotonic() + SECONDS


def _moved(connection: sqlite3.Connection) -> int:
    """Move what is in the log, as far as no reader needs the file as it is; how many pages there were. It waits for
    no one; -1 where another connection does the same, or there is no log."""
    pages: int = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()[1]
    return pages
