"""Walks docs/how-to/django.md in a project that exists: ``python page_walk.py PAGE``, in its folder.

Each file of the page is written, then each command is run in this one process, and what it prints is compared.
"""

from __future__ import annotations

import contextlib
import doctest
import io
import json
import os
import re
import shlex
import socket
import sys
import threading
import urllib.request
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from anyio.from_thread import BlockingPortal, start_blocking_portal

BLOCK = re.compile(r'^```(?:python title="(.+?)"|console)\n(.*?)^```', re.MULTILINE | re.DOTALL)
BEGUN = (
    "pip install",
    "django-admin startproject",
    "python manage.py startapp",
    "python manage.py ocpi_emsp background",
)
"""Commands that were run before, and one that does not end."""
SERVER, CPO = "127.0.0.1:8000", "127.0.0.1:41817"
"""Addresses on the page, which are others here."""


def commands(block: str) -> Iterator[tuple[str, str]]:
    """Each command of a block, and what it should print."""
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, _, output = part.partition("\n")
        yield command, output


class Walk:
    """A reader who follows the page."""

    def __init__(self, page: str, portal: BlockingPortal, until: contextlib.ExitStack) -> None:
        self._blocks = BLOCK.findall(page)
        self._portal = portal
        self._until = until
        self._listening = until.enter_context(socket.create_server(("127.0.0.1", 0)))
        self._places = {SERVER: "{}:{}".format(*self._listening.getsockname()), CPO: CPO}

    def run(self) -> int:
        """The number of commands that were run."""
        for title, text in self._blocks:
            if title:
                file, _, at_the_end = title.partition(", ")
                with Path(file).open("a" if at_the_end else "w", encoding="utf-8") as opened:
                    opened.write("\n" + self._here(text))
        return sum(self._run(*each) for title, text in self._blocks if not title for each in commands(text))

    def _here(self, text: str) -> str:
        for there, here in self._places.items():
            text = text.replace(there, here)
        return text

    def _run(self, command: str, expected: str) -> bool:
        if command.startswith(BEGUN):
            return False
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            self._call(shlex.split(self._here(command)))
        if not doctest.OutputChecker().check_output(self._here(expected), printed.getvalue(), doctest.ELLIPSIS):
            sys.exit(f"$ {command}\n{printed.getvalue()}\nexpected:\n{self._here(expected)}")
        return True

    def _call(self, words: list[str]) -> None:
        from django.core.management import execute_from_command_line

        match words:
            case ["python", "manage.py", "runserver"]:
                self._serve()
            case ["ocpi-emsp", "simulate-cpo", "--locations", number, "--invitation", file]:
                self._simulate(int(number), Path(file))
            case ["curl", *options, url]:
                method = "POST" if options == ["-X", "POST"] else "GET"
                with urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=30) as answer:
                    print(answer.read().decode())
            case ["python", *arguments]:
                execute_from_command_line(arguments)
            case _:
                sys.exit(f"the page has a command that is not known here: {shlex.join(words)}")

    def _serve(self) -> None:
        from django.core.wsgi import get_wsgi_application
        from waitress import serve  # type: ignore[import-untyped] # waitress ships no types

        options: dict[str, Any] = {"sockets": [self._listening], "_quiet": True}
        threading.Thread(target=serve, args=(get_wsgi_application(),), kwargs=options, daemon=True).start()

    def _simulate(self, locations: int, file: Path) -> None:
        from ocpi_emsp.testing.cpo import SimulatedCpo
        from ocpi_emsp.testing.cpo.server import serving

        cpo = SimulatedCpo(locations=locations, sessions_follow_commands=True)
        url = self._until.enter_context(self._portal.wrap_async_context_manager(serving(cpo)))
        self._places[CPO] = url.removeprefix("http://")
        invitation = cpo.invite()
        given = {"versions_url": invitation.versions_url, "token_a": invitation.token_a}
        file.write_text(json.dumps(given))
        print(json.dumps({**given, "control_url": f"{url}/control"}))


def main() -> None:
    """Walk, and import what no command used."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "mysite.settings"
    sys.path.insert(0, ".")
    with contextlib.ExitStack() as until:
        portal = until.enter_context(start_blocking_portal())
        number = Walk(Path(sys.argv[1]).read_text("utf-8"), portal, until).run()
        assert callable(import_module("drivers.signup").add_driver)
        assert callable(import_module("mysite.asgi").application)
    print(f"{number} commands")


if __name__ == "__main__":
    main()
