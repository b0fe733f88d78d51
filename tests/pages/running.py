"""Runs the blocks of a page in a scene, and compares what they print with what the page says."""

from __future__ import annotations

import ast
import doctest
import inspect
import io
import os
import re
import secrets
import shlex
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Final

import anyio
from attrs import define, field

from forked import forked
from ocpi_emsp.cli import main
from pages import curl
from pages.blocks import Block, Page
from pages.scene import Scene

SECONDS: Final = 60.0
"""How long a command may take, and a server until it prints what the page says."""
SERVERS: Final = {"serve", "simulate-cpo", "worker", "uvicorn", "waitress-serve", "background"}
"""Commands that go on until the page ends."""
_MODULES: Final = {"ocpi-emsp": "ocpi_emsp", "waitress-serve": "waitress"}
"""What ``python -m`` calls a program, where that is not its name."""
_CHECKER: Final = doctest.OutputChecker()
_PORT: Final = re.compile(r"(?:(?:127\.0\.0\.1|localhost):|--port[ =])(\d{4,5})\b")
_ID: Final = re.compile(r"\b(?:SES|CDR)-[0-9a-f]{16}\b|(?<=_SESSION )[\w-]{24}(?![\w-])")
"""What the simulated CPO and we make at random."""
_QUOTED: Final = re.compile(r"'[^']*'")
_SHELL: Final = re.compile(r"[|&;<>`*]|\$\(")


@define
class Running:
    """A page while it runs."""

    page: Page
    scene: Scene
    processes: ExitStack
    ports: dict[str, str] = field(factory=dict)
    """The port that stands for one of the page, so that pages run beside each other."""
    ids: dict[str, str] = field(factory=dict)
    """The id of this run that an id of the page stands for, so that a later command can name it."""
    servers: dict[str, SimpleQueue[str]] = field(factory=dict)
    """What each server has printed since, by the name of its program."""

    def run(self, block: Block) -> None:
        """Run a block. Raises AssertionError where it prints something else than the page says."""
        if block.language == "text" and block.title is not None:
            self._compare(block.line, block.source, self._printed(block.title, block.source))
        elif block.title is not None:
            self._save(block)
        elif block.language == "python":
            self._python(block)
        elif block.language == "console":
            for line, command, prints in commands(block):
                self._compare(line, prints, self._console(command, prints))

    def _save(self, block: Block) -> None:
        file = self.scene.folder / str(block.title)
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a" if block.is_end else "w", encoding="utf-8") as opened:
            opened.write(self._real(block.source))

    def _python(self, block: Block) -> None:
        source = "\n" * (block.line - 1) + self._real(block.source)
        code = compile(source, str(self.page.path), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
        printed = io.StringIO()
        with redirect_stdout(printed):
            if code.co_flags & inspect.CO_COROUTINE:
                anyio.run(_awaited, code, self.scene.names)
            else:
                exec(code, self.scene.names)
        if block.prints is not None:
            self._compare(block.line, block.prints, printed.getvalue())

    def _console(self, command: str, prints: str) -> str:
        command = self._real(command)
        words = shlex.split(command.removesuffix("&"), comments=True)
        if words[0] == "pip":
            return ""  # what it installs is there: tests/pages/test_names.py knows the extras
        if words[0] == "export":
            os.environ.update({name: value for name, _, value in (word.partition("=") for word in words[1:])})
            return ""
        if SERVERS & {*words[:2], words[-1]} and "--help" not in words:
            return self._serve(words, prints)
        if words[0] == "ocpi-emsp" and not _SHELL.search(command):
            printed = _main(words[1:])
            if words[1:3] == ["config", "init"]:  # the file names the port of the page
                self._use_real(self.scene.folder / "ocpi-emsp.toml")
            return printed
        if words[0] == "curl" and not _SHELL.search(_QUOTED.sub("", command)):
            return curl.answer(words[1:], self.scene.folder)
        return _shell(command, self.scene.folder)

    def _use_real(self, file: Path) -> None:
        file.write_text(self._real(file.read_text("utf-8")), "utf-8")

    def _serve(self, words: Sequence[str], prints: str) -> str:
        """Start a server, and wait until it listens; what it prints until then, and until it is what the page says."""
        program = _MODULES.get(words[0], words[0])
        if words[:2] == ["ocpi-emsp", "serve"] and "--port" not in words:
            words = [*words, *self._real("--port 8000").split()]
        server = self.processes.enter_context(forked(program, *words[1:], folder=self.scene.folder, errors=True))
        self.servers[words[0]] = printed = SimpleQueue[str]()
        for stream in (server.stdout, server.stderr):
            assert stream is not None
            threading.Thread(target=_forward, args=(stream, printed), daemon=True).start()
        if "--port" in words:
            try:
                _wait_for(int(words[words.index("--port") + 1]))
            except OSError as error:
                raise AssertionError(f"{' '.join(words)} does not listen: {_drained(printed)}") from error
        return self._printed(words[0], prints)

    def _printed(self, server: str, prints: str) -> str:
        """What a server prints next, until it is what the page says or nothing comes any more."""
        found = ""
        while not self._is(prints, found):
            try:
                found += self.servers[server].get(timeout=SECONDS)
            except Empty:
                break
        return found

    def _real(self, source: str) -> str:
        """What the page says, with the ports and ids of this run."""
        for port in _PORT.findall(source):
            if port not in self.ports and port not in self.ports.values():
                self.ports[port] = _free_port()
        source = _ID.sub(lambda found: self.ids.get(found[0], found[0]), source)
        return re.sub(r"\d{4,5}", lambda found: self.ports.get(found[0], found[0]), source)

    def _said(self, prints: str, got: str) -> str:
        """What was printed, with the ports and ids of the page."""
        of_page = [each for each in _ID.findall(prints) if each not in self.ids]
        of_run = [each for each in _ID.findall(got) if each not in self.ids.values()]
        self.ids |= dict(zip(of_page, of_run, strict=False))
        for said, real in (*self.ports.items(), *self.ids.items()):
            got = got.replace(real, said)
        return got

    def _is(self, prints: str, got: str) -> bool:
        said = self._said(prints, got)
        return _CHECKER.check_output(prints.rstrip("\n"), said.rstrip("\n"), doctest.ELLIPSIS)

    def _compare(self, line: int, prints: str, got: str) -> None:
        if not self._is(prints, got):
            said = self._said(prints, got)
            raise AssertionError(f"{self.page.name}:{line} prints\n{said}but the page says\n{prints}")


@contextmanager
def running(page: Page, scene: Scene) -> Iterator[Running]:
    """A page; its servers end with it."""
    with ExitStack() as processes:
        yield Running(page, scene, processes)


def commands(block: Block) -> Iterator[tuple[int, str, str]]:
    """Each command of a block of the console: its line, itself, and what it prints."""
    lines = block.source.splitlines(keepends=True)
    starts = [number for number, line in enumerate(lines) if line.startswith("$ ")]
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        last = start
        while lines[last].endswith("\\\n"):
            last += 1
        command = "".join(lines[start : last + 1])[2:].replace("\\\n", "").strip()
        yield block.line + start, command, "".join(lines[last + 1 : end])


async def _awaited(code: object, names: dict[str, object]) -> None:
    await eval(code, names)  # type: ignore[arg-type] # a code object


def _main(argv: Sequence[str]) -> str:
    """What our command prints."""
    printed = io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True)
    with redirect_stdout(printed), redirect_stderr(printed):
        main(argv)
    printed.seek(0)
    return printed.read()


def _shell(command: str, folder: Path) -> str:
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    ended = subprocess.run(
        ["sh", "-c", command],
        cwd=folder,
        env={**os.environ, "PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=2 * SECONDS,
        check=False,
    )
    return ended.stdout


def _forward(stream: Iterable[str], printed: SimpleQueue[str]) -> None:
    for line in stream:
        printed.put(line)


def _drained(printed: SimpleQueue[str]) -> str:
    found = ""
    while not printed.empty():
        found += printed.get()
    return found


def _wait_for(port: int) -> None:
    """Wait until something listens on the port. Raises OSError after too long."""
    until = time.monotonic() + SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            if time.monotonic() > until:
                raise
            time.sleep(0.02)
        else:
            return


def _free_port() -> str:
    """A port below those that the system gives away: nobody takes it before the server of the page does."""
    while True:
        port = 10_000 + secrets.randbelow(20_000)
        with socket.socket() as listening, suppress(OSError):
            listening.bind(("127.0.0.1", port))
            return str(port)
