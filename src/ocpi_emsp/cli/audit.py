"""``ocpi-emsp audit``: what CDRs should cost, of files, folders and parties.

Rules of this module:
- an argument is a party if no file has that name; if a file has, a message says so;
- files are read one after the other, and a party's CDRs page by page: memory is that of one file and of the listed
  audits;
- the exit status is that of all CDRs, whatever ``--only`` shows.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from attrs import define, field

from ocpi_emsp.cli import output, progress
from ocpi_emsp.cli.audit_files import FileAuditor
from ocpi_emsp.cli.audit_given import objects_of, settings_of, usable_readings, usable_zone
from ocpi_emsp.cli.audit_sinks import RENDERERS, AuditSink, CsvSink, JsonSink, TallySink
from ocpi_emsp.cli.errors import Usage
from ocpi_emsp.cli.file_names import Name, as_given, in_letters
from ocpi_emsp.cli.inputs import Inputs, require_readable_once
from ocpi_emsp.cli.options import LETTER_LIMIT, PERSON_LIMIT, Arguments
from ocpi_emsp.cli.quick import read_without_notes
from ocpi_emsp.cli.stores import emsp_of_tokens, opened, say_nothing_found
from ocpi_emsp.codec import wire_time
from ocpi_emsp.findings import counted
from ocpi_emsp.models import Tariff
from ocpi_emsp.party_id import PartyId
from ocpi_emsp.pricing import Verdict
from ocpi_emsp.pricing.documents import audit
from ocpi_emsp.report import AuditTally


def run(arguments: Arguments) -> int:
    """Print the audits; return 0 if every CDR is right, 1 if something is not, 2 if there is nothing to audit."""
    require_readable_once([*arguments.targets, *arguments.tariffs])
    targets = _targets(arguments.targets)
    _require_fitting(arguments, targets)
    inputs = Inputs(targets.paths, arguments.output)
    sink = _sink(arguments, targets)
    auditor = _auditor(arguments, sink)
    with output.to_file(arguments.output):
        _audit_files(inputs, auditor, draws=_draws(arguments))
        all_right = [_audit_party(arguments, party, sink) for party in targets.parties]
        found_nothing = not (auditor.files or inputs.failed or targets.parties)
        if not found_nothing or arguments.format == "json":  # without a CDR, no report claims that all is right
            sink.close()
    _say_what_was_left_out(inputs, auditor)
    if found_nothing:
        return Usage.status
    return 0 if auditor.all_right and all(all_right) else 1


# --- targets --------------------------------------------------------------------------------------------------------


@define
class _Targets:
    """The targets on the command line, each kind in the order given."""

    paths: list[str] = field(factory=list)
    parties: list[PartyId] = field(factory=list)


def _targets(given: Sequence[str]) -> _Targets:
    targets = _Targets()
    for text in given:
        party = _party(text)
        if party is None:
            targets.paths.append(text)
        elif _exists(text):
            output.say(f"{text} is read as the file of that name, not as the party")
            targets.paths.append(text)
        elif party not in targets.parties:
            targets.parties.append(party)
    return targets


def _party(text: str) -> PartyId | None:
    try:
        return PartyId.parse(text)
    except ValueError:
        return None


def _exists(path: str) -> bool:
    try:
        return Path(path).exists()
    except (OSError, ValueError):  # not a possible file name
        return False


def _require_fitting(arguments: Arguments, targets: _Targets) -> None:
    """Raise Usage for options that do not apply to the targets."""
    if targets.paths and (arguments.date_from or arguments.date_to):
        raise Usage("--from and --to select stored CDRs: they need a party, for example NL-TNM")
    if targets.parties and (arguments.tariffs or arguments.time_zone):
        option = "--tariff" if arguments.tariffs else "--time-zone"
        raise Usage(f"{option} is for files: it cannot be combined with a party, whose data are in the store")
    usable_readings(arguments.settings)


def _auditor(arguments: Arguments, sink: AuditSink) -> FileAuditor:
    given = [each for path in arguments.tariffs for each in objects_of("--tariff", path, Tariff)]
    # an empty one is read once, not for each CDR
    tariffs = [read_without_notes(each, Tariff) or each for each in given]
    readings, zone = usable_readings(arguments.settings), usable_zone(arguments.time_zone)
    return FileAuditor(partial(audit, tariffs=tariffs, readings=readings, time_zone=zone), sink)


# --- files and folders ----------------------------------------------------------------------------------------------


def _draws(arguments: Arguments) -> bool:
    """Return True if a progress bar does not disturb the output on stdout."""
    return progress.wanted() and (arguments.format in RENDERERS or arguments.output or not sys.stdout.isatty())


def _audit_files(inputs: Inputs, auditor: FileAuditor, *, draws: bool) -> None:
    with progress.bar(inputs.size() if draws else 0, "auditing") as advance:
        for source in inputs.files():
            auditor.file(source, advance)
    for problem in inputs.problems:
        path, _, why = problem.partition(": ")
        auditor.unreadable(path, why)


def _say_what_was_left_out(inputs: Inputs, auditor: FileAuditor) -> None:
    if more := inputs.failed - len(inputs.problems):
        output.say(f"{counted(more, 'more file')} cannot be read")
    if auditor.skipped.count:
        output.say(f"skipped what is not a CDR: {auditor.skipped}")
    if inputs.skipped.count:
        output.say(f"skipped files other than *.json, *.jsonl, *.ndjson and *.har: {inputs.skipped}")
    if auditor.empty.count:
        output.say(f"nothing to audit in {auditor.empty}")
    if inputs.empty.count:
        output.say(f"nothing to audit: no *.json, *.jsonl, *.ndjson or *.har in {inputs.empty}")


# --- a party --------------------------------------------------------------------------------------------------------


def _audit_party(arguments: Arguments, party: PartyId, sink: AuditSink) -> bool:
    """Audit a party's stored CDRs; return True if all are right."""
    name = str(party)
    all_right = True
    with opened(arguments) as store:
        sink.begin(name)
        emsp = emsp_of_tokens(store)
        report = emsp.partner(party).audit(
            date_from=arguments.date_from,
            date_to=arguments.date_to,
            readings=settings_of(arguments.settings),
            worst=0,  # the sink has its own list
        )
        for found in report:
            all_right = all_right and found.verdict is Verdict.RIGHT
            sink.audit("", found)
        for each in report.failures:
            sink.failed("", each.source.removeprefix(f"{name} "), each.message)
        if more := report.failed - len(report.failures):
            output.say(f"{counted(more, 'more stored CDR')} of {name} cannot be read")
        if not (report.total or report.failed):
            say_nothing_found(emsp, party, f"no CDR of {name} was last updated in this period")
    sink.end(None)
    return all_right and not report.failed


# --- output ---------------------------------------------------------------------------------------------------------


def _sink(arguments: Arguments, targets: _Targets) -> AuditSink:
    only = tuple(map(Verdict, arguments.only)) if arguments.only else tuple(Verdict)
    if arguments.format in ("json", "csv"):
        return JsonSink(only=only) if arguments.format == "json" else CsvSink(only=only)
    limit = arguments.limit or (PERSON_LIMIT if arguments.format == "table" else LETTER_LIMIT)
    title = _title(arguments, targets.parties) if targets.parties and not targets.paths else ""
    name = as_given if arguments.format == "table" else _name(targets)
    return TallySink(tally=AuditTally(limit, only), render=RENDERERS[arguments.format], title=title, name=name)


def _name(targets: _Targets) -> Name:
    """Return the function that names files and parties in a letter."""
    of_file, parties = in_letters(targets.paths), {str(each) for each in targets.parties}
    return lambda file: file if file in parties else of_file(file)


def _title(arguments: Arguments, parties: Sequence[PartyId]) -> str:
    """Return a title with the audited parties and period."""
    title = f"CDR audit of {', '.join(map(str, parties))}"
    start, end = arguments.date_from, arguments.date_to
    if not (start or end):
        return title
    since = f" from {wire_time(start)}" if start else ""
    return f"{title}, last updated{since} to {wire_time(end) if end else 'now'}"
