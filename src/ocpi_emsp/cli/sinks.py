"""Destinations of findings: a list for people, one for programs, or a report that adds them up.

Rules of this module: the lists are written as the findings arrive, and need no memory; the report holds what
:class:`ocpi_emsp.report.PartnerReport` holds.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from attrs import define, evolve, field

from ocpi_emsp.cli import output
from ocpi_emsp.cli.file_names import Name, as_given
from ocpi_emsp.cli.payloads import Part
from ocpi_emsp.findings import Finding, Report, Severity, counted
from ocpi_emsp.report import PartnerReport, to_html, to_json, to_markdown, to_text


class Sink:
    """Receives the findings, document by document and file by file."""

    def document(self, file: str, part: Part, kind: type[Any] | None, report: Report, /) -> None:
        """Add the findings of one document of this file; their pointers refer to the document."""

    def checked(self, file: str, kind: str | None, ok: bool) -> None:
        """End this file."""

    def abandoned(self) -> None:
        """Record that the file cannot be checked to its end."""

    def close(self) -> None:
        """End all files."""
        output.flush()


def placed(report: Iterable[Finding], part: Part) -> Iterator[Finding]:
    """Yield the findings with their pointers into the file, or its line."""
    return (evolve(finding, pointer=part.pointer + finding.pointer) if part.pointer else finding for finding in report)


class TextSink(Sink):
    """One line per finding, and one per file."""

    def __init__(self) -> None:
        self._counts: Counter[Severity] = Counter()

    def document(self, file: str, part: Part, _kind: type[Any] | None, report: Report) -> None:
        place = f"{part.place}: " if part.place else ""
        for finding in placed(report, part):
            self._counts[finding.severity] += 1
            self._print(f"{file}: {place}{finding}")
        if report.more:
            output.say(f"{file}: {place}{counted(report.more, 'more finding')} not listed")

    def checked(self, file: str, kind: str | None, ok: bool) -> None:
        counts = ", ".join(counted(self._counts[severity], severity) for severity in reversed(Severity))
        self._counts.clear()
        self._print(f"{file}: {'accepted' if ok else 'refused'}{f' as {kind}' if kind else ''}: {counts}")

    def abandoned(self) -> None:
        self._counts.clear()

    def _print(self, line: str) -> None:
        output.write(output.printable(line) + "\n")


@define
class JsonSink(Sink):
    """One JSON document, written member by member as the findings arrive."""

    _files: int = field(default=0, init=False)
    _findings: int = field(default=-1, init=False)
    """Findings written for the open file; -1 if none is open."""

    def document(self, file: str, part: Part, _kind: type[Any] | None, report: Report) -> None:
        where = {"line": part.line} if part.line is not None else {"entry": part.entry} if part.entry else {}
        for finding in placed(report, part):
            self._open(file)
            output.write(f"{',' if self._findings else ''}\n    {json.dumps({**where, **finding.as_json()})}")
            self._findings += 1
        if report.more:
            output.say(f"{file}: {counted(report.more, 'more finding')} not listed")

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
        super().close()

    def _open(self, file: str) -> None:
        if self._findings < 0:
            start = "," if self._files else '{"files": ['
            output.write(f'{start}\n  {{"file": {json.dumps(file)}, "findings": [')
            self._files, self._findings = self._files + 1, 0


@define
class ReportSink(Sink):
    """Adds up everything and writes the report at the end."""

    _form: str
    report: PartnerReport
    _name: Name = as_given
    """Returns the name of a file in the report."""

    def document(self, file: str, part: Part, kind: type[Any] | None, report: Report) -> None:
        name = self._name(file)
        source = f"{name}: {part.place}" if part.place else name
        self.report.add(source, kind, report, part.document, part.at, below=part.pointer)

    def checked(self, file: str, kind: str | None, ok: bool) -> None:  # noqa: ARG002 # the documents were added
        self.report.read(self._name(file))

    def close(self) -> None:
        match self._form:
            case "json":
                output.write(to_json(self.report))
            case "markdown":
                output.write(to_markdown(self.report))
            case "html":
                output.write(to_html(self.report))
            case _:
                output.write(to_text(self.report, table=output.table))
        super().close()
