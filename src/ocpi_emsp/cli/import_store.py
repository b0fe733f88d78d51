"""``ocpi-emsp import``: loads the output of ``export`` into a store.

Rules of this module:
- it reads line by line, with a number of lines per transaction: a file of any size needs little memory, and what was
  imported stays;
- an existing object is replaced, so importing twice has the same result;
- a line that cannot be imported is reported with its number and fault; the others are imported.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, BinaryIO, TypeAlias

from attrs import define, field

from ocpi_emsp.cli import files, output
from ocpi_emsp.cli.errors import Usage
from ocpi_emsp.cli.export_store import summary
from ocpi_emsp.cli.options import Arguments
from ocpi_emsp.cli.portable import VERSION, BadLine, End, read_header, read_line
from ocpi_emsp.cli.stores import opened, writing
from ocpi_emsp.errors import InvalidObject, StoreFailed
from ocpi_emsp.findings import counted
from ocpi_emsp.ports import NAMES, Entry, Record
from ocpi_emsp.resources.records import put_records

if TYPE_CHECKING:
    from ocpi_emsp.storage.sql.store import SqlStore

BATCH = 500
"""Lines of a transaction: few enough that the server only waits for a moment."""
LONGEST = 32 * 1024 * 1024
"""Bytes of a line: the largest accepted body, with as many escapes as possible."""
_MAX_NAMED = 20
_Numbered: TypeAlias = "tuple[int, Record | Entry]"


class _Stopped(Exception):
    """A bad line, after which nothing is to be imported."""


def run(arguments: Arguments) -> int:
    """Import; return 1 if a line could not be imported, or lines are missing."""
    with files.opened(arguments.file) as stream:
        _require_header(stream.readline(LONGEST), arguments.file)
        with opened(arguments, makes=True) as store:
            into = Import(store, arguments.file, strict=arguments.strict)
            try:
                into.read(stream)
            except StoreFailed:
                output.say(f"the database failed; imported until then: {summary(into.counts)}")
                raise
    output.say(f"imported {summary(into.counts)}")
    into.say_what_is_wrong()
    return 1 if into.wrong else 0


def _require_header(line: bytes, path: str) -> None:
    header = read_header(line)
    if header is None:
        raise Usage(f"{path}: not an export: expected a file that ocpi-emsp export wrote")
    if header.ocpi_emsp_export != VERSION:
        raise Usage(
            f"{path}: unknown format {header.ocpi_emsp_export}: expected {VERSION}; use the version that wrote it"
        )


@define
class Import:
    """An import in progress: the lines imported, and those rejected."""

    _store: SqlStore
    _file: str
    strict: bool
    counts: Counter[str] = field(factory=Counter, init=False)
    bad: int = field(default=0, init=False)
    _lines: int = field(default=0, init=False)
    _end: End | None = field(default=None, init=False)
    _stopped: bool = field(default=False, init=False)
    _batch: list[_Numbered] = field(factory=list, init=False)

    @property
    def wrong(self) -> bool:
        """True if something was not imported."""
        return bool(self.bad) or self._missing() is not None

    def read(self, stream: BinaryIO) -> None:
        """Import every line after the header. Raises StoreFailed."""
        try:
            for number, line in files.numbered(stream, 2, LONGEST):
                if line is None or line.strip():
                    self._take(number, line)
            self._write()
        except _Stopped:
            self._stopped = True

    def say_what_is_wrong(self) -> None:
        """Report the number of further bad lines, and missing ones."""
        if self.bad > _MAX_NAMED:
            output.say(f"{counted(self.bad - _MAX_NAMED, 'more line')} cannot be imported")
        missing = self._missing()
        if missing is not None:
            output.say(f"{self._file}: {missing}")

    def _missing(self) -> str | None:
        if self._stopped:
            return "nothing behind that line was imported"
        if self._end is None:
            return "it was cut off: the line that ends an export is missing"
        if self._end.lines == self._lines:
            return None
        return f"it says that it has {counted(self._end.lines, 'line')}, and has {self._lines}"

    def _take(self, number: int, line: bytes | None) -> None:
        try:
            found = _read(line, self._end)
        except BadLine as problem:
            self._lines += 1
            if self.strict:
                self._write()
            self._name(number, str(problem))
            return
        if isinstance(found, End):
            self._end = found
            return
        self._lines += 1
        self._batch.append((number, found))
        if len(self._batch) >= BATCH:
            self._write()

    def _write(self) -> None:
        """Write the lines that were read; if that fails, one by one, to find the bad ones."""
        batch, self._batch = self._batch, []
        if not batch:
            return
        try:
            self._commit(batch)
        except InvalidObject:
            for numbered in batch:
                try:
                    self._commit([numbered])
                except InvalidObject as problem:
                    self._name(numbered[0], "; ".join([problem.message, *map(str, problem.findings)]))

    def _commit(self, batch: list[_Numbered]) -> None:
        with writing(self._store) as tx:
            put_records(tx, [item for _, item in batch if isinstance(item, Record)])
            for _, item in batch:
                if isinstance(item, Entry):
                    tx.append(item)
        for _, item in batch:
            self.counts[NAMES[item.key.kind] if isinstance(item, Record) else f"{item.topic} entries"] += 1

    def _name(self, number: int, problem: str) -> None:
        self.bad += 1
        if self.bad <= _MAX_NAMED:
            output.say(f"{self._file}: line {number}: {problem}")
        if self.strict:
            raise _Stopped


def _read(line: bytes | None, end: End | None) -> Record | Entry | End:
    if line is None:
        raise BadLine(f"it is longer than {LONGEST} bytes")
    if end is not None:
        raise BadLine("it follows the end of the export")
    return read_line(line)
