"""What the command prints, and where.

Rules of this module:
- external text is made printable before it reaches a terminal;
- a closed stdout ends the command with one line, not with a traceback;
- rich draws tables if it is installed and stdout is a terminal; everything is readable without it.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import logging
import os
import shutil
import stat
import sys
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any, Final

from ocpi_emsp.cli.errors import Outside, ReaderGone, Usage, reason

__all__ = [
    "WIDE",
    "beside",
    "flush",
    "log_on_stderr",
    "mark",
    "printable",
    "require",
    "say",
    "table",
    "to_file",
    "width",
    "write",
    "write_bytes",
    "write_json",
    "write_line",
    "write_text",
]

WIDE: Final = 140
"""Columns from which a table of many columns is readable."""


def printable(text: str) -> str:
    """Return external text that cannot move a terminal's cursor."""
    from ocpi_emsp.report import escapes  # imports the reports, which the help does not need

    return escapes.printable(text)


def write(text: str) -> None:
    """Write text to stdout, unchanged. Raises Outside if that fails."""
    _require_stdout()
    try:
        try:
            sys.stdout.write(text)
        except UnicodeEncodeError:
            encoding = sys.stdout.encoding
            sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))
    except OSError as error:
        raise _lost(error) from None


def write_text(text: str) -> None:
    """Write external text of several lines to stdout, and flush; other line separators are escaped."""
    write("".join(f"{printable(line.removesuffix(chr(13)))}\n" for line in text.split("\n")))
    flush()


def write_line(text: str) -> None:
    """Write one line to stdout, and flush; line breaks and control characters in it are escaped."""
    write(printable(text) + "\n")
    flush()


def write_bytes(data: bytes) -> None:
    """Write bytes to stdout, whatever its encoding. Raises Outside if that fails."""
    _require_stdout()
    try:
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
    except OSError as error:
        raise _lost(error) from None


def flush() -> None:
    """Flush stdout. Raises Outside if that fails."""
    if sys.stdout is None:  # nothing was written
        return
    try:
        sys.stdout.flush()
    except OSError as error:
        raise _lost(error) from None


def _require_stdout() -> None:
    if sys.stdout is None:
        raise Outside("the output cannot be written: standard output is closed")


def write_json(document: Any, indent: int | None = 2) -> None:
    """Write one JSON document to stdout, and flush; on one line if ``indent`` is None, for a reader of lines."""
    write(json.dumps(document, indent=indent) + "\n")
    flush()


@contextlib.contextmanager
def to_file(path: str | None) -> Iterator[None]:
    """Redirect output within the block to this file, in UTF-8; to stdout for None. Raises Usage.

    Only the owner may read the file: it may hold tokens for calls to partners, or drivers' data.
    """
    if path is None:
        yield
        return
    try:
        file = open(path, "w", encoding="utf-8", newline="\n", opener=_open_privately)  # noqa: SIM115 - entered below
    except (OSError, ValueError) as error:
        raise Usage(f"{path}: cannot be written: {reason(error)}") from None
    with file, contextlib.redirect_stdout(file):
        yield
        flush()


def _open_privately(path: str, flags: int) -> int:
    descriptor = os.open(path, flags, 0o600)
    if hasattr(os, "fchmod") and stat.S_ISREG(os.fstat(descriptor).st_mode):  # an existing file, with other rights
        os.fchmod(descriptor, 0o600)
    return descriptor


def say(message: str) -> None:
    """Write a message to stderr, on one line."""
    if sys.stderr is None:  # closed; print would take stdout for it
        return
    with contextlib.suppress(OSError):
        print(f"ocpi-emsp: {printable(message)}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def log_on_stderr(formatter: type[logging.Formatter], **levels: int) -> Iterator[None]:
    """Print on stderr what these loggers log, from these levels on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    before = {name: logging.getLogger(name).level for name in levels}
    for name, level in levels.items():
        logging.getLogger(name).addHandler(handler)
        logging.getLogger(name).setLevel(level)
    try:
        yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).removeHandler(handler)
            logging.getLogger(name).setLevel(level)


def require(package: str, extra: str) -> None:
    """Raise Usage that names the extra if an optional package is not installed."""
    if importlib.util.find_spec(package) is None:
        raise Usage(f"this command needs {package}, which is not installed: pip install 'ocpi-emsp[{extra}]'")


def width() -> int:
    """Return the columns of the terminal, or COLUMNS; 80 in a pipe."""
    return shutil.get_terminal_size((80, 24)).columns


def mark(ok: bool) -> str:
    """Return a tick, or a cross; in ASCII if the output cannot encode them."""
    tick, cross = "\u2713", "\u2717"
    try:
        tick.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        tick, cross = "ok", "FAILED"
    return tick if ok else cross


def beside(start: str, sentence: str, width: int) -> Iterator[str]:
    """Yield the two on one line; a sentence that does not fit there follows below, and nothing is cut."""
    if len(start) + 1 + len(sentence) <= width:
        yield f"{start} {sentence}"
        return
    yield start
    yield from (f"    {line}" for line in _wrapped(sentence, width - 4))


def _wrapped(sentence: str, width: int) -> list[str]:
    """Return lines that only break between words: no URL is cut."""
    return textwrap.wrap(sentence, width, break_long_words=False, break_on_hyphens=False)


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], width: int | None = None) -> str:
    """Return a table for people: drawn by rich on a terminal, otherwise aligned columns.

    To fit into ``width``, only the last column is wrapped.
    """
    shown = [[printable(cell) for cell in row] for row in rows]
    if sys.stdout.isatty() and importlib.util.find_spec("rich") is not None:
        return _drawn(columns, shown, wraps=columns[-1:] if width else columns)
    from ocpi_emsp.report.render_text import aligned

    return aligned(columns, shown if width is None else list(_fitted(columns, shown, width)))


def _fitted(columns: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> Iterator[Sequence[str]]:
    """Yield the rows, each followed by what does not fit into its last cell."""
    *others, _ = [max(map(len, cells)) + 2 for cells in zip(columns, *rows, strict=True)]
    left = max(width - sum(others), 20)
    for *row, sentence in rows:
        for line in _wrapped(sentence, left) or [""]:
            yield [*row, line]
            row = [""] * len(row)


def _drawn(columns: Sequence[str], rows: Sequence[Sequence[str]], wraps: Sequence[str]) -> str:
    from rich.console import Console
    from rich.table import Column, Table
    from rich.text import Text

    # a text that is too long is wrapped, never cut
    drawn = Table(*(Column(name, overflow="fold", no_wrap=name not in wraps) for name in columns))
    for row in rows:
        drawn.add_row(*(Text(cell) for cell in row))
    console = Console(file=sys.stdout)
    with console.capture() as captured:
        console.print(drawn)
    return captured.get()


def _lost(error: OSError) -> Outside:
    """Redirect stdout to nowhere, since Python would otherwise try again at exit and complain."""
    with contextlib.suppress(OSError, ValueError):
        stdout = sys.stdout.fileno()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stdout)
        os.close(nowhere)
    if isinstance(error, BrokenPipeError):
        return ReaderGone("the reader of the output went away before everything was written")
    return Outside(f"the output cannot be written: {reason(error)}")
