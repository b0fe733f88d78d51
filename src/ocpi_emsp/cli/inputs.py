"""From the paths on the command line to the files to check.

Rules of this module:
- in a folder every file with one of ``SUFFIXES`` is checked, at any depth, in the order of the names; no folder is
  entered twice, wherever its links lead;
- skipped and unreadable files are counted and named; only the first few names are stored.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from attrs import define, field, frozen

from ocpi_emsp.cli.errors import Usage, reason
from ocpi_emsp.cli.files import STDIN
from ocpi_emsp.cli.har import NAME as HAR
from ocpi_emsp.cli.payloads import LINES

SUFFIXES = (".json", *LINES, HAR)
_MAX_NAMED = 10


@frozen
class Source:
    """A file to check."""

    path: str
    named: bool
    """True if it is on the command line, False if it was found in a folder."""


@define
class Named:
    """A count, and the first names."""

    count: int = field(default=0, init=False)
    _first: list[str] = field(factory=list, init=False)

    def add(self, name: str) -> None:
        """Add a name."""
        self.count += 1
        if len(self._first) < _MAX_NAMED:
            self._first.append(name)

    def __str__(self) -> str:
        more = self.count - len(self._first)
        return ", ".join(self._first) + (f" and {more} more" if more else "")


@define
class Inputs:
    """The files of the given paths. ``leave_out`` is the file that is being written."""

    paths: Sequence[str]
    leave_out: str | None = None
    skipped: Named = field(factory=Named, init=False)
    """Files in folders that have another suffix."""
    unclear: Named = field(factory=Named, init=False)
    """Files in folders with a document of unclear kind."""
    empty: Named = field(factory=Named, init=False)
    """Given folders without a file to check."""
    problems: list[str] = field(factory=list, init=False)
    """Why files and folders within folders are unreadable; the first few."""
    failed: int = field(default=0, init=False)
    _entered: set[tuple[int, int]] = field(factory=set, init=False)

    @property
    def several(self) -> bool:
        """True if a report with sums is the better answer."""
        return len(self.paths) > 1 or any(is_folder(path) or path.lower().endswith(HAR) for path in self.paths)

    def files(self) -> Iterator[Source]:
        """Yield every file to check, on demand."""
        for path in self.paths:
            if path != STDIN and is_folder(path):
                count, failed = 0, self.failed
                for count, found in enumerate(self._below(path), 1):  # noqa: B007 # the last one is read below
                    yield Source(found, named=False)
                if not count and self.failed == failed:
                    self.empty.add(path)
            else:
                yield Source(path, named=True)

    def size(self) -> int:
        """The bytes of all files together, as far as they are known."""
        return sum(_size(source.path) for source in Inputs(self.paths, self.leave_out).files())

    def _below(self, folder: str) -> Iterator[str]:
        try:
            known = Path(folder).stat()
            if (known.st_dev, known.st_ino) in self._entered:
                return
            self._entered.add((known.st_dev, known.st_ino))
            with os.scandir(folder) as entries:
                names = sorted(entry.name for entry in entries)
        except OSError as error:
            self.fail(f"{folder}: cannot be read: {reason(error)}")
            return
        for name in names:
            yield from self._entry(str(Path(folder, name)))

    def _entry(self, path: str) -> Iterator[str]:
        ours = path.lower().endswith(SUFFIXES)
        try:
            mode = Path(path).stat().st_mode
        except OSError as error:
            if ours:
                self.fail(f"{path}: cannot be read: {reason(error)}")
            else:
                self.skipped.add(path)
            return
        if stat.S_ISDIR(mode):
            yield from self._below(path)
        elif not ours or not stat.S_ISREG(mode):
            self.skipped.add(path)
        elif self.leave_out is None or not _same(path, self.leave_out):
            yield path

    def fail(self, problem: str) -> None:
        """Report something in a folder that cannot be checked."""
        self.failed += 1
        if len(self.problems) < _MAX_NAMED:
            self.problems.append(problem)


def require_readable_once(paths: Sequence[str]) -> None:
    """Raise Usage if standard input is requested twice."""
    if paths.count(STDIN) > 1:
        raise Usage("standard input can be read only once")


def is_folder(path: str) -> bool:
    """Return True if a path leads to a directory."""
    try:
        return Path(path).is_dir()
    except ValueError:  # a NUL in the name
        return False


def _size(path: str) -> int:
    try:
        return os.fstat(0).st_size if path == STDIN else Path(path).stat().st_size
    except (OSError, ValueError):
        return 0


def _same(path: str, other: str) -> bool:
    try:
        return Path(path).samefile(other)
    except OSError:
        return False
