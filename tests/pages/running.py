"""Runs the blocks of a page in a scene, and compares what they print with what the page says."""

from __future__ import annotations

import ast
import doctest
import inspect
import io
import os
import re
import shlex
import socket
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Final

import anyio
from attrs import define, field

from forked import forked
from ocpi_emsp.cli import main
from pages.blocks import Block, Page
from pages.scene import Scene

SECONDS: Final = 20.0
"""How long a command may take, and a server until it prints what the page says."""
SERVERS: Final = {"serve", "simulate-cpo", "worker", "uvicorn"}
"""Commands that go on until the page ends."""
_CHECKER: Final = doctest.OutputChecker()
_PORT: Final = re.compile(r"(?:(?:127\.0\.0\.1|localhost):|--port[ =])(\d{4,5})\b")
_SHELL: Final = re.compile(r"[|&;<>`*]|\$\(")


@define
class Running:
    """A page while it runs."""

    page: Page
    scene: Scene
    processes: ExitStack
    ports: dict[str, str] = field(factory=dict)
    """The port that stands for one of the page, so that pages run beside each other."""

    def run(self, block: Block) -> None:
        """Run a block. Raises AssertionError where it prints something else than the page says."""
        if block.title is not None:
            self._save(block)
        elif block.language == "python":
            self._python(block)
        elif block.language == "console":
            for line, command, prints in commands(block):
                self._compare(line, prints, self._console(command, prints))

    def _save(self, block: Block) -> None:
        file = self.scene.folder / str(block.title)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(self._with_ports(block.source), "utf-8")

    def _python(self, block: Block) -> None:
        source = "\n" * (block.line - 1) + self._with_ports(block.source)
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
        command = self._with_ports(command)
        words = shlex.split(command.removesuffix("&"), comments=True)
        if words[0] == "export":
            os.environ.update({name: value for name, _, value in (word.partition("=") for word in words[1:])})
            return ""
        if SERVERS & set(words[:2]) and "--help" not in words:
            return self._serve(words, prints.count("\n"))
        if words[0] == "ocpi-emsp" and not _SHELL.search(command):
            return _main(words[1:])
        return _shell(command, self.scene.folder)

    def _serve(self, words: Sequence[str], lines: int) -> str:
        """Start a server; what it prints first, as many lines as the page has."""
        program = "ocpi_emsp" if words[0] == "ocpi-emsp" else words[0]
        server = self.processes.enter_context(forked(program, *words[1:], folder=self.scene.folder, errors=True))
        printed: SimpleQueue[str] = SimpleQueue()
        for stream in (server.stdout, server.stderr):
            assert stream is not None
            threading.Thread(target=_forward, args=(stream, printed), daemon=True).start()
        found = []
        for _ in range(lines):
            try:
                found.append(printed.get(timeout=SECONDS))
            except Empty:
                break
        return "".join(found)

    def _with_ports(self, source: str) -> str:
        for port in _PORT.findall(source):
            if port not in self.ports and port not in self.ports.values():
                self.ports[port] = _free_port()
        return re.sub(r"\d{4,5}", lambda found: self.ports.get(found[0], found[0]), source)

    def _compare(self, line: int, prints: str, got: str) -> None:
        for port, free in self.ports.items():
            got = got.replace(free, port)
        if not _CHECKER.check_output(prints.rstrip("\n"), got.rstrip("\n"), doctest.ELLIPSIS):
            raise AssertionError(f"{self.page.name}:{line} prints\n{got}but the page says\n{prints}")


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
        timeout=SECONDS * 3,
        check=False,
    )
    return ended.stdout


def _forward(stream: Iterable[str], printed: SimpleQueue[str]) -> None:
    for line in stream:
        printed.put(line)


def _free_port() -> str:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return str(listening.getsockname()[1])
