"""The ocpi-emsp command.

Rules of this package:
- exit status: 0 done, 1 done with rejections or failures, 2 usage, 3 external failure; 130 interrupted;
- the result of a command goes to stdout, messages go to stderr; ``--json`` prints one JSON document on stdout;
- a command's module is imported when the command runs, an optional package inside the command that needs it;
- a problem is one line on stderr, never a traceback; only commands that serve print log lines.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Iterator, Sequence

import click

from ocpi_emsp.cli import output
from ocpi_emsp.cli.commands import Commands
from ocpi_emsp.cli.errors import CommandFailed, Outside, Usage
from ocpi_emsp.cli.next_steps import next_step
from ocpi_emsp.cli.settings import source
from ocpi_emsp.errors import InvalidEnvironment, OcpiError, PartnerError, RegistrationFailed, StoreFailed, UnsafeUrl

__all__ = ["main"]

INTERRUPTED = 130
"""The status that shells report for a command that Ctrl-C ended."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command in ``argv`` (default: the process's arguments); return the exit status."""
    try:
        if instruction := os.environ.get("_OCPI_EMSP_COMPLETE"):
            from click.shell_completion import shell_complete

            return shell_complete(Commands(), {}, "ocpi-emsp", "_OCPI_EMSP_COMPLETE", instruction)
        with _unlogged():
            status = _run(sys.argv[1:] if argv is None else list(argv))
        output.flush()
        return status
    except CommandFailed as failure:
        output.say(str(failure))
        return failure.status
    except OcpiError as failure:
        return _say(failure)
    except KeyboardInterrupt:
        output.say("interrupted")
        return INTERRUPTED


def _run(argv: list[str]) -> int:
    commands = Commands()
    try:
        with commands.make_context("ocpi-emsp", argv) as context:
            status: int = commands.invoke(context)
            return status
    except click.exceptions.Exit as end:  # the help, or the version, was printed
        return end.exit_code
    except click.exceptions.NoArgsIsHelpError as missing:
        print(missing.format_message(), file=sys.stderr)
        return Usage.status
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx else "ocpi-emsp"
        raise Usage(f"{_sentence(error)} (see {path} --help)") from None


def _sentence(error: click.UsageError) -> str:
    """Return what is wrong with an argument, and where it was given."""
    with error.ctx.scope(cleanup=False) if error.ctx else contextlib.nullcontext():
        if isinstance(error, click.BadParameter) and not isinstance(error, click.MissingParameter) and error.param:
            name = error.param.name or ""
            is_option = isinstance(error.param, click.Option)
            given = source(name) if error.param.envvar else error.param.opts[-1] if is_option else name.upper()
            return f"{given}: {error.message}"
        return error.format_message().rstrip(".")


@contextlib.contextmanager
def _unlogged() -> Iterator[None]:
    """Suppress log lines unless a command asks for them: Python itself would print them on stderr."""
    log, handler = logging.getLogger("ocpi_emsp"), logging.NullHandler()
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)


def _say(failure: OcpiError) -> int:
    """Print why the library failed; return the exit status."""
    output.say(failure.message)
    for finding in failure.findings:
        output.say(str(finding))
    if step := next_step(failure):
        output.say(step)
    if isinstance(failure, StoreFailed | PartnerError | RegistrationFailed):
        return Outside.status
    return Usage.status if isinstance(failure, InvalidEnvironment | UnsafeUrl) else CommandFailed.status
