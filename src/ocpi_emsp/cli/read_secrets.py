"""Reads secrets for the command, and warns of those on the command line.

Rules of this module (docs/explanation/security.md):
- every user of the machine can read a command line, and the shell's history stores it: a secret there works, with a
  warning;
- a message about an invalid secret does not repeat it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ocpi_emsp.cli import files, output
from ocpi_emsp.cli.errors import Usage

_LONGEST = 64 * 1024
"""Bytes that are read of a file with a token, or with headers."""


def warn(flag: str, instead: str) -> None:
    """Warn that the command line shows a secret, and name the alternative."""
    output.say(f"{flag} shows a secret to every user of this machine (ps) and to the shell's history: use {instead}")


def text_of(path: str) -> str:
    """Return the text of a small file, or of standard input for ``-``. Raises Usage."""
    with files.opened(path) as stream:
        data = stream.read(_LONGEST)
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise Usage(f"{path}: expected text in UTF-8") from None


def header_lines(texts: Sequence[str]) -> Iterator[str]:
    """Yield the headers of ``--header``, each NAME=VALUE; ``@FILE`` has one per line. Raises Usage."""
    from ocpi_emsp.resources.records import names_party  # imports the flows, which the help does not need

    for text in texts:
        if text.startswith("@"):
            yield from filter(None, map(str.strip, text_of(text[1:]).splitlines()))
            continue
        if not names_party(text.partition("=")[0].lower()):
            warn("--header", "--header @FILE, or @- for standard input, with NAME=VALUE on each line")
        yield text
