"""Destinations of audits: one JSON document, rows, or a tally that is printed at the end.

Rules of this module:
- JSON and CSV are written as the audits arrive, and need no memory; a tally only holds the worst audits;
- ``only`` selects the shown verdicts; documents that could not be audited are always shown.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeAlias

from attrs import define, field

from ocpi_emsp.cli import output
from ocpi_emsp.cli.file_names import Name, as_given
from ocpi_emsp.cli.spreadsheet import CsvWriter, safe
from ocpi_emsp.pricing import Audit, Verdict
from ocpi_emsp.pricing.result import text
from ocpi_emsp.report import AuditTally, audits_to_html, audits_to_markdown, audits_to_text
from ocpi_emsp.report.audit_words import readings
from ocpi_emsp.report.escapes import printable

COLUMNS = (
    "file", "place", "cdr", "verdict", "claimed", "expected", "low", "high", "difference", "at_least", "currency",
    "reasons", "explanations", "assumptions", "readings", "error",
)  # fmt: skip
"""Columns of the CSV."""
Render: TypeAlias = Callable[[AuditTally, str], str]
"""Returns the text of a tally with a title."""


@define(kw_only=True)
class AuditSink:
    """Receives the audits, file by file; a party counts as a file."""

    only: Collection[Verdict] = tuple(Verdict)
    file: str = field(default="", init=False)

    def begin(self, file: str) -> None:
        """Begin a file."""
        self.file = file

    def audit(self, place: str, audit: Audit, /) -> None:
        """Add one CDR; ``place`` is empty if it is the whole file."""

    def failed(self, place: str, cdr: str | None, message: str, /) -> None:
        """Add a document within the file that cannot be audited, with its id if it has one."""

    def end(self, error: str | None) -> None:
        """End the file; ``error`` says why it could not be audited."""

    def close(self) -> None:
        """End all files."""
        output.flush()


@define(kw_only=True)
class JsonSink(AuditSink):
    """One JSON document, written member by member as the audits arrive."""

    _files: int = field(default=0, init=False)
    _audits: int = field(default=0, init=False)

    def begin(self, file: str) -> None:
        super().begin(file)
        start = "," if self._files else '{"files": ['
        output.write(f'{start}\n  {{"file": {json.dumps(file)}, "audits": [')
        self._files, self._audits = self._files + 1, 0

    def audit(self, _: str, audit: Audit) -> None:
        if audit.verdict in self.only:
            self._item(audit.as_json())

    def failed(self, place: str, cdr: str | None, message: str) -> None:
        self._item({"cdr": cdr, "error": f"{place}: {message}" if place else message})

    def _item(self, item: Mapping[str, Any]) -> None:
        output.write(f"{',' if self._audits else ''}\n    {json.dumps(item)}")
        self._audits += 1

    def end(self, error: str | None) -> None:
        said = "" if error is None else f', "error": {json.dumps(error)}'
        output.write(f"]{said}}}")

    def close(self) -> None:
        output.write("" if self._files else '{"files": [')
        output.write("\n]}\n")
        super().close()


@define(kw_only=True)
class CsvSink(AuditSink):
    """A row for each CDR, and for each file that could not be audited."""

    _writer: CsvWriter = field(factory=lambda: CsvWriter(COLUMNS), init=False)

    def audit(self, place: str, audit: Audit) -> None:
        if audit.verdict in self.only:
            self._write({"place": safe(place), **_row(audit)})

    def failed(self, place: str, cdr: str | None, message: str) -> None:
        self._write({"place": safe(place), "cdr": safe(cdr or ""), "error": safe(message)})

    def end(self, error: str | None) -> None:
        if error is not None:
            self._write({"error": safe(error)})

    def _write(self, row: Mapping[str, str]) -> None:
        self._writer.write({"file": safe(self.file), **row})

    def close(self) -> None:
        self._writer.close()


@define(kw_only=True)
class TallySink(AuditSink):
    """Adds up everything and prints it at the end."""

    tally: AuditTally
    render: Render
    title: str = ""
    name: Name = as_given
    """Returns the name of a file."""

    def begin(self, file: str) -> None:
        super().begin(self.name(file))

    def audit(self, place: str, audit: Audit) -> None:
        self.tally.add(audit, self._source(place))

    def failed(self, place: str, cdr: str | None, message: str) -> None:
        source = self._source(place)
        self.tally.add_failure(source if cdr is None else f"{source}: CDR {cdr}", message)

    def end(self, error: str | None) -> None:
        if error is not None:
            self.tally.add_failure(self.file, error)

    def _source(self, place: str) -> str:
        return f"{self.file}: {place}" if place else self.file

    def close(self) -> None:
        output.write(self.render(self.tally, self.title))
        super().close()


def _row(audit: Audit) -> dict[str, str]:
    amounts = ("claimed", "expected", "low", "high", "difference")
    return {
        "cdr": safe(audit.cdr),
        "verdict": audit.verdict.value,
        **{name: text(getattr(audit, name)) or "" for name in amounts},
        "at_least": "yes" if audit.at_least else "",
        "currency": safe(audit.currency),
        "reasons": safe("; ".join(f"{each.code} {each.pointer}".rstrip() for each in audit.reasons)),
        "explanations": safe("; ".join(each.message for each in audit.explanations)),
        "assumptions": safe("; ".join(audit.assumptions)),
        "readings": safe(readings(audit.readings)),
    }


def _text(tally: AuditTally, title: str) -> str:
    heading = f"{printable(title)}\n" if title else ""
    return heading + audits_to_text(tally, width=max(output.width(), 40))


def _markdown(tally: AuditTally, title: str) -> str:
    return audits_to_markdown(tally, title=title) if title else audits_to_markdown(tally)


def _html(tally: AuditTally, title: str) -> str:
    return audits_to_html(tally, title=title) if title else audits_to_html(tally)


RENDERERS: Mapping[str, Render] = {"table": _text, "markdown": _markdown, "html": _html}
"""Renderers by format."""
