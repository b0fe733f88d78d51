"""``ocpi-emsp check``: what deviates in a partner's payloads, where, and by which clause.

Rules of this module:
- it loads no HTTP client and no store;
- a pointer is one into the file's document, or into that of its line; findings are printed as they are found, so a
  file of any number of lines needs the memory of one;
- what an envelope lacks is a warning at most: its data can be read all the same;
- one file that cannot be read does not keep the others from being checked; the exit status tells.
"""

from __future__ import annotations

import contextlib
import json
import sys
from argparse import Namespace
from collections import Counter
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from attrs import define, evolve, field

from ocpi_emsp.check import Policy, check
from ocpi_emsp.cli import output
from ocpi_emsp.cli.errors import Usage, reason
from ocpi_emsp.cli.kinds import GUESSED, KINDS, Unclear, guess, kind_named
from ocpi_emsp.cli.payloads import Part, read_parts
from ocpi_emsp.findings import Finding, Report, Severity
from ocpi_emsp.models import Envelope

STDIN = "-"
_POLICIES = {"tolerant": Policy.tolerant, "strict": Policy.strict}


class Sink(Protocol):
    """Where findings go, file by file."""

    def found(self, file: str, line: int | None, finding: Finding) -> None:
        """A finding in this file."""

    def checked(self, file: str, kind: str | None, ok: bool) -> None:
        """The end of this file."""

    def abandoned(self) -> None:
        """The file cannot be checked to its end."""

    def close(self) -> None:
        """The end of all files."""


def run(arguments: Namespace) -> int:
    """Check every file; 0 where all are accepted, 1 where one is refused, 2 where one cannot be checked."""
    kind = _kind(arguments.kind)
    if arguments.files.count(STDIN) > 1:
        raise Usage("standard input can be read only once")
    sink: Sink = JsonSink() if arguments.format == "json" else TextSink()
    worst = 0
    for file in arguments.files:
        try:
            accepted = _check_file(file, kind, _POLICIES[arguments.policy](), sink)
        except Usage as problem:
            output.say(str(problem))
            sink.abandoned()
            worst = problem.status
        else:
            worst = max(worst, 0 if accepted else 1)
    sink.close()
    return worst


def _kind(name: str | None) -> type[Any] | None:
    if name is None:
        return None
    kind = kind_named(name)
    if kind is None:
        raise Usage(f"--as {name}: there is no such kind; the kinds are {', '.join(KINDS)}")
    return kind


def _check_file(file: str, kind: type[Any] | None, policy: Policy, sink: Sink) -> bool:
    """Whether the policy accepts the file. Raises Usage where it cannot be read, or its kind is not clear."""
    ok, named = True, kind
    try:
        with _open(file) as stream:
            for part in read_parts(stream, file, cut_envelopes=kind is not Envelope):
                if not part.envelope:
                    kind = kind or _guess(file, part)
                report = _check_part(part, kind)
                for finding in report:
                    sink.found(file, part.line, finding)
                if report.more:
                    output.say(f"{file}: {report.more} more findings are not listed")
                ok = ok and not report.at_least(policy.refuses)
                named = kind or (Envelope if part.envelope else named)
    except OSError as error:
        raise Usage(f"{file}: cannot be read: {reason(error)}") from None
    sink.checked(file, named.__name__ if named else None, ok)
    return ok


def _open(file: str) -> contextlib.AbstractContextManager[BinaryIO]:
    if file != STDIN:
        return Path(file).open("rb")
    if sys.stdin is None or sys.stdin.closed:
        raise Usage("standard input is closed")
    return contextlib.nullcontext(sys.stdin.buffer)


def _guess(file: str, part: Part) -> type[Any] | None:
    try:
        return guess(part.document)
    except Unclear:
        place = f"line {part.line}: " if part.line is not None else ""
        names = ", ".join(model.__name__ for model in GUESSED)
        raise Usage(f"{file}: {place}its kind is not clear; say --as KIND: {names}, ...") from None


def _check_part(part: Part, kind: type[Any] | None) -> Report:
    """The findings with their pointers into the file. Without a kind the bytes are no JSON, whatever the kind."""
    report = check(part.document, Envelope if part.envelope or kind is None else kind)
    placed = [evolve(finding, pointer=part.pointer + finding.pointer) for finding in report]
    if part.envelope:
        placed = [evolve(each, severity=min(each.severity, Severity.WARNING, key=_rank)) for each in placed]
    return Report(tuple(placed), report.more)


def _rank(severity: Severity) -> int:
    return severity.rank


class TextSink:
    """One line per finding, and one per file."""

    def __init__(self) -> None:
        self._counts: Counter[Severity] = Counter()

    def found(self, file: str, line: int | None, finding: Finding) -> None:
        self._counts[finding.severity] += 1
        place = f"line {line}: " if line is not None else ""
        self._print(f"{file}: {place}{finding}")

    def checked(self, file: str, kind: str | None, ok: bool) -> None:
        counts = ", ".join(_counted(self._counts[severity], severity) for severity in reversed(Severity))
        self._counts.clear()
        self._print(f"{file}: {'accepted' if ok else 'refused'}{f' as {kind}' if kind else ''}: {counts}")

    def abandoned(self) -> None:
        self._counts.clear()

    def close(self) -> None:
        output.flush()

    def _print(self, line: str) -> None:
        output.write(output.printable(line) + "\n")


def _counted(number: int, severity: Severity) -> str:
    return f"{number} {severity}{'' if number == 1 else 's'}"


@define
class JsonSink:
    """One JSON document, written member by member as the findings come."""

    _files: int = field(default=0, init=False)
    _findings: int = field(default=-1, init=False)
    """Findings written of the file that is open; -1 where none is open."""

    def found(self, file: str, line: int | None, finding: Finding) -> None:
        self._open(file)
        document = finding.as_json() if line is None else {"line": line, **finding.as_json()}
        output.write(f"{',' if self._findings else ''}\n    {json.dumps(document)}")
        self._findings += 1

    def checked(self, file: str, kind: str | None, ok: bool) -> None:
        self._open(file)
        self._end(kind, ok)

    def _end(self, kind: str | None, ok: bool) -> None:
        output.write(f'], "kind": {json.dumps(kind)}, "ok": {json.dumps(ok)}}}')
        self._findings = -1

    def abandoned(self) -> None:
        if self._findings >= 0:
            self._end(None, False)

    def close(self) -> None:
        output.write("" if self._files else '{"files": [')
        output.write("\n]}\n")
        output.flush()

    def _open(self, file: str) -> None:
        if self._findings < 0:
            start = "," if self._files else '{"files": ['
            output.write(f'{start}\n  {{"file": {json.dumps(file)}, "findings": [')
            self._files, self._findings = self._files + 1, 0
