"""``manage.py ocpi_emsp``: the work that must run beside a web server, and the first steps with a partner.

Rules of this module:
- it runs with the hooks and listeners of the project, which the command ``ocpi-emsp`` does not know;
- SIGTERM and Ctrl-C end the background work in order, after the current listener, push or page of a sync;
- a failure with a message is a CommandError; a token is read from a file, since other users can see arguments.
"""

from __future__ import annotations

import json
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
        """Declare the subcommands and their arguments."""
        commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
        commands.add_parser(
            "background",
            help="deliver events, push tokens, end commands whose time is over, sync with SYNC_EVERY; until SIGTERM",
        )
        invite = commands.add_parser("invite", help="make a token A for a CPO, which is printed this once")
        invite.add_argument("party", help="such as NL-TNM")
        register = commands.add_parser("register", help="register with a CPO that invited this eMSP")
        register.add_argument("versions_url", metavar="URL", nargs="?", help="its versions URL, with --token-a-file")
        register.add_argument("--token-a-file", metavar="FILE", help="has its token A; - is stdin")
        register.add_argument(
            "--invitation", metavar="FILE", help="JSON with versions_url and token_a, in place of both; - is stdin"
        )
        register.add_argument("--sync", action="store_true", help="then pull what it has")
        sync = commands.add_parser("sync", help="pull what changed at CPOs, and push tokens")
        sync.add_argument(
            "parties", metavar="PARTY", nargs="*", help="such as NL-TNM; without any, all registered ones"
        )
        sync.add_argument("--full", action="store_true", help="pull everything, and mark what a CPO does not list")

    def handle(self, *, command: str, **given: Any) -> None:
        """Run a subcommand. Raises CommandError."""
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
        versions_url, token_a = _invitation(given["versions_url"], given["token_a_file"], given["invitation"])
        party = get_emsp().parties.register(versions_url, token_a=token_a)
        self._say(f"registered with {party.id}")
        if given["sync"]:
            self._sync({"parties": [party.id], "full": False})

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


def _invitation(versions_url: str | None, token_file: str | None, file: str | None) -> tuple[str, str]:
    """Return the versions URL and the token A. Raises CommandError."""
    if file is None:
        if versions_url is None or token_file is None:
            raise CommandError("Missing invitation: give URL and --token-a-file FILE, or --invitation FILE")
        return versions_url, _read(token_file, "--token-a-file").strip()
    if versions_url is not None or token_file is not None:
        raise CommandError("--invitation has the versions URL and the token A: give no others")
    try:
        found = json.loads(_read(file, "--invitation"))
        return str(found["versions_url"]), str(found["token_a"])
    except (ValueError, TypeError, KeyError) as error:
        expected = 'expected {"versions_url": "https://...", "token_a": "..."}'
        raise CommandError(f"--invitation: invalid invitation in {file}: {expected}") from error


def _read(file: str, option: str) -> str:
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text("utf-8")
    except OSError as error:
        raise CommandError(f"{option}: cannot read {file}: {error.strerror}") from error


@contextmanager
def stop_signals() -> Iterator[queue.SimpleQueue[str]]:
    """Yield a queue with the names of received stop signals, in place of their usual effect."""
    stop = queue.SimpleQueue[str]()  # its put may interrupt its get: it uses no lock of Python's
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
            return stop.get(timeout=1)  # Windows delivers no signal to a thread in a wait without timeout
        except queue.Empty:
            continue
