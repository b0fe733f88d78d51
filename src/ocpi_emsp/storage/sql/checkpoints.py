"""Checkpoints of SQLite: a thread moves the write-ahead log into the file beside the commits.

Rules of this module:
- a commit that finds 16 MB in the log moves them into the file (``wal_autocheckpoint``), and all that share it wait:
  measured under load, 52 to 135 ms among commits of 15. So a thread with its own connection moves the log several times
  before; the commit that meets that bound has little left to move;
- durability does not depend on it: each commit has its own fsync of the log (except for pages of a sync,
  repeatable.py), and SQLite only moves what is durable in the log. If the thread fails or is late, commits do it;
- once the log is long, the writers of this process pause while its rest is moved: SQLite starts the log again only when
  all of it was moved and nothing was added;
- a store has one such thread at a time, which ends with its work; while another process does the same, it does nothing;
- this is for files of our own engines: a host decides about the log of its connections.
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
"""Fewest commits between two checkpoints, each of which costs two to four writes to the disk."""
SECONDS: Final = 0.25
"""Least time between two checkpoints: of a log that fills in a second, at most a quarter is left for a commit."""
PAUSED_PAGES: Final = 2000
"""Pages in the log from which writers pause for its rest: half of a commit's bound."""
_PAUSE_SECONDS: Final = 0.5
"""Longest wait for the writers; then the next checkpoint tries again."""


class Checkpoints(Protocol):
    """Takes note of every commit."""

    def committed(self) -> None:
        """Note that a transaction was committed; called by one thread at a time."""

    def close(self) -> None:
        """Wait for the thread."""


def checkpoints(engine: Engine, writing: threading.Lock, *, is_ours: bool) -> Checkpoints:
    """Return the checkpoints of an engine's file, or none for another database. Writers hold ``writing``."""
    if not is_ours or engine.dialect.name != "sqlite" or is_in_memory(engine.url):
        return _None()
    return _Beside(engine, writing)


class _None:
    def committed(self) -> None:
        """Do nothing: there is no log, or it is the host's."""

    def close(self) -> None:
        """Do nothing: there is no thread."""


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
        # Not a daemon: it ends soon, and an exiting process waits for it.
        thread = threading.Thread(target=self._run, name="ocpi-emsp checkpoint")
        with suppress(RuntimeError):  # no thread can start, as while the interpreter ends: the commits are durable
            thread.start()
            self._thread = thread

    def close(self) -> None:
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        try:
            # The file may have been moved, or be locked: the next commit reports that.
            with suppress(sqlite3.Error), closing(apart(self._engine)) as connection:
                if _moved(connection) >= PAUSED_PAGES and self._writing.acquire(timeout=_PAUSE_SECONDS):
                    try:
                        _moved(connection)
                    finally:
                        self._writing.release()
        finally:
            self._earliest = monotonic() + SECONDS


def _moved(connection: sqlite3.Connection) -> int:
    """Move the log into the file as far as readers allow, without waiting; return its pages, -1 if another connection
    does the same, or there is no log."""
    pages: int = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()[1]
    return pages
