"""``ocpi-emsp sync``: pull from CPOs, once or repeatedly, many at once.

Rules of this module:
- one party that fails does not stop the others; the exit status is the worst of all parties;
- a report is printed, or its JSON, when its party is done: memory does not grow with the parties;
- each party is synced by a thread with the blocking shell; sync_run.py decides which one runs when.
"""

from __future__ import annotations

import json
import signal
import threading
from collections import Counter
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

from attrs import define, field

from ocpi_emsp.cli import INTERRUPTED, output
from ocpi_emsp.cli.errors import CommandFailed, Outside, Usage
from ocpi_emsp.cli.next_steps import next_step
from ocpi_emsp.cli.options import Arguments
from ocpi_emsp.cli.stores import emsp_of, registered
from ocpi_emsp.cli.sync_board import Board
from ocpi_emsp.cli.sync_lines import SHOWN, lines
from ocpi_emsp.cli.sync_run import Plan, Runner, Work
from ocpi_emsp.cli.sync_schedule import PartyId
from ocpi_emsp.cli.sync_view import view
from ocpi_emsp.codec import wire_time
from ocpi_emsp.emsp import Emsp
from ocpi_emsp.errors import InvalidEnvironment, OcpiError, StoreFailed
from ocpi_emsp.resources import MODULES, SyncReport

_SPLAY = 0.1
"""Share of the period: 200 parties every four hours begin seven seconds after each other, on average."""
_WORDS = {
    0: "done",
    CommandFailed.status: "with rejections or not done",
    Outside.status: "failed",
}
"""Words for the parties with each exit status."""


def run(arguments: Arguments) -> int:
    """Sync; return 1 if something was rejected or is not done, 3 if nothing was received of a party, 130 for Ctrl-C."""
    plan = _plan(arguments)
    modules = tuple(dict.fromkeys(arguments.modules or MODULES))
    with emsp_of(arguments) as emsp, view(modules, as_json=arguments.json) as shown:
        syncs = _Syncs(emsp, arguments, modules, shown)
        work = Work(
            parties=syncs.parties,
            sync=syncs.sync,
            overrun=syncs.overrun,
            stopping=lambda: output.say("stopping after the current page; interrupt again to end at once"),
            at_once=shown.abandon,
        )
        runner = syncs.runner = Runner(plan, work)
        runner.run()
    syncs.end()
    if runner.stopped_by is signal.SIGINT:
        return INTERRUPTED
    return 0 if runner.stopped_by is not None and plan.every is not None else syncs.status


def _plan(arguments: Arguments) -> Plan:
    every = arguments.every
    if every is None and arguments.splay is not None:
        raise Usage("--splay needs --every")
    if arguments.since is not None and arguments.full:
        raise Usage("--since cannot be combined with --full")
    if arguments.since is not None and every is not None:
        raise Usage("--since cannot be combined with --every: each run continues where the last one ended")
    if arguments.since is not None and arguments.since > datetime.now(UTC):
        raise Usage(f"invalid --since '{wire_time(arguments.since)}': expected a time in the past")
    splay = _SPLAY if arguments.splay is None else arguments.splay
    return Plan(parallel=arguments.parallel, every=every, splay=(every or 0.0) * splay)


@define
class _Syncs:
    """The syncs of this command, called from many threads; only one thread prints at a time."""

    _emsp: Emsp
    _arguments: Arguments
    _modules: tuple[str, ...]
    _view: Board
    runner: Runner = field(init=False)
    status: int = field(default=0, init=False)
    _lock: threading.Lock = field(factory=threading.Lock, init=False)
    _ended: Counter[int] = field(factory=Counter, init=False)
    """Parties by exit status."""
    _written: bool = field(default=False, init=False)

    def parties(self) -> Collection[PartyId]:
        """Return the named parties, or all that are registered by now."""
        try:
            found = list(dict.fromkeys(self._arguments.parties)) or registered(self._arguments)
        except StoreFailed as failure:
            with self._lock:
                self._fail(Outside.status, failure.message)
            return ()
        if not found:
            output.say("no party is registered")
        self._view.expect(len(found))
        return found

    def sync(self, party: PartyId) -> None:
        """Sync one party, and print the result. Raises Outside if printing fails."""
        arguments = self._arguments
        self._view.begin(party)
        report: SyncReport | OcpiError
        try:
            report = self._emsp.partner("-".join(party)).sync(
                modules=self._modules,
                since=arguments.since,
                full=arguments.full,
                watch=self._view.tell,
                stop=self.runner.asked.is_set,
            )
        except OcpiError as failure:
            if isinstance(failure, InvalidEnvironment) and arguments.every is None:
                raise Usage(failure.message) from None  # the same for each party
            report = failure
        ended = status_of(report)
        self._view.end(party, failed=ended != 0)
        with self._lock:
            self._ended[ended] += 1
            self._print(party, report, ended)

    def overrun(self, party: PartyId) -> None:
        """Report that a party is skipped."""
        with self._lock:
            output.say(f"{'-'.join(party)}: skipped: previous run still in progress")

    def end(self) -> None:
        """Print the end of the output."""
        if self.runner.not_begun:
            self.status = max(self.status, CommandFailed.status)
            left = sorted("-".join(party) for party in self.runner.not_begun)
            more = f" and {len(left) - SHOWN} more" if len(left) > SHOWN else ""
            output.say(f"stopped before the sync of {', '.join(left[:SHOWN])}{more}")
        if self._arguments.every is not None:
            return
        if self._arguments.json:
            output.write("]}\n" if self._written else '{"parties": []}\n')
        elif self._ended.total() > 1:
            counts = ", ".join(f"{self._ended[each]} {words}" for each, words in _WORDS.items() if self._ended[each])
            output.write(f"{self._ended.total()} parties: {counts}\n")

    def _print(self, party: PartyId, report: SyncReport | OcpiError, ended: int) -> None:
        if isinstance(report, OcpiError):
            self._fail(ended, f"{'-'.join(party)}: {report.message}")
            if step := next_step(report):
                output.say(f"{'-'.join(party)}: {step}")
        self.status = max(self.status, ended)
        if self._arguments.json:
            self._print_json(_as_json(party, report))
        elif isinstance(report, SyncReport):
            output.write("".join(f"{line}\n" for line in lines(report)))
        output.flush()

    def _print_json(self, document: dict[str, Any]) -> None:
        """Write one line of many, or one element of the document that is written step by step."""
        if self._arguments.every is None:
            output.write(",\n" if self._written else '{"parties": [')
            self._written = True
            output.write(json.dumps(document))
        else:
            output.write(f"{json.dumps(document)}\n")

    def _fail(self, ended: int, message: str) -> None:
        self.status = max(self.status, ended)
        output.say(message)


def status_of(report: SyncReport | OcpiError) -> int:
    """Return the exit status of one party's sync."""
    if isinstance(report, OcpiError):
        is_outside = isinstance(report, StoreFailed | InvalidEnvironment)
        return Outside.status if is_outside else CommandFailed.status
    if report.failed and not any(each.pages or each.created or each.updated for each in report.modules):
        return Outside.status
    return 0 if report.ok else CommandFailed.status


def _as_json(party: PartyId, report: SyncReport | OcpiError) -> dict[str, Any]:
    if isinstance(report, SyncReport):
        return report.as_json()
    return {"country_code": party[0], "party_id": party[1], "ok": False, "error": report.message}
