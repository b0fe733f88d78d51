"""A partner's payload files, collected by pytest.

Rules of this module:
- a test is one document: the object of a file, an item of a list, the data of an envelope, a line;
- it fails with the findings as its message, and only for what the policy rejects; an envelope by itself never fails.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ocpi_emsp.check import Policy, check
from ocpi_emsp.cli.kinds import GUESSED, Unclear, guess
from ocpi_emsp.cli.payloads import Part, read_parts
from ocpi_emsp.findings import Report, counted
from ocpi_emsp.testing.marked import marked


class Refused(Exception):
    """A payload that the policy rejects, or whose kind is unknown."""


class PayloadFile(pytest.File):
    """A file with one document or many."""

    def collect(self) -> Iterator[PayloadItem]:
        """Yield a test for every document."""
        with self.path.open("rb") as stream:
            for number, part in enumerate(read_parts(stream, self.path.name)):
                if not part.envelope:
                    yield PayloadItem.from_parent(self, name=_name(part, number), part=part)


def _name(part: Part, number: int) -> str:
    place = f"line {part.line}" if part.line is not None else ""
    return " ".join(filter(None, (place, part.pointer))) or f"document {number + 1}"


class PayloadItem(pytest.Item):
    """One document of a file."""

    def __init__(self, *, part: Part, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._part = part

    def runtest(self) -> None:
        """Check the document. Raises Refused."""
        policy = {"tolerant": Policy.tolerant, "strict": Policy.strict}[self.config.getoption("--ocpi-policy")]()
        kind, report = _checked(self._part)
        self.user_properties.append(("ocpi_kind", kind))
        if policy.refused(policy.judge(report)):
            raise Refused(f"{kind} rejected\n{_listed(report)}\n{_marked(self._part, report)}")
        if report.findings:
            self.add_report_section("call", "findings", _listed(report))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Return the findings, without a traceback."""
        if isinstance(excinfo.value, Refused):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Return the file and the line."""
        line = None if self._part.line is None else self._part.line - 1
        return self.path, line, f"{self.path.name}: {self.name}"


def _checked(part: Part) -> tuple[str, Report]:
    if part.too_long:
        raise Refused("the line is too long")
    try:
        kind = part.kind or guess(part.document)
    except Unclear:
        names = ", ".join(model.__name__ for model in GUESSED)
        raise Refused(f"unknown kind of object: expected one of {names}") from None
    # Bytes that are not JSON are of no kind.
    return (kind.__name__ if kind else "document"), check(part.document, kind or GUESSED[0])


def _marked(part: Part, report: Report) -> str:
    return marked(part.document, ((each.pointer, f"{each.severity.value}: {each.message}") for each in report))


def _listed(report: Report) -> str:
    more = [f"{counted(report.more, 'more finding')} not listed"] if report.more else []
    return "\n".join([*map(str, report), *more])
