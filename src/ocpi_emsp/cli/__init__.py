"""The ocpi-emsp command.

Rules of this package:
- exit status: 0 done, 1 done with refusals or failures, 2 usage, 3 the outside failed; 130 interrupted;
- what a command was asked for goes to stdout, messages go to stderr; ``--json`` prints one JSON document on stdout;
- a command's module is imported when the command runs, an optional package inside the command that needs it;
- a problem is one line on stderr, never a traceback; log lines are for those that serve, which print them themselves.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Sequence
from importlib import import_module

from ocpi_emsp.cli import output
from ocpi_emsp.cli.arguments import parser
from ocpi_emsp.cli.errors import CommandFailed, Outside, Usage
from ocpi_emsp.errors import OcpiError, PartnerError, RegistrationFailed, StoreFailed, UnsafeUrl

__all__ = ["main"]

INTERRUPTED = 130
"""What shells report for a command that Ctrl-C ended."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that ``argv`` (the process's arguments unless given) asks for; the exit status."""
    try:
        return _run(argv)
    except CommandFailed as failure:
        output.say(str(failure))
        return failure.status
    except OcpiError as failure:
        return _say(failure)
    except KeyboardInterrupt:
        output.say("interrupted")
        return INTERRUPTED


def _run(argv: Sequence[str] | None) -> int:
    try:
        arguments = parser().parse_args(argv)
    except SystemExit as end:  # argparse has printed the help, or what is wrong with the usage
        output.flush()
        return end.code if isinstance(end.code, int) else Usage.status
    with _unlogged():
        status: int = import_module(arguments.module).run(arguments)
    output.flush()
    return status


@contextlib.contextmanager
def _unlogged() -> Iterator[None]:
    """A log line that nobody asked for is printed nowhere, rather than on stderr by Python itself."""
    log, handler = logging.getLogger("ocpi_emsp"), logging.NullHandler()
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)


def _say(failure: OcpiError) -> int:
    """Say what the library refused or what failed it; the exit status."""
    output.say(failure.message)
    for finding in failure.findings:
        output.say(str(finding))
    if isinstance(failure, StoreFailed | PartnerError | RegistrationFailed):
        return Outside.status
    return Usage.status if isinstance(failure, UnsafeUrl) else CommandFailed.status
