"""``ocpi-emsp check``: deviations in a partner's payloads, with place and clause.

Rules of this module:
- it loads no HTTP client and no store;
- a pointer refers to the file's document, or to that of its line; documents are checked as they are read, so a file of
  any number of lines needs the memory of one document;
- the kind of a document is given by ``--as``, by a HAR file's URL, or guessed document by document. An unclear document
  has the kind of the file, as long as the file had only one; otherwise it is named and skipped;
- a fault of an envelope is a warning at most: its data is readable nevertheless;
- an unreadable file does not prevent the checks of others; the exit status reports it.
"""

from __future__ import annotations

import sys
from typing import Any, BinaryIO, cast

from attrs import define, evolve, field

from ocpi_emsp.check import Policy, check
from ocpi_emsp.cli import files, output, progress
from ocpi_emsp.cli.documents import documents
from ocpi_emsp.cli.errors import Usage
from ocpi_emsp.cli.file_names import as_given, in_letters
from ocpi_emsp.cli.inputs import Inputs, Source, require_readable_once
from ocpi_emsp.cli.kinds import GUESSED, KINDS, Unclear, guess, kind_named
from ocpi_emsp.cli.options import Arguments
from ocpi_emsp.cli.payloads import Part
from ocpi_emsp.cli.quick import check_quickly
from ocpi_emsp.cli.sinks import JsonSink, ReportSink, Sink, TextSink
from ocpi_emsp.findings import Report, Severity, counted
from ocpi_emsp.models import Envelope
from ocpi_emsp.report import PartnerReport, check_partial

_POLICIES = {"tolerant": Policy.tolerant, "strict": Policy.strict}
_ALWAYS_REPORTS = ("markdown", "html")


def run(arguments: Arguments) -> int:
    """Check every file; return 0 if all are accepted, 1 if one is rejected, 2 if one cannot be checked."""
    kind = _kind(arguments.kind)
    require_readable_once(arguments.paths)
    inputs = Inputs(arguments.paths, arguments.output)
    sink = _sink(arguments, inputs)
    checker = Checker(kind, _POLICIES[arguments.policy](), arguments.limit, sink)
    adds_up = isinstance(sink, ReportSink)
    draws = progress.wanted() and (adds_up or not sys.stdout.isatty())
    with output.to_file(arguments.output):
        with progress.bar(inputs.size() if draws else 0, "checking") as advance:
            status = _check_all(inputs, checker, advance)
        if checker.checked or arguments.format == "json":  # without a document, no report claims that nothing deviates
            sink.close()
    return max(status, _say_what_was_left_out(inputs, checker))


def _kind(name: str | None) -> type[Any] | None:
    if name is None:
        return None
    kind = kind_named(name)
    if kind is None:
        raise Usage(f"invalid --as '{name}': expected one of {', '.join(KINDS)}")
    return kind


def _sink(arguments: Arguments, inputs: Inputs) -> Sink:
    always = arguments.format in _ALWAYS_REPORTS
    if always and arguments.report is False:
        raise Usage(f"--format {arguments.format} is a report: it cannot list the findings one by one")
    if always or arguments.report or (arguments.report is None and inputs.several):
        party = None if arguments.party is None else str(arguments.party)
        report = PartnerReport(_POLICIES[arguments.policy]().refuses, party=party)
        return ReportSink(arguments.format, report, in_letters(arguments.paths) if always else as_given)
    return JsonSink() if arguments.format == "json" else TextSink()


def _check_all(inputs: Inputs, checker: Checker, advance: progress.Advance) -> int:
    worst = 0
    for source in inputs.files():
        try:
            accepted = checker.file(source, advance)
        except Usage as problem:
            checker.sink.abandoned()
            if isinstance(problem, NotClear) and not source.named:
                inputs.unclear.add(problem.place)
            elif source.named:
                output.say(str(problem))
                worst = max(worst, 1 if isinstance(problem, NotClear) and problem.partly else problem.status)
            else:
                inputs.fail(str(problem))
        else:
            worst = max(worst, 0 if accepted else 1)
    return worst


def _say_what_was_left_out(inputs: Inputs, checker: Checker) -> int:
    """Name what was not checked; return the resulting exit status."""
    for problem in inputs.problems:
        output.say(problem)
    more = inputs.failed - len(inputs.problems)
    if more > 0:
        output.say(f"{counted(more, 'more file')} cannot be checked")
    if inputs.unclear.count:
        output.say(f"unclear kind of object (set --as KIND): {inputs.unclear}")
    if inputs.skipped.count:
        output.say(f"skipped files other than *.json, *.jsonl, *.ndjson and *.har: {inputs.skipped}")
    if inputs.empty.count:
        output.say(f"nothing to check: no *.json, *.jsonl, *.ndjson or *.har in {inputs.empty}")
    if not (checker.files or inputs.failed):
        return Usage.status
    return 1 if inputs.failed or inputs.unclear.count or inputs.empty.count else 0


@define
class Checker:
    """Checks file by file; ``sink`` receives the findings."""

    _told: type[Any] | None
    _policy: Policy
    _limit: int
    sink: Sink
    files: int = field(default=0, init=False)
    """Number of files that were requested."""
    checked: bool = field(default=False, init=False)
    """True if anything was checked: a document, or a file without one."""

    def file(self, source: Source, advance: progress.Advance) -> bool:
        """Return True if the policy accepts the file. Raises Usage if it is unreadable, or its kind is unclear."""
        name = source.path
        self.files += 1
        kinds = _Kinds(self._told, name)
        ok = True
        with files.opened(name) as stream:
            metered = cast("BinaryIO", progress.Metered(stream, advance))
            for part in documents(metered, name, cut_envelopes=self._told is not Envelope):
                ok = self._part(name, part, kinds) and ok
        if kinds.checked or not kinds.unclear:
            self.checked = True
            self.sink.checked(name, kinds.name, ok and not kinds.unclear)
        kinds.require_clear()
        return ok

    def _part(self, name: str, part: Part, kinds: _Kinds) -> bool:
        if part.too_long:
            output.say(f"{name}: {part.place}: too long to be checked")
            return False
        try:
            kind = kinds.of(part)
        except Unclear:
            return True  # reported at the end of the file
        report = self._report(part, kind)
        self.checked = True
        self.sink.document(name, part, kind, report)
        return not report.at_least(self._policy.refuses)

    def _report(self, part: Part, kind: type[Any] | None) -> Report:
        """Return the findings. Without a kind, the bytes are not JSON, whatever the kind."""
        if part.envelope:
            return _softened(check(part.document, Envelope, limit=self._limit))
        if part.partial and kind is not None:
            return check_partial(part.document, kind, limit=self._limit)
        return check_quickly(part.document, kind or Envelope, self._limit)


def _softened(report: Report) -> Report:
    """Return the report with errors as warnings."""
    if report.ok:
        return report
    soft = (evolve(each, severity=Severity.WARNING) if each.severity is Severity.ERROR else each for each in report)
    return evolve(report, findings=tuple(soft))


class NotClear(Usage):
    """Documents of a file whose kind is unclear; ``place`` is that of the first.

    ``partly`` is True if other documents of the file were checked.
    """

    def __init__(self, place: str, count: int, *, partly: bool) -> None:
        names = ", ".join(model.__name__ for model in GUESSED)
        more = "" if count == 1 else f" (and of {counted(count - 1, 'more document')})"
        super().__init__(f"{place}: unclear kind of object{more}: set --as KIND: {names}, ...")
        self.place, self.partly = place, partly


@define
class _Kinds:
    """The kinds of the documents of one file."""

    _told: type[Any] | None
    _file: str
    _seen: set[type[Any]] = field(factory=set, init=False)
    _enveloped: bool = field(default=False, init=False)
    checked: int = field(default=0, init=False)
    """Documents whose kind is clear, or that are not JSON whatever their kind."""
    unclear: int = field(default=0, init=False)
    _first: str = field(default="", init=False)

    def of(self, part: Part) -> type[Any] | None:
        """Return the kind of a document. Raises Unclear; Usage if that ends the file."""
        if part.envelope:
            self._enveloped = True
            return Envelope
        kind = self._told or part.kind
        if kind is None:
            try:
                kind = guess(part.document)
            except Unclear:
                kind = self._only(part)
        self.checked += 1
        if kind is None:
            return next(iter(self._seen)) if len(self._seen) == 1 else None
        self._seen.add(kind)
        return kind

    def _only(self, part: Part) -> type[Any]:
        if len(self._seen) == 1:
            return next(iter(self._seen))
        self.unclear += 1
        self._first = self._first or part.place
        raise Unclear

    def require_clear(self) -> None:
        """Raise Usage if the kind of a document was unclear."""
        if not self.unclear:
            return
        raise NotClear(
            f"{self._file}: {self._first}" if self._first else self._file, self.unclear, partly=bool(self.checked)
        )

    @property
    def name(self) -> str | None:
        """Return the kind of the file, if it has one."""
        if len(self._seen) == 1:
            return next(iter(self._seen)).__name__
        if self._told is not None:
            return self._told.__name__
        return Envelope.__name__ if self._enveloped and not self._seen else None
