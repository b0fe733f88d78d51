"""``ocpi-emsp redact``: payloads that can be published, with all their deviations.

Rules of this module:
- a file is read as ``check`` reads it, and retains its form: JSON, JSON lines, HAR; JSON lines are read line by line;
- one file is written to standard output or a file, several to a folder, under their own names; no input is overwritten;
- one run has one key: a text has the same stand-in in each of its files.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from attrs import define, field

from ocpi_emsp.cli import files, output
from ocpi_emsp.cli.errors import Usage, reason
from ocpi_emsp.cli.har import NAME as HAR, NotHar
from ocpi_emsp.cli.inputs import Inputs, Source, require_readable_once
from ocpi_emsp.cli.options import Arguments
from ocpi_emsp.cli.payloads import LINES, MAX_LINE
from ocpi_emsp.cli.read_secrets import text_of
from ocpi_emsp.cli.redact_har import redacted_har
from ocpi_emsp.codec.documents import GZIP
from ocpi_emsp.findings import counted
from ocpi_emsp.redact import Redactor

_SHOWN_NAMES = 20


def run(arguments: Arguments) -> int:
    """Redact every file; return 0 if all of it is written, 1 if something is left out."""
    require_readable_once(arguments.paths)
    inputs = Inputs(arguments.paths)
    is_one = len(arguments.paths) == 1 and not Path(arguments.paths[0]).is_dir()
    if not is_one and arguments.output is None:
        raise Usage("several files cannot go to standard output: set --output FOLDER")
    key = None if arguments.key_file is None else _key(arguments.key_file)
    writer = _Writer(Redactor(key, parties=arguments.parties, keep=arguments.keep))
    if is_one:
        writer.one(Source(arguments.paths[0], named=True), arguments.output)
    else:
        writer.all(inputs, Path(arguments.output))
    status = max(writer.status, _say_what_was_left_out(inputs))
    _say_which_names_stay(writer.redactor)
    return status


def _key(path: str) -> bytes:
    key = text_of(path).strip()
    if not key:
        raise Usage(f"{path}: expected a secret, found nothing")
    return key.encode()


def _say_which_names_stay(redactor: Redactor) -> None:
    """Report the names that stay: only a person can tell whether one of them is that of a driver."""
    names = list(redactor.unknown_names)
    if names:
        more = f" and {len(names) - _SHOWN_NAMES} more" if len(names) > _SHOWN_NAMES else ""
        shown = ", ".join(map(output.printable, names[:_SHOWN_NAMES]))
        output.say(f"unknown members keep their names (rename one that identifies a person): {shown}{more}")


def _say_what_was_left_out(inputs: Inputs) -> int:
    for problem in inputs.problems:
        output.say(problem)
    if inputs.failed > len(inputs.problems):
        output.say(f"{counted(inputs.failed - len(inputs.problems), 'more file')} cannot be redacted")
    if inputs.skipped.count:
        output.say(f"left out files other than *.json, *.jsonl, *.ndjson and *.har: {inputs.skipped}")
    if inputs.empty.count:
        output.say(f"nothing to redact: no *.json, *.jsonl, *.ndjson or *.har in {inputs.empty}")
    return 1 if inputs.failed or inputs.skipped.count or inputs.empty.count else 0


@define
class _Writer:
    """Writes the redacted content of each file."""

    redactor: Redactor
    status: int = field(default=0, init=False)
    _written: set[Path] = field(factory=set, init=False)

    def one(self, source: Source, target: str | None) -> None:
        """Write one file, to standard output or another file. Raises Usage."""
        with files.opened(source.path) as stream:
            pieces = self._redacted(stream, source.path)
            if target is None:
                for piece in pieces:
                    output.write_bytes(piece)
                output.flush()
            else:
                _write(Path(target), source.path, pieces)

    def all(self, inputs: Inputs, folder: Path) -> None:
        """Write each file, to this folder."""
        sources = list(inputs.files())  # before anything is written, perhaps below one of them
        for source in sources:
            try:
                target = self._target(source, inputs, folder)
                target.parent.mkdir(parents=True, exist_ok=True)
                with files.opened(source.path) as stream:
                    _write(target, source.path, self._redacted(stream, source.path))
            except (Usage, OSError) as problem:
                inputs.fail(str(problem) if isinstance(problem, Usage) else f"{folder}: {reason(problem)}")

    def _target(self, source: Source, inputs: Inputs, folder: Path) -> Path:
        """Return the target of a file: the same place below the folder, with a number if its name is taken."""
        path = Path(source.path)
        if source.path == files.STDIN:
            path = Path("stdin.json")
        above = next((Path(each) for each in inputs.paths if path.is_relative_to(each)), path)
        wanted = folder / (path.relative_to(above) if path != above else path.name)
        target, number = wanted, 1
        while target in self._written:
            number += 1
            target = wanted.with_stem(f"{wanted.stem}-{number}")
        self._written.add(target)
        return target

    def _redacted(self, stream: BinaryIO, name: str) -> Iterator[bytes]:
        if name.lower().endswith(LINES):
            yield from self._lines(stream, name)
            return
        data = stream.read()
        if data.startswith(GZIP):
            raise Usage(f"{name}: compressed with gzip: unpack it first")
        if not name.lower().endswith(HAR):
            yield self.redactor.document(data)
            return
        try:
            yield redacted_har(data, self.redactor)
        except NotHar as problem:
            raise Usage(f"{name}: {problem}") from None

    def _lines(self, stream: BinaryIO, name: str) -> Iterator[bytes]:
        for number, line in files.numbered(stream, 1, MAX_LINE):
            if line is None:
                output.say(f"{name}: line {number}: too long, left out")
                self.status = 1
                yield b"\n"
            else:
                yield self.redactor.document(line)


def _write(target: Path, source: str, pieces: Iterator[bytes]) -> None:
    """Write a file. Raises Usage for one that cannot be written, or is the one that is read."""
    try:
        if target.exists() and source != files.STDIN and target.samefile(source):
            raise Usage(f"{target}: cannot be written: it is the file that is read")
        first = next(pieces, b"")  # before the file is created: this may fail
        with target.open("wb") as file:
            for piece in chain((first,), pieces):
                file.write(piece)
    except OSError as error:
        raise Usage(f"{target}: cannot be written: {reason(error)}") from None
