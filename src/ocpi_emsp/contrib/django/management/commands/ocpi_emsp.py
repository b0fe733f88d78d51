"""``manage.py ocpi_emsp``: the work that must run beside a web server, and what begins with a partner.

Rules of this module:
- it runs with the hooks and listeners of the project, which the command ``ocpi-emsp`` does not know;
- SIGTERM and Ctrl-C end the background work in order, after the current listener, push or page of a sync;
- a failure that has a sentence is a CommandError; a token is read from a file, since other users see arguments.
"""

from __future__ import annotations

import queue
import signal
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from ocpi_emsp.contrib.django import conf
from ocpi_emsp.contrib.django.emsp import get_emsp
from ocpi_emsp.errors import OcpiError
from ocpi_emsp.resources import PartyState


class Command(BaseCommand):
    """The command."""

    help = "The eMSP of this project: its background work, and its partners."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare what it can do."""
        commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
        commands.add_parser(
            "background",
            help="deliver events, push tokens, end commands whose time is over, sync with SYNC_EVERY; until SIGTERM",
        )
        invite = commands.add_parser("invite", help="make a token A for a CPO, which is printed this once")
        invite.add_argument("party", help="such as NL-TNM")
        register = commands.add_parser("register", help="register with a CPO that invited this eMSP")
        register.add_argument("versions_url", metavar="URL", help="its versions URL")
        register.add_argument("--token-a-file", metavar="FILE", required=True, help="has its token A; - is stdin")
        sync = commands.add_parser("sync", help="pull what changed at CPOs, and push tokens")
        sync.add_argument(
            "parties", metavar="PARTY", nargs="*", help="such as NL-TNM; without any, all registered ones"
        )
        sync.add_argument("--full", action="store_true", help="pull everything, and mark what a CPO does not list")

    def handle(self, *, command: str, **given: Any) -> None:
        """Run one of them. Raises CommandError."""
        try:
            getattr(self, f"_{command}")(given)
        except (OcpiError, ValueError, OSError) as error:
            raise CommandError(str(error)) from error

    def _background(self, _: dict[str, Any]) -> None:
        emsp = get_emsp()
        with stop_signals() as stop, emsp.running(sync_every=conf.given().sync_every):
            party = f"{emsp.identity.country_code}-{emsp.identity.party_id}"
            self._say(f"background work of {party}: SIGTERM or Ctrl-C ends it")
            self._say(f"{_wait(stop)}: ending the current round")
        self._say("ended")

    def _invite(self, given: dict[str, Any]) -> None:
        invitation = get_emsp().parties.invite(given["party"])
        self._say(f"versions URL: {invitation.versions_url}")
        self._say(f"token A: {invitation.token_a.reveal()}")

    def _register(self, given: dict[str, Any]) -> None:
        file = given["token_a_file"]
        try:
            token_a = (sys.stdin.read() if file == "-" else Path(file).read_text("utf-8")).strip()
        except OSError as error:
            raise CommandError(f"--token-a-file: cannot read {file}: {error.strerror}") from error
        party = get_emsp().parties.register(given["versions_url"], token_a=token_a)
        self._say(f"registered with {party.id}")

    def _sync(self, given: dict[str, Any]) -> None:
        emsp = get_emsp()
        registered = (each.id for each in emsp.parties.list() if each.state is PartyState.REGISTERED)
        failed = 0
        for party in given["parties"] or [*registered]:
            report = emsp.partner(party).sync(full=given["full"])
            failed += report.failed
            for each in report.modules:
                numbers = f"{each.created} created, {each.updated} updated, {each.rejected} rejected"
                reason = f": {each.reason}" if each.reason else ""
                self._say(f"{party} {each.module}: {each.ended.value}, {numbers}{reason}")
        if failed:
            raise CommandError(f"{failed} failed")

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()


@contextmanager
def stop_signals() -> Iterator[queue.SimpleQueue[str]]:
    """A queue with the names of signals that ask for the end, instead of what these do elsewhere."""
    stop = queue.SimpleQueue[str]()  # its put may interrupt its get: no lock of Python's is involved
    signals = (signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(each, lambda number, _: stop.put(signal.Signals(number).name)) for each in signals]
    try:
        yield stop
    finally:
        for each, handler in zip(signals, before, strict=True):
            signal.signal(each, handler)


def _wait(stop: queue.SimpleQueue[str]) -> str:
    while True:
        try:
            return stop.get(timeout=1)  # Windows delivers no signal to a thread that waits without end
        except queue.Empty:
            continue
